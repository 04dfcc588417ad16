"""The whole library on SQLite beside huey's SqliteHuey, both flushing every commit to the disk, in one interleaved run.

    python -m benchmarks.bench_embedded [--repeat 5] [--jobs 2000] [--folder DIR] [--json FILE]

    enqueue   one caller, one job at a time: ours `task.task(n, text)`, durable; huey's `task(n, text)`
    drain     one worker process runs queued no-op jobs, from start to the last outcome stored: ours with 8 threads,
              huey with 1, 4 and 8, of which the best counts

Each case runs in a fresh process on a fresh file; medians and their ratios are printed. huey removes a job before it
runs it, and so loses it with the worker; ours is claimed, run and settled.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

CASES = (
    ("ours", "enqueue"),
    ("huey", "enqueue"),
    ("ours", "drain"),
    *(("huey", f"drain-{threads}") for threads in (1, 4, 8)),  # its best setting depends on the machine
)
BATCH = 5000
THREADS = 8


def ours(folder: Path, what: str, jobs: int) -> dict[str, float]:
    """One case of ours, in this process."""
    from typedgator import Gator, Worker

    gator = Gator(f"sqlite:///{folder / 'ours.db'}")

    @gator.register(name="work")
    def work(number: int, text: str) -> None: ...

    work.task(0, "warm up")
    gator.pop()
    if what == "enqueue":
        began, cpu = time.perf_counter(), time.process_time()
        for number in range(jobs):
            work.task(number, "hello, world")
        return measured(jobs, began, cpu)
    for first in range(0, jobs, BATCH):
        gator.task_many(work, [(number, "hello, world") for number in range(first, min(first + BATCH, jobs))])
    began, cpu = time.perf_counter(), time.process_time()
    report = Worker(gator, concurrency=THREADS, burst=True).run()
    figures = measured(jobs, began, cpu)
    assert report.succeeded == jobs, report
    return figures


def huey(folder: Path, what: str, jobs: int) -> dict[str, float]:
    """One case of huey, in this process."""
    from huey import SqliteHuey

    peer = SqliteHuey(filename=str(folder / "huey.db"), fsync=True)
    done = threading.Event()
    count = 0
    lock = threading.Lock()

    @peer.task()
    def work(number: int, text: str) -> None:
        nonlocal count
        with lock:
            count += 1
            if count == jobs:
                done.set()

    if what == "enqueue":
        began, cpu = time.perf_counter(), time.process_time()
        for number in range(jobs):
            work(number, "hello, world")
        return measured(jobs, began, cpu)
    for number in range(jobs):
        work(number, "hello, world")
    threads = int(what.removeprefix("drain-"))
    consumer = peer.create_consumer(workers=threads, periodic=False, check_worker_health=False)
    began, cpu = time.perf_counter(), time.process_time()
    consumer.start()
    if not done.wait(300):
        raise SystemExit(f"huey ran {count} of {jobs} jobs in 300 s")
    figures = measured(jobs, began, cpu)
    consumer.stop(graceful=False)
    return figures


def measured(jobs: int, began: float, cpu: float) -> dict[str, float]:
    """Jobs per second of wall time, and µs of this process's CPU per job."""
    return {
        "per_second": jobs / (time.perf_counter() - began),
        "cpu_us": (time.process_time() - cpu) / jobs * 1e6,
    }


def in_a_process_of_its_own(who: str, what: str, jobs: int, folder: Path) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=folder) as fresh:
        command = [sys.executable, "-m", "benchmarks.bench_embedded", "--case", who, what, fresh, "--jobs", str(jobs)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    """Runs one case, or all of them interleaved."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2000, help="enqueued one at a time; five times as many are drained")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--case", nargs=3, metavar=("WHO", "WHAT", "FOLDER"), help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.case:
        who, what, folder = said.case
        print(json.dumps({"ours": ours, "huey": huey}[who](Path(folder), what, said.jobs)))
        return
    found: dict[tuple[str, str], list[dict[str, float]]] = {case: [] for case in CASES}
    for _ in range(said.repeat):
        for who, what in CASES:
            jobs = said.jobs if what == "enqueue" else 5 * said.jobs
            found[who, what].append(in_a_process_of_its_own(who, what, jobs, said.folder))
    rows = {
        f"{who} {what}": {key: statistics.median(one[key] for one in runs) for key in runs[0]}
        for (who, what), runs in found.items()
    }
    for name, row in rows.items():
        print(f"{name:15s} {row['per_second']:10,.0f} /s {row['cpu_us']:8.1f} µs CPU")
    for what in ("enqueue", "drain"):
        best = max(row["per_second"] for name, row in rows.items() if name.startswith(f"huey {what}"))
        print(f"{what}: {rows[f'ours {what}']['per_second'] / best:.2f} x huey at its best")
    if said.json:
        said.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
