"""Leases, crashes and suspects: what becomes of a worker that fell silent, and of what it held."""

import pytest

from typedgator.backends.contract import Beat, Settled, WorkerId
from typedgator.errors import WorkerLapsed
from typedgator.testing.contract.bench import LEASE_MS, Bench, Given, job, numbers, requires
from typedgator.wire.states import JobState
from typedgator.wire.verdict import Failed, Released, RetryIn, Settlement, Succeeded, Verdict

__all__ = ["Leases"]


class Leases(Given):
    """`beat`, and reaping by `claim` and `maintain`."""

    def test_a_beat_starts_the_lease_anew(self, bench: Bench) -> None:
        """As long as it beats in time, a worker keeps all its jobs, those it does not mention too."""
        bench.accept(job(1), job(2))
        hand = bench.hand()
        one, two = hand.claim()
        for _ in range(5):
            bench.clock.advance(LEASE_MS - 1)
            assert hand.beat(one) == Beat()

        bench.maintain()

        assert hand.settle_all([one, two], Succeeded()) == [Settled.WRITTEN, Settled.WRITTEN]

    def test_a_claim_does_not_prolong_a_lease(self, bench: Bench) -> None:
        """Only beats keep a worker alive: one that claims but never beats lapses."""
        hand = bench.hand()
        bench.clock.advance(LEASE_MS - 1)
        hand.claim()
        bench.clock.advance(1)

        with pytest.raises(WorkerLapsed):
            hand.claim()

    def test_each_worker_has_its_own_term(self, bench: Bench) -> None:
        """A lease ends by its own `lease_ms`."""
        bench.accept(job(1), job(2))
        short, long = bench.hand(lease_ms=5000), bench.hand(lease_ms=60_000)
        short.claim(1)
        long.claim(1)

        bench.clock.advance(5000)
        bench.maintain()

        assert bench.states(1, 2) == [JobState.WAITING, JobState.RUNNING]

    def test_a_beat_names_tokens_that_are_lost(self, bench: Bench) -> None:
        """Tokens that are not this worker's are lost, in the order asked."""
        bench.accept(job(1), job(2), job(3))
        hand, other = bench.hand(), bench.hand()
        one, two = hand.claim(2)
        three = other.claim_one()
        hand.succeed(one)

        answer = hand.beat(three, two, one)

        assert answer == Beat(lost=[three.token, one.token])

    @requires("owned")
    def test_a_worker_may_ask_what_it_has(self, bench: Bench) -> None:
        """Its jobs and their tokens, in the order of claiming, also those whose claim reply was lost; no other's."""
        bench.accept(*(job(number) for number in range(1, 7)))
        hand, other = bench.hand(), bench.hand()
        one, two, three = hand.claim(3)
        four = other.claim_one()
        five, six = hand.claim_and_lose_the_reply(2)
        hand.succeed(two)
        hand.settle(three, RetryIn(0))

        assert bench.owning.owned(hand.id) == [(each.job_id, each.token) for each in (one, five, six)]
        assert bench.owning.owned(other.id) == [(four.job_id, four.token)]
        assert hand.claim() == [five, six]

    @requires("owned")
    def test_what_a_worker_has_without_knowing_can_be_given_back(self, bench: Bench) -> None:
        """All that it takes is in the answer: the job runs elsewhere, in the attempt that it was in."""
        bench.accept(job(1))
        hand = bench.hand()
        hand.claim_and_lose_the_reply()
        ((job_id, token),) = bench.owning.owned(hand.id)

        assert bench.backend.settle(hand.id, [Settlement(job_id, token, Released())]) == [Settled.WRITTEN]

        assert bench.owning.owned(hand.id) == []
        claimed = bench.hand().claim_one()
        assert (claimed.job_id, claimed.attempt, claimed.crashes) == (job_id, 1, 0)
        assert claimed.token > token

    @requires("owned")
    def test_asking_what_one_has_does_not_prolong_a_lease(self, bench: Bench) -> None:
        """Only beats do. Late, but not reaped, it still has all; reaped, left or unknown, it has nothing."""
        bench.accept(job(1), job(2))
        hand, gone = bench.hand(), bench.hand(lease_ms=10 * LEASE_MS)
        claimed = hand.claim_one()
        gone.claim_one()
        gone.leave()
        bench.clock.advance(LEASE_MS)
        assert bench.owning.owned(hand.id) == [(claimed.job_id, claimed.token)]

        bench.maintain()

        assert bench.states(1, 2) == [JobState.WAITING, JobState.WAITING]
        assert [bench.owning.owned(each) for each in (hand.id, gone.id, WorkerId("nobody"))] == [[], [], []]

    @requires("owned")
    def test_a_lapsed_worker_that_is_not_wholly_reaped_has_nothing(self, bench: Bench) -> None:
        """Upkeep goes on in small portions; the identity is over with the first of them."""
        bench.accept(*(job(number) for number in range(1, 4)))
        hand = bench.hand()
        hand.claim()
        bench.clock.advance(LEASE_MS)

        bench.backend.maintain(limit=1)

        assert bench.owning.owned(hand.id) == []

    def test_the_jobs_of_a_lapsed_worker_run_again(self, bench: Bench) -> None:
        """At the end of the lease anybody's next claim reaps the worker: its job comes back with one crash more."""
        bench.accept(job(1))
        first = bench.hand().claim_one()
        bench.clock.advance(LEASE_MS)

        second = bench.hand().claim_one()

        assert (second.attempt, second.crashes) == (2, 1)
        assert second.token > first.token

    def test_nothing_is_reaped_before_the_lease_ends(self, bench: Bench) -> None:
        """One millisecond before its end a lease holds."""
        bench.accept(job(1))
        hand = bench.hand()
        claimed = hand.claim_one()
        bench.clock.advance(LEASE_MS - 1)
        bench.maintain()

        assert bench.hand().claim() == []
        assert hand.succeed(claimed) is Settled.WRITTEN

    @requires("upkeep")
    def test_maintain_reaps_too(self, bench: Bench) -> None:
        """`maintain` reaps lapsed workers and says how many jobs came back."""
        bench.accept(job(1), job(2))
        bench.hand().claim()
        bench.clock.advance(LEASE_MS)

        upkeep = bench.backend.maintain(limit=100)

        assert (upkeep.reclaimed, upkeep.failed) == (2, 0)
        assert bench.states(1, 2) == [JobState.WAITING, JobState.WAITING]

    def test_a_lapsed_worker_learns_it_from_its_claim(self, bench: Bench) -> None:
        """A worker whose lease ended reaps itself when it claims: WorkerLapsed, and its jobs are back."""
        bench.accept(job(1))
        hand = bench.hand()
        hand.claim()
        bench.clock.advance(LEASE_MS)

        with pytest.raises(WorkerLapsed):
            hand.claim()

        assert bench.hand().claim_one().crashes == 1

    def test_a_lapsed_worker_learns_it_from_its_beat(self, bench: Bench) -> None:
        """A reaped worker's beat says `lapsed` and loses every token; it never comes back under that identity."""
        bench.accept(job(1))
        hand = bench.hand()
        claimed = hand.claim_one()
        bench.clock.advance(LEASE_MS)
        bench.maintain()

        assert hand.beat(claimed) == Beat(lost=[claimed.token], lapsed=True)
        assert hand.beat().lapsed
        with pytest.raises(WorkerLapsed):
            hand.claim()

    @requires("upkeep")
    def test_a_late_beat_is_in_time_while_nobody_noticed(self, bench: Bench) -> None:
        """A beat after the end of the lease, but before anybody reaped, revives the worker."""
        bench.accept(job(1))
        hand = bench.hand()
        claimed = hand.claim_one()
        bench.clock.advance(10 * LEASE_MS)

        assert hand.beat(claimed) == Beat()
        bench.maintain()

        assert hand.succeed(claimed) is Settled.WRITTEN

    @requires("upkeep")
    def test_a_late_settlement_is_in_time_while_nobody_noticed(self, bench: Bench) -> None:
        """What ended before anybody reaped the worker is written."""
        bench.accept(job(1))
        hand = bench.hand()
        claimed = hand.claim_one()
        bench.clock.advance(10 * LEASE_MS)

        assert hand.succeed(claimed) is Settled.WRITTEN
        bench.maintain()

        assert bench.state(1) is JobState.SUCCESS

    @requires("upkeep")
    def test_a_late_leave_is_in_time_while_nobody_noticed(self, bench: Bench) -> None:
        """A worker that leaves before anybody reaped it gives its attempts back; nothing crashed."""
        bench.accept(job(1))
        hand = bench.hand()
        hand.claim()
        bench.clock.advance(10 * LEASE_MS)
        hand.leave()

        claimed = bench.hand().claim_one()

        assert (claimed.attempt, claimed.crashes) == (1, 0)

    def test_a_reaped_worker_that_leaves_changes_nothing(self, bench: Bench) -> None:
        """`leave` of an identity that is over does nothing, also when its jobs run elsewhere."""
        bench.accept(job(1))
        hand = bench.hand()
        hand.claim()
        bench.clock.advance(LEASE_MS)
        other = bench.hand()
        claimed = other.claim_one()

        hand.leave()

        assert other.succeed(claimed) is Settled.WRITTEN

    def test_a_reaped_workers_settlement_is_lost(self, bench: Bench) -> None:
        """Once reaped, a worker writes nothing, whether the job waits, runs elsewhere or ended there."""
        bench.accept(job(1))
        zombie = bench.hand()
        stale = zombie.claim_one()
        bench.clock.advance(LEASE_MS)
        bench.maintain()

        assert zombie.succeed(stale) is Settled.LOST
        hand = bench.hand()
        fresh = hand.claim_one()
        assert zombie.succeed(stale) is Settled.LOST
        hand.settle(fresh, Succeeded(b"the result"))
        assert zombie.settle(stale, Failed(b"an error")) is Settled.LOST

        record = bench.record(1)
        assert (record.state, record.outcome) == (JobState.SUCCESS, b"the result")

    def test_a_job_with_a_crash_behind_it_is_handed_out_alone(self, bench: Bench) -> None:
        """A suspect comes alone, and its worker gets nothing more until it is settled; other workers do."""
        bench.accept(job(1))
        bench.crash()
        bench.accept(job(2), job(3))
        hand, other = bench.hand(), bench.hand()

        suspect = hand.claim()

        assert numbers(suspect) == [1]
        assert hand.claim() == []
        assert numbers(other.claim(1)) == [2]
        hand.succeed(suspect[0])
        assert numbers(hand.claim()) == [3]

    def test_a_claim_ends_before_a_suspect(self, bench: Bench) -> None:
        """Jobs before a suspect come without it; it comes with the next claim."""
        bench.accept(job(1, "b"))
        bench.crash("b")
        bench.accept(job(2, "a"), job(3, "a"), job(4, "b"))
        hand = bench.hand("a", "b")

        assert numbers(hand.claim()) == [2, 3]
        assert numbers(hand.claim()) == [1]
        assert hand.claim() == []

    @pytest.mark.parametrize("how", ["failed", "retried", "released"])
    def test_any_settlement_of_a_suspect_lets_its_worker_go_on(self, bench: Bench, how: str) -> None:
        """Settled is settled, whatever the verdict; a suspect stays one when it runs again."""
        bench.accept(job(1))
        bench.crash()
        bench.accept(job(2))
        hand = bench.hand()
        suspect = hand.claim_one()
        verdicts: dict[str, Verdict] = {"failed": Failed(b"error"), "retried": RetryIn(5000), "released": Released()}
        hand.settle(suspect, verdicts[how])

        following = hand.claim()

        first = [1] if how == "released" and bench.backend.can.order else numbers(following)
        assert numbers(following) == first
        assert first in ([[1], [2]] if how == "released" else [[2]])

    def test_a_lost_reply_with_a_suspect_is_sent_again_alone(self, bench: Bench) -> None:
        """A suspect whose claim reply was lost comes again, and nothing beside it."""
        bench.accept(job(1))
        bench.crash()
        bench.accept(job(2))
        hand = bench.hand()
        lost = hand.claim_and_lose_the_reply()

        assert hand.claim() == lost
        assert hand.claim() == []

    @pytest.mark.parametrize("budget", [0, 1, 3])
    def test_a_job_starts_once_more_than_its_crash_budget(self, bench: Bench, budget: int) -> None:
        """With a crash budget of 3 a poison job is started four times, then it is failed with reason `crashed`."""
        bench.accept(job(1, crash_budget=budget))
        starts = 0
        while claimed := bench.crash():
            starts += 1
            assert (claimed[0].attempt, claimed[0].crashes) == (starts, starts - 1)
            assert starts <= budget + 1

        record = bench.record(1)

        assert starts == budget + 1
        assert (record.state, record.reason, record.crashes) == (JobState.FAILED, "crashed", budget + 1)

    def test_the_neighbours_of_a_poison_job_finish(self, bench: Bench) -> None:
        """Jobs that ran beside a poison job become suspects, run alone, and succeed; only the poison fails."""
        poison, finished = 2, set[int]()
        bench.accept(*(job(number) for number in range(1, 6)))
        bench.crash()

        for _ in range(20):
            hand = bench.hand()
            for claimed in hand.claim():
                if numbers([claimed]) == [poison]:
                    bench.clock.advance(LEASE_MS)
                    bench.maintain()
                else:
                    assert claimed.crashes == 1
                    assert hand.succeed(claimed) is Settled.WRITTEN
                    finished |= set(numbers([claimed]))
            hand.leave()

        assert finished == {1, 3, 4, 5}
        assert bench.state(poison) is JobState.FAILED

    def test_crashes_do_not_count_as_the_tasks_own_attempts(self, bench: Bench) -> None:
        """`attempt - crashes` is how often the task will have ended by its own doing."""
        bench.accept(job(1))
        bench.crash()
        bench.crash()
        hand = bench.hand()
        hand.settle(hand.claim_one(), RetryIn(0))

        claimed = hand.claim_one()

        assert (claimed.attempt, claimed.crashes) == (4, 2)

    def test_a_dead_letter_of_crashes_shows_the_last_error(self, bench: Bench) -> None:
        """The outcome of a job that crashed too often is its last error, if it had one."""
        bench.accept(job(1, crash_budget=0))
        hand = bench.hand()
        hand.settle(hand.claim_one(), RetryIn(0, b"an error"))
        hand.leave()

        bench.crash()

        record = bench.record(1)
        assert (record.state, record.reason, record.outcome) == (JobState.FAILED, "crashed", b"an error")

    @requires("inspect")
    def test_a_workerless_job_is_nobodys(self, bench: Bench) -> None:
        """After it came back, a job names no worker."""
        bench.accept(job(1))
        bench.crash()

        record = bench.record(1)

        assert (record.worker, record.crashes, record.attempt) == (None, 1, 1)

    @requires("expiry")
    def test_a_crashed_job_was_started_and_does_not_expire(self, bench: Bench) -> None:
        """Expiry is for jobs that were never started; one that crashed runs again."""
        bench.accept(job(1, expires_in_ms=LEASE_MS))
        bench.crash()

        assert numbers(bench.hand().claim()) == [1]
