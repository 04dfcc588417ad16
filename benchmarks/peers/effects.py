"""What the tasks of every library do: write into a file of shared memory when each job ran. Standard library only.

All clocks are CLOCK_MONOTONIC, which every process of a machine shares. A process that runs its first job notes how
much CPU it had used until then, so that its start can be told from its work.
"""

import fcntl
import mmap
import os
import time
from pathlib import Path
from typing import Final

__all__ = ["Effects", "began", "ended", "ran"]

PATH: Final = "TYPEDGATOR_PEERS_EFFECTS"
PROCESSES: Final = 64
HEADER: Final = PROCESSES * 16
"""Of each process that ran a job: its pid, and the nanoseconds of CPU before its first job."""
BYTES_PER_JOB: Final = 17
"""Start, end, and whether it ran more than once."""


class Effects:
    """The file, in the process that measures (`create`) or in one that runs jobs (`open`)."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self.memory: Final = mmap.mmap(file.fileno(), 0)
        self.jobs: Final = (len(self.memory) - HEADER) // BYTES_PER_JOB
        view, jobs = memoryview(self.memory), self.jobs
        self.processes: Final = view[:HEADER].cast("Q")
        self.starts: Final = view[HEADER : HEADER + 8 * jobs].cast("Q")
        self.ends: Final = view[HEADER + 8 * jobs : HEADER + 16 * jobs].cast("Q")
        self.again: Final = view[HEADER + 16 * jobs :]

    @classmethod
    def create(cls, path: Path, jobs: int) -> "Effects":
        """A file for so many jobs, of which none ran."""
        with path.open("wb") as file:
            file.truncate(HEADER + (jobs + 7) // 8 * 8 * BYTES_PER_JOB)
        return cls(path)

    def cpu_before(self) -> dict[int, float]:
        """By pid: seconds of CPU before the first job."""
        pairs = zip(self.processes[::2], self.processes[1::2], strict=True)
        return {pid: cpu / 1e9 for pid, cpu in pairs if pid}


_mine: Effects | None = None


def _first() -> Effects:
    global _mine
    path = Path(os.environ[PATH])
    found = Effects(path)
    with path.open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # processes take the next free place, one after the other
        for place in range(0, len(found.processes), 2):
            if not found.processes[place]:
                found.processes[place], found.processes[place + 1] = os.getpid(), time.process_time_ns()
                break
    _mine = found
    return found


def ran(number: int) -> None:
    """The whole of a no-op job."""
    mine = _mine or _first()
    if mine.starts[number]:
        mine.again[number] = 1
    else:
        mine.starts[number] = time.perf_counter_ns()


began = ran


def ended(number: int) -> None:
    """The end of a job that takes time."""
    assert _mine is not None
    _mine.ends[number] = time.perf_counter_ns()
