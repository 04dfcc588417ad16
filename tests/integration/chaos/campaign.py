"""A campaign: real workers, real producers, real servers, and faults among them; then the checker looks at it all.

One thread does everything in turn: it reads the journals, does what is due on the timeline, looks up what has ended,
lets the next fault strike. What it must not do is wait for anything without also doing the rest: that is `pump`.
"""

import os
import random
import sys
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from pathlib import Path
from threading import Thread

import msgspec

from tests.integration.chaos.checker import Final, History, Rollback, check
from tests.integration.chaos.crew import Crew, Producers
from tests.integration.chaos.faults import KINDS, Fault
from tests.integration.chaos.journal import Journal, Tail, now
from tests.integration.chaos.stages import Stage
from typedgator.backends.contract import Inspect, JobRecord
from typedgator.backends.redis import RedisBackend
from typedgator.backends.redis.audit import faults as key_faults
from typedgator.errors import BackendUnavailable
from typedgator.gator import Gator
from typedgator.wire.ids import parse_id
from typedgator.wire.outcome import decode_outcome
from typedgator.wire.states import FINAL

__all__ = ["Campaign", "Plan"]

LOOK_S = 0.01
SWEEP_S = 3.0
AGAIN_S = 2.5
"""After an outage the workers may take so long until they claim again: the longest pause of the claimer, and a bit."""
PATIENCE_S = 90.0
MORE_S = 0.3
FORGOTTEN_S = 1.0
"""What was written so long before a failover may be forgotten by it; so long after it, who asks may ask the old one."""


@dataclass
class Plan:
    """What to do. `kinds`: how often each kind of fault strikes."""

    jobs: int
    kinds: dict[str, int]
    seed: int = 1
    workers: int = 3
    slots: int = 4
    lease: float = 5.0
    seconds: float = 0.03
    pause: tuple[float, float] = (0.1, 0.6)
    """Between two faults, at least."""
    slack: float = 1.0
    """Recovery: how much longer than the lease."""
    least: int = 1
    replicated: bool = False
    says: bool = False


@dataclass(order=True)
class _Due:
    at: float
    number: int
    what: Callable[[], object] = field(compare=False)


