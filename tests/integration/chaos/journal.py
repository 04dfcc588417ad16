"""The journals of a campaign: append-only files of lines, written by many processes, read while they grow.

A line: what, job id, attempt, token, seconds of the machine's monotonic clock, process id, and a word of its own. One
write each, so lines never mix, and a process that is killed has written all that it did, or not begun.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Journal", "Line", "Tail", "now"]


def now() -> float:
    """Seconds, the same in all processes of this machine, whatever becomes of its clock."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


@dataclass(frozen=True, slots=True)
class Line:
    """One line. `word`: a job's number, its parent, a reason; without spaces."""

    what: str
    job_id: str
    attempt: int = 0
    token: int = 0
    at: float = 0.0
    pid: int = 0
    word: str = "-"


class Journal:
    """A file to write to. `sync`: a line is on the disk before the next step."""

    def __init__(self, path: str, *, sync: bool = False) -> None:
        self._file: Final = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._sync = sync

    def note(self, what: str, job_id: str, attempt: int = 0, token: int = 0, word: str = "-") -> None:
        """One line."""
        line = f"{what} {job_id} {attempt} {token} {now():.6f} {os.getpid()} {word.replace(' ', '_')}\n"
        os.write(self._file, line.encode())
        if self._sync:
            os.fsync(self._file)


class Tail:
    """Reads a file as it grows, whole lines only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0

    def read(self) -> list[Line]:
        """The lines since the last time."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._at)
            found = file.read()
        whole = found[: found.rfind(b"\n") + 1]
        self._at += len(whole)
        return [_line(text) for text in whole.decode().splitlines()]


def _line(text: str) -> Line:
    what, job_id, attempt, token, at, pid, word = text.split(" ")
    return Line(what, job_id, int(attempt), int(token), float(at), int(pid), word)
