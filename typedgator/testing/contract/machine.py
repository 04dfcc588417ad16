"""A backend and the model, driven side by side by hypothesis: every answer and all that can be seen must agree.

Lost replies are calls whose answer the worker never learns; stale workers, wrong tokens and repeats are played on
purpose.
"""

import os
from collections.abc import Sequence
from typing import Any, Final
from unittest import TestCase

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from typedgator.backends.contract import (
    Backend,
    Claimed,
    HeldKind,
    Holding,
    Inspect,
    JobRecord,
    Notes,
    Operate,
    Owning,
    Receipt,
    ReceiptStatus,
    WorkerId,
)
from typedgator.clock import Clock
from typedgator.errors import UnknownDependency, WorkerLapsed
from typedgator.testing.clock import FakeClock
from typedgator.testing.contract.agreement import compare, forget_dead_letters, same
from typedgator.testing.contract.bench import job, named
from typedgator.testing.contract.model import Model, ModelJob
from typedgator.wire.frame import Frame, FrameFlags, pack_frame
from typedgator.wire.ids import JobId
from typedgator.wire.states import FINAL, PENDING, JobState
from typedgator.wire.verdict import (
    Canceled,
    Failed,
    Held,
    Released,
    RetryIn,
    Settlement,
    Snoozed,
    Succeeded,
    Token,
    Verdict,
)

__all__ = ["BackendModel"]

LONG: Final = os.environ.get("TYPEDGATOR_LONG", "") == "1"
QUEUES: Final = ("a", "b")
SERVED: Final = (("*",), ("b", "a"), ("b", "*"), ("a",), ("a", "a"), ("b", "*", "b", "*"))
NAMES: Final = (named(1), JobId(b"mine"), *map(named, range(2, 40)), JobId(b"yours"))
KEYS: Final = (b"a key of 16 byte", b"another of those")

_delays = st.sampled_from([0, 0, 0, 1, 500, 5000])
_frames = st.fixed_dictionaries(
    {
        "queue": st.sampled_from(QUEUES),
        "priority": st.sampled_from([100, 100, 0, 200]),
        "delay_ms": _delays,
        "expires_in_ms": st.sampled_from([None, None, None, None, 1, 1000, 20_000]),
        "unique": st.sampled_from([None, None, None, *KEYS]),
        "crash_budget": st.sampled_from([3, 3, 0, 1]),
        "flags": st.sampled_from([0, FrameFlags.RESULT_WANTED]),
        "envelope": st.binary(min_size=1, max_size=2),
    }
)
_parents: st.SearchStrategy[list[int]] = st.one_of(st.just([]), st.just([]), st.lists(st.integers(0, 40), max_size=2))
_verdicts: st.SearchStrategy[Verdict] = st.one_of(
    st.builds(Succeeded, st.sampled_from([None, b"a result"]), st.sampled_from([0, 60_000, 600_000])),
    st.builds(Failed, st.just(b"an error")),
    st.builds(RetryIn, _delays, st.sampled_from([None, b"an error"])),
    st.builds(Snoozed, _delays),
    st.just(Released()),
    st.builds(Canceled, st.sampled_from(["canceled", "enough"])),
    st.builds(Held, st.just("why"), st.just("t"), st.sampled_from(["1", "2"]), st.sampled_from([1000, 30_000])),
)
_picks = st.integers(0, 40)
"""Which one of those that there are then; one in eight reaches for any there ever was, whatever became of it."""
_steps = st.sampled_from([1, 499, 500, 1000, 5000, 29_999])
_jumps = st.sampled_from([30_000, 30_000, 30_000, 60_000, 600_000, 86_400_000, 8 * 86_400_000])


