"""Each test has a Django project of its own."""

import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.integration.django.site import Site


@pytest.fixture
def site(tmp_path: Path) -> Generator[Site]:
    """A project without tables; what was started in it ends with the test."""
    pytest.importorskip("django", reason="Django is not installed: pip install typedgator[django]")
    started: list[subprocess.Popen[str]] = []
    yield Site(tmp_path, started)
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def shop(site: Site) -> Site:
    """A project with its tables made."""
    return site.migrated()
