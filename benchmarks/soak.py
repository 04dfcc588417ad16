"""A million jobs through one worker: what do they leave behind, in the worker and in Redis?

    python -m benchmarks.soak [--jobs 1000000] [--json FILE]

Half of the jobs are sync, half async; at most 20,000 wait at a time. Every job marks one byte of shared memory. While
they run, the worker's resident memory is sampled; its slope must not exceed 1 MB per million jobs, the first tenth left
out. Afterwards the server's memory must come back to within 2 MB of what it was, once the ids of finished jobs are
forgotten (after one to two minutes), and the second half must not have brought a key that the first had not, where two
that take turns (`done0` and `done1`) count as one. The exit code is 1 otherwise.
"""

import argparse
import json
import mmap
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks.peers.machine import Work, described
from benchmarks.peers.records import SOAK, save
from typedgator import Gator

__all__: list[str] = []

DSN: Final = "TYPEDGATOR_SOAK_DSN"
MARKS: Final = "TYPEDGATOR_SOAK_MARKS"
CHUNK: Final = 5000
WAITING: Final = 20_000
FORGOTTEN_S: Final = 240
STILL_S: Final = 60
TURNS: Final = re.compile(r"(done|late)[01]$")
SLOPE_MB: Final = 1.0
BACK_MB: Final = 2.0


def marks(path: str) -> mmap.mmap:
    """One byte for each job; reading all of it once makes its pages part of the process from the start."""
    with Path(path).open("r+b") as file:
        memory = mmap.mmap(file.fileno(), 0)
    memory.find(b"\xff")
    return memory


memory = marks(os.environ[MARKS]) if MARKS in os.environ else None


def mark(number: int) -> None:
    """1: ran. 2: ran more than once."""
    assert memory is not None
    memory[number] = 1 if memory[number] == 0 else 2


def sync_task(number: int, text: str) -> None:
    """Half of the jobs."""
    mark(number)


async def async_task(number: int, text: str) -> None:
    """The other half."""
    mark(number)


gator = Gator(os.environ.get(DSN, "locmem://"))
sync_jobs = gator.register(name="soak.sync")(sync_task)
async_jobs = gator.register(name="soak.async")(async_task)


