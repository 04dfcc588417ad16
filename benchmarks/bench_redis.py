"""The Redis backend on a server of its own: what a job costs the caller, the worker and the server.

    python benchmarks/bench_redis.py [--repeat 5] [--jobs 20000] [--only worker] [--json]

A redis-server without persistence is started on a free port and reached over TCP. Each repetition runs every case once;
what is printed are medians:

    one         one job at a time, one caller
    loop        one job at a time, one coroutine
    loops       one job at a time, 100 coroutines
    bulk        250 jobs in one atomic write
    many        10,000 calls of a task, checked and encoded, in one `task_many`
    drain       every job claimed and settled by `exchange` in batches of 100, nothing kept
    results     the same, each with a result of 30 bytes that is kept for ten minutes
    sync        a whole worker, default settings, until nothing is left: no-op functions in threads
    async       the same with no-op coroutines
    latency     enqueue in one thread to a claim in another that waits, ms (p50, p99)
    late        a job delayed by 100 ms, enqueued while the worker is idle: how late its function starts, ms
    idle        a whole worker that has nothing to do: commands a second
    sleep       2,000 jobs of 50 ms each, 500 at once: ms from the first start to the last end

Server time is that of its main thread (INFO cpu), commands are those that clients sent (INFO commandstats).
"""

import argparse
import asyncio
import json
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from shutil import which

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.integration.redis.servers import Server
from typedgator import Gator, Worker
from typedgator.backends.redis import Place, RedisBackend
from typedgator.wire.frame import Frame
from typedgator.wire.ids import new_id
from typedgator.wire.verdict import Settlement, Succeeded

CASES = (
    *("one", "loop", "loops", "bulk", "many", "drain", "results", "sync", "async"),
    *("latency", "late", "idle", "sleep"),
)
FROM_CLIENTS = ("evalsha", "eval", "blpop", "client|unblock", "info")
"""Scripts send none of these."""
IDLE_S = 10
BATCH = 100


def nothing(number: int) -> None:
    """A task."""


def note(number: int, text: str) -> None:
    """A task."""


async def nothing_async(number: int) -> None:
    """A task."""


class Gauge:
    """What some jobs cost."""

    def __init__(self, backend: RedisBackend, jobs: int) -> None:
        self.backend, self.jobs = backend, jobs

    def info(self, section: str) -> dict[str, str]:
        """One section of INFO."""
        text = self.backend.link.ask("INFO", section)
        assert isinstance(text, bytes)
        return dict(line.split(":", 1) for line in text.decode().splitlines() if ":" in line)

    def server_s(self) -> float:
        """Seconds of CPU of the server's main thread."""
        cpu = self.info("cpu")
        return float(cpu["used_cpu_user_main_thread"]) + float(cpu["used_cpu_sys_main_thread"])

    def commands(self) -> int:
        """Commands that clients sent."""
        found = self.info("commandstats")
        calls = (found.get(f"cmdstat_{name}", "calls=0") for name in FROM_CLIENTS)
        return sum(int(each.split(",")[0].removeprefix("calls=")) for each in calls)

    def __enter__(self) -> dict[str, float]:
        self.result: dict[str, float] = {}
        self.before = self.commands(), self.server_s(), time.process_time(), time.perf_counter()
        return self.result

    def __exit__(self, *_: object) -> None:
        commands, server, client, wall = self.before
        self.result["per_s"] = self.jobs / (time.perf_counter() - wall)
        self.result["client_us"] = (time.process_time() - client) / self.jobs * 1e6
        self.result["redis_us"] = (self.server_s() - server) / self.jobs * 1e6
        # Reading the gauge is two commands, before and after.
        self.result["commands"] = (self.commands() - commands - 3) / self.jobs


def frames(jobs: int) -> list[Frame]:
    """Jobs as large as small calls are."""
    return [Frame(job_id=new_id(), queue="all", envelope=b"x" * 150) for _ in range(jobs)]


