"""Each test has a project of its own."""

import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.integration.cli.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Generator[Project]:
    """A folder with the module `app`; what was started in it ends with the test."""
    started: list[subprocess.Popen[str]] = []
    yield Project(tmp_path, started)
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
