"""Compares what was promised with what the journals and the storage say; pure, so that it can be shown bad histories.

    accepted ⇒ final exactly once          no job lost, no outcome written twice or overwritten, results as computed
    every extra run is accounted for       its predecessor was killed, lost its lease, or failed and was retried
    tokens grow                            none is granted twice; a later run of a job has a greater one
    no key without an owner or an expiry   as `audit.faults` says
    every kind of fault struck             at least so often

A failover may forget the newest writes: a `Rollback` says since when, and whether only what the producer did not have
replicated. A run or an outcome of that time may come twice; that a job is lost is counted apart, and only where
nothing was replicated before it was accepted.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

from tests.integration.chaos.journal import Line

__all__ = ["Final", "History", "Rollback", "Run", "check"]

CRASH_BUDGET = 3


@dataclass(frozen=True, slots=True)
class Final:
    """What the storage says of a finished job."""

    state: str
    token: int = 0
    number: int | None = None
    crashes: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Rollback:
    """What was written from `since` to `until` may be forgotten. `loses`: also jobs that were accepted then."""

    since: float
    until: float
    loses: bool = False


@dataclass(slots=True)
class Run:
    """One attempt that started, and why it may have a successor."""

    job_id: str
    attempt: int
    token: int
    pid: int
    at: float
    ended: float | None = None
    excuse: str = ""
    written: bool = False


@dataclass
class History:
    """What happened. Times are of the machine's monotonic clock."""

    accepted: list[Line] = field(default_factory=list)
    """`token` is the job's number, `word` its parent."""
    refused: list[Line] = field(default_factory=list)
    effects: list[Line] = field(default_factory=list)
    killed: dict[int, float] = field(default_factory=dict)
    frozen: list[tuple[int, float]] = field(default_factory=list)
    outages: list[tuple[float, float]] = field(default_factory=list)
    """When nobody could be served."""
    steps_back: list[tuple[float, float]] = field(default_factory=list)
    """When the server's clock went back, and by how much: leases of the dead last longer, by a lease at most."""
    bites: dict[str, int] = field(default_factory=dict)
    """What the faults did, as far as it can be counted."""
    rollbacks: list[Rollback] = field(default_factory=list)
    finals: dict[str, Final] = field(default_factory=dict)
    """As they were seen first."""
    seen_again: dict[str, Final] = field(default_factory=dict)
    """As they were at the end, where still known."""
    faults: dict[str, int] = field(default_factory=dict)
    key_faults: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    """What went wrong on the way: a worker that ended by itself, a fault that did not bite."""
    lease: float = 5.0
    slack: float = 1.0
    """Recovery may take so much longer than the lease, at the 99th percentile."""
    least: int = 1
    """Each kind of fault must have struck so often."""
    seconds: float = 0.0


def check(history: History) -> dict[str, object]:
    """The figures, and under `broken` up to five examples of each broken promise."""
    return _Check(history).run()


