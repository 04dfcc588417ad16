"""Callers on event loops: what they ask is answered as a thread's, however many they are, and whoever gives up."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Thread
from typing import TypeVar

import pytest

from typedgator.backends.contract import (
    AsyncBackend,
    Backend,
    CancelAnswer,
    Inspect,
    JobRecord,
    Receipt,
    ReceiptStatus,
)
from typedgator.errors import BackendUnavailable, UnknownDependency
from typedgator.testing.contract.bench import PROMISED, Bench, Given, Hand, job, named, numbers, requires
from typedgator.wire.states import JobState
from typedgator.wire.verdict import Failed, Succeeded

__all__ = ["Looping", "OnALoop"]

T = TypeVar("T")
SOON_S = 10


class OnALoop:
    """An event loop in a thread of its own, for a backend's twin whose `enqueue` is `run(self.aenqueue(…))`.

    So the whole suite runs through the other face as well. Ends as `asyncio.run` does, without an `aclose`.
    """

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._loop = self._runner.get_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[object, None, T]) -> T:
        """The answer of a coroutine; from any thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def close(self) -> None:
        """Ends the loop. Idempotent."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._runner.close()


class Looping(Given):
    """`can.native_async`."""

    @requires("native_async")
    def test_a_loop_is_answered_as_a_thread_is(self, bench: Bench) -> None:
        """New, known, unknown parents, cancelled or not known: the same words through both faces."""
        loops = bench.on_loops

        async def main() -> tuple[list[Receipt], list[CancelAnswer], list[JobRecord | None]]:
            receipts = await loops.aenqueue([job(1), job(2, after=[1]), job(3, delay_ms=60_000)])
            receipts += await loops.aenqueue([job(1)])
            assert await loops.aenqueue([]) == []
            with pytest.raises(UnknownDependency):
                await loops.aenqueue([job(5), job(4, after=[99])])
            answers = [await loops.acancel(named(number)) for number in (3, 1, 2, 99)]
            return receipts, answers, [await loops.aoutcome(named(number), wait_ms=0) for number in (1, 5, 99)]

        receipts, answers, records = asyncio.run(main())

        assert [receipt.status.value for receipt in receipts] == ["new", "new", "new", "duplicate"]
        assert [receipt.job_id for receipt in receipts] == [named(number) for number in (1, 2, 3, 1)]
        assert answers == [*[CancelAnswer.DONE] * 3, CancelAnswer.UNKNOWN]
        assert [record and record.state for record in records] == [JobState.CANCELED, None, None]

    @requires("native_async")
    def test_each_of_many_callers_has_its_own_answer(self, bench: Bench) -> None:
        """A hundred coroutines enqueue at once, some the same job, some jobs of another kind."""
        loops = bench.on_loops
        frames = [job(number % 50, f"q{number % 3}", delay_ms=number % 5 // 4 * 60_000) for number in range(100)]

        async def main() -> list[list[Receipt]]:
            return await asyncio.gather(*(loops.aenqueue([frame]) for frame in frames))

        answers = asyncio.run(main())

        assert [receipt.job_id for (receipt,) in answers] == [named(number % 50) for number in range(100)]
        statuses = [receipt.status for (receipt,) in answers]
        for number in range(50):
            assert {statuses[number], statuses[50 + number]} == {ReceiptStatus.NEW, ReceiptStatus.DUPLICATE}

    @requires("native_async")
    def test_the_answer_of_a_cancelled_caller_is_nobodys(self, bench: Bench) -> None:
        """Half of the callers give up once they asked: the others are answered rightly, and so is who asks again."""
        loops = bench.on_loops
        bench.accept(*(job(number) for number in range(0, 40, 4)))

        async def ask(number: int) -> object:
            if number % 3 == 0:
                return await loops.acancel(named(number))
            if number % 3 == 1:
                return (await loops.aenqueue([job(number)]))[0].job_id
            record = await loops.aoutcome(named(number), wait_ms=0)
            return record and record.job_id

        async def main() -> tuple[list[object], list[Receipt]]:
            await loops.aenqueue([job(999)])
            callers = [asyncio.create_task(ask(number)) for number in range(40)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            for caller in callers[::2]:
                caller.cancel()
            answers = await asyncio.gather(*callers, return_exceptions=True)
            return list(answers), await loops.aenqueue([job(number) for number in range(1, 40, 3)])

        answers, again = asyncio.run(main())

        for number in range(1, 40, 2):
            if number % 3 == 0:
                assert answers[number] is CancelAnswer.UNKNOWN
            else:
                assert answers[number] == (named(number) if number % 3 == 1 else None)
        assert [receipt.job_id for receipt in again] == [named(number) for number in range(1, 40, 3)]

    @requires("native_async")
    def test_whoever_waits_on_a_loop_is_told_at_once(self, live: Backend) -> None:
        """Many coroutines wait for the ends of some jobs, and each has its record as soon as it is final."""
        assert isinstance(live, AsyncBackend), PROMISED
        live.enqueue([job(number) for number in range(10)])
        hand = Hand(live, ["all"], 60_000)

        async def main() -> list[JobRecord | None]:
            waiting = [asyncio.create_task(live.aoutcome(named(number % 10), wait_ms=60_000)) for number in range(20)]
            assert await live.aoutcome(named(3), wait_ms=30) is not None  # they wait by now
            for each in await asyncio.to_thread(hand.claim, 10):
                verdict = Failed(b"error") if numbers([each])[0] == 7 else Succeeded(b"result of " + each.job_id)
                await asyncio.to_thread(hand.settle, each, verdict)
            async with asyncio.timeout(SOON_S):
                return await asyncio.gather(*waiting)

        records = asyncio.run(main())

        for number, record in enumerate(records):
            failed = number % 10 == 7
            assert record is not None
            assert record.state is (JobState.FAILED if failed else JobState.SUCCESS)
            assert record.outcome == (b"error" if failed else b"result of " + named(number % 10))

    @requires("native_async")
    def test_loops_of_many_threads_do_not_disturb_each_other(self, live: Backend) -> None:
        """Four loops at once, one after the other in each thread, none of them closed by us: all is accepted once."""
        assert isinstance(live, AsyncBackend), PROMISED
        start = Barrier(4)

        async def enqueue(first: int) -> list[list[Receipt]]:
            return await asyncio.gather(*(live.aenqueue([job(number)]) for number in range(first, first + 25)))

        def produce(thread: int) -> int:
            start.wait(SOON_S)
            answers = [asyncio.run(enqueue(25 * part)) for part in range(thread, thread + 3)]
            return sum(receipt.status is ReceiptStatus.NEW for each in answers for (receipt,) in each)

        with ThreadPoolExecutor(4) as pool:
            new = sum(pool.map(produce, range(4)))

        assert new == 150
        assert sorted(numbers(Hand(live, ["all"], 60_000).claim(1000))) == list(range(150))

    @requires("native_async")
    def test_close_keeps_nobody_waiting_on_a_loop(self, live: Backend) -> None:
        """Closed by another thread, a wait goes on or fails with BackendUnavailable; later calls work."""
        assert isinstance(live, AsyncBackend), PROMISED
        live.enqueue([job(1)])

        async def main() -> tuple[object, list[Receipt]]:
            waiting = asyncio.create_task(live.aoutcome(named(1), wait_ms=300))
            await live.aoutcome(named(1), wait_ms=30)
            await asyncio.to_thread(live.close)
            async with asyncio.timeout(2 * SOON_S):
                answer = (await asyncio.gather(waiting, return_exceptions=True))[0]
            await live.aclose()
            await live.aclose()
            return answer, await live.aenqueue([job(1)])

        answer, receipts = asyncio.run(main())

        assert isinstance(answer, JobRecord | BackendUnavailable)
        assert receipts == [Receipt(ReceiptStatus.DUPLICATE, named(1))]
        if isinstance(live, Inspect):
            found = live.find(named(1))
            assert found is not None
            assert found.state is JobState.WAITING
