"""The SQLite backend beside huey's SqliteHuey on the same disk, interleaved: each repetition runs every case once.

    python benchmarks/bench_sqlite.py [--folder DIR] [--repeat 5] [--peer-python PATH]

huey lives in an environment of its own: that of --peer-python or TYPEDGATOR_PEER_PYTHON, else one made in the user's
cache folder. Each case runs in a fresh process; what is measured is storage alone, without a worker:

    enqueue     one job at a time, one caller; ours makes id, envelope and frame, huey makes and pickles its task
    bulk        250 jobs in one atomic write; huey has no such call
    drain       every job claimed and settled: ours by `exchange` in batches of 100, huey by `dequeue`, which forgets it
    latency     enqueue in one process to claim in another that waits, ms (p50, p99); huey polls and is not run

`full` flushes every commit to the disk (durability=power; huey fsync=True), `normal` does not (durability=process; huey
fsync=False, which is synchronous=OFF).
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

PEER = "huey==3.5.4"
PAYLOAD = "x" * 60
CASES = (
    *(("ours", "enqueue", "full"), ("huey", "enqueue", "full"), ("ours", "drain", "full"), ("huey", "drain", "full")),
    *(("ours", "bulk", "full"), ("ours", "latency", "full")),
    *(("ours", "enqueue", "normal"), ("huey", "enqueue", "normal"), ("ours", "drain", "normal")),
    *(("huey", "drain", "normal"), ("ours", "bulk", "normal")),
)
JOBS = {"enqueue": 4000, "bulk": 50_000, "drain": 50_000, "latency": 200}


def ours(folder, what, how, jobs):
    """One case of ours; in this process."""
    from typedgator.backends.connect import connect
    from typedgator.wire.verdict import Settlement, Succeeded

    durability = {"full": "power", "normal": "process"}[how]
    dsn = f"sqlite:///{folder}/jobs.db?durability={durability}"
    backend = connect(dsn)
    backend.open()
    backend.enqueue([one_frame(0)])
    if what == "latency":
        return latency(dsn, backend, jobs)
    started, cpu = time.perf_counter(), time.process_time()
    if what == "enqueue":
        for n in range(jobs):
            backend.enqueue([one_frame(n)])
        return rate(jobs, started, cpu)
    for first in range(0, jobs, 250):
        backend.enqueue([one_frame(n) for n in range(first, first + 250)])
    if what == "bulk":
        return rate(jobs, started, cpu)
    worker = backend.join(["all"], lease_ms=60_000)
    settlements, seen, done = [], 0, 0
    started, cpu = time.perf_counter(), time.process_time()
    while done < jobs:
        settled, claimed = backend.exchange(worker, settlements, limit=100, seen=seen)
        done += len(settled)
        settlements = [Settlement(each.job_id, each.token, Succeeded()) for each in claimed]
        seen = claimed[-1].token if claimed else seen
    return rate(jobs, started, cpu)


def one_frame(n):
    """A job as `task()` makes it, but for the validation."""
    import msgspec

    from typedgator.wire.envelope import Envelope, encode_envelope
    from typedgator.wire.frame import Frame
    from typedgator.wire.ids import new_id

    job_id = new_id()
    args = msgspec.Raw(msgspec.msgpack.encode({"n": n, "text": PAYLOAD}))
    envelope = encode_envelope(Envelope(id=job_id, task="bench.noop", schema="0123456789abcdef", args=args))
    return Frame(job_id=job_id, queue="all", envelope=envelope)


def latency(dsn, backend, jobs):
    """A child claims and says when; both read the same monotonic clock."""
    child = subprocess.Popen(
        [sys.executable, __file__, "--claimer", dsn, str(jobs + 1)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    child.stdout.readline()
    sent = []
    for n in range(jobs):
        time.sleep(0.02)
        frame = one_frame(n)
        sent.append(time.perf_counter())
        backend.enqueue([frame])
    got = json.loads(child.stdout.readline())
    child.wait()
    late = sorted((then - at) * 1000 for at, then in zip(sent, got, strict=True))
    return {"p50_ms": late[len(late) // 2], "p99_ms": late[len(late) * 99 // 100]}


def claimer(dsn, jobs):
    """The other process of `latency`."""
    from typedgator.backends.connect import connect
    from typedgator.wire.verdict import Settlement, Succeeded

    backend = connect(dsn)
    worker = backend.join(["all"], lease_ms=60_000)
    seen, got = 0, []
    while len(got) < jobs:
        claimed = backend.claim(worker, limit=10, wait_ms=5000, seen=seen)
        got += [time.perf_counter()] * len(claimed)
        seen = max([seen, *(each.token for each in claimed)])
        backend.settle(worker, [Settlement(each.job_id, each.token, Succeeded()) for each in claimed])
        if len(got) == 1:
            print("ready", flush=True)
    print(json.dumps(got[1:]), flush=True)


def huey(folder, what, how, jobs):
    """One case of huey; run by the peer's python."""
    from huey import SqliteHuey

    queue = SqliteHuey("bench", filename=f"{folder}/huey.db", fsync=how == "full", results=False)

    @queue.task()
    def noop(n, text):
        return None

    noop(0, PAYLOAD)
    started, cpu = time.perf_counter(), time.process_time()
    if what == "enqueue":
        for n in range(jobs):
            noop(n, PAYLOAD)
        return rate(jobs, started, cpu)
    jobs //= 10
    data = queue.serialize_task(noop.s(1, PAYLOAD))
    with queue.storage.db(commit=True) as cursor:
        cursor.executemany(
            "insert into task (queue, data, priority) values (?, ?, 0)", [("bench", memoryview(data))] * jobs
        )
    started, cpu = time.perf_counter(), time.process_time()
    for _ in range(jobs):
        queue.deserialize_task(queue.storage.dequeue())
    return rate(jobs, started, cpu)


