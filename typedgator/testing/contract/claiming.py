"""Handing out: attempts, tokens, lost replies."""

import pytest

from typedgator.backends.contract import Settled, WorkerId
from typedgator.errors import WorkerLapsed
from typedgator.testing.contract.bench import LEASE_MS, Bench, Given, job, named, numbers, requires
from typedgator.wire.states import JobState
from typedgator.wire.verdict import Held, Released, RetryIn, Settlement, Snoozed, Succeeded

__all__ = ["Claiming"]


class Claiming(Given):
    """`join`, `leave`, `claim`."""

    def test_a_claimed_job_is_running_in_its_first_attempt(self, bench: Bench) -> None:
        """`claim` makes a job running, with attempt 1, no crashes and a token, and hands it to no one else."""
        bench.accept(job(1))
        hand, other = bench.hand(), bench.hand()

        claimed = hand.claim_one()

        assert (claimed.job_id, claimed.attempt, claimed.crashes) == (named(1), 1, 0)
        assert bench.state(1) is JobState.RUNNING
        assert hand.claim() == []
        assert other.claim() == []

    @requires("inspect")
    def test_a_running_job_names_its_worker_and_token(self, bench: Bench) -> None:
        """The record of a running job says who has it, under which token, in which attempt."""
        bench.accept(job(1))
        hand = bench.hand()
        claimed = hand.claim_one()

        record = bench.record(1)

        assert (record.worker, record.token, record.attempt) == (hand.id, claimed.token, 1)
        assert (record.queue, record.frame) == ("all", claimed.frame)

    def test_no_more_than_the_limit_is_handed_out(self, bench: Bench) -> None:
        """Up to `limit` jobs become running; the others wait."""
        bench.accept(*(job(number) for number in range(5)))
        hand = bench.hand()

        assert numbers(hand.claim(2)) == [0, 1]
        assert numbers(hand.claim(2)) == [2, 3]
        assert numbers(hand.claim(2)) == [4]

    @pytest.mark.parametrize("served", [["a", "a"], ["*", "*"], ["a", "*", "a"], ["b", "a", "b", "*"]])
    def test_a_queue_that_is_named_twice_is_served_once(self, bench: Bench, served: list[str]) -> None:
        """`join(["a", "a"])` serves what `join(["a"])` does: no job is handed out twice, and the limit holds."""
        bench.accept(*(job(number, "a") for number in range(5)))
        hand = bench.hand(*served)

        first, second = hand.claim(3), hand.claim(10)

        assert (numbers(first), numbers(second)) == ([0, 1, 2], [3, 4])
        assert [each.attempt for each in first + second] == [1] * 5
        assert hand.settle_all(first + second, Succeeded()) == [Settled.WRITTEN] * 5

    def test_a_queue_that_is_named_twice_gives_no_job_twice_in_one_claim(self, bench: Bench) -> None:
        """Also when the claim has room for more than there is."""
        bench.accept(job(1, "a"), job(2, "b"), job(3, "a"))
        hand = bench.hand("a", "a", "b", "a")

        assert numbers(hand.claim(10)) == [1, 3, 2]
        assert hand.claim(10) == []

    def test_tokens_only_grow(self, bench: Bench) -> None:
        """Every token is greater than every one before, across workers, and fits into 53 bits."""
        bench.accept(*(job(number) for number in range(6)))
        tokens: list[int] = []
        for hand in [bench.hand(), bench.hand(), bench.hand()]:
            claimed = hand.claim(2)
            tokens += [each.token for each in claimed]
            hand.settle(claimed[0], Released())

        claimed = bench.hand().claim()

        tokens += [each.token for each in claimed]
        assert tokens == sorted(set(tokens))
        assert all(0 < token < 2**53 for token in tokens)

    def test_tokens_grow_across_restarts(self, bench: Bench) -> None:
        """Tokens also grow when the storage is opened anew."""
        other = self.reopen(bench.backend)
        if other is None:
            pytest.skip("this storage ends with its backend")
        bench.accept(job(1), job(2))
        before = bench.hand().claim_one().token
        bench.backend.close()
        other.open()

        after = other.claim(other.join(["all"], lease_ms=LEASE_MS), limit=1, wait_ms=0, seen=0)[0].token

        assert after > before
        other.close()

    def test_two_connections_see_one_storage(self, bench: Bench) -> None:
        """What one connection accepted, another hands out, and a third party's settlement is fenced as ever."""
        other = self.reopen(bench.backend)
        if other is None:
            pytest.skip("this storage ends with its backend")
        other.open()
        bench.accept(job(1))
        worker = other.join(["all"], lease_ms=LEASE_MS)

        claimed = other.claim(worker, limit=1, wait_ms=0, seen=0)

        assert numbers(claimed) == [1]
        bench.backend.settle(worker, [Settlement(claimed[0].job_id, claimed[0].token, Succeeded())])
        assert bench.state(1) is JobState.SUCCESS
        other.close()

    def test_a_failed_attempt_counts(self, bench: Bench) -> None:
        """The next attempt has a number one higher and a token of its own."""
        bench.accept(job(1))
        hand = bench.hand()
        first = hand.claim_one()
        hand.settle(first, RetryIn(0))

        second = hand.claim_one()

        assert (second.attempt, second.crashes) == (2, 0)
        assert second.token > first.token
        assert second.frame == first.frame

    @pytest.mark.parametrize("given_back", ["released", "snoozed", "its worker left"])
    def test_an_attempt_that_did_not_count_is_given_back(self, bench: Bench, given_back: str) -> None:
        """Released, snoozed, or its worker left: the next attempt has the same number, under a greater token."""
        bench.accept(job(1))
        hand = bench.hand()
        first = hand.claim_one()
        match given_back:
            case "released":
                hand.settle(first, Released())
            case "snoozed":
                hand.settle(first, Snoozed(0))
            case _:
                hand.leave()

        second = bench.hand().claim_one()

        assert (second.attempt, second.crashes) == (1, 0)
        assert second.token > first.token

    @requires("holding")
    def test_a_held_job_gets_its_attempt_back(self, bench: Bench) -> None:
        """Held: the attempt is given back."""
        bench.accept(job(1))
        bench.run(1, Held("why", "t", "s"))
        bench.holding.release_held(bench.holding.held_kinds())

        assert bench.hand().claim_one().attempt == 1

    def test_a_lost_claim_reply_is_sent_again(self, bench: Bench) -> None:
        """Jobs with a token greater than `seen` come again, the same attempt under the same token, by token."""
        bench.accept(job(2), job(1), job(3))
        hand = bench.hand()
        lost = hand.claim_and_lose_the_reply(2)

        again = hand.claim()

        assert again == lost
        assert numbers(hand.claim()) == [3]

    def test_lost_replies_come_before_new_jobs_and_without_them(self, bench: Bench) -> None:
        """What was lost comes first, up to the limit; new jobs come when all of it was seen."""
        bench.accept(job(1, "b"), job(2, "b"), job(3, "b"))
        hand = bench.hand("a", "b")
        lost = hand.claim_and_lose_the_reply(3)
        bench.accept(job(4, "a"))

        assert hand.claim(2) == lost[:2]
        assert hand.claim(2) == lost[2:]
        assert numbers(hand.claim(2)) == [4]

    def test_what_was_seen_is_not_sent_again(self, bench: Bench) -> None:
        """A job with a token up to `seen` is the worker's own affair."""
        bench.accept(job(1), job(2))
        hand = bench.hand()
        hand.claim(1)
        lost = hand.claim_and_lose_the_reply(1)

        assert hand.claim() == lost
        assert hand.claim() == []

    def test_a_settled_job_is_not_sent_again(self, bench: Bench) -> None:
        """What is no longer this worker's does not come again, however little it has seen."""
        bench.accept(job(1), job(2))
        hand = bench.hand()
        one, two = hand.claim()
        hand.succeed(one)
        hand.seen = 0

        assert hand.claim() == [two]

    def test_nobody_is_sent_the_lost_reply_of_another(self, bench: Bench) -> None:
        """A lost reply concerns the worker that it was for."""
        bench.accept(job(1))
        bench.hand().claim_and_lose_the_reply()

        assert bench.hand().claim() == []

    def test_identities_are_never_used_twice(self, bench: Bench) -> None:
        """Every `join` answers with a fresh identity."""
        ids = [bench.hand().id for _ in range(20)]

        assert len(set(ids)) == 20

    def test_who_left_is_over(self, bench: Bench) -> None:
        """After `leave` an identity claims nothing, and leaving again does nothing; so with one that nobody knows."""
        bench.accept(job(1))
        hand = bench.hand()
        hand.leave()
        hand.leave()

        with pytest.raises(WorkerLapsed):
            hand.claim()
        assert hand.beat().lapsed
        bench.backend.leave(WorkerId("nobody"))
        assert bench.backend.beat(WorkerId("nobody"), []).lapsed
        with pytest.raises(WorkerLapsed):
            bench.backend.claim(WorkerId("nobody"), limit=1, wait_ms=0, seen=0)
