"""The verbs: each one change of the ledger under one lock, and then whoever waits is told. Nothing polls.

A blocked `claim` sleeps until there is news, or until the next job is due or the next lease ends.
"""

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from itertools import count, islice
from threading import Condition, Lock
from typing import Final

from typedgator.backends.checkup import Checkup
from typedgator.backends.contract import (
    Beat,
    CancelAnswer,
    Capabilities,
    Claimed,
    Counts,
    HeldKind,
    JobRecord,
    Page,
    Receipt,
    Settled,
    Upkeep,
    WorkerId,
)
from typedgator.backends.locmem import upkeep, view
from typedgator.backends.locmem.doctor import examine
from typedgator.backends.locmem.job import Worker
from typedgator.backends.locmem.ledger import Ledger
from typedgator.clock import Clock, SystemClock
from typedgator.errors import ConfigurationError, WorkerLapsed
from typedgator.wire.frame import Frame
from typedgator.wire.ids import JobId
from typedgator.wire.states import FINAL, JobState
from typedgator.wire.verdict import Settlement, Token

__all__ = ["LocmemBackend"]

_CAN: Final = Capabilities(durable=False, shared=False, owned=True)
_AT_ONCE: Final = 256
"""A claim promotes and reaps so many at most, so that others get the lock."""
_UNSTARTED: Final = frozenset(
    {JobState.BLOCKED, JobState.SCHEDULED, JobState.WAITING, JobState.HELD, JobState.RETRYING}
)


