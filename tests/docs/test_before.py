"""What the guides show of the libraries that they lead away from: it runs, with those libraries, on a real server.

They are where `make bench-peers` installs them.
"""

import subprocess
from contextlib import closing
from pathlib import Path

import pytest
import redis

from tests.docs.test_snippets import PAGES, ROOT, Block, blocks
from tests.integration.redis.servers import Server, needs_redis

OLD = [
    pytest.param(block, id=block.detail)
    for page in PAGES
    for block in blocks(page.read_text(encoding="utf-8"))
    if block.order == "run-with"
]


def python_of(library: str) -> Path:
    python = ROOT / ".venv" / "peers" / library / "bin" / "python"
    if not python.exists():
        pytest.skip(f"{library} is not installed: `make bench-peers` does it")
    return python


@needs_redis
@pytest.mark.parametrize("block", OLD)
def test_the_code_of_before_enqueues(block: Block, tmp_path: Path) -> None:
    """With the library as it is published: an option that it does not know would end it."""
    python = python_of(block.detail)
    (tmp_path / "mailing.py").write_text("def send(user_id, *, subject):\n    return subject\n")
    with Server() as server, closing(redis.Redis(port=server.port)) as client:
        assert "localhost:6379" in block.body
        (tmp_path / "before.py").write_text(block.body.replace("localhost:6379", f"localhost:{server.port}"))
        done = subprocess.run([python, "before.py"], cwd=tmp_path, capture_output=True, text=True, check=False)

        assert done.returncode == 0, done.stderr
        assert client.dbsize() != 0