def rate(jobs, started, cpu):
    """Jobs a second, and microseconds of CPU a job."""
    return {
        "per_s": jobs / (time.perf_counter() - started),
        "cpu_us": (time.process_time() - cpu) / jobs * 1e6,
    }


def peer_python(given):
    """A python that has huey."""
    if given:
        return given
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "typedgator" / PEER.replace("==", "-")
    python = home / "bin" / "python"
    if not python.exists():
        print(f"making an environment for {PEER} in {home}", file=sys.stderr)
        venv.create(home, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-input", PEER], check=True)
    return str(python)


def main():
    """Runs all cases in turn, prints medians and the ratios that are the goals."""
    parser = argparse.ArgumentParser(description="The SQLite backend beside huey's, interleaved.")
    parser.add_argument("--folder", default=None, help="where the files lie; decides which disk is measured")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", default="", help="only cases whose name contains this, like enqueue/full")
    parser.add_argument("--peer-python", default=os.environ.get("TYPEDGATOR_PEER_PYTHON"))
    parser.add_argument("--json", action="store_true", help="print every single result too")
    parser.add_argument("--case", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--claimer", nargs=2, help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.claimer:
        return claimer(said.claimer[0], int(said.claimer[1]))
    if said.case:
        who, what, how, folder = said.case
        result = (ours if who == "ours" else huey)(folder, what, how, JOBS[what])
        return print(json.dumps(result))
    cases = [case for case in CASES if said.only in "/".join(case[1:])]
    pythons = {"ours": sys.executable}
    if any(who == "huey" for who, *_ in cases):
        pythons["huey"] = peer_python(said.peer_python)
    results = {case: [] for case in cases}
    for _ in range(said.repeat):
        for case in cases:
            folder = tempfile.mkdtemp(prefix="bench-sqlite-", dir=said.folder)
            try:
                command = [pythons[case[0]], __file__, "--case", *case, folder]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            finally:
                shutil.rmtree(folder)
            results[case].append(json.loads(done.stdout))
            if said.json:
                print(json.dumps({"case": case, **results[case][-1]}), flush=True)
    report(results)
    return None


def report(results):
    """Medians over the repetitions; a ratio is the median of the ratios within each repetition."""
    for (who, what, how), found in results.items():
        figures = "  ".join(f"{key} {statistics.median(each[key] for each in found):,.1f}" for key in found[0])
        print(f"{what:8} {how:7} {who:5} {figures}")
    for what, how in dict.fromkeys((what, how) for _, what, how in results):
        mine, theirs = results.get(("ours", what, how)), results.get(("huey", what, how))
        if mine and theirs:
            ratios = [a["per_s"] / b["per_s"] for a, b in zip(mine, theirs, strict=True)]
            spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
            print(f"{what:8} {how:7} ours is {statistics.median(ratios):.2f} x huey ({spread})")


if __name__ == "__main__":
    main()
