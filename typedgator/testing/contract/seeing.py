"""Reading: what is known of one job, how many there are, page by page; and what upkeep says it did."""

import pytest

from typedgator.backends.contract import Results, Upkeep
from typedgator.testing.contract.bench import LEASE_MS, PROMISED, Bench, Given, job, named, numbers, refuses, requires
from typedgator.wire.states import JobState
from typedgator.wire.verdict import Failed, Held, RetryIn, Succeeded

__all__ = ["Seeing"]

ABILITIES = [
    "priorities",
    "unique",
    "dependencies",
    "expiry",
    "caller_ids",
    "cancel",
    "results",
    "inspect",
    "operate",
    "holding",
    "notes",
    "exchange",
]


class Seeing(Given):
    """`can`, Results, Inspect, `maintain`."""

    @pytest.mark.parametrize("ability", ABILITIES)
    def test_what_it_cannot_do_it_refuses(self, bench: Bench, ability: str) -> None:
        """A facet is there where `can` says so; what `can` denies is refused with Unsupported, never half done."""
        facets: dict[str, property] = {name: part for name, part in vars(Bench).items() if isinstance(part, property)}
        if not getattr(bench.backend.can, ability):
            refuses(bench.backend, ability)
        elif ability in facets:
            assert facets[ability].__get__(bench) is bench.backend, PROMISED

    @requires("results")
    def test_the_outcome_of_a_finished_job_is_its_record(self, bench: Bench) -> None:
        """`outcome` answers at once for a final state: state, result, attempt."""
        bench.accept(job(1))
        bench.run(1, Succeeded(b"a result"))

        record = bench.results.outcome(named(1), wait_ms=60_000)

        assert record is not None
        assert (record.job_id, record.state, record.outcome) == (named(1), JobState.SUCCESS, b"a result")

    @requires("results")
    def test_the_outcome_of_an_unfinished_job_is_its_record_as_it_stands(self, bench: Bench) -> None:
        """After `wait_ms` the record is what it is; unknown jobs are None at once."""
        bench.accept(job(1))

        record = bench.results.outcome(named(1), wait_ms=1)

        assert record is not None
        assert record.state is JobState.WAITING
        assert bench.results.outcome(named(2), wait_ms=60_000) is None

    @requires("inspect")
    def test_jobs_are_counted_by_queue_and_state(self, bench: Bench) -> None:
        """`counts` says how many jobs each queue has in each unfinished state, and how many dead letters."""
        bench.accept(*(job(number, "a") for number in range(6)), job(9, "b", delay_ms=1000))
        hand = bench.hand("a")
        claimed = hand.claim(4)
        hand.settle(claimed[0], Failed(b"error"))
        hand.settle(claimed[1], RetryIn(1000))
        hand.settle(claimed[2], Held("why", "t", "s"))

        counts = bench.inspect.counts()

        seen = {(queue, state): n for queue, states in counts.queues.items() for state, n in states.items() if n}
        assert seen == {
            ("a", JobState.WAITING): 2,
            ("a", JobState.RUNNING): 1,
            ("a", JobState.FAILED): 1,
            ("a", JobState.RETRYING): 1,
            ("a", JobState.HELD): 1,
            ("b", JobState.SCHEDULED): 1,
        }
        assert (counts.dropped, counts.paused) == (0, frozenset())

    @requires("inspect")
    def test_waiting_jobs_are_listed_in_the_order_of_handing_out(self, bench: Bench) -> None:
        """Page after page: by priority, then by place, those who came back first."""
        priorities = (
            {1: 50, 2: 100, 3: 255, 4: 100, 5: 0} if bench.backend.can.priorities else dict.fromkeys(range(1, 6), 100)
        )
        bench.accept(*(job(number, priority=priority) for number, priority in priorities.items()))
        bench.accept(job(9, "other"))

        listed: list[int] = []
        after = None
        while True:
            page = bench.inspect.page(JobState.WAITING, queue="all", after=after, limit=2)
            listed += numbers(page.records)
            if page.after is None:
                break
            after = page.after

        assert listed == numbers(bench.hand().claim())

    @requires("inspect")
    def test_dead_letters_are_listed_newest_first(self, bench: Bench) -> None:
        """Page after page, those that failed last first, ties by id."""
        hand = bench.hand()
        for group in ([3, 1], [2], [5, 4]):
            bench.accept(*(job(number) for number in group))
            hand.settle_all(hand.claim(), Failed(b"error"))
            bench.clock.advance(1)

        first = bench.inspect.page(JobState.FAILED, limit=3)
        rest = bench.inspect.page(JobState.FAILED, after=first.after, limit=3)

        assert (numbers(first.records), numbers(rest.records)) == ([4, 5, 2], [1, 3])
        assert rest.after is None

    @requires("inspect")
    @pytest.mark.parametrize("state", [JobState.SCHEDULED, JobState.RUNNING, JobState.RETRYING, JobState.HELD])
    def test_other_jobs_are_listed_by_id(self, bench: Bench, state: JobState) -> None:
        """Page after page, from the first id to the last, of all queues or of one."""
        delay_ms = 1000 if state is JobState.SCHEDULED else 0
        bench.accept(*(job(number, "ab"[number % 2], delay_ms=delay_ms) for number in (5, 3, 4, 1, 2)))
        hand = bench.hand("a", "b")
        if state is JobState.RETRYING:
            hand.settle_all(hand.claim(), RetryIn(1000))
        elif state is JobState.HELD:
            hand.settle_all(hand.claim(), Held("why", "t", "s"))
        elif state is JobState.RUNNING:
            hand.claim()

        first = bench.inspect.page(state, limit=3)
        rest = bench.inspect.page(state, after=first.after, limit=3)

        assert (numbers(first.records), numbers(rest.records), rest.after) == ([1, 2, 3], [4, 5], None)
        assert numbers(bench.inspect.page(state, queue="a").records) == [2, 4]
        assert bench.inspect.page(state, queue="c").records == []

    @requires("inspect")
    def test_nothing_is_known_of_an_unknown_job(self, bench: Bench) -> None:
        """`find` answers None."""
        assert bench.inspect.find(named(1)) is None

    @requires("upkeep")
    def test_upkeep_says_what_it_did(self, bench: Bench) -> None:
        """`maintain` counts what it promoted, reclaimed, failed and expired; once more, and there is nothing to do."""
        bench.accept(job(1), job(2), job(3, crash_budget=0))
        bench.hand(lease_ms=1000).claim()
        bench.accept(*(job(number, delay_ms=500) for number in (4, 5)))
        if bench.backend.can.expiry:
            bench.accept(job(6, "other", expires_in_ms=500))
        bench.clock.advance(1000)

        done = bench.backend.maintain(limit=100)

        expired = int(bench.backend.can.expiry)
        assert done == Upkeep(promoted=2, reclaimed=2, failed=1, expired=expired)
        assert bench.backend.maintain(limit=100) == Upkeep()

    @requires("upkeep")
    def test_upkeep_is_bounded_and_says_when_there_is_more(self, bench: Bench) -> None:
        """No more than `limit` of each kind; `more` until all is done, and the order is as if done at once."""
        bench.accept(*(job(number, delay_ms=number) for number in range(1, 6)))
        bench.accept(*(job(number) for number in range(10, 15)))
        bench.hand().claim()
        bench.clock.advance(LEASE_MS)

        rounds = [bench.backend.maintain(limit=2)]
        while rounds[-1].more:
            rounds.append(bench.backend.maintain(limit=2))
            assert len(rounds) < 20

        assert sum(each.promoted for each in rounds) == 5
        assert sum(each.reclaimed for each in rounds) == 5
        assert all(max(each.promoted, each.reclaimed) <= 2 for each in rounds)
        if bench.backend.can.inspect:
            assert bench.waiting() == [10, 11, 12, 13, 14, 1, 2, 3, 4, 5]

    @requires("upkeep")
    def test_upkeep_forgets(self, bench: Bench) -> None:
        """`maintain` counts what it forgot; afterwards nothing is left to forget."""
        bench.accept(*(job(number) for number in range(5)))
        hand = bench.hand(lease_ms=3_600_000 * 24)
        hand.settle_all(hand.claim(), Succeeded())
        bench.clock.advance(3_600_000)

        bench.maintain(limit=2)

        assert [bench.find(number) for number in range(5)] == [None] * 5
        assert bench.backend.maintain(limit=100) == Upkeep()

    @requires("results")
    def test_results_are_a_facet(self, bench: Bench) -> None:
        """The facet is recognised by its methods."""
        assert isinstance(bench.backend, Results)