class BackendModel(RuleBasedStateMachine):
    """Inherit, write `make`, and `TestMineModel = MineModel.as_test()`; `reopen` and `audit` as in BackendContract."""

    def make(self, clock: Clock) -> Backend:
        """A fresh, empty, closed backend on this clock."""
        raise NotImplementedError("write make(self, clock): a fresh, empty, closed backend on this clock")

    def reopen(self, backend: Backend) -> Backend | None:
        """Another closed backend over the same storage; None when there is no such thing."""
        return None

    def audit(self, backend: Backend) -> None:
        """Looks into the storage after each step."""

    @classmethod
    def as_test(cls, *, runs: int | None = None, steps: int = 60) -> type[TestCase]:
        """The test to collect: 200 runs of 60 steps, 3000 with TYPEDGATOR_LONG=1, or as many as said."""
        profile = settings(
            max_examples=runs or (3000 if LONG else 200),
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
            print_blob=True,
            report_multiple_bugs=False,
        )
        return type(cls.__name__, (cls.TestCase,), {"settings": profile})

    def __init__(self) -> None:
        super().__init__()
        self.clock: FakeClock = FakeClock()
        self.backend: Backend = self.make(self.clock)
        self.backend.open()
        if not self.backend.can.inspect:
            pytest.skip("the model sees what a backend did through Inspect")
        self.model: Model = Model()
        self.known: list[WorkerId] = []
        self.seen: dict[WorkerId, Token] = {}
        self.attempts: list[tuple[WorkerId, JobId, Token]] = []
        self.said: list[tuple[WorkerId, Settlement]] = []

    def teardown(self) -> None:
        """After each run."""
        self.backend.close()

    @property
    def now(self) -> int:
        """The time of backend and model."""
        return self.clock.now_ms()

    def find(self, job_id: JobId) -> JobRecord | None:
        """What the backend shows."""
        assert isinstance(self.backend, Inspect)
        return self.backend.find(job_id)

    # Accepting

    @initialize()
    def begin(self) -> None:
        """A worker of every queue, and something to do."""
        self.join(("*",), 30_000)
        self.enqueue([(1, {"queue": queue, "envelope": b"x"}, []) for queue in "aabb"])

    @rule(frames=st.lists(st.tuples(_picks, _frames, _parents), min_size=1, max_size=6))
    def enqueue(self, frames: list[tuple[int, dict[str, Any], list[int]]]) -> None:
        """One call with some frames: most are new, some repeats, some have parents."""
        batch: list[Frame] = []
        for pick, fields, picks in frames:
            here = [*sorted(self.model.jobs), *(each.job_id for each in batch)]
            fresh = [name for name in NAMES if name not in here and (self.backend.can.caller_ids or len(name) == 16)]
            name = here[pick % len(here)] if (pick % 8 == 0 and here) or not fresh else fresh[0]
            # None waits for itself: what its id stands for may change within the call.
            parents = {JobId(b"never seen") if each == 40 else here[each % len(here)] for each in picks if here}
            after = sorted(parents - {name}) if self.backend.can.dependencies else []
            batch.append(job(name, after=after, **self._tame(fields)))
        try:
            receipts = self.backend.enqueue(batch)
        except UnknownDependency as refusal:
            named = {each.job_id for each in batch}.union(*(each.parents for each in batch))
            # What may be forgotten may have been forgotten in this very call; else the model must refuse as well.
            if not named & self._forgotten():
                same(refusal.parent, self._refused(batch))
            return
        for frame, receipt in zip(batch, receipts, strict=True):
            if frame.job_id in self._forgotten() and receipt != Receipt(ReceiptStatus.DUPLICATE, frame.job_id):
                self.model.forget(frame.job_id, self.now)
        same([(each.status, each.job_id) for each in receipts], self.model.enqueue(batch, self.now))

    def _refused(self, batch: Sequence[Frame]) -> str:
        try:
            return f"accepted: {self.model.enqueue(batch, self.now)}"
        except UnknownDependency as refusal:
            return refusal.parent

    def _tame(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Without what the backend says it cannot do."""
        can = self.backend.can
        cannot = {"priority": not can.priorities, "unique": not can.unique, "expires_in_ms": not can.expiry}
        return {name: value for name, value in fields.items() if not cannot.get(name)}

    # Working

    def join(self, queues: tuple[str, ...], lease_ms: int) -> None:
        """A worker comes."""
        worker = self.backend.join(queues, lease_ms=lease_ms)
        assert worker not in self.seen, "an identity was used twice"
        self.model.join(worker, queues, lease_ms, self.now)
        self.known.append(worker)
        self.seen[worker] = 0

    @rule(pick=_picks, queues=st.one_of(st.none(), st.sampled_from(SERVED)), lease_ms=st.sampled_from([5000, 30_000]))
    def join_or_leave(self, pick: int, queues: tuple[str, ...] | None, lease_ms: int) -> None:
        """A worker comes, or one goes, perhaps for the second time."""
        if queues is not None:
            self.join(queues, lease_ms)
        else:
            worker = self._worker(pick)
            self.backend.leave(worker)
            self.model.leave(worker, self.now)

    def _claim(self, worker: WorkerId, limit: int, *, lose: bool = False) -> list[Claimed]:
        seen = self.seen[worker]
        try:
            claimed: list[Claimed] | None = self.backend.claim(worker, limit=limit, wait_ms=0, seen=seen)
        except WorkerLapsed:
            claimed = None
        try:
            expected: list[ModelJob] | None = self.model.claim(worker, limit, seen, self.now)
        except WorkerLapsed:
            expected = None
        same(claimed is None, expected is None)
        if claimed is None or expected is None:
            self.model.sweep(self.find, self.now, must=False)
            return []
        same([each.job_id for each in claimed], [each.id for each in expected])
        for got, due in zip(claimed, expected, strict=True):
            self._handed_out(got, due, worker)
        if claimed and not lose:
            self.seen[worker] = claimed[-1].token
        self.model.sweep(self.find, self.now, must=False)
        return claimed

    def _handed_out(self, got: Claimed, due: ModelJob, worker: WorkerId) -> None:
        if due.state is not JobState.RUNNING:
            assert got.token > self.model.last_token, "a token that is not greater than all before"
            self.model.grant(due, worker, got.token)
            self.attempts.append((worker, got.job_id, got.token))
        same(
            (got.token, got.attempt, got.crashes, got.frame),
            (due.token, due.attempt, due.crashes, pack_frame(due.frame, due.accepted_ms)),
        )

    @rule(pick=_picks, limit=st.integers(1, 5), lose=st.sampled_from([False, False, True]))
    def claim(self, pick: int, limit: int, lose: bool) -> None:
        """A worker asks for jobs; one in three never hears the answer."""
        self._claim(self._worker(pick), limit, lose=lose)

    @rule(pick=_picks, ends=st.lists(_verdicts, min_size=1, max_size=4), repeat=st.booleans())
    def work(self, pick: int, ends: list[Verdict], repeat: bool) -> None:
        """A worker claims, and settles what it got in one call, but perhaps the last; twice, if its reply was lost."""
        worker = self._worker(pick)
        claimed = self._claim(worker, len(ends) + pick % 2)
        settlements = [_settlement(each, verdict) for each, verdict in zip(claimed, ends, strict=False)]
        for _ in range(1 + repeat):
            self._settle(worker, settlements)

    @rule(pick=_picks, ends=st.lists(_verdicts, min_size=1, max_size=4))
    def work_on(self, pick: int, ends: list[Verdict]) -> None:
        """The same, one by one, as time goes on; said twice, for it is what workers do most."""
        worker = self._worker(pick)
        for verdict in ends:
            for each in self._claim(worker, 1):
                self._settle(worker, [_settlement(each, verdict)])
            self.clock.advance(1)

    def _settle(self, worker: WorkerId, settlements: list[Settlement]) -> None:
        answers = self.backend.settle(worker, settlements)
        for settlement, answer in zip(settlements, answers, strict=True):
            allowed = self.model.settle(worker, settlement, self.now)
            assert answer in allowed, f"{settlement}: {answer}, not {allowed}"
            self.said.append((worker, settlement))

    @precondition(lambda self: self.model.in_state(JobState.RUNNING))
    @rule(ends=st.lists(st.tuples(_picks, _verdicts), min_size=1, max_size=3))
    def settle(self, ends: list[tuple[int, Verdict]]) -> None:
        """Workers settle what they have; the second of one worker in the same call."""
        running = self.model.in_state(JobState.RUNNING)
        by_worker: dict[WorkerId, list[Settlement]] = {}
        for pick, verdict in ends:
            each = running[pick % len(running)]
            assert each.worker is not None
            by_worker.setdefault(each.worker, []).append(Settlement(each.id, each.token, verdict))
        for worker, settlements in by_worker.items():
            self._settle(worker, settlements)

    @precondition(lambda self: self.said)
    @rule(pick=_picks, verdict=_verdicts, instead=st.booleans(), other=st.one_of(st.none(), st.none(), _picks))
    def settle_again(self, pick: int, verdict: Verdict, instead: bool, other: int | None) -> None:
        """A settlement whose reply was lost is sent again; or another under the same token; or by another worker."""
        worker, settlement = self.said[-1 - pick % min(len(self.said), 8)]
        worker = worker if other is None else self._worker(other)
        again = Settlement(settlement.job_id, settlement.token, verdict) if instead else settlement
        self._settle(worker, [again])

    @precondition(lambda self: self.attempts)
    @rule(pick=_picks, verdict=_verdicts, shift=st.sampled_from([0, 0, 0, -1, 1]), other=st.one_of(st.none(), _picks))
    def settle_any(self, pick: int, verdict: Verdict, shift: int, other: int | None) -> None:
        """A stale worker, a wrong token, the wrong hands."""
        worker, job_id, token = self._attempt(pick)
        worker = worker if other is None else self._worker(other)
        self._settle(worker, [Settlement(job_id, token + shift, verdict)])

    @rule(pick=_picks, picks=st.lists(_picks, max_size=4))
    def beat(self, pick: int, picks: list[int]) -> None:
        """A worker asks what it has, and its heartbeat asks about some tokens, its own or not."""
        worker = self._worker(pick)
        if isinstance(self.backend, Owning):
            same(self.backend.owned(worker), self.model.owned(worker))
        self._beat(worker, [self._attempt(each)[2] for each in picks if self.attempts])

    def _beat(self, worker: WorkerId, tokens: list[Token]) -> None:
        answer = self.backend.beat(worker, tokens)
        same((answer.lost, answer.cancels, answer.lapsed), self.model.beat(worker, tokens, self.now))

    @rule(pick=_picks)
    def cancel(self, pick: int) -> None:
        """Somebody wants a job to stop."""
        if not self.backend.can.cancel:
            return
        name = self._name(pick, *PENDING)
        forgotten = name in self._forgotten()
        answer = self.backend.cancel(name)
        if not (forgotten and answer.value == "unknown"):
            same(answer, self.model.cancel(name, self.now))

    # Time

    @rule(ms=_steps)
    def go_on(self, ms: int) -> None:
        """Time passes, and all workers beat."""
        self._pass(ms, set(self.model.workers))

    @rule(pick=_picks, ms=_jumps, alone=st.booleans())
    def fall_silent(self, pick: int, ms: int, alone: bool) -> None:
        """A worker claims and dies, alone or with all others; one more comes."""
        dead = self._worker(pick)
        self._claim(dead, 1 + pick % 3)
        self._pass(ms, set(self.model.workers) - {dead} if alone else set())
        self.join(SERVED[pick % len(SERVED)], 30_000)

    def _pass(self, ms: int, beating: set[WorkerId]) -> None:
        self.clock.advance(ms)
        for worker in sorted(beating):
            # A late beat is in time: nobody noticed.
            self._beat(worker, [])

    @rule(limit=st.sampled_from([1, 2, 100, 100]))
    def maintain(self, limit: int) -> None:
        """Upkeep, in small or large portions, until all is done."""
        for _ in range(200):
            done = self.backend.maintain(limit=limit)
            kinds = (done.promoted, done.reclaimed, done.failed, done.expired, done.pruned)
            assert max(kinds) <= limit, f"more than the limit: {done}"
            if not done.more:
                break
        else:
            raise AssertionError("upkeep has no end")
        self.model.reap(self.now)
        self.model.promote(self.now)
        self.model.sweep(self.find, self.now, must=True)

    # By hand

    @rule(pick=_picks, deed=st.sampled_from(["requeue", "requeue", "take", "take", "pause", "resume", "resume"]))
    def operate(self, pick: int, deed: str) -> None:
        """What an operator does by hand."""
        if isinstance(self.backend, Operate):
            queue = QUEUES[pick % len(QUEUES)]
            match deed:
                case "requeue":
                    self._requeue(self.backend, pick)
                case "take":
                    self._take(self.backend, self._worker(pick), pick)
                case "pause":
                    self.backend.pause(queue)
                    self.model.paused.add(queue)
                case _:
                    self.backend.resume(queue)
                    self.model.paused.discard(queue)

    def _requeue(self, backend: Operate, pick: int) -> None:
        name = self._name(pick, JobState.FAILED, JobState.HELD)
        forgotten = name in self._forgotten()
        answer = backend.requeue(name)
        if answer or not forgotten:
            same(answer, self.model.requeue(name))

    @rule(
        state=st.sampled_from(sorted(PENDING - {JobState.RUNNING} | {JobState.FAILED})),
        queue=st.one_of(st.none(), st.sampled_from(QUEUES)),
        limit=st.sampled_from([1, 2, 100]),
    )
    def purge(self, state: JobState, queue: str | None, limit: int) -> None:
        """Some jobs of a state are thrown away; which, is the backend's choice."""
        if not isinstance(self.backend, Operate) or not isinstance(self.backend, Inspect):
            return
        forget_dead_letters(self.model, self.backend, self.now)
        there = [j for j in self.model.in_state(state) if queue in (None, j.frame.queue)]
        there = [j for j in there if j.dead or state is not JobState.FAILED]
        answer = self.backend.purge(state, queue=queue, limit=limit)
        if state is JobState.FAILED:
            left = {record.job_id for record in self.backend.page(JobState.FAILED).records}
            gone = [j for j in there if j.id not in left]
            for each in gone:
                self.model.bury(each)
        else:
            found = {j.id: self.find(j.id) for j in there}
            gone = [j for j in there if (record := found[j.id]) is not None and record.reason == "purged"]
            self.model.end(gone, JobState.CANCELED, self.now, "purged")
        same(answer, len(gone))
        assert min(1, len(there)) <= answer <= limit, f"{answer} of {len(there)} purged"

    def _take(self, backend: Operate, worker: WorkerId, pick: int) -> None:
        """One job is claimed before its turn."""
        name = self._name(pick, JobState.SCHEDULED, JobState.WAITING, JobState.RETRYING)
        identity = self.model.workers.get(worker)
        if identity is not None and identity.ends_ms <= self.now:
            return  # Whether `take` notices that this very lease is over is left open.
        try:
            got = backend.take(worker, name)
        except WorkerLapsed:
            assert identity is None, "WorkerLapsed, though its lease holds"
            return
        assert identity is not None, "an identity that is over took a job"
        due = self.model.take(worker, name, self.now)
        same(got is None, due is None)
        if got is not None and due is not None:
            self._handed_out(got, due, worker)

    @rule(kinds=st.lists(st.sampled_from(["1", "2", "3"]), max_size=2, unique=True))
    def release_held(self, kinds: list[str]) -> None:
        """A worker came that knows these."""
        if isinstance(self.backend, Holding):
            answer = self.backend.release_held([HeldKind("t", schema) for schema in kinds])
            same(answer, self.model.release_held([("t", schema) for schema in kinds]))

    @precondition(lambda self: self.attempts)
    @rule(pick=_picks, progress=st.binary(max_size=2), other=st.one_of(st.none(), st.none(), _picks))
    def note(self, pick: int, progress: bytes, other: int | None) -> None:
        """Progress, from the right hands or the wrong ones."""
        if isinstance(self.backend, Notes):
            worker, _, token = self._attempt(pick)
            worker = worker if other is None else self._worker(other)
            same(self.backend.note(worker, token, progress), self.model.note(worker, token, progress))

    @rule()
    def open_anew(self) -> None:
        """The storage is opened by another."""
        other = self.reopen(self.backend)
        if other is not None:
            self.backend.close()
            self.backend = other
            other.open()

    # What can be seen

    @invariant()
    def all_agrees(self) -> None:
        """Every job, every line, every count, and the storage itself."""
        compare(self.model, self.backend, NAMES, self.now)
        self.audit(self.backend)

    # Small words

    def _worker(self, pick: int) -> WorkerId:
        living = sorted(self.model.workers)
        return living[pick % len(living)] if living and pick % 8 else self.known[pick % len(self.known)]

    def _name(self, pick: int, *states: JobState) -> JobId:
        there = [each.id for each in self.model.in_state(*states)]
        return there[pick % len(there)] if there and pick % 8 else NAMES[pick % len(NAMES)]

    def _attempt(self, pick: int) -> tuple[WorkerId, JobId, Token]:
        return self.attempts[-1 - pick % min(len(self.attempts), 12)]

    def _forgotten(self) -> set[JobId]:
        """What the backend may or may not know any more."""
        return {j.id for j in self.model.jobs.values() if j.state in FINAL and j.known_until_ms <= self.now}


def _settlement(claimed: Claimed, verdict: Verdict) -> Settlement:
    return Settlement(claimed.job_id, claimed.token, verdict)
