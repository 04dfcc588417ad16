"""What is measured of a library. Each case gives one or more rows of figures, by the name of the measure."""

import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from benchmarks.peers.case import Case, Client, surroundings
from benchmarks.peers.machine import Monitor, pss_mb

__all__ = ["CASES", "Extent", "Figures", "fits"]

Figures = dict[str, dict[str, float]]
BULK: Final = 10_000
SLEEPERS: Final = 2000
IDLE_S: Final = 3.0
LEAST: Final = 100
RUNS: Final = 3


@dataclass(frozen=True)
class Extent:
    """How long a run is."""

    seconds: float
    """Of work, about, in a case that counts jobs per second."""
    samples: int
    """Of latency."""

    def jobs(self, per_second: int) -> int:
        """So many that they take about these seconds."""
        return max(LEAST, int(per_second * self.seconds))


def enqueue(case: Case, extent: Extent) -> Figures:
    """One sync caller, one coroutine, 100 coroutines, 10,000 in one call; nobody works meanwhile.

    Each three times, of which the median counts: what else the machine does in a moment spoils one of them.
    """
    said, found = case.settings["best"], Figures()
    kind, jobs = said.kinds[0], extent.jobs(said.enqueues)
    with Client(case) as client:
        for verb, method, number in (
            ("one", "one", max(LEAST, jobs // RUNS)),
            ("aone", "aone", max(LEAST, jobs // RUNS)),
            ("hundred", "aone", jobs),
            ("bulk", "bulk", BULK),
            ("bulk", "abulk", BULK),
        ):
            if method not in said.can or verb in found:
                continue
            client.ask(verb, kind, LEAST)
            runs = [_enqueued(case, client, verb, kind, number) for _ in range(RUNS)]
            found[verb] = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    return found


def _enqueued(case: Case, client: Client, verb: str, kind: str, jobs: int) -> dict[str, float]:
    server = case.work.cpu_s()
    answer = client.ask(verb, kind, jobs)
    server = case.work.cpu_s() - server
    wall, cpu = cast(float, answer["wall"]), cast(float, answer["cpu"])
    return {"per_s": jobs / wall, "client_us": cpu / jobs * 1e6, "redis_us": server / jobs * 1e6}


def drain(kind: str, setting: str, processes: int) -> "Measure":
    """A worker starts on a full queue of no-op jobs and runs them all."""

    def measure(case: Case, extent: Extent) -> Figures:
        jobs = extent.jobs(case.settings[setting].drains)
        case.fill(kind, jobs)
        server, began = case.work.cpu_s(), time.perf_counter_ns()
        pids = case.worker(setting, processes)
        case.until_first()
        # Processes that ran a job say exactly what they had used; of others, supervisors, this is near enough.
        before = case.cpu(pids) | case.effects.cpu_before()
        case.until_all(jobs)
        after, server = case.cpu(pids), case.work.cpu_s() - server
        worker = sum(cpu - before.get(pid, 0.0) for pid, cpu in after.items())
        starts = case.effects.starts[:jobs]
        first, last = min(starts), max(starts)
        row = {
            "per_s": (jobs - 1) / (last - first) * 1e9,
            "worker_us": worker / jobs * 1e6,
            "redis_us": server / jobs * 1e6,
            "cold_s": (first - began) / 1e9,
            "busy_mb": sum(pss_mb(pid) for pid in pids),
            "jobs": jobs,
        }
        return {f"drain-{kind}-{setting}-{processes}": row}

    return measure


def idle(case: Case, extent: Extent) -> Figures:
    """A worker with nothing to do: how late it starts a job, what it sends and holds meanwhile."""
    said = case.settings["best"]
    kind, jobs = said.kinds[0], LEAST + extent.samples
    case.fresh(jobs)
    pids = case.worker("best")
    with Client(case) as client:
        client.ask("fill", kind, LEAST)
        case.until_all(LEAST)
        time.sleep(0.5)  # whatever is done after a first batch is over
        answer = client.ask("latency", kind, extent.samples, LEAST)
        case.until_all(jobs)
    called, done = cast(list[int], answer["called"]), cast(list[int], answer["done"])
    late = [ran - call for ran, call in zip(case.effects.starts[LEAST:jobs], called, strict=True)]
    calls = [end - call for end, call in zip(done, called, strict=True)]
    time.sleep(0.5)
    before, monitor = sum(case.cpu(pids).values()), Monitor(case.port)
    time.sleep(IDLE_S)
    monitor.close()
    return {
        "latency": {"p50_ms": percentile(late, 50), "p99_ms": percentile(late, 99), "call_ms": percentile(calls, 50)},
        "idle": {
            "commands_per_s": monitor.commands / IDLE_S,
            "cpu_percent": (sum(case.cpu(pids).values()) - before) / IDLE_S * 100,
            "idle_mb": sum(pss_mb(pid) for pid in pids),
        },
    }


def percentile(nanoseconds: Iterable[int], percent: int) -> float:
    """In milliseconds; the smallest that so many percent do not exceed."""
    ordered = sorted(nanoseconds)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] / 1e6


def sleep(case: Case, extent: Extent) -> Figures:
    """2,000 coroutines that sleep 50 ms, 500 at once: from the first start to the last end. 200 ms at best."""
    case.fill("sleep", SLEEPERS)
    pids = case.worker("sleep")
    case.until_first()
    before = case.cpu(pids) | case.effects.cpu_before()
    case.until_all(SLEEPERS, ended=True)
    after = case.cpu(pids)
    starts, ends = case.effects.starts[:SLEEPERS], case.effects.ends[:SLEEPERS]
    worker = sum(cpu - before.get(pid, 0.0) for pid, cpu in after.items())
    return {"sleep": {"ms": (max(ends) - min(starts)) / 1e6, "worker_us": worker / SLEEPERS * 1e6}}


def imports(case: Case, extent: Extent) -> Figures:
    """How long the first line of a module of tasks takes, over an interpreter without it."""
    words = {"bare": "pass", "with": case.settings["best"].imports}
    took: dict[str, list[float]] = {name: [] for name in words}
    for _ in range(4):
        for name, line in words.items():
            began = time.perf_counter()
            command = [str(case.python), "-c", line]
            subprocess.run(command, check=True, timeout=30, capture_output=True, env=surroundings("default"))
            took[name].append(time.perf_counter() - began)
    best = {name: statistics.median(times[1:]) for name, times in took.items()}  # the first one warms the disk's cache
    return {"import": {"ms": (best["with"] - best["bare"]) * 1e3}}


def commands(case: Case, extent: Extent) -> Figures:
    """Commands that clients send, for a job that is enqueued alone, and for one that is run from a full queue."""
    said, row = case.settings["best"], dict[str, float]()
    verb = "one" if "one" in said.can else "aone"
    with Client(case) as client:
        client.ask(verb, said.kinds[0], LEAST)
        monitor = Monitor(case.port)
        client.ask(verb, said.kinds[0], 200)
        time.sleep(0.05)
        monitor.close()
        row["enqueue"] = round(monitor.commands / 200, 2)
    for kind in (kind for kind in said.kinds if kind != "sleep"):
        case.work.clear()
        jobs = extent.jobs(said.drains)
        case.fill(kind, jobs)
        monitor = Monitor(case.port)
        case.worker("best")
        case.until_all(jobs)
        monitor.close()
        case.stop()
        row[kind] = monitor.commands / jobs
    return {"commands": row}


Measure = Callable[[Case, Extent], Figures]

CASES: Final[Mapping[str, Measure]] = {
    "enqueue": enqueue,
    **{
        f"drain-{kind}-{setting}-{processes}": drain(kind, setting, processes)
        for kind in ("sync", "async")
        for setting, processes in (("default", 1), ("best", 1), ("best", 2))
    },
    "idle": idle,
    "sleep": sleep,
    "import": imports,
    "commands": commands,
}
ONCE: Final = ("commands",)
"""Counted, not timed."""
OFTEN: Final = ("enqueue", "sleep")
"""They take a second, and what else the machine does in that second changes them by a fifth."""
TURNS: Final = 5
"""So often in each repetition, between the other cases."""


def rounds(cases: Sequence[str]) -> list[tuple[str, int]]:
    """A repetition: each case, and which of its turns it is."""
    often, others = [case for case in cases if case in OFTEN], [case for case in cases if case not in OFTEN]
    order: list[tuple[str, int]] = []
    for turn in range(TURNS):
        order += [(case, turn) for case in often]
        order += [(case, 0) for case in others[turn::TURNS]]
    return order


def fits(case: str, kinds: Iterable[str], settings: Iterable[str], repetition: int) -> bool:
    """Whether there is anything to measure."""
    if case in ONCE and repetition:
        return False
    if case == "sleep":
        return "sleep" in kinds
    if case.startswith("drain-"):
        _, kind, setting, processes = case.split("-")
        # Without a best setting of its own, a library is at its best as it comes.
        return kind in kinds and (setting == "default" or processes != "1" or "best" in settings)
    return True