def fill(backend: RedisBackend, jobs: int) -> None:
    """So many jobs in atomic writes of 250."""
    some = frames(jobs)
    for start in range(0, jobs, 250):
        backend.enqueue(some[start : start + 250])


def drain(backend: RedisBackend, verdict: Succeeded) -> None:
    """All of them, by exchange."""
    worker = backend.join(["all"], lease_ms=60_000)
    settlements, seen = [], 0
    while True:
        _, claimed = backend.exchange(worker, settlements, limit=BATCH, seen=seen)
        if not claimed:
            break
        seen = claimed[-1].token
        settlements = [Settlement(each.job_id, each.token, verdict) for each in claimed]
    backend.leave(worker)


def work(server: Server, case: str, jobs: int) -> dict[str, float]:
    """A worker in burst mode."""
    gator = Gator(server.dsn, namespace=f"worker-{time.time_ns()}")
    task = gator.register(nothing_async if case == "async" else nothing)
    for start in range(0, jobs, 5000):
        gator.task_many(task, [(number,) for number in range(start, min(start + 5000, jobs))])
    backend = gator.backend
    assert isinstance(backend, RedisBackend)
    with Gauge(backend, jobs) as result:
        report = Worker(gator, burst=True).run()
    assert report.succeeded == jobs, report
    gator.close()
    return result


