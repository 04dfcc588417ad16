"""Ending attempts: by the right worker under the right token, once; a repeat gets the same answer, all else is lost."""

import pytest

from typedgator.backends.contract import Settled, WorkerId
from typedgator.testing.contract.bench import LEASE_MS, Bench, Given, job, named, numbers, requires
from typedgator.wire.ids import JobId
from typedgator.wire.states import JobState
from typedgator.wire.verdict import (
    Canceled,
    Failed,
    Held,
    Released,
    RetryIn,
    Settlement,
    Snoozed,
    Succeeded,
    Verdict,
)

__all__ = ["EACH_KIND", "Settling"]

EACH_KIND: list[Verdict] = [
    Succeeded(b"a result", 600_000),
    Failed(b"an error"),
    RetryIn(1000, b"an error"),
    Snoozed(1000),
    Released(),
    Canceled("enough"),
    Held("unknown task", "a.b", "fingerprint"),
]


def kind(verdict: Verdict) -> str:
    """How a parametrized test calls a verdict."""
    return verdict.kind


class Settling(Given):
    """`settle`."""

    @pytest.mark.parametrize(
        ("verdict", "state"),
        list(zip(EACH_KIND, ["success", "failed", "retrying", "retrying", "waiting", "canceled", "held"], strict=True)),
        ids=[verdict.kind for verdict in EACH_KIND],
    )
    def test_each_verdict_leads_to_its_state(self, bench: Bench, verdict: Verdict, state: str) -> None:
        """Succeeded, Failed, RetryIn, Snoozed, Released, Canceled, Held: each has its state."""
        bench.accept(job(1))
        hand = bench.hand()

        answer = hand.settle(hand.claim_one(), verdict)

        assert answer is Settled.WRITTEN
        assert bench.state(1) == state

    @pytest.mark.parametrize("verdict", EACH_KIND, ids=kind)
    def test_the_same_settlement_again_gets_the_same_answer(self, bench: Bench, verdict: Verdict) -> None:
        """A settlement whose reply was lost is sent again: WRITTEN, for at least 60 s, and nothing happens twice."""
        bench.accept(job(1), job(2))
        hand = bench.hand()
        claimed = hand.claim_one()
        hand.settle(claimed, verdict)
        state = bench.state(1)

        bench.clock.advance(29_000)
        at_once = hand.settle(claimed, verdict)
        hand.beat()
        bench.clock.advance(29_000)
        later = hand.settle(claimed, verdict)

        assert (at_once, later) == (Settled.WRITTEN, Settled.WRITTEN)
        assert bench.state(1) is state

    @pytest.mark.parametrize("verdict", EACH_KIND, ids=kind)
    def test_two_settlements_are_the_same_by_job_token_and_kind(self, bench: Bench, verdict: Verdict) -> None:
        """Under a spent token every other kind of verdict is LOST and writes nothing."""
        bench.accept(job(1))
        hand = bench.hand()
        claimed = hand.claim_one()
        hand.settle(claimed, verdict)
        before = bench.record(1)

        answers = [hand.settle(claimed, other) for other in EACH_KIND if other.kind != verdict.kind]

        assert answers == [Settled.LOST] * 6
        assert bench.record(1) == before

    def test_a_repeated_settlement_changes_nothing(self, bench: Bench) -> None:
        """The first words stand, also when the repeat says them differently."""
        bench.accept(job(1))
        hand = bench.hand()
        claimed = hand.claim_one()
        hand.settle(claimed, Succeeded(b"first"))

        assert hand.settle(claimed, Succeeded(b"second")) is Settled.WRITTEN
        assert bench.record(1).outcome == b"first"

    @pytest.mark.parametrize("verdict", [RetryIn(0), Snoozed(0), Released()], ids=kind)
    def test_a_repeat_is_known_while_the_job_runs_again(self, bench: Bench, verdict: Verdict) -> None:
        """A repeat is WRITTEN whatever became of the job meanwhile, and the new attempt is not touched."""
        bench.accept(job(1))
        hand, other = bench.hand(), bench.hand()
        first = hand.claim_one()
        hand.settle(first, verdict)
        second = other.claim_one()

        assert hand.settle(first, verdict) is Settled.WRITTEN
        assert hand.succeed(first) is Settled.LOST
        assert other.succeed(second) is Settled.WRITTEN
        assert hand.settle(first, verdict) is Settled.WRITTEN

    def test_one_batch_may_repeat_itself(self, bench: Bench) -> None:
        """Settlements of one call follow each other; lists answer in the order asked."""
        bench.accept(job(1), job(2))
        hand = bench.hand()
        one, two = hand.claim()
        settlements = [
            Settlement(two.job_id, two.token, Succeeded()),
            Settlement(one.job_id, two.token, Succeeded()),
            Settlement(two.job_id, two.token, Succeeded()),
            Settlement(two.job_id, two.token, Failed(b"error")),
            Settlement(one.job_id, one.token, RetryIn(1)),
        ]

        answers = bench.backend.settle(hand.id, settlements)

        assert answers == [Settled.WRITTEN, Settled.LOST, Settled.WRITTEN, Settled.LOST, Settled.WRITTEN]
        assert bench.states(1, 2) == [JobState.RETRYING, JobState.SUCCESS]
        assert bench.backend.settle(hand.id, []) == []

    def test_a_wrong_token_is_lost(self, bench: Bench) -> None:
        """A token that is not this attempt's writes nothing."""
        bench.accept(job(1), job(2))
        hand = bench.hand()
        one, two = hand.claim()

        answers = bench.backend.settle(
            hand.id,
            [Settlement(one.job_id, token, Succeeded()) for token in (0, one.token - 1, one.token + 10, two.token)],
        )

        assert answers == [Settled.LOST] * 4
        assert bench.state(1) is JobState.RUNNING

    def test_a_wrong_worker_is_lost(self, bench: Bench) -> None:
        """The right token in the wrong hands writes nothing."""
        bench.accept(job(1))
        claimed = bench.hand().claim_one()

        assert bench.hand().succeed(claimed) is Settled.LOST
        assert bench.backend.settle(WorkerId("nobody"), [Settlement(claimed.job_id, claimed.token, Succeeded())]) == [
            Settled.LOST
        ]
        assert bench.state(1) is JobState.RUNNING

    def test_an_unknown_job_is_lost(self, bench: Bench) -> None:
        """A settlement of a job that nobody knows is LOST."""
        hand = bench.hand()
        unknown = [Settlement(JobId(b"never seen"), 1, Succeeded()), Settlement(named(9), 0, Failed(b"error"))]

        assert bench.backend.settle(hand.id, unknown) == [Settled.LOST, Settled.LOST]

    def test_a_retry_runs_again_after_its_delay(self, bench: Bench) -> None:
        """RetryIn: retrying until the delay is over, counted on the backend's clock; meanwhile the error is shown."""
        bench.accept(job(1))
        hand = bench.hand()
        hand.settle(hand.claim_one(), RetryIn(1000, b"an error"))

        assert (bench.state(1), bench.record(1).outcome) == (JobState.RETRYING, b"an error")
        bench.clock.advance(999)
        assert hand.claim() == []
        bench.clock.advance(1)
        assert numbers(hand.claim()) == [1]

    @pytest.mark.parametrize("verdict", [RetryIn(0), Snoozed(0)], ids=kind)
    def test_a_retry_without_delay_is_due_at_once(self, bench: Bench, verdict: Verdict) -> None:
        """With delay 0 a job is retrying until the next claim, which hands it out."""
        bench.accept(job(1))
        hand = bench.hand()
        hand.settle(hand.claim_one(), verdict)

        assert bench.state(1) is JobState.RETRYING
        assert numbers(hand.claim()) == [1]

    def test_a_result_is_kept(self, bench: Bench) -> None:
        """The result of a success is in its record for as long as the verdict asks."""
        bench.accept(job(1))
        hand = bench.hand()
        hand.settle(hand.claim_one(), Succeeded(b"\x00 any bytes \xff", keep_ms=3_600_000))

        bench.clock.advance(3_599_999)
        bench.maintain()

        assert bench.record(1).outcome == b"\x00 any bytes \xff"

    def test_a_success_has_no_error_left(self, bench: Bench) -> None:
        """An outcome stays until another verdict that has one replaces it: None replaces the error of a retry."""
        bench.accept(job(1))
        hand = bench.hand()
        hand.settle(hand.claim_one(), RetryIn(0, b"an error"))
        hand.succeed(hand.claim_one())

        assert bench.record(1).outcome is None

    @requires("inspect")
    def test_a_finished_job_says_when(self, bench: Bench) -> None:
        """`finished_ms` is the time of the end on the backend's clock."""
        bench.accept(job(1))
        hand = bench.hand()
        claimed = hand.claim_one()
        bench.clock.advance(17)
        hand.succeed(claimed)

        assert bench.record(1).finished_ms == bench.clock.now_ms()

    def test_a_cancellation_by_the_task_bears_its_words(self, bench: Bench) -> None:
        """Canceled: the reason is the task's own, up to 200 characters of any kind."""
        bench.accept(job(1))
        reason = "weil's so ist ✓ " * 12
        bench.run(1, Canceled(reason))

        assert (bench.state(1), bench.record(1).reason) == (JobState.CANCELED, reason)

    def test_a_finished_job_is_never_handed_out_again(self, bench: Bench) -> None:
        """Success, failure and cancellation are final: no time, no reaping and no upkeep brings them back."""
        bench.accept(job(1), job(2), job(3))
        hand = bench.hand()
        ends: list[Verdict] = [Succeeded(), Failed(b"error"), Canceled()]
        for claimed, verdict in zip(hand.claim(), ends, strict=True):
            hand.settle(claimed, verdict)

        for _ in range(3):
            bench.clock.advance(LEASE_MS)
            bench.maintain()

        assert bench.hand().claim() == []
