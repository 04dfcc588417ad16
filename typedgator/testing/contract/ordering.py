"""Who comes next: queues as listed, then priority, then place; those who came back before those who never left."""

from typedgator.backends.contract import EVERY_QUEUE
from typedgator.testing.contract.bench import LEASE_MS, Bench, Given, job, named, numbers, requires
from typedgator.wire.verdict import Held, Released, RetryIn, Snoozed, Succeeded

__all__ = ["Ordering"]


class Ordering(Given):
    """Order."""

    def test_a_queue_hands_out_in_the_order_of_enqueueing(self, bench: Bench) -> None:
        """First in, first out, across calls; ids do not matter."""
        bench.accept(job(3), job(1))
        bench.accept(job(2))
        hand = bench.hand()

        assert [numbers(hand.claim(1)) for _ in range(4)] == [[3], [1], [2], []]

    @requires("priorities")
    def test_higher_priority_goes_first(self, bench: Bench) -> None:
        """255 first, 0 last, and in between by place."""
        priorities = [100, 0, 255, 101, 100, 99, 255]
        bench.accept(*(job(number, priority=priority) for number, priority in enumerate(priorities)))

        assert numbers(bench.hand().claim()) == [2, 6, 3, 0, 4, 5, 1]

    @requires("priorities")
    def test_queues_go_before_priorities(self, bench: Bench) -> None:
        """A worker's queues are served in the order that it listed; the first one first, whatever waits in the next."""
        bench.accept(job(1, "b", priority=255), job(2, "a", priority=0), job(3, "c"), job(4, "a"))

        assert numbers(bench.hand("a", "b").claim()) == [4, 2, 1]

    def test_every_queue_means_the_later_ones_too(self, bench: Bench) -> None:
        """`*` joins every queue: those listed before it first, the others by name, those that appear later as well."""
        hand = bench.hand("m", EVERY_QUEUE)
        bench.accept(job(1, "z"), job(2, "b"), job(3, "m"), job(4, "a"))

        assert numbers(hand.claim()) == [3, 4, 2, 1]

    def test_what_nobody_serves_stays(self, bench: Bench) -> None:
        """A worker gets nothing from a queue that it does not serve."""
        bench.accept(job(1, "other"))

        assert bench.hand("all").claim() == []
        assert numbers(bench.hand("other").claim()) == [1]

    @requires("order")
    def test_due_jobs_get_in_line_by_due_time_then_by_id(self, bench: Bench) -> None:
        """Several that became due at once are promoted in the order of their due times, ties by id."""
        bench.accept(job(5, delay_ms=200), job(4, delay_ms=100), job(3, delay_ms=200), job(6, delay_ms=50))
        bench.clock.advance(1000)

        assert numbers(bench.hand().claim()) == [6, 4, 3, 5]

    @requires("order")
    def test_a_due_job_takes_the_last_place(self, bench: Bench) -> None:
        """A job that becomes waiting stands behind those that wait already."""
        bench.accept(job(1, delay_ms=100))
        bench.accept(job(2))
        bench.clock.advance(100)

        assert numbers(bench.hand().claim()) == [2, 1]

    @requires("priorities")
    def test_a_retry_keeps_queue_and_priority(self, bench: Bench) -> None:
        """A job that comes back from a delay, a retry or a snooze is in its queue and of its priority, as before."""
        bench.accept(job(1, "a", priority=200, delay_ms=10), job(2, "a", priority=150), job(3, "a", priority=150))
        hand = bench.hand("a")
        two, three = hand.claim()
        hand.settle(two, RetryIn(10))
        hand.settle(three, Snoozed(10))
        bench.accept(job(4, "a", priority=100), job(5, "a", priority=160))

        bench.clock.advance(10)

        assert numbers(hand.claim()) == [1, 5, 2, 3, 4]

    @requires("order")
    def test_what_came_back_goes_before_what_never_left(self, bench: Bench) -> None:
        """Released jobs stand before all that never left, in the order of coming back."""
        bench.accept(job(1), job(2), job(3), job(4))
        hand = bench.hand()
        one, two, three = hand.claim(3)
        hand.settle(two, Released())
        hand.settle(one, Released())

        assert numbers(hand.claim()) == [2, 1, 4]
        hand.succeed(three)

    @requires("priorities")
    def test_coming_back_does_not_beat_priority(self, bench: Bench) -> None:
        """Priority comes first, place second, also for those who came back."""
        bench.accept(job(1, priority=100))
        hand = bench.hand()
        hand.settle(hand.claim_one(), Released())
        bench.accept(job(2, priority=101))

        assert numbers(hand.claim()) == [2, 1]

    @requires("order")
    def test_what_a_leaving_worker_held_comes_back_by_token(self, bench: Bench) -> None:
        """Jobs whose worker left return in the order in which they were handed out, before the others."""
        bench.accept(job(3), job(1), job(2), job(4))
        hand = bench.hand()
        hand.claim(3)

        hand.leave()

        assert numbers(bench.hand().claim()) == [3, 1, 2, 4]

    @requires("order")
    def test_what_lapsed_workers_held_comes_back_by_token(self, bench: Bench) -> None:
        """Jobs of several lapsed workers return in the order of their tokens, before the others."""
        bench.accept(*(job(number) for number in (4, 3, 2, 1)))
        first, second = bench.hand(), bench.hand()
        for hand in (first, second, first):
            hand.claim(1)
        bench.clock.advance(LEASE_MS)
        hand = bench.hand()

        order: list[int] = []
        while claimed := hand.claim():
            order += numbers(claimed)
            hand.settle_all(claimed, Succeeded())

        assert order == [4, 3, 2, 1]

    @requires("dependencies")
    def test_freed_dependents_get_in_line_by_id(self, bench: Bench) -> None:
        """Several children of one parent become waiting by id, behind those that wait already."""
        bench.accept(job(1), job(5, after=[1]), job(3, after=[1]), job(4, after=[1]), job(9))

        bench.run(1, Succeeded())

        assert numbers(bench.hand().claim()) == [9, 3, 4, 5]

    @requires("holding")
    def test_released_held_jobs_get_in_line_by_id(self, bench: Bench) -> None:
        """Held jobs that are released take the last places, by id."""
        bench.accept(job(2), job(1), job(3))
        hand = bench.hand()
        two, one, _ = hand.claim()
        hand.settle_all([two, one], Held("why", "t", "s"))
        bench.accept(job(4))

        bench.holding.release_held(bench.holding.held_kinds())

        assert numbers(hand.claim()) == [4, 1, 2]

    @requires("operate")
    def test_a_requeued_job_is_the_last(self, bench: Bench) -> None:
        """`requeue` gives the last place."""
        bench.accept(job(1), job(2))
        hand = bench.hand()
        hand.settle(hand.claim_one(), Held("why", "t", "s"))
        bench.accept(job(3))

        bench.operate.requeue(named(1))

        assert numbers(hand.claim()) == [2, 3, 1]
