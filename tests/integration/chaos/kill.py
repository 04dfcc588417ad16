"""kill -9 of real workers under load: is a job lost, an outcome written twice, how soon does one run again?

    python -m tests.integration.chaos.kill --jobs 2000 --kills 12

Prints one line of JSON and exits 1 when a promise was broken: a job lost, an outcome written twice, an extra run that
no kill explains, too few interrupted jobs to mean anything, or a recovery slower at the 99th percentile than the lease
plus one second.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from typedgator.gator import Gator
from typedgator.wire.ids import parse_id
from typedgator.wire.outcome import decode_outcome
from typedgator.wire.states import JobState

ROOT = Path(__file__).resolve().parents[3]
SLOTS = 4


@dataclass
class Line:
    """One line of the journal."""

    what: str
    job_id: str
    attempt: int
    token: int
    at: float
    pid: int


@dataclass
class Campaign:
    """What was done: jobs accepted, processes killed and when, processes started."""

    accepted: list[str] = field(default_factory=list)
    killed: dict[int, float] = field(default_factory=dict)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)


def now() -> float:
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def start_worker(env: dict[str, str], lease: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "typedgator", "worker", "tests.integration.chaos.effects:gator"]
    options = ["--concurrency", str(SLOTS), "--lease", str(lease), "--log-level", "error"]
    return subprocess.Popen([*command, *options], env=env, cwd=ROOT, stdout=subprocess.DEVNULL)


def run(
    folder: Path, *, dsn: str, jobs: int, kills: int, workers: int, seconds: float, lease: float, seed: int
) -> dict[str, object]:
    """The whole campaign; the figures, and what was broken under `broken`."""
    chance = random.Random(seed)
    journal = folder / "journal"
    env = {**os.environ, "TYPEDGATOR_CONN": dsn, "KILL_JOURNAL": str(journal)}
    os.environ.update(TYPEDGATOR_CONN=dsn, KILL_JOURNAL=str(journal))
    from tests.integration.chaos.effects import gator, work

    campaign = Campaign()
    began = now()
    first, rest = jobs // 2, jobs - jobs // 2
    campaign.accepted += [job.id for job in gator.task_many(work, [(n, seconds) for n in range(first)])]
    campaign.workers = [start_worker(env, lease) for _ in range(workers)]
    try:
        wait_for(lambda: count(journal, "end") >= SLOTS * workers, 60, "the workers to start")
        spacing = max(0.5, jobs * seconds / (workers * SLOTS) / (kills + 2))
        sent = 0
        for number in range(kills):
            share = rest * (number + 1) // kills - sent  # producers go on meanwhile
            for n in range(first + sent, first + sent + share):
                campaign.accepted.append(work.task(n, seconds).id)
            sent += share
            target = now() + spacing * chance.uniform(0.7, 1.3)
            wait_for(lambda at=target: now() >= at, 60, "the next kill")
            place = chance.randrange(workers)
            victim = campaign.workers[place]
            wait_for(lambda pid=victim.pid: busy(journal, pid), 60, f"worker {victim.pid} to be busy")
            victim.send_signal(signal.SIGKILL)
            campaign.killed[victim.pid] = now()
            victim.wait()
            campaign.workers[place] = start_worker(env, lease)
        wait_for(lambda: all_final(gator), 60 + 3 * lease + 3 * jobs * seconds / SLOTS, "every job to end")
    finally:
        for process in campaign.workers:
            process.terminate()
        for process in campaign.workers:
            process.wait(30)
    return verdict(gator, campaign, read(journal), lease=lease, seconds=now() - began, kills=kills)


def wait_for(done: Callable[[], bool], seconds: float, what: str) -> None:
    """Polls until it is so; the campaign lives in other processes, which give no other sign."""
    deadline = now() + seconds
    while not done():
        if now() > deadline:
            raise SystemExit(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.01)


def read(journal: Path) -> list[Line]:
    """The journal so far; a last line that is still being written is left out."""
    if not journal.exists():
        return []
    lines = []
    for text in journal.read_text().splitlines():
        what, job_id, attempt, token, at, pid = text.split(" ")
        lines.append(Line(what, job_id, int(attempt), int(token), float(at), int(pid)))
    return lines


def count(journal: Path, what: str) -> int:
    return sum(line.what == what for line in read(journal))


def busy(journal: Path, pid: int) -> bool:
    """Whether this process has a job in its hands."""
    mine = Counter(line.what for line in read(journal) if line.pid == pid)
    return mine["start"] > mine["end"]


def all_final(gator: Gator) -> bool:
    """Whether nothing is left to do; what has ended is looked at one by one, later."""
    final = {JobState.SUCCESS, JobState.FAILED, JobState.CANCELED}
    return all(state in final for counts in gator.counts().queues.values() for state in counts)


def verdict(
    gator: Gator, campaign: Campaign, lines: list[Line], *, lease: float, seconds: float, kills: int
) -> dict[str, object]:
    """Compares what was promised with what the journal and the storage say."""
    starts: defaultdict[str, list[Line]] = defaultdict(list)
    ends: defaultdict[str, list[Line]] = defaultdict(list)
    writes: Counter[str] = Counter()
    for line in lines:
        if line.what == "start":
            starts[line.job_id].append(line)
        elif line.what == "end":
            ends[line.job_id].append(line)
        else:
            writes[line.job_id] += 1
    lost, wrong_results, unexplained, token_order = [], [], [], []
    for number, job_id in enumerate(campaign.accepted):
        record = gator.backend.find(parse_id(job_id))  # type: ignore[attr-defined]  # every backend here can be inspected
        if record is None or record.state is not JobState.SUCCESS or record.outcome is None:
            lost.append(job_id)
            continue
        outcome = decode_outcome(record.outcome)
        if gator.job(job_id).result(0) != number or outcome.token not in {line.token for line in ends[job_id]}:
            wrong_results.append(job_id)
        crashed = {line.pid for line in starts[job_id]} & campaign.killed.keys()
        if len(starts[job_id]) > 1 + len(crashed):
            unexplained.append(job_id)
        tokens = [line.token for line in sorted(starts[job_id], key=lambda line: line.at)]
        if tokens != sorted(set(tokens)):
            token_order.append(job_id)
    recoveries = []
    for runs in starts.values():
        runs.sort(key=lambda line: line.at)
        for before, after in pairwise(runs):
            if before.pid in campaign.killed:
                recoveries.append(after.at - campaign.killed[before.pid])
    recoveries.sort()
    p99 = recoveries[min(len(recoveries) - 1, int(len(recoveries) * 0.99))] if recoveries else 0.0
    doubles = [job_id for job_id, times in writes.items() if times > 1]
    broken = {
        "lost": lost,
        "outcomes written twice": doubles,
        "wrong results": wrong_results,
        "extra runs that no kill explains": unexplained,
        "tokens that did not grow": token_order,
        "too few interrupted": [] if len(recoveries) >= min(20, 2 * kills) else [str(len(recoveries))],
        "slow recovery": [] if p99 <= lease + 1 else [f"{p99:.2f} s"],
    }
    return {
        "jobs": len(campaign.accepted),
        "kills": len(campaign.killed),
        "interrupted": len(recoveries),
        "lost": len(lost),
        "duplicate_runs": sum(len(runs) - 1 for runs in ends.values() if runs),
        "outcomes_written_twice": len(doubles),
        "recovery_p50_s": round(recoveries[len(recoveries) // 2], 2) if recoveries else None,
        "recovery_p99_s": round(p99, 2),
        "recovery_max_s": round(recoveries[-1], 2) if recoveries else None,
        "lease_s": lease,
        "seconds": round(seconds, 1),
        "broken": {name: found[:5] for name, found in broken.items() if found},
    }


def main() -> None:
    """Parses the command line, runs one campaign in a new folder, prints, exits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.1, help="how long one job takes")
    parser.add_argument("--lease", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dsn", help="default: a new SQLite file")
    said = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="typedgator-kill-") as name:
        folder = Path(name)
        dsn = said.dsn or f"sqlite:///{folder / 'queue.db'}"
        figures = run(
            folder,
            dsn=dsn,
            jobs=said.jobs,
            kills=said.kills,
            workers=said.workers,
            seconds=said.seconds,
            lease=said.lease,
            seed=said.seed,
        )
    print(json.dumps(figures))
    raise SystemExit(1 if figures["broken"] else 0)


if __name__ == "__main__":
    main()