def many(server: Server, jobs: int) -> dict[str, float]:
    """Calls, from values to handles."""
    gator = Gator(server.dsn)
    task, backend = gator.register(note), gator.backend
    assert isinstance(backend, RedisBackend)
    calls = [[(number, "sixty characters of text, as long as many an argument may be.") for number in range(10_000)]]
    gator.task_many(task, calls[0][:300])
    calls *= max(1, jobs // 10_000)
    with Gauge(backend, 10_000 * len(calls)) as result:
        for each in calls:
            gator.task_many(task, each)
    gator.close()
    return result


def latency(backend: RedisBackend, jobs: int) -> dict[str, float]:
    """Enqueue here, claim in a thread that waits."""
    worker, late, ready = backend.join(["all"], lease_ms=600_000), list[float](), threading.Event()
    sent: dict[bytes, float] = {}

    def claim() -> None:
        seen = 0
        ready.set()
        while len(late) < jobs:
            claimed = backend.claim(worker, limit=10, wait_ms=2000, seen=seen)
            now = time.perf_counter()
            late.extend(now - sent[each.job_id] for each in claimed)
            seen = max([seen, *(each.token for each in claimed)])
            backend.settle(worker, [Settlement(each.job_id, each.token, Succeeded()) for each in claimed])

    thread = threading.Thread(target=claim)
    thread.start()
    ready.wait()
    for frame in frames(jobs):
        time.sleep(0.01)
        sent[frame.job_id] = time.perf_counter()
        backend.enqueue([frame])
    thread.join()
    late.sort()
    return {"p50_ms": late[len(late) // 2] * 1e3, "p99_ms": late[len(late) * 99 // 100] * 1e3}


ran: "queue.SimpleQueue[float]" = queue.SimpleQueue()


def tell() -> None:
    """A task that says when it started."""
    ran.put(time.perf_counter())


async def nap(number: int) -> None:
    """A task of 50 ms."""
    ran.put(time.perf_counter())
    await asyncio.sleep(0.05)
    ran.put(time.perf_counter())


def late(server: Server, jobs: int) -> dict[str, float]:
    """Jobs that are due 100 ms after they were enqueued, one at a time, beside an idle worker."""
    gator, late = Gator(server.dsn), list[float]()
    task, worker = gator.register(tell), Worker(gator)
    thread = threading.Thread(target=worker.run)
    thread.start()
    for _ in range(jobs + 1):
        due = time.perf_counter() + 0.1
        gator.options(delay_by=0.1).task(task)
        late.append(ran.get() - due)
    worker.stop()
    thread.join()
    late = sorted(late[1:])  # the first one waited for the worker to start
    return {"p50_ms": late[len(late) // 2] * 1e3, "p99_ms": late[len(late) * 99 // 100] * 1e3}


def idle(server: Server) -> dict[str, float]:
    """Commands of a worker that waits."""
    gator = Gator(server.dsn)
    backend, worker = gator.backend, Worker(gator)
    assert isinstance(backend, RedisBackend)
    thread = threading.Thread(target=worker.run)
    thread.start()
    time.sleep(1)
    with Gauge(backend, IDLE_S) as result:
        time.sleep(IDLE_S)
    worker.stop()
    thread.join()
    return {"commands_per_s": result["commands"]}


def sleep(server: Server) -> dict[str, float]:
    """Many jobs that wait."""
    gator = Gator(server.dsn)
    gator.task_many(gator.register(nap), [(number,) for number in range(2000)])
    Worker(gator, burst=True, concurrency=500).run()
    times = [ran.get() for _ in range(4000)]
    return {"ms": (max(times) - min(times)) * 1e3}


def on_a_loop(backend: RedisBackend, coroutines: int, jobs: int) -> dict[str, float]:
    """Enqueue from an event loop."""
    some = frames(jobs)

    async def call(mine: list[Frame]) -> None:
        for frame in mine:
            await backend.on_loops.aenqueue([frame])

    async def main() -> dict[str, float]:
        await backend.on_loops.aenqueue(frames(1))
        with Gauge(backend, jobs) as result:
            await asyncio.gather(*(call(some[first::coroutines]) for first in range(coroutines)))
        await backend.on_loops.aclose()
        return result

    return asyncio.run(main())


def measure(case: str, jobs: int) -> dict[str, float]:
    """One case on a fresh server."""
    with Server() as server:
        if case in ("sync", "async"):
            return work(server, case, jobs)
        if case == "many":
            return many(server, jobs)
        if case == "late":
            return late(server, 100)
        if case in ("idle", "sleep"):
            return idle(server) if case == "idle" else sleep(server)
        backend = RedisBackend(Place(host="127.0.0.1", port=server.port))
        backend.enqueue(frames(1))
        drain(backend, Succeeded())
        if case == "latency":
            return latency(backend, 200)
        if case.startswith("loop"):
            return on_a_loop(backend, 1 if case == "loop" else 100, jobs // 4)
        if case == "one":
            some = frames(jobs // 4)
            with Gauge(backend, len(some)) as result:
                for frame in some:
                    backend.enqueue([frame])
        elif case == "bulk":
            with Gauge(backend, jobs) as result:
                fill(backend, jobs)
        else:
            fill(backend, jobs)
            with Gauge(backend, jobs) as result:
                drain(backend, Succeeded(b"r" * 30, 600_000) if case == "results" else Succeeded())
        backend.close()
        return result


def main() -> None:
    """Runs all cases in turn and prints the medians."""
    parser = argparse.ArgumentParser(description="The Redis backend on a server of its own.")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--only", default="", help="only these cases, separated by commas")
    parser.add_argument("--json", action="store_true", help="print every single result too")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.case:
        print(json.dumps(measure(said.case, said.jobs)))
        return
    if which("redis-server") is None:
        print("redis-server was not found")
        return
    cases = [case for case in CASES if not said.only or case in said.only.split(",")]
    results: dict[str, list[dict[str, float]]] = {case: [] for case in cases}
    for _ in range(said.repeat):
        for case in cases:
            command = [sys.executable, __file__, "--case", case, "--jobs", str(said.jobs)]
            with tempfile.TemporaryDirectory(prefix="bench-redis-") as folder:
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=folder)
            results[case].append(json.loads(done.stdout))
            if said.json:
                print(json.dumps({"case": case, **results[case][-1]}), flush=True)
    for case, found in results.items():
        medians = {name: statistics.median(each[name] for each in found) for name in found[0]}
        print(f"{case:8s}", "   ".join(f"{name} {value:,.4g}" for name, value in medians.items()))


if __name__ == "__main__":
    main()
