"""What a worker makes of tasks: sync ones in threads, async ones on one loop, whatever they do."""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Barrier, BoundedSemaphore, Event, Lock
from typing import Any

import pytest

from tests.integration.worker.conftest import Start
from tests.integration.worker.crew import PATIENCE, Heard
from typedgator import (
    Cancel,
    Gator,
    Job,
    JobCanceled,
    JobFailed,
    JobState,
    Retry,
    RetryPolicy,
    Snooze,
    Worker,
    current_job,
)
from typedgator.events import JobEnded, JobRetrying
from typedgator.middleware import Middleware
from typedgator.wire.envelope import Envelope
from typedgator.wire.outcome import MAX_RESULT_BYTES

Burst = Callable[..., Worker]


class OwnBaseException(BaseException):
    """Not an Exception."""


class Mute(Exception):
    """Cannot even say its own name."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class Garbled(Exception):
    """Says what no UTF-8 can."""

    def __str__(self) -> str:
        return "half a pair: \ud800"


def failure(job: Job[Any]) -> JobFailed:
    """The failure that the job ended with."""
    with pytest.raises(JobFailed) as caught:
        job.result(timeout=PATIENCE)
    return caught.value


def test_sync_tasks_run_in_threads_and_async_tasks_on_one_loop_at_once(gator: Gator, start: Start) -> None:
    """Neither kind waits for the other."""
    all_here = Barrier(3, timeout=PATIENCE)
    threads: set[str] = set()
    loops: set[int] = set()

    @gator.register(name="sync")
    def sync(number: int) -> int:
        threads.add(threading.current_thread().name)
        all_here.wait()
        return number

    @gator.register(name="async")
    async def on_loop(number: int) -> int:
        loops.add(id(asyncio.get_running_loop()))
        threads.add(threading.current_thread().name)
        await asyncio.to_thread(all_here.wait)
        return number

    jobs = [gator.task(sync, 1), gator.task(sync, 2), gator.task(on_loop, 3)]
    start(gator, concurrency=3)

    assert [job.result(timeout=PATIENCE) for job in jobs] == [1, 2, 3]
    assert len(loops) == 1
    assert sorted(name.rstrip("0123456789") for name in threads) == ["typedgator-loop", *["typedgator-task-"] * 2]


@pytest.mark.parametrize("is_async", [False, True])
def test_concurrency_is_reached_and_never_exceeded(gator: Gator, start: Start, is_async: bool) -> None:
    """Four of twelve run at any time, not five, and not three."""
    slots = BoundedSemaphore(4)
    four_here = Barrier(4, timeout=PATIENCE)
    exceeded = Event()

    def meet() -> None:
        if not slots.acquire(blocking=False):
            exceeded.set()
            return
        try:
            four_here.wait()
        finally:
            slots.release()

    if is_async:

        @gator.register(name="meet")
        async def task(number: int) -> None:
            await asyncio.to_thread(meet)
    else:

        @gator.register(name="meet")
        def task(number: int) -> None:
            meet()

    jobs = [job for number in range(12) for job in gator.task_many(task, [(number,)])]
    start(gator, concurrency=4)

    for job in jobs:
        job.result(timeout=PATIENCE)
    assert not exceeded.is_set()


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    "raised",
    [
        ValueError("no"),
        SystemExit(3),
        KeyboardInterrupt(),
        GeneratorExit(),
        StopIteration(),
        OwnBaseException("own"),
        Mute(),
        Garbled(),
        asyncio.CancelledError(),
        Snooze.__new__(Snooze),  # made without its __init__: it has no delay
        ExceptionGroup("two", [ValueError(1), KeyError(2)]),
        RecursionError("deep"),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_task_raises_is_its_failure_and_the_worker_goes_on(
    gator: Gator, burst: Burst, raised: BaseException, is_async: bool
) -> None:
    """It ran once, the failure names it, and the next job runs."""
    runs: list[int] = []

    def body(number: int) -> int:
        runs.append(number)
        if number == 0:
            raise raised
        return number

    if is_async:

        @gator.register(name="body")
        async def task(number: int) -> int:
            return body(number)
    else:

        @gator.register(name="body")
        def task(number: int) -> int:
            return body(number)

    bad, good = gator.task(task, 0), gator.task(task, 1)
    report = burst(gator, concurrency=1).report

    error = failure(bad)
    if type(raised) in {StopIteration, Snooze} and (is_async or isinstance(raised, Snooze)):
        assert error.error_type in {"RuntimeError", "AttributeError"}  # as Python has it for a coroutine
    else:
        assert error.error_type.split(".")[-1] == type(raised).__name__
    assert good.result(timeout=0) == 1
    assert runs == [0, 1]
    assert (report.succeeded, report.failed, report.ended) == (1, 1, 2)


def test_an_error_that_cannot_be_shown_is_stored_as_well_as_it_can(gator: Gator, burst: Burst) -> None:
    """A __str__ that raises, half a surrogate pair, and a megabyte of words hurt nobody."""

    @gator.register(name="mute")
    def mute() -> None:
        raise Mute

    @gator.register(name="garbled")
    def garbled() -> None:
        raise Garbled

    @gator.register(name="verbose")
    def verbose() -> None:
        raise ValueError("x" * 1_000_000)

    jobs = [gator.task(mute), gator.task(garbled), gator.task(verbose)]
    burst(gator)

    assert failure(jobs[0]).error_message == "(its __str__ failed)"
    assert failure(jobs[1]).error_message == "half a pair: ?"
    assert len(failure(jobs[2]).error_message) == 4096
    assert "in verbose" in failure(jobs[2]).traceback
    assert "execution.py" not in failure(jobs[2]).traceback


def test_a_result_that_cannot_be_stored_is_a_failure_not_a_second_run(gator: Gator, burst: Burst) -> None:
    """The work is done; running it again would do it twice."""
    runs: list[str] = []

    @gator.register(name="wrong", retries=5, backoff=0)
    def wrong() -> int:
        runs.append("wrong")
        return "three"  # type: ignore[return-value]  # the mistake that is tested

    @gator.register(name="huge", retries=5, backoff=0)
    def huge() -> bytes:
        runs.append("huge")
        return bytes(MAX_RESULT_BYTES + 1)

    @gator.register(name="garbled", retries=5, backoff=0)
    def garbled() -> str:
        runs.append("garbled")
        return "\ud800"

    jobs: list[Job[Any]] = [gator.task(wrong), gator.task(huge), gator.task(garbled)]
    burst(gator)

    assert [failure(job).error_type for job in jobs] == ["typedgator.errors.PayloadMismatch"] * 3
    assert sorted(runs) == ["garbled", "huge", "wrong"]


def test_a_large_result_arrives_whole(gator: Gator, burst: Burst) -> None:
    """Just below the limit of 1 MiB."""

    @gator.register(name="large")
    def large() -> bytes:
        return b"x" * (MAX_RESULT_BYTES - 100)

    job = gator.task(large)
    burst(gator)
    assert job.result(timeout=0) == b"x" * (MAX_RESULT_BYTES - 100)


@pytest.mark.parametrize("is_async", [False, True])
def test_failed_attempts_are_tried_again_and_the_last_error_stays(gator: Gator, burst: Burst, is_async: bool) -> None:
    """Three attempts with `retries=2`; a burst runs retries that are due at once."""
    attempts: list[int] = []

    def body() -> None:
        attempts.append(current_job().attempt)
        raise ValueError(f"attempt {current_job().attempt}")

    if is_async:

        @gator.register(name="body", retries=2, backoff=0)
        async def task() -> None:
            body()
    else:

        @gator.register(name="body", retries=2, backoff=0)
        def task() -> None:
            body()

    retrying = Heard().on(gator.events, JobRetrying, JobEnded)
    job = gator.task(task)
    report = burst(gator).report

    assert attempts == [1, 2, 3]
    assert (failure(job).error_message, failure(job).attempt) == ("attempt 3", 3)
    assert (report.retried, report.failed) == (2, 1)
    assert [event.attempt for event in retrying.of(JobRetrying)] == [1, 2]
    assert [event.state for event in retrying.of(JobEnded)] == [JobState.FAILED]


def test_a_retry_waits_for_its_backoff(gator: Gator, burst: Burst) -> None:
    """What is due later does not hold up a burst."""

    @gator.register(name="later", retries=RetryPolicy(1, backoff=60, jitter=False))
    def later() -> None:
        raise ValueError

    job = gator.task(later)
    burst(gator)
    assert job.state() is JobState.RETRYING


def test_retry_snooze_and_cancel_say_how_an_attempt_ends(gator: Gator, burst: Burst) -> None:
    """Retry spends an attempt, Snooze does not, Cancel ends the job with a reason that is kept."""
    seen: list[tuple[str, int]] = []

    @gator.register(name="retry", retries=1)
    def retry() -> int:
        seen.append(("retry", current_job().attempt))
        if current_job().attempt == 1:
            raise Retry("once more", delay=0)
        return 7

    @gator.register(name="snooze")
    def snooze() -> int:
        seen.append(("snooze", current_job().attempt))
        if seen.count(("snooze", 1)) < 3:
            raise Snooze(0)
        return 8

    @gator.register(name="cancel", retries=5)
    def cancel() -> int:
        raise Cancel("nothing to do \ud800" + "x" * 500)

    jobs = [gator.task(retry), gator.task(snooze), gator.task(cancel)]
    report = burst(gator).report

    assert [job.result(timeout=0) for job in jobs[:2]] == [7, 8]
    assert sorted(seen) == [("retry", 1), ("retry", 2), *[("snooze", 1)] * 3]
    with pytest.raises(JobCanceled, match=r"nothing to do \?x+$"):
        jobs[2].result(timeout=0)
    assert (report.succeeded, report.retried, report.snoozed, report.canceled) == (2, 1, 2, 1)


def test_an_async_task_that_runs_too_long_fails_and_is_tried_again(gator: Gator, burst: Burst) -> None:
    """It is cancelled at its limit, may clean up, and its error is TimeLimitExceeded."""
    cleaned: list[int] = []

    @gator.register(name="endless", time_limit=0.05, retries=1, backoff=0)
    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(current_job().attempt)

    job = gator.task(endless)
    burst(gator)

    error = failure(job)
    assert error.error_type == "typedgator.errors.TimeLimitExceeded"
    assert "0.05 s" in error.error_message
    assert cleaned == [1, 2]


def test_a_timeout_of_the_tasks_own_is_not_its_time_limit(gator: Gator, burst: Burst) -> None:
    """Its own TimeoutError keeps its name."""

    @gator.register(name="own", time_limit=60)
    async def own() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()

    job = gator.task(own)
    burst(gator)
    assert failure(job).error_type == "TimeoutError"


def test_a_task_that_cancels_itself_has_failed(gator: Gator, burst: Burst) -> None:
    """Nobody asked it to stop: given back, it would run again for ever."""
    runs: list[int] = []

    @gator.register(name="suicidal")
    async def suicidal() -> None:
        runs.append(1)
        me = asyncio.current_task()
        assert me is not None
        me.cancel()
        await asyncio.Event().wait()

    job = gator.task(suicidal)
    burst(gator)
    assert failure(job).error_type == "asyncio.exceptions.CancelledError"
    assert runs == [1]


def test_current_job_is_known_in_the_task_and_in_what_it_starts(gator: Gator, burst: Burst) -> None:
    """In threads that carry the context, in to_thread, in child coroutines; and nowhere else."""
    seen: list[str] = []

    @gator.register(name="sync")
    def sync() -> str:
        thread = threading.Thread(target=contextvars.copy_context().run, args=(lambda: seen.append(current_job().id),))
        thread.start()
        thread.join(PATIENCE)
        return current_job().id

    @gator.register(name="async")
    async def on_loop() -> str:
        async def child() -> None:
            seen.append(current_job().id)

        await asyncio.gather(child(), asyncio.to_thread(lambda: seen.append(current_job().id)))
        return current_job().id

    jobs = [gator.task(sync), gator.task(on_loop)]
    burst(gator)

    assert [job.result(timeout=0) for job in jobs] == [job.id for job in jobs]
    assert sorted(seen) == sorted([jobs[0].id, jobs[1].id, jobs[1].id])


def test_progress_is_seen_while_the_job_runs(gator: Gator, start: Start) -> None:
    """Whoever has the job's handle sees how far it says it is."""
    noted, go_on = Event(), Event()

    @gator.register(name="slow")
    def slow() -> bool:
        kept = current_job().progress(3, 10, "three of ten")
        noted.set()
        assert go_on.wait(PATIENCE)
        return kept

    job = gator.task(slow)
    start(gator)
    assert noted.wait(PATIENCE)
    progress = job.progress()
    go_on.set()

    assert job.result(timeout=PATIENCE) is True
    assert progress is not None
    assert (progress.value, progress.total, progress.text) == (3, 10, "three of ten")


