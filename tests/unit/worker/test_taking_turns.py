"""Who claims: a role of the pool of threads, that two of them take turns at."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from queue import SimpleQueue
from threading import Event, Semaphore, Thread, get_ident

import pytest

from typedgator import Gator
from typedgator.attempt import Attempt, Ending
from typedgator.execution import open_attempt
from typedgator.worker.desk import Holding
from typedgator.worker.executors import Errand, ThreadExecutor
from typedgator.worker.executors import _Seat as Seat

PATIENCE = 10.0
left_behind = ContextVar("left_behind", default="nothing")


class Claims:
    """A pool, and what its threads claim: a lone attempt for each `bring`, and nothing more after `end`."""

    def __init__(self, size: int) -> None:
        self.pool = ThreadExecutor(size, self, ())
        self.claimed_in: list[int] = []
        self.ran_in: list[int] = []
        self.found: list[str] = []
        """What each claim, and each attempt, found in `left_behind`."""
        self.loads: list[int] = []
        """What each claim was told of how much is running or waiting."""
        self.began, self.go_on, self.ended_one = Semaphore(0), Event(), Semaphore(0)
        self.over = Event()
        self._brought: SimpleQueue[Holding | None] = SimpleQueue()
        self._gator = Gator("locmem://")

        @self._gator.register(name="work")
        def work() -> None:
            self.ran_in.append(get_ident())
            self.found.append(left_behind.get())
            left_behind.set("by a task")
            self.occupy()

        self._task = work
        self._worker = self._gator.backend.join(["all"], lease_ms=30_000)
        self._seen = 0
        self.pool.start()
        self.pool.start_claiming(self._claim)

    def occupy(self) -> None:
        """Keeps a thread at work until it may go on."""
        self.began.release()
        assert self.go_on.wait(PATIENCE)

    def _claim(self) -> Holding | None:
        while (holding := self._brought.get()) is not None:
            self.claimed_in.append(get_ident())
            self.found.append(left_behind.get())
            left_behind.set("by a claim")
            self.loads.append(self.pool.load)
            if self.pool.pass_on(holding):
                return holding
            self.pool.submit([holding])
        self.over.set()
        return None

    def starting(self, holding: Holding, /) -> bool:
        return True

    def ended(self, holding: Holding, ending: Ending, /) -> None:
        self.ended_one.release()

    def holding(self) -> Holding:
        """An attempt of a task that runs until it may go on."""
        self._gator.task(self._task)
        (claimed,) = self._gator.backend.claim(self._worker, limit=1, wait_ms=0, seen=self._seen)
        self._seen = claimed.token
        attempt = open_attempt(claimed, self._gator.registry)
        assert isinstance(attempt, Attempt)
        return Holding(self._worker, attempt, 0.0)

    def bring(self) -> None:
        """The next claim brings one attempt."""
        self._brought.put(self.holding())

    def end(self) -> None:
        """There is nothing more to claim."""
        self._brought.put(None)

    def until_all_rest(self) -> None:
        """Returns once each thread that does not claim waits for something to do."""
        deadline = time.monotonic() + PATIENCE
        while len(self.pool._idle) < self.pool.size:
            assert time.monotonic() < deadline
            Event().wait(0.001)


class Taken(deque[Seat]):
    """Whoever comes in here is taken out at once, by somebody who is going to wake it."""

    def append(self, seat: Seat, /) -> None:
        pass

    appendleft = append


class Emptied(deque[Holding | Errand]):
    """Nothing is in here when a thread looks for the first time; before it knows, something happens."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        super().__init__()
        self._meanwhile: Callable[[], None] | None = meanwhile

    def popleft(self) -> Holding | Errand:
        try:
            return super().popleft()
        except IndexError:
            meanwhile, self._meanwhile = self._meanwhile, None
            if meanwhile is not None:
                happening = Thread(target=meanwhile)
                happening.start()
                happening.join()
            raise


@contextmanager
def claiming(size: int) -> Iterator[Claims]:
    """With so many slots; in the end, no thread stays."""
    made = Claims(size)
    yield made
    made.go_on.set()
    made.end()
    assert made.over.wait(PATIENCE)
    assert made.pool.stop(PATIENCE) == 0
    assert [seat.thread.name for seat in made.pool._seats if seat.thread.is_alive()] == []


@pytest.fixture
def claims() -> Iterator[Claims]:
    """With three slots."""
    with claiming(3) as made:
        yield made


def test_a_lone_attempt_runs_in_the_thread_that_claimed_it_and_two_take_turns(claims: Claims) -> None:
    """No other thread has to wake before it can start; and no third one ever connects to claim."""
    claims.go_on.set()
    for _ in range(10):
        claims.until_all_rest()
        claims.bring()
        assert claims.ended_one.acquire(timeout=PATIENCE)
    assert claims.ran_in == claims.claimed_in
    first, second = claims.claimed_in[:2]
    assert first != second
    assert claims.claimed_in == [first, second] * 5