def rss_mb(pid: int) -> float:
    """Resident memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * mmap.PAGESIZE / 2**20


def slope(samples: list[tuple[int, float, int, int]], jobs: int) -> float:
    """Megabytes per million jobs, by least squares, from the first tenth on."""
    late = [(done / 1e6, mb) for done, mb, *_ in samples if done >= jobs / 10]
    return statistics.linear_regression(*zip(*late, strict=True)).slope


class Soak:
    """A worker, those who enqueue for it, and what was seen."""

    def __init__(self, port: int, worker: subprocess.Popen[str], seen: mmap.mmap, jobs: int) -> None:
        self.work: Final = Work(port)
        self.worker, self.seen, self.jobs = worker, seen, jobs
        self.samples: list[tuple[int, float, int, int]] = []
        """Jobs done, MB of the worker, bytes of the server, keys."""
        self.names: list[frozenset[str]] = []
        """What the keys were called at each sample."""

    def done(self) -> int:
        """Jobs that ran."""
        return len(self.seen) - self.seen[:].count(0)

    def sample(self) -> None:
        """One more."""
        keys = self.work.keys()
        self.samples.append((self.done(), rss_mb(self.worker.pid), self.work.memory(), len(keys)))
        self.names.append(frozenset([TURNS.sub(r"\1", name) for name in keys]))

    def until(self, number: int) -> None:
        """Returns when so many ran."""
        last, when = -1, time.monotonic()
        while (done := self.done()) < number:
            if done != last:
                last, when = done, time.monotonic()
            elif time.monotonic() - when > STILL_S or self.worker.poll() is not None:
                sys.exit(f"the worker stands still: {done} of {number} jobs ran")
            time.sleep(0.01)

    def feed(self, first: int, last: int) -> None:
        """Enqueues these numbers, and samples now and then."""
        for start in range(first, last, CHUNK):
            self.until(start - WAITING)
            numbers = range(start, min(start + CHUNK, last))
            half = len(numbers) // 2
            gator.task_many(sync_jobs, [(number, "soaked through") for number in numbers[:half]])
            gator.task_many(async_jobs, [(number, "soaked through") for number in numbers[half:]])
            self.sample()
            if start % (100 * CHUNK) == 0:
                print(f"{start:>9,} enqueued, worker {self.samples[-1][1]:.1f} MB", file=sys.stderr, flush=True)

    def run(self) -> dict[str, object]:
        """Warms up, notes how things are, runs all, and waits until what is finished is forgotten."""
        warm = 1000
        self.feed(0, warm)
        self.until(warm)
        time.sleep(1)
        memory_before, keys_before = self.work.memory(), len(self.work.keys())
        began = time.monotonic()
        self.feed(warm, self.jobs)
        self.until(self.jobs)
        took = time.monotonic() - began
        self.sample()
        peak = max(memory for _, _, memory, _ in self.samples)
        ends = time.monotonic() + FORGOTTEN_S
        while (left := (self.work.memory() - memory_before) / 2**20) > BACK_MB and time.monotonic() < ends:
            time.sleep(1)
        forgotten = time.monotonic() - began - took
        keys = len(self.work.keys())
        self.worker.send_signal(signal.SIGTERM)
        self.worker.wait(30)
        twice = self.seen[:].count(2)
        climb = slope(self.samples, self.jobs)
        warmed = next(mb for done, mb, *_ in self.samples if done >= self.jobs / 10)
        half = len(self.samples) // 2
        early, late = (frozenset().union(*part) for part in (self.names[:half], self.names[half:]))
        least, most = min(keys for *_, keys in self.samples), max(keys for *_, keys in self.samples)
        machine = described()
        return {
            "said": (
                f"{self.jobs:,} no-op jobs, half sync and half async, enqueued while one worker ran them: "
                f"{self.jobs / took:,.0f} jobs/s with both on {machine['cores']} cores."
            ),
            "checks": [
                check("jobs run", f"{self.jobs:,}, each once", f"{self.done():,}, {twice} twice", twice == 0),
                check(
                    "slope of the worker's resident memory",
                    f"≤ {SLOPE_MB:g} MB per million jobs",
                    f"{climb:.2f} MB ({warmed:.1f} MB after a tenth, {self.samples[-1][1]:.1f} MB after all)",
                    climb <= SLOPE_MB,
                ),
                check(
                    "Redis memory, above the start, once finished ids are forgotten",
                    f"≤ {BACK_MB:g} MB",
                    f"{left:.2f} MB after {forgotten:.0f} s ({(peak - memory_before) / 2**20:.0f} MB at most)",
                    left <= BACK_MB,
                ),
                check(
                    "keys",
                    "none in the second half that the first had not",
                    f"{', '.join(sorted(late - early)) or 'none'}; DBSIZE {keys_before} at first, {least} to {most}, "
                    f"{keys} at the end",
                    late <= early and keys <= most,
                ),
            ],
            "machine": machine,
            "samples": [
                [done, round(mb, 2), memory, keys] for done, mb, memory, keys in self.samples[:: half // 20 or 1]
            ],
        }


def check(what: str, target: str, found: str, met: bool) -> dict[str, object]:
    """One line of the result."""
    return {"what": what, "target": target, "found": found, "met": met}


def main() -> None:
    """Runs it, on a redis-server of its own."""
    global gator, sync_jobs, async_jobs
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path, help=f"default, of a million jobs: docs/performance/{SOAK.name}")
    said = parser.parse_args()
    from tests.integration.redis.servers import Server

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends too
    with Server() as server, tempfile.NamedTemporaryFile(prefix="typedgator-soak-") as file:
        file.truncate(said.jobs)
        gator = Gator(server.dsn)
        sync_jobs = gator.register(name="soak.sync")(sync_task)
        async_jobs = gator.register(name="soak.async")(async_task)
        words = [sys.executable, "-m", "typedgator", "worker", "benchmarks.soak:gator", "--log-level", "warning"]
        surroundings = os.environ | {DSN: server.dsn, MARKS: file.name}
        worker = subprocess.Popen(words, env=surroundings, text=True)
        try:
            found = Soak(server.port, worker, marks(file.name), said.jobs).run()
        finally:
            worker.kill()
            worker.wait()
            gator.close()
    print(json.dumps({"said": found["said"], "checks": found["checks"]}, indent=1, ensure_ascii=False))
    if said.json or said.jobs >= 1_000_000:
        save(said.json or SOAK, found)
    checks = found["checks"]
    assert isinstance(checks, list)
    sys.exit(not all(each["met"] for each in checks))


if __name__ == "__main__":
    main()
