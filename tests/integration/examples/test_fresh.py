"""Each example on a fresh clone, by what its README says: with pip, an environment of its own, and make."""

import subprocess
from pathlib import Path

import pytest

from tests.integration.examples.running import ROOT, Example
from tests.integration.redis.servers import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    ("name", "ready"), [("blog", "Starting development server"), ("thumbnails", "Uvicorn running")]
)
def test_it_runs_from_its_readme_on_a_fresh_clone(name: str, ready: str, tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(tmp_path / "clone")], check=True)
    example = tmp_path / "clone" / "examples" / name

    with Example(example, ready, env={"MAIL_PORT": str(free_port())}, is_alone=True) as site:
        assert b"<h1>" in site.ask("/").content

    assert (example / ".venv" / ".ready").exists()
    status = ["git", "-C", str(example), "status", "--porcelain"]
    assert subprocess.run(status, capture_output=True, text=True, check=True).stdout == "", (
        "what it made is not ignored"
    )