def test_what_a_task_leaves_in_its_context_is_not_that_of_a_claim(claims: Claims) -> None:
    """Nor the other way round: a log line of the worker has no fields of some job that ran before in that thread."""
    claims.go_on.set()
    for _ in range(4):
        claims.until_all_rest()
        claims.bring()
        assert claims.ended_one.acquire(timeout=PATIENCE)
    claimed, ran = claims.found[::2], claims.found[1::2]
    assert "by a task" not in claimed
    assert "by a claim" not in ran


def test_with_one_slot_all_attempts_run_in_one_thread() -> None:
    """What a task keeps may belong to its thread, and `--concurrency 1` is for tasks that share it."""
    with claiming(1) as claims:
        claims.go_on.set()
        for _ in range(4):
            claims.until_all_rest()
            claims.bring()
            assert claims.ended_one.acquire(timeout=PATIENCE)
        assert len(set(claims.ran_in)) == 1
        assert not set(claims.ran_in) & set(claims.claimed_in)


def test_claiming_goes_on_meanwhile_and_no_more_run_than_there_are_slots(claims: Claims) -> None:
    """What comes while both run something or claim is given to the others; each claim knows of all before it."""
    claims.until_all_rest()
    for _ in range(3):
        claims.bring()
        assert claims.began.acquire(timeout=PATIENCE)
    for _ in range(2):
        claims.bring()
    assert not claims.began.acquire(timeout=0.2)
    claims.go_on.set()
    for _ in range(5):
        assert claims.ended_one.acquire(timeout=PATIENCE)
    assert claims.loads == [0, 1, 2, 3, 4]
    assert claims.pool.load == 0
    assert claims.ran_in[0] == claims.claimed_in[0]
    assert len(set(claims.claimed_in)) == 2


def test_what_is_submitted_together_runs_together(claims: Claims) -> None:
    """One thread is woken, which wakes the next, and so on."""
    claims.until_all_rest()
    claims.pool.submit([claims.holding() for _ in range(3)])
    for _ in range(3):
        assert claims.began.acquire(timeout=PATIENCE / 2)


def test_hooks_leave_the_next_to_claim_alone(claims: Claims) -> None:
    """As long as another thread is free: a lone attempt that comes then still runs at once."""
    claims.until_all_rest()
    for _ in range(2):
        claims.pool.submit([claims.occupy])
        assert claims.began.acquire(timeout=PATIENCE)
    claims.bring()
    assert claims.began.acquire(timeout=PATIENCE)
    assert claims.ran_in == claims.claimed_in


def test_the_end_of_claiming_gives_the_pool_no_slot_more(claims: Claims) -> None:
    """The thread that claimed last ends, whichever it is."""
    claims.until_all_rest()
    claims.bring()
    assert claims.began.acquire(timeout=PATIENCE)
    claims.end()
    assert claims.over.wait(PATIENCE)
    claims.pool.submit([claims.holding() for _ in range(3)])
    for _ in range(2):
        assert claims.began.acquire(timeout=PATIENCE)
    assert not claims.began.acquire(timeout=0.2)
    claims.go_on.set()
    for _ in range(4):
        assert claims.ended_one.acquire(timeout=PATIENCE)


def test_the_end_of_the_pool_waits_for_no_claim_that_hangs(claims: Claims) -> None:
    """The claimer was waited for already."""
    claims.until_all_rest()
    stopping = Thread(target=claims.pool.stop, args=(3600.0,))
    stopping.start()
    stopping.join(PATIENCE)
    assert not stopping.is_alive()
    assert [seat.thread.is_alive() for seat in claims.pool._seats] == [False] * 3 + [True]


@pytest.mark.parametrize("comes", ["work", "the end"])
def test_what_comes_while_a_thread_goes_to_rest_is_not_missed(claims: Claims, comes: str) -> None:
    """The thread has found nothing to do, and is not yet among those that can be woken."""
    pool = ThreadExecutor(1, claims, ())
    if comes == "work":
        pool.submit([claims.began.release])
    else:
        pool.stop(0)
    resting = Thread(target=pool._rest, args=(pool._seats[0],), daemon=True)
    resting.start()
    resting.join(PATIENCE)
    assert not resting.is_alive()
    assert not pool._idle  # or another would be woken in vain


def test_a_thread_that_is_woken_on_its_way_to_rest_rests_once(claims: Claims) -> None:
    """Whoever took it from those that rest wakes it: it waits for that, or its next rest would end at once."""
    pool = ThreadExecutor(1, claims, ())
    seat = pool._seats[0]
    pool.submit([claims.began.release])
    pool._idle = Taken(pool._idle)
    resting = Thread(target=pool._rest, args=(seat,), daemon=True)
    resting.start()
    resting.join(0.2)
    assert resting.is_alive()
    seat.wake.release()
    resting.join(PATIENCE)
    assert not resting.is_alive()


def test_what_is_submitted_right_before_the_end_is_run(claims: Claims) -> None:
    """A hook of the last job: the thread that ran that one has looked for more, and is about to hear of nothing."""
    pool = ThreadExecutor(1, claims, ())
    ran: list[str] = []

    def last_hook_and_end() -> None:
        pool.submit([lambda: ran.append("hook")])
        pool.stop(0)

    pool._ready = Emptied(last_hook_and_end)
    pool.start()
    pool._seats[0].thread.join(PATIENCE)
    assert ran == ["hook"]
    assert not pool._ready