class _Check:
    def __init__(self, history: History) -> None:
        self.history = history
        self.broken: defaultdict[str, list[str]] = defaultdict(list)
        self.runs = self._runs()
        self.unreplicated: list[str] = []

    def run(self) -> dict[str, object]:
        history = self.history
        self._finals()
        self._writes()
        for job_id, runs in self.runs.items():
            self._job(job_id, runs)
        self._parents()
        recoveries = self._recoveries()
        net = sorted(seconds for seconds, _, _ in recoveries)
        raw = sorted(seconds for _, seconds, _ in recoveries)
        self._enough(len(recoveries))
        p99 = _share(net, 0.99)
        if net and p99 > history.lease + history.slack:
            slowest = sorted(recoveries, reverse=True)[:5]
            self.broken["slow recovery"] += [
                f"{took:.2f} of {in_all:.2f} s: {job_id}" for took, in_all, job_id in slowest
            ]
        self.broken["keys"] += history.key_faults
        self.broken["troubles"] += history.troubles
        states = Counter(final.state for final in history.finals.values())
        ends = [run for runs in self.runs.values() for run in runs if run.ended is not None]
        return {
            "jobs": len({line.token for line in history.accepted} | {line.token for line in history.refused}),
            "accepted": len({line.job_id for line in history.accepted}),
            "refused": dict(Counter(line.word for line in history.refused)),
            "faults": history.faults,
            "faults_in_all": sum(history.faults.values()),
            "bites": history.bites,
            "lost": len(self.broken["lost"]),
            "lost_unreplicated": len(self.unreplicated),
            "double_outcomes": len(self.broken["outcomes written twice"]) + len(self.broken["outcomes overwritten"]),
            "runs": sum(map(len, self.runs.values())),
            "duplicate_runs": len(ends) - len({run.job_id for run in ends}),
            "extra_runs": dict(Counter(run.excuse for runs in self.runs.values() for run in runs[:-1])),
            "stale_writes_refused": sum(line.what == "lost" for line in history.effects),
            "failed_after_crashes": states["failed"],
            "canceled_with_a_parent": states["canceled"],
            "interrupted": len(recoveries),
            "recovery_p50_s": round(_share(net, 0.5), 2),
            "recovery_p99_s": round(p99, 2),
            "recovery_with_outages_p99_s": round(_share(raw, 0.99), 2),
            "recovery_with_outages_max_s": round(raw[-1], 2) if raw else 0.0,
            "lease_s": history.lease,
            "seconds": round(history.seconds, 1),
            "broken": {name: found[:5] for name, found in self.broken.items() if found},
        }

    # ---- runs

    def _runs(self) -> dict[str, list[Run]]:
        """By job, in the order of their tokens."""
        history = self.history
        found: defaultdict[str, list[Run]] = defaultdict(list)
        latest: dict[tuple[str, int, int], Run] = {}
        tokens: dict[int, str] = {}
        for line in history.effects:
            key = line.job_id, line.attempt, line.pid
            if line.what == "start":
                run = Run(line.job_id, line.attempt, line.token, line.pid, line.at)
                found[line.job_id].append(run)
                latest[key] = run
                if tokens.setdefault(line.token, line.job_id) != line.job_id and not self._in_rollback(line.at):
                    self.broken["tokens granted twice"].append(f"{line.token}: {tokens[line.token]}, {line.job_id}")
            elif key in latest:
                self._learn(latest[key], line)
        for runs in found.values():
            for run in runs:
                killed = history.killed.get(run.pid)
                if not run.excuse and not run.written and killed is not None and killed >= run.at:
                    run.excuse = "killed"
            runs.sort(key=lambda run: run.token)
        return found

    def _learn(self, run: Run, line: Line) -> None:
        if line.what == "end":
            run.ended = line.at
        elif line.what == "retrying":
            run.excuse = "retried"
        elif line.what == "lost":
            run.excuse = "lease lost"
        elif line.what.startswith("written-"):
            run.written = True

    def _job(self, job_id: str, runs: list[Run]) -> None:
        """All but the last run have an excuse; attempts and tokens grow."""
        for before, after in pairwise(runs):
            if not before.excuse and self._in_rollback(before.at, before.ended):
                before.excuse = "forgotten by a failover"
            if not before.excuse:
                self.broken["extra runs that nothing explains"].append(f"{job_id} token {before.token}")
            if after.token == before.token and not self._in_rollback(after.at):
                self.broken["tokens granted twice"].append(f"{after.token}: {job_id} twice")
            if after.attempt < before.attempt and not self._in_rollback(before.at, after.at):
                self.broken["attempts that did not grow"].append(f"{job_id} {before.attempt} {after.attempt}")
            # A zombie may start what it had claimed; whoever lost its lease starts late as well.
            late = after.at < before.at and before.excuse not in ("killed", "lease lost")
            if late and not self._in_rollback(after.at, before.at):
                self.broken["tokens that did not grow"].append(f"{job_id} {before.token} {after.token}")

    def _in_rollback(self, first: float, last: float | None = None) -> bool:
        last = first if last is None else last
        return any(back.since <= last and first <= back.until for back in self.history.rollbacks)

    # ---- ends

    def _finals(self) -> None:
        history = self.history
        for line in history.accepted:
            final = history.finals.get(line.job_id)
            if final is None:
                if any(back.loses and back.since <= line.at <= back.until for back in history.rollbacks):
                    self.unreplicated.append(line.job_id)
                else:
                    self.broken["lost"].append(line.job_id)
            elif final.state == "success":
                self._result(line, final)
            elif final.state == "failed":
                if final.reason != "crashed" or final.crashes <= CRASH_BUDGET:
                    self.broken["failed without a reason"].append(f"{line.job_id}: {final}")
            elif final.state != "canceled":
                self.broken["not ended"].append(f"{line.job_id}: {final.state}")

    def _result(self, line: Line, final: Final) -> None:
        runs = self.runs.get(line.job_id, [])
        if final.number != line.token:
            self.broken["wrong results"].append(f"{line.job_id}: {final.number} instead of {line.token}")
        winner = next((run for run in runs if run.token == final.token), None)
        if winner is None or winner.ended is None:
            self.broken["outcomes of no run that ended"].append(f"{line.job_id}: token {final.token}")
        elif winner is not runs[-1] and not self._in_rollback(winner.at, runs[-1].at):
            self.broken["runs after the outcome"].append(f"{line.job_id}: {winner.token}, then {runs[-1].token}")

    def _writes(self) -> None:
        """Each worker says what was written; nobody may say it of a job of which another did."""
        writes: defaultdict[str, list[Line]] = defaultdict(list)
        for line in self.history.effects:
            if line.what.startswith("written-"):
                writes[line.job_id].append(line)
        for job_id, lines in writes.items():
            for line in lines[:-1]:
                if not self._in_rollback(line.at):
                    self.broken["outcomes written twice"].append(f"{job_id}: {[each.attempt for each in lines]}")
            final = self.history.finals.get(job_id)
            if final is not None and lines[-1].what != f"written-{final.state}":
                self.broken["outcomes overwritten"].append(f"{job_id}: {lines[-1].what}, then {final.state}")
        for job_id, again in self.history.seen_again.items():
            first = self.history.finals.get(job_id)
            # Of a caller's id the end is remembered for longer than its outcome is.
            forgotten = again.token == 0 and again.number is None
            if first is not None and (first.state != again.state or (first.token != again.token and not forgotten)):
                self.broken["outcomes overwritten"].append(f"{job_id}: {first}, then {again}")

    def _parents(self) -> None:
        """A child starts after its parent succeeded, and is canceled only with it."""
        for line in self.history.accepted:
            if line.word == "-":
                continue
            runs, parents = self.runs.get(line.job_id), self.runs.get(line.word, [])
            ended = [run.ended for run in parents if run.ended is not None]
            if runs and not self._in_rollback(runs[0].at) and min(ended, default=runs[0].at + 1) > runs[0].at:
                self.broken["children before their parents"].append(line.job_id)
        for line in self.history.accepted:
            final = self.history.finals.get(line.job_id)
            if final is not None and final.state == "canceled":
                parent = self.history.finals.get(line.word)
                if parent is None or parent.state not in ("failed", "canceled"):
                    self.broken["canceled without a reason"].append(line.job_id)

    # ---- recovery

    def _recoveries(self) -> list[tuple[float, float, str]]:
        """For each interrupted run: seconds until the job ran again, without the outages and with them, and its id."""
        history = self.history
        froze: defaultdict[int, list[float]] = defaultdict(list)
        for pid, at in history.frozen:
            froze[pid].append(at)
        found: list[tuple[float, float, str]] = []
        for job_id, runs in self.runs.items():
            for before, after in pairwise(runs):
                at = history.killed.get(before.pid, -1.0)
                stops = [stop for stop in froze[before.pid] if before.at <= stop and (before.ended or stop) >= stop]
                if stops:
                    at = stops[0]
                if before.at <= at < after.at and before.excuse in ("killed", "lease lost"):
                    seconds = after.at - at
                    excess = max(0.0, seconds - history.lease)
                    excused = min(excess, self._outage(at, after.at) + self._set_back(at))
                    found.append((seconds - excused, seconds, job_id))
        return found

    def _set_back(self, died: float) -> float:
        """Who had no time to say anything after the clock went back has a lease that ends as much later, and begins
        anew at most.
        """
        lease = self.history.lease
        return sum(
            min(by, lease)
            for at, by in self.history.steps_back
            if at - lease <= died <= at + lease / 2 + self._outage(at, max(at, died))
        )

    def _outage(self, first: float, last: float) -> float:
        """How much of this time nobody could be served; spans that overlap count once."""
        spans = sorted((max(first, since), min(last, until)) for since, until in self.history.outages)
        covered, reached = 0.0, first
        for since, until in spans:
            if until > max(since, reached):
                covered += until - max(since, reached)
                reached = until
        return covered

    def _enough(self, interrupted: int) -> None:
        history = self.history
        for kind, times in history.faults.items():
            if times < history.least:
                self.broken["faults that did not strike"].append(f"{kind}: {times} of {history.least}")
        if interrupted < min(20, 2 * history.faults.get("worker_kill", 0)):
            self.broken["too few interrupted"].append(str(interrupted))


def _share(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0
