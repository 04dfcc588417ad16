"""The executors by themselves: each attempt that was given to them ends, and its end is told."""

import asyncio
from collections.abc import Iterator
from threading import Event, Semaphore

import pytest

from typedgator import Gator
from typedgator.attempt import Attempt, Ending, Stopped
from typedgator.execution import open_attempt
from typedgator.worker.desk import Holding
from typedgator.worker.executors import Helpers, LoopExecutor, ThreadExecutor

PATIENCE = 10.0


class Told:
    """Remembers the ends."""

    def __init__(self, *, ours: bool = True) -> None:
        self.ours = ours
        self.asked = Event()
        self.ends: list[Ending] = []
        self.told = Event()

    def starting(self, holding: Holding, /) -> bool:
        self.asked.set()
        return self.ours

    def ended(self, holding: Holding, ending: Ending, /) -> None:
        self.ends.append(ending)
        self.told.set()


ran: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


running, go_on = Semaphore(0), Event()


def run() -> None:
    """Runs until it may end."""
    running.release()
    assert go_on.wait(PATIENCE)


@pytest.mark.parametrize("is_async", [False, True])
def test_no_more_run_than_there_are_slots(is_async: bool) -> None:
    """However many are given at once; the others follow."""
    go_on.clear()
    told = Told()
    threads, loop = ThreadExecutor(2, told, ()), LoopExecutor(2, told, ())
    threads.start()
    (loop if is_async else threads).submit(holdings(5, is_async=is_async, waits=True))
    for _ in range(2):
        assert running.acquire(timeout=PATIENCE)
    assert not running.acquire(timeout=0.2)
    go_on.set()
    for _ in range(3):
        assert running.acquire(timeout=PATIENCE)
    threads.stop(PATIENCE)
    while len(told.ends) < 5:
        told.told.clear()
        assert len(told.ends) == 5 or told.told.wait(PATIENCE)
    loop.stop()
    assert threads.load == loop.load == 0


def holding(*, is_async: bool) -> Holding:
    """An attempt of a task that says that it ran."""
    return holdings(1, is_async=is_async)[0]


def holdings(count: int, *, is_async: bool, waits: bool = False) -> list[Holding]:
    """Attempts of a task that says that it ran, or waits."""
    gator = Gator("locmem://")

    @gator.register(name="sync")
    def sync() -> None:
        run() if waits else ran.append("sync")

    @gator.register(name="async")
    async def on_loop() -> None:
        await asyncio.to_thread(run) if waits else ran.append("async")

    for _ in range(count):
        gator.task(on_loop if is_async else sync)
    worker = gator.backend.join(["all"], lease_ms=30_000)
    made: list[Holding] = []
    for claimed in gator.backend.claim(worker, limit=count, wait_ms=0, seen=0):
        attempt = open_attempt(claimed, gator.registry)
        assert isinstance(attempt, Attempt)
        made.append(Holding(worker, attempt, 0.0))
    return made


@pytest.fixture
def loop() -> Iterator[LoopExecutor]:
    """With one slot."""
    executor = LoopExecutor(1, Told(), ())
    yield executor
    executor.stop()


def test_an_attempt_that_is_stopped_before_its_first_step_tells_its_end(loop: LoopExecutor) -> None:
    """asyncio never runs a task that is cancelled before it began; its slot would be taken for ever."""
    told = loop._told
    assert isinstance(told, Told)
    gate = Event()
    loop._started().call_soon_threadsafe(gate.wait, PATIENCE)  # both calls below are made in one turn of the loop
    one = holding(is_async=True)
    loop.submit([one])
    loop.stop_one(one)
    gate.set()
    assert told.told.wait(PATIENCE)
    assert told.ends == [Stopped(canceled=False)]
    assert ran == []
    assert loop.load == 0


@pytest.mark.parametrize("is_async", [False, True])
def test_what_is_not_ours_any_more_is_not_run(is_async: bool) -> None:
    """And takes no slot."""
    told = Told(ours=False)
    threads, loop = ThreadExecutor(1, told, ()), LoopExecutor(1, told, ())
    threads.start()
    (loop if is_async else threads).submit([holding(is_async=is_async)])
    assert told.asked.wait(PATIENCE)
    threads.stop(PATIENCE)
    loop.stop()
    assert (ran, told.ends) == ([], [])
    assert threads.load == loop.load == 0


def test_errands_that_nobody_could_run_are_counted_at_the_end() -> None:
    """Every thread was busy until then."""
    busy, go_on = Event(), Event()
    threads = ThreadExecutor(1, Told(), ())
    threads.start()

    def wait() -> None:
        busy.set()
        assert go_on.wait(PATIENCE)

    threads.submit([wait])
    assert busy.wait(PATIENCE)
    threads.submit([lambda: ran.append("errand")])
    assert threads.stop(0.01) == 1
    go_on.set()
    for seat in threads._seats[:-1]:
        seat.thread.join(PATIENCE)
    assert ran == ["errand"]


def test_helpers_answer_raise_and_are_used_again() -> None:
    """No more threads than were needed at once, at most as many as said, and the interpreter waits for none."""
    helpers, both, go_on = Helpers(2), Semaphore(0), Event()

    def meet(number: int) -> int:
        both.release()
        assert go_on.wait(PATIENCE)
        return number

    def fail() -> None:
        raise SystemExit("not the helper's end")

    assert helpers.submit(int, "7").result(PATIENCE) == 7
    with pytest.raises(SystemExit):
        helpers.submit(fail).result(PATIENCE)
    some = [helpers.submit(meet, number) for number in range(5)]
    for _ in range(2):
        assert both.acquire(timeout=PATIENCE)
    assert not both.acquire(blocking=False)
    assert some[4].cancel()
    go_on.set()

    assert [each.result(PATIENCE) for each in some[:4]] == [0, 1, 2, 3]
    assert [helper.daemon for helper in helpers._helpers] == [True, True]
    helpers.shutdown()
    assert not any(helper.is_alive() for helper in helpers._helpers)
    with pytest.raises(RuntimeError, match="has stopped"):
        helpers.submit(int)