class Recording(Middleware):
    """Says when it is entered and left; raises on demand."""

    def __init__(self, name: str, said: list[str], raises: str = "") -> None:
        self.name, self.said, self.raises = name, said, raises
        self._lock = Lock()

    @contextmanager
    def call(self, envelope: Envelope) -> Generator[None]:
        """Around the task."""
        if self.raises == "before":
            raise LookupError("before")
        self.said.append(f"{self.name} in {current_job().task}")
        yield
        self.said.append(f"{self.name} out")
        if self.raises == "after":
            raise LookupError("after")


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("raises", ["", "before", "after"])
def test_middleware_goes_around_the_call_and_its_errors_are_the_tasks(
    dsn: str, burst: Burst, is_async: bool, raises: str
) -> None:
    """The first is the outermost; what it raises counts against the job."""
    said: list[str] = []
    gator = Gator(dsn, middleware=[Recording("outer", said), Recording("inner", said, raises)])

    if is_async:

        @gator.register(name="task")
        async def task() -> int:
            said.append("task")
            return 1
    else:

        @gator.register(name="task")
        def task() -> int:
            said.append("task")
            return 1

    job = gator.task(task)
    burst(gator)

    if raises:
        assert (failure(job).error_type, failure(job).error_message) == ("LookupError", raises)
    else:
        assert job.result(timeout=0) == 1
        assert said == ["outer in task", "inner in task", "task", "inner out", "outer out"]
    gator.close()