class LocmemBackend:
    """All in memory, for one process; the namespace is a label. It can all but `durable`, `shared` and `exchange`."""

    def __init__(self, *, clock: Clock | None = None, namespace: str = "default") -> None:
        self.namespace = namespace
        self._clock = clock or SystemClock()
        self._ledger = Ledger()
        self._lock = Lock()
        self._work = Condition(self._lock)
        self._ends = Condition(self._lock)
        self._names = count(1)
        self._process = os.getpid()

    @property
    def can(self) -> Capabilities:
        """What this backend promises."""
        return _CAN

    def open(self) -> None:
        """Nothing to connect to."""

    def examine(self, *, audit: bool | None = None) -> Checkup:
        """What memory loses."""
        return examine()

    def close(self) -> None:
        """Nothing to let go of; what was accepted stays for as long as this object."""

    def _mine(self) -> Lock:
        """The lock. Raises ConfigurationError in a fork of the process whose memory this is."""
        # Looked at first: in a fork the lock may be held for ever, by a thread that only the parent has.
        if os.getpid() != self._process:
            raise ConfigurationError(
                f"locmem:// keeps jobs in the memory of process {self._process}, and this one, {os.getpid()}, is a "
                "fork of it: what is enqueued here would be lost with it, and nobody would know. Use "
                "sqlite:///typedgator.db, which processes share, or make the Gator after the fork"
            )
        return self._lock

    @contextmanager
    def _change(self) -> Generator[tuple[Ledger, int]]:
        """The ledger, and the time at which it is changed; afterwards those who wait for the change are woken."""
        with self._mine():
            ledger = self._ledger
            try:
                yield ledger, self._clock.now_ms()
            finally:
                if ledger.news:
                    ledger.news = False
                    self._work.notify_all()
                if ledger.ended:
                    ledger.ended = False
                    self._ends.notify_all()

    # The core

    def enqueue(self, frames: Sequence[Frame], /) -> list[Receipt]:
        """Accepts all of the frames or none."""
        with self._change() as (ledger, now):
            # Each one that comes lets two go, so that memory is bounded even if nobody calls `maintain`.
            upkeep.forget(ledger, now, 2 * len(frames))
            return ledger.accept(frames, now)

    def join(self, queues: Sequence[str], /, *, lease_ms: int) -> WorkerId:
        """A fresh identity; its lease starts now."""
        with self._change() as (ledger, now):
            worker = WorkerId(f"worker-{next(self._names)}")
            ledger.workers[worker] = Worker(worker, tuple(dict.fromkeys(queues)), lease_ms)
            ledger.leases.put(now + lease_ms, worker)
            ledger.news = True
            return worker

    def leave(self, worker: WorkerId, /) -> None:
        """What it still held comes back, attempts given back."""
        with self._change() as (ledger, now):
            if found := ledger.workers.get(worker):
                for job in list(found.running.values()):
                    job.attempt -= 1
                    ledger.come_back(job, now)
                ledger.leases.drop(worker)
                del ledger.workers[worker]

    def claim(self, worker: WorkerId, /, *, limit: int, wait_ms: int, seen: Token) -> list[Claimed]:
        """Lost replies again, else new jobs, else waits for some. Raises WorkerLapsed."""
        left = wait_ms / 1000
        while True:
            with self._change() as (ledger, now):
                upkeep.notice_lapsed(ledger, now)
                upkeep.reap(ledger, now, _AT_ONCE)
                upkeep.promote(ledger, now, _AT_ONCE)
                me = ledger.workers.get(worker)
                if me is None:
                    raise WorkerLapsed(f"the lease of {worker} ended, or it left: join again before the next claim")
                if me.newest > seen and (again := [job for token, job in me.running.items() if token > seen]):
                    return [job.claimed() for job in again[:limit]]
                claimed = [] if me.suspects else ledger.hand_out(me, limit, now)
                if claimed or left <= 0:
                    return claimed
                if ledger.news:
                    # Promoted or reaped for others on the way: they need not wait until this one wakes.
                    ledger.news = False
                    self._work.notify_all()
                left -= self._wait_for_work(ledger, now, left)

    def _wait_for_work(self, ledger: Ledger, now: int, left: float) -> float:
        """Sleeps until there is news, something falls due, or `left` seconds are over; says how many went by."""
        soonest = [when for when in (ledger.due.next_ms(), ledger.leases.next_ms()) if when is not None]
        pause = min([left, *(max(0, when - now) / 1000 for when in soonest)])
        before = self._clock.monotonic()
        told = self._work.wait(pause)
        passed = self._clock.monotonic() - before
        # A clock that stands still, as in tests, must not make a wait endless.
        return passed if told else max(passed, pause)

    def beat(self, worker: WorkerId, tokens: Sequence[Token], /) -> Beat:
        """The worker's lease starts anew, also when it ended and nobody noticed."""
        with self._change() as (ledger, now):
            me = ledger.workers.get(worker)
            if me is None:
                return Beat(list(tokens), [], lapsed=True)
            ledger.leases.put(now + me.lease_ms, worker)
            mine = [(token, me.running.get(token)) for token in tokens]
            lost = [token for token, job in mine if job is None]
            return Beat(lost, [token for token, job in mine if job is not None and job.cancel_requested])

    def settle(self, worker: WorkerId, settlements: Sequence[Settlement], /) -> list[Settled]:
        """Ends attempts, one after the other."""
        with self._change() as (ledger, now):
            return [ledger.settle(worker, settlement, now) for settlement in settlements]

    def cancel(self, job_id: JobId, /) -> CancelAnswer:
        """Ends a job that is not running; asks a running one to stop."""
        with self._change() as (ledger, now):
            job = ledger.jobs.get(job_id)
            if job is None:
                return CancelAnswer.UNKNOWN
            if job.state in FINAL:
                return CancelAnswer.DONE if job.state is JobState.CANCELED else CancelAnswer.TOO_LATE
            if job.state is JobState.RUNNING:
                job.cancel_requested = True
                return CancelAnswer.REQUESTED
            ledger.end(job, JobState.CANCELED, now, reason="canceled")
            return CancelAnswer.DONE

    def maintain(self, *, limit: int) -> Upkeep:
        """Up to `limit` of each kind; `more` when one of them reached it."""
        with self._change() as (ledger, now):
            promoted = upkeep.promote(ledger, now, limit)
            upkeep.notice_lapsed(ledger, now)
            reclaimed, crashed = upkeep.reap(ledger, now, limit)
            expired = upkeep.expire(ledger, now, limit)
            held = upkeep.fail_held(ledger, now, limit - crashed)
            pruned = upkeep.forget(ledger, now, limit)
            upkeep.tidy(ledger)
            return Upkeep(
                promoted=promoted,
                reclaimed=reclaimed,
                failed=crashed + held,
                expired=expired,
                pruned=pruned,
                more=limit in (promoted, reclaimed + crashed, crashed + held, expired, pruned),
            )

    # Results, Inspect

    def outcome(self, job_id: JobId, /, *, wait_ms: int) -> JobRecord | None:
        """The record once the state is final, or as it stands after `wait_ms`."""
        left = wait_ms / 1000
        with self._mine():
            awaited = self._ledger.awaited
            awaited[job_id] = awaited.get(job_id, 0) + 1
            try:
                while True:
                    job = self._ledger.jobs.get(job_id)
                    if job is None or job.state in FINAL or left <= 0:
                        return None if job is None else job.record()
                    before = self._clock.monotonic()
                    told = self._ends.wait(left)
                    left = left - (self._clock.monotonic() - before) if told else 0
            finally:
                awaited[job_id] -= 1
                if not awaited[job_id]:
                    del awaited[job_id]

    def counts(self) -> Counts:
        """How many jobs there are."""
        with self._mine():
            return view.counts(self._ledger)

    def find(self, job_id: JobId, /) -> JobRecord | None:
        """What is known of one job."""
        with self._mine():
            job = self._ledger.jobs.get(job_id)
            return None if job is None else job.record()

    def page(self, state: JobState, /, *, queue: str | None = None, after: str | None = None, limit: int = 100) -> Page:
        """Jobs in one state."""
        with self._mine():
            return view.page(self._ledger, state, queue, after, limit)

    # Operate

    def requeue(self, job_id: JobId, /) -> bool:
        """A dead letter or a held job begins again."""
        with self._change() as (ledger, _):
            job = ledger.jobs.get(job_id)
            if job is None or not (job.state is JobState.HELD or job_id in ledger.dead):
                return False
            ledger.renew(job)
            return True

    def purge(self, state: JobState, /, *, queue: str | None = None, limit: int) -> int:
        """Removes up to `limit` jobs in a state."""
        if state is not JobState.FAILED and state not in _UNSTARTED:
            raise ConfigurationError(
                f"jobs in state {state} cannot be purged: choose failed, {', '.join(sorted(_UNSTARTED))}"
            )
        with self._change() as (ledger, now):
            purged = 0
            for job in list(islice(view.pick(ledger, state, queue), limit)):
                if job.state is not state:
                    continue  # a dependent of one that was purged just now
                if state is JobState.FAILED:
                    ledger.bury(job, now)
                else:
                    ledger.end(job, JobState.CANCELED, now, reason="purged")
                purged += 1
            return purged

    def pause(self, queue: str, /) -> None:
        """The queue hands out nothing."""
        with self._change() as (ledger, _):
            ledger.paused.add(queue)

    def resume(self, queue: str, /) -> None:
        """The queue hands out again."""
        with self._change() as (ledger, _):
            ledger.paused.discard(queue)
            ledger.news = True

    def take(self, worker: WorkerId, job_id: JobId, /) -> Claimed | None:
        """Claims this one job. Raises WorkerLapsed."""
        with self._change() as (ledger, now):
            me = ledger.workers.get(worker)
            if me is None:
                raise WorkerLapsed(f"the lease of {worker} ended, or it left: join again before it takes a job")
            job = ledger.jobs.get(job_id)
            if job is None or job.state not in (JobState.SCHEDULED, JobState.WAITING, JobState.RETRYING):
                return None
            if job.expires_ms is not None and job.expires_ms <= now:
                ledger.end(job, JobState.CANCELED, now, reason="expired")
                return None
            return ledger.start(job, me, now)

    # Owning

    def owned(self, worker: WorkerId, /) -> list[tuple[JobId, Token]]:
        """What runs under this identity, by token."""
        with self._mine():
            me = self._ledger.workers.get(worker)
            return [] if me is None else [(job.id, token) for token, job in me.running.items()]

    # Holding, Notes

    def held_kinds(self) -> list[HeldKind]:
        """What held jobs wait for."""
        with self._mine():
            return view.held_kinds(self._ledger)

    def release_held(self, kinds: Sequence[HeldKind], /) -> int:
        """Held jobs of these kinds get in line, by id."""
        wanted = {(kind.task, kind.schema) for kind in kinds}
        with self._change() as (ledger, _):
            held = [ledger.jobs[job_id] for job_id in sorted(ledger.held)]
            released = [job for job in held if job.held and (job.held.task, job.held.schema) in wanted]
            for job in released:
                ledger.release(job)
            return len(released)

    def note(self, worker: WorkerId, token: Token, progress: bytes, /) -> bool:
        """Keeps progress beside a running job, if the token is this worker's."""
        with self._change() as (ledger, _):
            me = ledger.workers.get(worker)
            job = me.running.get(token) if me else None
            if job is None:
                return False
            job.progress = progress
            return True
