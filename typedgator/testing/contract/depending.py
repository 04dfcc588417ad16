"""Jobs that wait for others: freed by the last success, canceled by the first end that is none, all the way down."""

import pytest

from typedgator.backends.contract import Receipt, ReceiptStatus
from typedgator.testing.contract.bench import KEY, LEASE_MS, Bench, Given, job, named, numbers, requires
from typedgator.wire.states import JobState
from typedgator.wire.verdict import Canceled, Failed, Held, RetryIn, Snoozed, Succeeded, Verdict

__all__ = ["Depending"]


class Depending(Given):
    """Dependents."""

    @requires("dependencies")
    def test_a_child_waits_until_its_last_parent_succeeded(self, bench: Bench) -> None:
        """Blocked while any parent is unfinished; waiting with the success of the last."""
        bench.accept(job(1), job(2), job(3, after=[1, 2, 1]))
        hand = bench.hand()
        one, two = hand.claim()

        assert bench.state(3) is JobState.BLOCKED
        hand.succeed(two)
        assert bench.state(3) is JobState.BLOCKED
        hand.succeed(one)

        assert numbers(hand.claim()) == [3]

    @requires("dependencies", "inspect")
    def test_a_blocked_job_names_the_parents_it_still_waits_for(self, bench: Bench) -> None:
        """`parents` of a record are those that did not succeed yet."""
        bench.accept(job(1), job(2), job(3, after=[1, 2]))
        assert set(bench.record(3).parents) == {named(1), named(2)}

        bench.run(1, Succeeded())

        assert set(bench.record(3).parents) == {named(2)}

    @requires("dependencies")
    def test_a_parent_that_succeeded_counts_while_it_is_known(self, bench: Bench) -> None:
        """A child that comes after its parent's success does not wait."""
        bench.accept(job(1))
        bench.run(1, Succeeded())
        bench.clock.advance(59_999)
        bench.maintain()

        bench.accept(job(2, after=[1]))

        assert numbers(bench.hand().claim()) == [2]

    @requires("dependencies")
    @pytest.mark.parametrize("verdict", [Failed(b"error"), Canceled()], ids=lambda v: type(v).__name__)
    def test_a_parent_that_did_not_succeed_cancels_its_children(self, bench: Bench, verdict: Verdict) -> None:
        """Children, grandchildren and those with other parents too are canceled with reason `dependency`."""
        bench.accept(job(1), job(9), job(2, after=[1]), job(3, after=[2]), job(4, after=[3, 9]), job(5, after=[9]))

        bench.run(1, verdict)

        assert bench.states(2, 3, 4, 5) == [JobState.CANCELED] * 3 + [JobState.BLOCKED]
        assert {bench.record(number).reason for number in (2, 3, 4)} == {"dependency"}

    @requires("dependencies")
    @pytest.mark.parametrize("verdict", [Failed(b"error"), Canceled()], ids=lambda v: type(v).__name__)
    def test_a_child_that_comes_too_late_is_canceled(self, bench: Bench, verdict: Verdict) -> None:
        """A known parent that failed or was canceled makes a new child canceled at once; the receipt says NEW."""
        bench.accept(job(1))
        bench.run(1, verdict)

        receipts = bench.add(job(2, after=[1]), job(3, after=[2]))

        assert [receipt.status for receipt in receipts] == [ReceiptStatus.NEW, ReceiptStatus.NEW]
        assert bench.states(2, 3) == [JobState.CANCELED, JobState.CANCELED]
        assert bench.record(3).reason == "dependency"

    @requires("dependencies", "cancel")
    def test_a_canceled_parent_cancels_its_children(self, bench: Bench) -> None:
        """`cancel` of a job that is not running takes its children with it."""
        bench.accept(job(1), job(2, after=[1]), job(3, after=[2]))

        bench.cancel(1)

        assert bench.states(1, 2, 3) == [JobState.CANCELED] * 3
        assert [bench.record(number).reason for number in (1, 2, 3)] == ["canceled", "dependency", "dependency"]

    @requires("dependencies")
    def test_a_crashed_parent_cancels_its_children(self, bench: Bench) -> None:
        """A parent past its crash budget has failed, and its children with it."""
        bench.accept(job(1, crash_budget=0), job(2, after=[1]))

        bench.crash()

        assert bench.states(1, 2) == [JobState.FAILED, JobState.CANCELED]

    @requires("dependencies", "expiry")
    def test_an_expired_parent_cancels_its_children(self, bench: Bench) -> None:
        """A parent that was not started in time is canceled, and its children with it."""
        bench.accept(job(1, expires_in_ms=1000), job(2, after=[1]))
        bench.clock.advance(1000)
        bench.maintain()

        assert [bench.record(number).reason for number in (1, 2)] == ["expired", "dependency"]

    @requires("dependencies", "expiry")
    def test_upkeep_in_small_portions_ends_all_that_expired(self, bench: Bench) -> None:
        """A child that its parent takes along leaves room in the portion, and what is behind is not forgotten."""
        bench.accept(job(1, expires_in_ms=1000), job(2, after=[1], expires_in_ms=1000), job(3, expires_in_ms=1000))
        bench.clock.advance(1000)
        bench.maintain(limit=2)

        assert [bench.state(number) for number in (1, 2, 3)] == [JobState.CANCELED] * 3

    @requires("dependencies", "expiry")
    def test_a_blocked_job_expires(self, bench: Bench) -> None:
        """A child whose parent took too long is canceled with reason `expired`; the parent's end does not revive it."""
        bench.accept(job(1), job(2, after=[1], expires_in_ms=1000))
        hand = bench.hand()
        claimed = hand.claim_one()
        bench.clock.advance(1000)
        bench.maintain()

        hand.succeed(claimed)

        assert (bench.state(2), bench.record(2).reason) == (JobState.CANCELED, "expired")
        assert hand.claim() == []

    @requires("dependencies")
    @pytest.mark.parametrize(
        "verdict", [RetryIn(1000), Snoozed(1000), Held("why", "t", "s")], ids=lambda v: type(v).__name__
    )
    def test_a_parent_that_runs_again_keeps_its_children_waiting(self, bench: Bench, verdict: Verdict) -> None:
        """Only a final state of the parent decides."""
        bench.accept(job(1), job(2, after=[1]))

        bench.run(1, verdict)

        assert bench.state(2) is JobState.BLOCKED

    @requires("dependencies")
    def test_a_lost_settlement_frees_nobody(self, bench: Bench) -> None:
        """What a reaped worker says of the parent does not reach the children."""
        bench.accept(job(1), job(2, after=[1]))
        zombie = bench.hand()
        stale = zombie.claim_one()
        bench.clock.advance(LEASE_MS)
        bench.maintain()

        zombie.succeed(stale)
        zombie.settle(stale, Failed(b"error"))

        assert bench.state(2) is JobState.BLOCKED

    @requires("dependencies")
    def test_a_delay_counts_while_a_job_is_blocked(self, bench: Bench) -> None:
        """A freed child is scheduled when its delay, counted from acceptance, is not over; else waiting."""
        bench.accept(job(1), job(2, after=[1], delay_ms=1000), job(3, after=[1], delay_ms=100))
        bench.clock.advance(500)

        bench.run(1, Succeeded())

        assert bench.states(2, 3) == [JobState.SCHEDULED, JobState.WAITING]
        bench.clock.advance(500)
        assert numbers(bench.hand().claim()) == [3, 2]

    @requires("dependencies", "unique")
    def test_a_parent_may_be_what_stands_for_it(self, bench: Bench) -> None:
        """An earlier frame of the same call that was DUPLICATE by its key is, as a parent, the key's holder."""
        bench.accept(job(1, unique=KEY))

        receipts = bench.add(job(2, unique=KEY), job(3, after=[2]))

        assert receipts == [Receipt(ReceiptStatus.DUPLICATE, named(1)), Receipt(ReceiptStatus.NEW, named(3))]
        assert bench.state(3) is JobState.BLOCKED
        bench.run(1, Succeeded())
        assert bench.state(3) is JobState.WAITING

    @requires("dependencies", "unique")
    def test_a_canceled_child_frees_its_unique_key(self, bench: Bench) -> None:
        """A child that ends with its parent frees its key like any other."""
        bench.accept(job(1), job(2, after=[1], unique=KEY))
        bench.run(1, Failed(b"error"))

        assert bench.add(job(3, unique=KEY)) == [Receipt(ReceiptStatus.NEW, named(3))]

    @requires("dependencies")
    def test_a_long_chain_ends_in_one_go(self, bench: Bench) -> None:
        """A failure reaches the last of many generations, however long the chain."""
        bench.accept(job(0))
        for start in range(1, 2001, 200):
            bench.accept(*(job(number, after=[number - 1]) for number in range(start, start + 200)))

        bench.run(0, Failed(b"error"))
        bench.maintain()

        assert bench.states(1, 1000, 2000) == [JobState.CANCELED] * 3

    @requires("dependencies")
    def test_a_wide_family_is_freed(self, bench: Bench) -> None:
        """A parent may have many children."""
        bench.accept(job(0))
        for start in (1, 201, 401):
            bench.accept(*(job(number, after=[0]) for number in range(start, start + 200)))

        bench.run(0, Succeeded())
        bench.maintain()

        assert numbers(bench.hand().claim(1000)) == list(range(1, 601))
