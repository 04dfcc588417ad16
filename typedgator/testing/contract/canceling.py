"""Wishes to stop: granted at once before a job runs, passed on while it runs, too late afterwards."""

import pytest

from typedgator.backends.contract import Beat, CancelAnswer, Receipt, ReceiptStatus, Settled
from typedgator.testing.contract.bench import LEASE_MS, Bench, Given, job, named, numbers, requires
from typedgator.wire.states import JobState
from typedgator.wire.verdict import (
    Canceled,
    Failed,
    Held,
    Released,
    RetryIn,
    Snoozed,
    Succeeded,
    Verdict,
)

__all__ = ["Canceling"]


class Canceling(Given):
    """`cancel`."""

    @requires("cancel")
    @pytest.mark.parametrize("state", ["waiting", "scheduled", "blocked", "retrying", "held"])
    def test_a_job_that_is_not_running_is_canceled_at_once(self, bench: Bench, state: str) -> None:
        """In every state before running: DONE, canceled with reason `canceled`, never handed out."""
        bench.accept(job(9, "other"))
        bench.accept(job(1, delay_ms=1000 if state == "scheduled" else 0, after=[9] if state == "blocked" else []))
        if state == "retrying":
            bench.run(1, RetryIn(1000))
        elif state == "held":
            bench.run(1, Held("why", "t", "s"))
        assert bench.state(1) == state

        answer = bench.cancel(1)

        assert answer is CancelAnswer.DONE
        assert (bench.state(1), bench.record(1).reason) == (JobState.CANCELED, "canceled")
        bench.clock.advance(1000)
        bench.maintain()
        assert bench.hand().claim() == []

    @requires("cancel")
    def test_a_canceled_job_is_canceled(self, bench: Bench) -> None:
        """Asked again the answer is DONE again: canceled now or before."""
        bench.accept(job(1), job(2))
        bench.run(1, Canceled("its own wish"))
        bench.cancel(2)

        assert [bench.cancel(1), bench.cancel(2)] == [CancelAnswer.DONE, CancelAnswer.DONE]
        assert bench.record(1).reason == "its own wish"

    @requires("cancel")
    def test_after_success_or_failure_it_is_too_late(self, bench: Bench) -> None:
        """A final outcome is never overwritten: TOO_LATE, and state, reason and outcome stay."""
        bench.accept(job(1), job(2))
        bench.run(1, Succeeded(b"a result"))
        bench.run(2, Failed(b"an error"))
        before = [bench.record(1), bench.record(2)]

        assert [bench.cancel(1), bench.cancel(2)] == [CancelAnswer.TOO_LATE, CancelAnswer.TOO_LATE]
        assert [bench.record(1), bench.record(2)] == before

    @requires("cancel")
    def test_an_unknown_job_cannot_be_canceled(self, bench: Bench) -> None:
        """UNKNOWN, and nothing is remembered of it: an enqueue of this id afterwards is new."""
        assert bench.cancel(1) is CancelAnswer.UNKNOWN

        assert bench.add(job(1)) == [Receipt(ReceiptStatus.NEW, named(1))]

    @requires("cancel")
    def test_a_running_job_is_asked_to_stop(self, bench: Bench) -> None:
        """REQUESTED: the job runs on, and its worker is told with each beat that asks about it."""
        bench.accept(job(1), job(2))
        hand = bench.hand()
        one, two = hand.claim()

        assert [bench.cancel(1), bench.cancel(1)] == [CancelAnswer.REQUESTED, CancelAnswer.REQUESTED]

        assert bench.state(1) is JobState.RUNNING
        assert hand.beat(two, one) == Beat(cancels=[one.token])
        assert hand.beat(two) == Beat()
        assert hand.beat(one) == Beat(cancels=[one.token])

    @requires("cancel", "inspect")
    def test_the_record_shows_the_wish(self, bench: Bench) -> None:
        """`cancel_requested` is true of a running job that was asked to stop."""
        bench.accept(job(1))
        bench.hand().claim()
        assert not bench.record(1).cancel_requested

        bench.cancel(1)

        assert bench.record(1).cancel_requested

    @requires("cancel")
    @pytest.mark.parametrize(
        "verdict", [RetryIn(1000), Snoozed(1000), Released(), Held("why", "t", "s")], ids=lambda v: type(v).__name__
    )
    def test_a_job_that_was_asked_to_stop_does_not_run_again(self, bench: Bench, verdict: Verdict) -> None:
        """Instead of retrying, waiting or held it goes to canceled; the settlement is WRITTEN, and so is its repeat."""
        bench.accept(job(1))
        hand = bench.hand()
        claimed = hand.claim_one()
        bench.cancel(1)

        answer = hand.settle(claimed, verdict)

        assert answer is Settled.WRITTEN
        assert (bench.state(1), bench.record(1).reason) == (JobState.CANCELED, "canceled")
        assert hand.settle(claimed, verdict) is Settled.WRITTEN
        assert hand.settle(claimed, Canceled()) is Settled.LOST

    @requires("cancel")
    @pytest.mark.parametrize(
        ("verdict", "state"),
        [(Succeeded(), JobState.SUCCESS), (Failed(b"error"), JobState.FAILED), (Canceled("own"), JobState.CANCELED)],
    )
    def test_an_end_that_was_reached_counts_more_than_the_wish(
        self, bench: Bench, verdict: Verdict, state: JobState
    ) -> None:
        """Who succeeds, fails or cancels by itself in spite of the wish has done so."""
        bench.accept(job(1))
        hand = bench.hand()
        claimed = hand.claim_one()
        bench.cancel(1)

        hand.settle(claimed, verdict)

        assert bench.state(1) is state

    @requires("cancel")
    def test_a_job_that_was_asked_to_stop_ends_with_its_worker(self, bench: Bench) -> None:
        """Its worker lapsed or left: canceled, not run again."""
        bench.accept(job(1), job(2))
        lapsing, leaving = bench.hand(), bench.hand()
        lapsing.claim(1)
        leaving.claim(1)
        bench.cancel(1)
        bench.cancel(2)

        leaving.leave()
        bench.clock.advance(LEASE_MS)
        bench.maintain()

        assert bench.states(1, 2) == [JobState.CANCELED, JobState.CANCELED]
        assert bench.record(1).reason == "canceled"

    @requires("cancel")
    def test_more_crashes_than_the_budget_count_more_than_the_wish(self, bench: Bench) -> None:
        """A job that crashed once too often is failed, asked to stop or not."""
        bench.accept(job(1, crash_budget=0))
        bench.hand().claim()
        bench.cancel(1)

        bench.clock.advance(LEASE_MS)
        bench.maintain()

        assert (bench.state(1), bench.record(1).reason) == (JobState.FAILED, "crashed")

    @requires("cancel")
    def test_the_blind_repeat_of_an_enqueue_does_not_undo_a_cancellation(self, bench: Bench) -> None:
        """A canceled job's id is known for at least 60 s: the repeat is DUPLICATE, and nothing runs."""
        bench.accept(job(1))
        bench.cancel(1)
        bench.clock.advance(59_999)
        bench.maintain()

        assert bench.add(job(1)) == [Receipt(ReceiptStatus.DUPLICATE, named(1))]
        assert bench.hand().claim() == []

    @requires("cancel")
    def test_neighbours_are_not_touched(self, bench: Bench) -> None:
        """A job canceled in the middle of its queue leaves the order of the others."""
        bench.accept(*(job(number) for number in range(5)))
        bench.cancel(0)
        bench.cancel(3)

        assert numbers(bench.hand().claim()) == [1, 2, 4]
