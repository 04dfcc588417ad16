"""Django's own tests of task backends, out of Django's source distribution: fetched once, kept beside the environment.

They are Django's (BSD licence) and stay in the cache; nothing of them is part of this project.
"""

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "6.1.3"
FOLDER = Path(sys.prefix) / "cache" / f"django-{VERSION}-tests-tasks"


class Unobtainable(Exception):
    """Why the tests cannot be had here."""


def django_tests() -> Path:
    """The folder `tests/tasks` of that release. Raises Unobtainable."""
    if not (FOLDER / "test_tasks.py").exists():
        with tempfile.TemporaryDirectory() as folder:
            _extract(_downloaded(Path(folder)))
    return FOLDER


def _downloaded(folder: Path) -> Path:
    # The tests run where that release itself does not: so pip is told of a Python that it would run on.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-binary", ":all:", "--python-version", "3.12", "--dest", str(folder), f"django=={VERSION}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = list(folder.glob("*.tar.gz"))
    if done.returncode or not found:
        said = done.stderr.strip().splitlines() or ["pip said nothing"]
        raise Unobtainable(f"Django {VERSION}'s sdist cannot be downloaded: {said[-1]}")
    return found[0]


def _extract(sdist: Path) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tarfile.open(sdist) as archive:
        for member in archive.getmembers():
            path = Path(member.name)
            if path.parts[1:3] == ("tests", "tasks") and path.suffix == ".py":
                source = archive.extractfile(member)
                assert source is not None
                (FOLDER / path.name).write_bytes(source.read())


if __name__ == "__main__":
    sys.stdout.write(f"{django_tests()}\n")