class Campaign:
    """Played once, on a stage that is up."""

    def __init__(self, stage: Stage, plan: Plan, folder: Path) -> None:
        self.stage = stage
        self.plan = plan
        self.folder = folder
        self.lease = plan.lease
        self.chance = random.Random(plan.seed)
        self.history = History(lease=plan.lease, slack=plan.slack, least=plan.least)
        self.held = False
        dsn = stage.dsn + ("&durability=replicated" if plan.replicated else "")
        self._env = {
            **os.environ,
            "TYPEDGATOR_CONN": dsn,
            "CHAOS_JOURNAL": str(folder / "effects"),
            "CHAOS_ACCEPTED": str(folder / "accepted"),
            "CHAOS_SECONDS": str(plan.seconds),
        }
        self._effects = Tail(folder / "effects")
        self._accepted = Tail(folder / "accepted")
        self._gator = Gator(stage.direct)
        self.diary = Journal(str(folder / "faults"))
        self._timeline: list[_Due] = []
        self._numbers = 0
        self._to_find: deque[str] = deque()
        self._open: dict[str, float] = {}
        self._seen: dict[str, float] = {}
        self._forgotten: list[float] = []
        """Since when a failover may have forgotten what was seen to have ended: it is looked up again."""
        self._waiting_again: list[list[float]] = []
        self._swept = now()
        self._looked = now()
        self._spoken = now()
        self.faults: dict[str, Fault] = {name: KINDS[name](self) for name in plan.kinds}

    # ---- for faults

    def trouble(self, what: str) -> None:
        """Something that must not be."""
        self.history.troubles.append(what)

    def after(self, seconds: float, what: Callable[[], object]) -> None:
        """Does this then."""
        self._numbers += 1
        heappush(self._timeline, _Due(now() + seconds, self._numbers, what))

    @contextmanager
    def outage(self) -> Generator[None]:
        """Inside, nobody is served; it ends when the first job starts afterwards, or soon."""
        since = now()
        yield
        self._waiting_again.append([since, now()])

    @contextmanager
    def rollback(self) -> Generator[None]:
        """Inside, a server is lost that may have been asked what no other server knows."""
        since = now() - FORGOTTEN_S
        yield
        self.history.rollbacks.append(Rollback(since, now() + FORGOTTEN_S, loses=not self.plan.replicated))
        self._forgotten.append(since)

    # ---- the play

    def run(self) -> dict[str, object]:
        """All of it; the figures."""
        plan, began = self.plan, now()
        self.crew = Crew(
            self.folder, self._env, workers=plan.workers, slots=plan.slots, lease=plan.lease, seed=plan.seed
        )
        producers = Producers(self.folder, self._env, seed=plan.seed)
        try:
            self._strike_all(producers)
            producers.no_more()
            self._until(lambda: not self._timeline, PATIENCE_S, "the last faults to be undone")
            self.history.troubles += producers.end(PATIENCE_S)
            self._until(
                lambda: not self._open and not self._more_accepted(), PATIENCE_S, "every job to end", moving=True
            )
        finally:
            with ExitStack() as stack:  # whatever goes wrong, nobody is left behind
                stack.callback(producers.end, 0)
                stack.callback(self.crew.dismiss)
                self._undo()
        self._pump()
        self._close_outages(now())
        return self._judge(now() - began)

    def _strike_all(self, producers: Producers) -> None:
        plan = self.plan
        turns = [name for name, times in plan.kinds.items() for _ in range(times)]
        self.chance.shuffle(turns)
        rounds = len(turns) + 1
        producers.allow(plan.jobs // rounds + plan.jobs % rounds)
        self._until(lambda: self.crew.busy() is not None, 60, "the workers to start")
        while turns:
            share = plan.jobs // rounds
            producers.allow(share // 2)
            at = now() + self.chance.uniform(*plan.pause)
            self._until(lambda at=at: now() >= at, 60, "the next fault")
            # Not more than can be worked off meanwhile, or all would be waiting and nothing at risk.
            self._until(lambda: len(self._open) < 40 + 4 * plan.jobs // rounds, 60, "jobs to end", moving=True)
            name = self._next_of(turns, producers)
            if name is None:
                break
            fault = self.faults[name]
            self.diary.note(name, "-")
            if fault.slow:
                self._beside(fault.strike, partial(producers.allow, 1 + share // 40))
            else:
                fault.strike()
            fault.strikes += 1
            self.diary.note(f"{name}-done", "-")
            producers.allow(share - share // 2)
            self._say(turns)

    def _beside(self, strike: Callable[[], None], meanwhile: Callable[[], None]) -> None:
        """What takes seconds has a thread of its own, and all else goes on."""
        failed: list[BaseException] = []

        def run() -> None:
            try:
                strike()
            except BaseException as error:
                failed.append(error)

        thread, told = Thread(target=run, name="fault"), now()
        thread.start()
        while thread.is_alive():
            self._pump()
            if now() - told > 0.2:
                told = now()
                meanwhile()
            time.sleep(LOOK_S)
        if failed:
            raise failed[0]

    def _next_of(self, turns: list[str], producers: Producers) -> str | None:
        found: list[str] = []
        allowed = now()

        def ready() -> bool:
            nonlocal allowed
            if now() - allowed > MORE_S:  # nobody can be killed at work where there is none
                allowed = now()
                producers.allow(4 * self.plan.slots)
            for place, name in enumerate(turns):
                if self.faults[name].ready():
                    found.append(turns.pop(place))
                    return True
            return False

        self._until(ready, PATIENCE_S, f"one of {sorted(set(turns))} to be possible")
        return found[0] if found else None

    def _undo(self) -> None:
        while self._timeline:
            heappop(self._timeline).what()

    def _until(self, done: Callable[[], bool], seconds: float, what: str, *, moving: bool = False) -> None:
        """`moving`: so many seconds without any job that ended."""
        deadline, ended = now() + seconds, len(self.history.finals)
        while not done():
            self._pump()
            if moving and len(self.history.finals) > ended:
                deadline, ended = now() + seconds, len(self.history.finals)
            if now() > deadline:
                self.trouble(f"waited {seconds:.0f} s for {what}; {len(self._open)} jobs are open")
                return
            time.sleep(LOOK_S)

    def _pump(self) -> None:
        while self._timeline and self._timeline[0].at <= now():
            heappop(self._timeline).what()
        self.hear()
        self._forget()
        self._find()
        if now() - self._looked > 0.2:
            self._looked = now()
            self.crew.look()

    # ---- what is heard

    def _more_accepted(self) -> bool:
        before = len(self.history.accepted)
        self.hear()
        return len(self.history.accepted) > before

    def hear(self) -> None:
        """Reads what was written to the journals since the last time."""
        for line in self._accepted.read():
            if line.what == "accepted":
                self.history.accepted.append(line)
                if line.job_id not in self.history.finals:
                    self._open[line.job_id] = line.at
            else:
                self.history.refused.append(line)
        for line in self._effects.read():
            self.history.effects.append(line)
            self.crew.hear(line)
            if line.what.startswith("written-"):
                self._to_find.append(line.job_id)
            elif line.what == "start":
                self._close_outages(line.at)

    def _close_outages(self, at: float) -> None:
        """Somebody works again: the outages before are over, at the latest some time after the server was there."""
        for since, until in list(self._waiting_again):
            if at >= until:
                self.history.outages.append((since, min(at, until + AGAIN_S)))
                self._waiting_again.remove([since, until])
                self.diary.note("outage", "-", word=f"{since:.2f}..{min(at, until + AGAIN_S):.2f}")

    def _forget(self) -> None:
        while self._forgotten:
            since = self._forgotten.pop()
            accepted = {line.job_id: line.at for line in self.history.accepted}
            for job_id, at in self._seen.items():
                # A job that nobody accepted may be gone for good.
                if at >= since and self.history.finals.pop(job_id, None) is not None and job_id in accepted:
                    self._open[job_id] = accepted[job_id]

    def _find(self) -> None:
        """Looks up what has ended, and now and then all that is open: who wrote it may not have lived to say so."""
        if now() - self._swept > SWEEP_S:
            self._swept = now()
            self._to_find.extend(job_id for job_id, at in self._open.items() if at < now() - SWEEP_S)
        budget = now() + 0.1
        while self._to_find and now() < budget:
            job_id = self._to_find.popleft()
            if job_id in self.history.finals:
                continue
            try:
                record = self._inspect.find(parse_id(job_id))
            except BackendUnavailable:
                self._to_find.appendleft(job_id)
                return
            if record is None and self._may_be_lost(job_id):
                self._open.pop(job_id, None)
            if record is not None and record.state in FINAL:
                self.history.finals[job_id] = _final(record)
                self._seen[job_id] = now()
                self._open.pop(job_id, None)

    def _may_be_lost(self, job_id: str) -> bool:
        """It was accepted by a server that a failover has made forget it, and nobody asked for a replica."""
        at = self._open.get(job_id, now())
        return any(back.loses and back.since <= at <= back.until < now() for back in self.history.rollbacks)

    @property
    def _inspect(self) -> Inspect:
        backend = self._gator.backend
        assert isinstance(backend, Inspect)
        return backend

    # ---- the end

    def _judge(self, seconds: float) -> dict[str, object]:
        history = self.history
        for line in history.accepted:
            record = self._inspect.find(parse_id(line.job_id))
            if record is None:
                continue
            final = _final(record)
            if line.job_id not in history.finals:
                history.finals[line.job_id] = final
            else:
                history.seen_again[line.job_id] = final
        for fault in self.faults.values():
            history.faults[fault.name] = fault.strikes
            if fault.strikes and fault.bites:
                history.bites[fault.bites] = bites = fault.bitten()
                if not bites:
                    self.trouble(f"{fault.name} hurt nothing: {fault.bites} 0")
        history.bites["workers that started while nobody answered, and ended"] = self.crew.unstarted
        if isinstance(self._gator.backend, RedisBackend):
            history.key_faults += key_faults(self._gator.backend)
        history.troubles += self.crew.troubles
        history.seconds = seconds
        figures = {"stage": self.stage.name, "seed": self.plan.seed, **check(history)}
        self._gator.close()
        return figures

    def _say(self, turns: list[str]) -> None:
        if self.plan.says and now() - self._spoken > 10:
            self._spoken = now()
            history = self.history
            said = f"{len(turns)} faults to go; {len(history.accepted)} accepted, {len(history.finals)} ended"
            print(said, file=sys.stderr, flush=True)


def _final(record: JobRecord) -> Final:
    number: int | None = None
    token = record.token
    if record.outcome is not None:
        outcome = decode_outcome(record.outcome)
        token = outcome.token
        if outcome.kind == "result":
            number = msgspec.msgpack.decode(outcome.result, type=int)
    return Final(record.state.value, token, number, record.crashes, record.reason)
