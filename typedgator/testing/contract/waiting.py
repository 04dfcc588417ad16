"""Threads: who waits is woken, and what many do at once is done once. Every wait has a limit; nothing sleeps."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from queue import Queue
from threading import Barrier, Event
from time import monotonic
from typing import TypeVar

import pytest

from typedgator.backends.contract import (
    Backend,
    CancelAnswer,
    Claimed,
    JobRecord,
    ReceiptStatus,
    Results,
    Settled,
    Waking,
)
from typedgator.testing.contract.bench import Bench, Given, Hand, job, named, numbers, requires
from typedgator.wire.states import JobState
from typedgator.wire.verdict import Failed, Released, RetryIn, Succeeded

__all__ = ["Waiting", "while_waiting"]

T = TypeVar("T")
U = TypeVar("U")
SOON_S = 10
"""How long a test waits at most for what should happen at once."""


class Waiting(Given):
    """Blocking calls and concurrent ones, on the machine's own clock."""

    def test_an_empty_claim_waits_and_gives_up(self, live: Backend) -> None:
        """Nothing to give: the claim waits up to `wait_ms`, and then answers with nothing."""
        hand = Hand(live, ["all"], 30_000)
        before = monotonic()

        assert hand.claim(wait_ms=60) == []

        assert 0.05 < monotonic() - before < SOON_S

    def test_a_waiting_claim_is_woken_by_an_enqueue(self, live: Backend) -> None:
        """A job that comes while a worker waits is handed out at once, not when the wait is over."""
        hand = Hand(live, ["all"], 60_000)

        claimed = while_waiting(hand, lambda: live.enqueue([job(1)]))

        assert numbers(claimed) == [1]

    def test_a_waiting_claim_is_woken_when_something_is_due(self, live: Backend) -> None:
        """A delayed job is handed out when it is due, though nothing else happens."""
        hand = Hand(live, ["all"], 60_000)
        live.enqueue([job(1, delay_ms=80)])

        claimed = _within(lambda: hand.claim(wait_ms=60_000))

        assert numbers(claimed) == [1]

    def test_a_waiting_claim_is_woken_by_a_delay_that_comes_later(self, live: Backend) -> None:
        """A job that is due before the end of the wait is not overslept, though it was not there at its beginning."""
        hand = Hand(live, ["all"], 60_000)

        claimed = while_waiting(hand, lambda: live.enqueue([job(1, delay_ms=80)]))

        assert numbers(claimed) == [1]

    @requires("wake")
    def test_a_waiting_claim_ends_when_its_worker_is_woken(self, live: Backend) -> None:
        """`wake` ends the wait of this worker, and of no other; the next claim waits again."""
        assert isinstance(live, Waking)
        hand, other = Hand(live, ["all"], 60_000), Hand(live, ["all"], 60_000)
        with ThreadPoolExecutor(2) as pool:
            waiting, others = pool.submit(hand.claim, wait_ms=60_000), pool.submit(other.claim, wait_ms=60_000)
            _let_others_wait(live)
            live.wake(hand.id)
            assert waiting.result(SOON_S) == []
            again = pool.submit(hand.claim, wait_ms=60_000)
            _let_others_wait(live)
            assert not again.done()
            assert not others.done()
            live.enqueue([job(1), job(2)])
            live.wake(hand.id)
            live.wake(other.id)
            found = [*again.result(SOON_S), *others.result(SOON_S)]

        ends = monotonic() + SOON_S
        while len(found) < 2 and monotonic() < ends:
            found += [*hand.claim(wait_ms=50), *other.claim(wait_ms=50)]
        assert sorted(numbers(found)) == [1, 2]

    @requires("wake")
    def test_a_wake_may_come_before_the_wait(self, live: Backend) -> None:
        """A claim that would wait does not, once; a worker that left or never was is nobody's business."""
        assert isinstance(live, Waking)
        hand, gone = Hand(live, ["all"], 60_000), Hand(live, ["all"], 60_000)
        live.wake(hand.id)
        gone.leave()
        live.wake(gone.id)

        assert _within(lambda: hand.claim(wait_ms=60_000)) == []
        assert _within(lambda: hand.claim(wait_ms=30)) == []

    @pytest.mark.parametrize("verdict", [Released(), RetryIn(0)], ids=["released", "retried"])
    def test_a_waiting_claim_is_woken_by_what_comes_back(self, live: Backend, verdict: Released | RetryIn) -> None:
        """A job that another worker gives back is handed out at once."""
        live.enqueue([job(1)])
        other = Hand(live, ["all"], 60_000)
        first = other.claim_one()
        hand = Hand(live, ["all"], 60_000)

        claimed = while_waiting(hand, lambda: other.settle(first, verdict))

        assert numbers(claimed) == [1]

    def test_a_waiting_claim_is_woken_by_a_leaving_worker(self, live: Backend) -> None:
        """What a leaving worker held is handed out at once."""
        live.enqueue([job(1)])
        other = Hand(live, ["all"], 60_000)
        other.claim_one()
        hand = Hand(live, ["all"], 60_000)

        claimed = while_waiting(hand, other.leave)

        assert numbers(claimed) == [1]

    def test_a_waiting_claim_reaps_by_the_clock(self, live: Backend) -> None:
        """An idle worker notices that another lapsed, without anybody calling `maintain`."""
        live.enqueue([job(1)])
        Hand(live, ["all"], 100).claim_one()
        hand = Hand(live, ["all"], 60_000)

        claimed = _within(lambda: hand.claim(wait_ms=60_000))

        assert [(each.attempt, each.crashes) for each in claimed] == [(2, 1)]

    @requires("dependencies")
    def test_a_waiting_claim_is_woken_by_a_freed_dependent(self, live: Backend) -> None:
        """The child of a success is handed out at once."""
        live.enqueue([job(1), job(2, after=[1])])
        other = Hand(live, ["all"], 60_000)
        first = other.claim_one()
        hand = Hand(live, ["all"], 60_000)

        claimed = while_waiting(hand, lambda: other.succeed(first))

        assert numbers(claimed) == [2]

    def test_of_several_that_wait_each_job_reaches_one(self, live: Backend) -> None:
        """Of several that wait, each job reaches exactly one."""
        hands = [Hand(live, ["all"], 60_000) for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            waiting = [pool.submit(hand.claim, 1, wait_ms=20_000) for hand in hands]
            for number in range(4):
                live.enqueue([job(number)])

            claimed = [each for future in waiting for each in future.result(SOON_S)]

        assert sorted(numbers(claimed)) == [0, 1, 2, 3]

    @requires("results")
    def test_a_waiting_result_is_told_at_once(self, live: Backend) -> None:
        """Who waits for an outcome has it as soon as the state is final."""
        assert isinstance(live, Results)
        results = live
        live.enqueue([job(1)])
        hand = Hand(live, ["all"], 60_000)
        claimed = hand.claim_one()

        def ask() -> JobRecord | None:
            return results.outcome(named(1), wait_ms=60_000)

        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(ask)
            _let_others_wait(live)
            hand.settle(claimed, Succeeded(b"a result"))
            record = asked.result(SOON_S)

        assert record is not None
        assert (record.state, record.outcome) == (JobState.SUCCESS, b"a result")

    @requires("memory")
    def test_many_workers_claim_each_job_once(self, live: Backend) -> None:
        """Producers and workers at once: every job is accepted once, claimed once for each attempt, and settled."""
        jobs, producers, workers = 300, 3, 4
        start, all_ended = Barrier(producers + workers), Event()
        ended: Queue[int] = Queue(jobs)

        def produce() -> int:
            start.wait(SOON_S)
            # Every producer sends every job: two of three are repeats.
            batches = [[job(each) for each in range(first, first + 20)] for first in range(0, jobs, 20)]
            receipts = [receipt for batch in batches for receipt in live.enqueue(batch)]
            return sum(receipt.status is ReceiptStatus.NEW for receipt in receipts)

        def work() -> list[Claimed]:
            hand = Hand(live, ["all"], 60_000)
            start.wait(SOON_S)
            mine: list[Claimed] = []
            while not all_ended.is_set():
                for each in hand.claim(7, wait_ms=20):
                    mine.append(each)
                    if each.attempt == 1 and numbers([each])[0] % 5 == 0:
                        assert hand.settle(each, RetryIn(0)) is Settled.WRITTEN
                    else:
                        assert hand.succeed(each) is Settled.WRITTEN
                        ended.put(numbers([each])[0], timeout=SOON_S)
            return mine

        with ThreadPoolExecutor(producers + workers) as pool:
            working = [pool.submit(work) for _ in range(workers)]
            producing = [pool.submit(produce) for _ in range(producers)]
            try:
                succeeded = [ended.get(timeout=3 * SOON_S) for _ in range(jobs)]
            finally:
                all_ended.set()
            claims = [future.result(SOON_S) for future in working]

        assert sum(future.result(SOON_S) for future in producing) == jobs
        assert sorted(succeeded) == list(range(jobs))
        attempts = [(each.job_id, each.attempt) for mine in claims for each in mine]
        assert len(set(attempts)) == len(attempts) == jobs + jobs // 5
        tokens = [[each.token for each in mine] for mine in claims]
        assert all(mine == sorted(mine) for mine in tokens)
        assert len({token for mine in tokens for token in mine}) == len(attempts)

    @requires("unique")
    def test_many_enqueue_one_unique_key(self, live: Backend) -> None:
        """Of many producers at once, one is NEW, and all others are told its id."""
        start = Barrier(6)

        def produce(number: int) -> tuple[ReceiptStatus, bytes]:
            start.wait(SOON_S)
            receipt = live.enqueue([job(number, unique=b"sixteen bytes ok")])[0]
            return receipt.status, receipt.job_id

        with ThreadPoolExecutor(6) as pool:
            receipts = list(pool.map(produce, range(6)))

        assert [status for status, _ in receipts].count(ReceiptStatus.NEW) == 1
        assert len({holder for _, holder in receipts}) == 1

    def test_of_two_ends_of_one_attempt_one_is_written(self, live: Backend) -> None:
        """Two settlements of different kinds at the same moment: one is WRITTEN and stays, the other is LOST."""
        live.enqueue([job(number) for number in range(50)])
        hand = Hand(live, ["all"], 60_000)
        for claimed in hand.claim(50):
            start = Barrier(2)
            answers = _at_once(
                start, partial(hand.settle, claimed, Succeeded()), partial(hand.settle, claimed, Failed(b"e"))
            )

            assert sorted(answer.value for answer in answers) == ["lost", "written"]
            if isinstance(live, Results):
                record = live.outcome(claimed.job_id, wait_ms=0)
                assert record is not None
                assert record.state == ("success" if answers[0] is Settled.WRITTEN else "failed")

    @requires("cancel", "results")
    def test_a_wish_to_cancel_and_an_end_at_the_same_moment(self, live: Backend) -> None:
        """Whoever is first: a success stays one, and TOO_LATE or REQUESTED was said; a retry ends canceled."""
        assert isinstance(live, Results)
        live.enqueue([job(number) for number in range(50)])
        hand = Hand(live, ["all"], 60_000)
        for claimed in hand.claim(50):
            verdict = Succeeded() if numbers([claimed])[0] % 2 else RetryIn(60_000)
            start = Barrier(2)
            written, said = _at_once(
                start, partial(hand.settle, claimed, verdict), partial(live.cancel, claimed.job_id)
            )

            record = live.outcome(claimed.job_id, wait_ms=0)
            assert record is not None
            assert written is Settled.WRITTEN
            if isinstance(verdict, Succeeded):
                assert record.state is JobState.SUCCESS
                assert said in (CancelAnswer.REQUESTED, CancelAnswer.TOO_LATE)
            else:
                assert record.state is JobState.CANCELED
                assert said in (CancelAnswer.REQUESTED, CancelAnswer.DONE)

    @requires("upkeep")
    def test_upkeep_by_many_at_once_is_done_once(self, bench: Bench) -> None:
        """`maintain` is safe from every worker at once: each due job is promoted by one of them."""
        bench.accept(*(job(number, delay_ms=1) for number in range(200)))
        bench.clock.advance(1)
        start = Barrier(4)

        def upkeep() -> int:
            start.wait(SOON_S)
            return sum(bench.backend.maintain(limit=10).promoted for _ in range(25))

        with ThreadPoolExecutor(4) as pool:
            promoted = [future.result(SOON_S) for future in [pool.submit(upkeep) for _ in range(4)]]

        assert sum(promoted) == 200
        assert sorted(numbers(bench.hand().claim(500))) == list(range(200))


def _within(call: Callable[[], T]) -> T:
    """The answer of a call that must not take its whole wait."""
    before = monotonic()
    answer = call()
    assert monotonic() - before < SOON_S, "it slept through"
    return answer


def while_waiting(hand: Hand, deed: Callable[[], object]) -> list[Claimed]:
    """What a claim that waits for a minute answers when something is done meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        waiting: Future[list[Claimed]] = pool.submit(hand.claim, wait_ms=60_000)
        _let_others_wait(hand.backend)
        deed()
        return waiting.result(SOON_S)


def _at_once(start: Barrier, one: Callable[[], T], other: Callable[[], U]) -> tuple[T, U]:
    """The answers of two calls that begin at the same moment."""

    def first() -> T:
        start.wait(SOON_S)
        return one()

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(first)
        start.wait(SOON_S)
        answer = other()
        return asked.result(SOON_S), answer


def _let_others_wait(backend: Backend) -> None:
    """Passes a moment, in a claim that nothing can answer, so that the other thread is deep in its own."""
    Hand(backend, ["nobodys"], 60_000).claim(wait_ms=30)
