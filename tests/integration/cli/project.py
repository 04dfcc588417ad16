"""A project folder as a user has one, and the commands run in it as a user types them."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE = 30.0

TASKS = """
import pathlib
import threading
import time

from typedgator import Gator

gator = Gator()


@gator.register
def double(n: int) -> int:
    return 2 * n


@gator.register
def fail(text: str) -> None:
    raise LookupError(text)


@gator.register
def hold(name: str) -> str:
    '''Says that it runs, and ends when the file `go` is there.'''
    pathlib.Path(name).touch()
    while not pathlib.Path("go").exists():
        time.sleep(0.01)
    return name
"""


class Project:
    """A folder with a module `app`, and a queue file beside it."""

    def __init__(self, folder: Path, started: list[subprocess.Popen[str]]) -> None:
        self.folder = folder
        self._started = started
        self.env = {
            name: value for name, value in os.environ.items() if not name.startswith(("TYPEDGATOR_", "FORCE_COLOR"))
        }
        self.write("app.py", TASKS)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def python(self, code: str) -> str:
        """Runs code in a process of its own, `app` imported; what it prints."""
        done = subprocess.run(
            [sys.executable, "-c", f"from app import *\n{code}"],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def command(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Runs `typedgator …` to its end."""
        return subprocess.run(
            [sys.executable, "-m", "typedgator", *args],
            cwd=self.folder,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def start(self, *args: str) -> subprocess.Popen[str]:
        """Starts `typedgator …`; it is killed when the test ends."""
        process = subprocess.Popen(
            [sys.executable, "-m", "typedgator", *args],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def until_there(self, *names: str) -> None:
        """Waits until these files exist in the folder."""
        until(lambda: all((self.folder / name).exists() for name in names))


def until(is_true: Callable[[], bool]) -> None:
    """Looks until it is so. Fails after PATIENCE seconds."""
    deadline = time.monotonic() + PATIENCE
    while not is_true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def until_line(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """Reads standard error until a line matches."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(pattern, line):
            return found
    raise AssertionError(f"it ended without saying {pattern!r}")


def refused(done: subprocess.CompletedProcess[str], code: int) -> str:
    """The one line on standard error of a command that refused."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert lines[0].startswith("typedgator: ")
    return lines[0].removeprefix("typedgator: ")
