"""The suite itself: a backend that can little passes by refusing; one that pretends, or is broken, does not pass."""

from collections.abc import Callable, Sequence
from typing import Final

import pytest
from hypothesis import Phase, settings

from typedgator.backends.contract import (
    Backend,
    Beat,
    CancelAnswer,
    Capabilities,
    Claimed,
    JobRecord,
    Receipt,
    Settled,
    Upkeep,
    WorkerId,
)
from typedgator.backends.locmem import LocmemBackend
from typedgator.clock import Clock
from typedgator.errors import Unsupported
from typedgator.testing.clock import FakeClock
from typedgator.testing.contract import BackendContract, BackendModel, Bench
from typedgator.testing.contract.bench import refuses
from typedgator.testing.contract.claiming import Claiming
from typedgator.testing.contract.seeing import Seeing
from typedgator.testing.contract.settling import Settling
from typedgator.wire.frame import Frame
from typedgator.wire.ids import JobId, caller_id
from typedgator.wire.verdict import Failed, Settlement, Token


class FrugalBackend:
    """Queues, delays, retries and results; whatever else is asked for is refused."""

    can: Final = Capabilities(
        durable=False,
        shared=False,
        priorities=False,
        unique=False,
        dependencies=False,
        expiry=False,
        caller_ids=False,
        cancel=False,
        inspect=False,
        operate=False,
        holding=False,
        notes=False,
    )

    def __init__(self, clock: Clock) -> None:
        self._inner = LocmemBackend(clock=clock)

    def open(self) -> None:
        self._inner.open()

    def close(self) -> None:
        self._inner.close()

    def enqueue(self, frames: Sequence[Frame], /) -> list[Receipt]:
        for frame in frames:
            more = frame.priority != 100, frame.unique, frame.parents, frame.expires_in_ms, caller_id(frame.job_id)
            if any(more):
                raise Unsupported("this backend can do no more than queue")
        return self._inner.enqueue(frames)

    def join(self, queues: Sequence[str], /, *, lease_ms: int) -> WorkerId:
        return self._inner.join(queues, lease_ms=lease_ms)

    def leave(self, worker: WorkerId, /) -> None:
        self._inner.leave(worker)

    def claim(self, worker: WorkerId, /, *, limit: int, wait_ms: int, seen: Token) -> list[Claimed]:
        return self._inner.claim(worker, limit=limit, wait_ms=wait_ms, seen=seen)

    def beat(self, worker: WorkerId, tokens: Sequence[Token], /) -> Beat:
        return self._inner.beat(worker, tokens)

    def settle(self, worker: WorkerId, settlements: Sequence[Settlement], /) -> list[Settled]:
        return self._inner.settle(worker, settlements)

    def cancel(self, job_id: JobId, /) -> CancelAnswer:
        raise Unsupported("this backend cannot cancel")

    def maintain(self, *, limit: int) -> Upkeep:
        return self._inner.maintain(limit=limit)

    def outcome(self, job_id: JobId, /, *, wait_ms: int) -> JobRecord | None:
        return self._inner.outcome(job_id, wait_ms=wait_ms)


class TestFrugal(Claiming, Settling, Seeing):
    """What it can, it does; for the rest, each test sees it refuse."""

    def make(self, clock: Clock) -> Backend:
        """A fresh one."""
        return FrugalBackend(clock)


class Pretending(LocmemBackend):
    """Denies all, and does it nonetheless."""

    can = FrugalBackend.can


@pytest.mark.parametrize(
    "ability", ["priorities", "unique", "dependencies", "expiry", "caller_ids", "cancel", "operate", "holding", "notes"]
)
def test_a_downgrade_in_silence_is_found(ability: str) -> None:
    """What `can` denies must be refused, not half done."""
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        refuses(Pretending(clock=FakeClock()), ability)


class Overwriting(LocmemBackend):
    """Cancels what has ended."""

    def cancel(self, job_id: JobId, /) -> CancelAnswer:
        answer = super().cancel(job_id)
        return CancelAnswer.DONE if answer is CancelAnswer.TOO_LATE else answer


class Forgetting(LocmemBackend):
    """Calls a repeated failure lost."""

    def settle(self, worker: WorkerId, settlements: Sequence[Settlement], /) -> list[Settled]:
        known = [self.find(each.job_id) for each in settlements]
        answers = super().settle(worker, settlements)
        ended = [record is not None and record.finished_ms is not None for record in known]
        return [
            Settled.LOST if isinstance(each.verdict, Failed) and over else answer
            for each, over, answer in zip(settlements, ended, answers, strict=True)
        ]


class Hurrying(LocmemBackend):
    """Believes that every reply of a claim arrived."""

    def claim(self, worker: WorkerId, /, *, limit: int, wait_ms: int, seen: Token) -> list[Claimed]:
        return super().claim(worker, limit=limit, wait_ms=wait_ms, seen=2**53)


BROKEN: Final[list[tuple[type[LocmemBackend], Callable[[BackendContract, Bench], None]]]] = [
    (Overwriting, BackendContract.test_after_success_or_failure_it_is_too_late),
    (Forgetting, BackendContract.test_a_purged_jobs_settlement_may_still_be_repeated),
    (Hurrying, BackendContract.test_a_lost_claim_reply_is_sent_again),
]


@pytest.mark.parametrize(("broken", "test"), BROKEN, ids=lambda each: each.__name__)
def test_a_broken_backend_fails_the_suite(
    broken: type[LocmemBackend], test: Callable[[BackendContract, Bench], None]
) -> None:
    """Each planted bug is found by the test that says what it breaks."""
    clock = FakeClock()

    with pytest.raises(AssertionError):
        test(BackendContract(), Bench(broken(clock=clock), clock))


@pytest.mark.parametrize("broken", [broken for broken, _ in BROKEN], ids=lambda each: each.__name__)
def test_a_broken_backend_differs_from_the_model(broken: type[LocmemBackend]) -> None:
    """... and by the model, which was not told where to look."""

    class Model(BackendModel):
        def make(self, clock: Clock) -> Backend:
            return broken(clock=clock)

    test = Model.as_test()
    # The same runs each time, and no minutes spent on making the difference small.
    test.settings = settings(  # type: ignore[attr-defined]  # hypothesis reads it from the class
        max_examples=500,
        stateful_step_count=60,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
    )

    with pytest.raises(AssertionError):
        test("runTest").runTest()  # type: ignore[attr-defined]  # every hypothesis machine has it
