"""How a worker ends: what runs may finish, what has not started goes back, and nothing is written after that."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from threading import Event, Semaphore

import pytest

from tests.integration.worker.conftest import Start
from tests.integration.worker.crew import PATIENCE, Heard, Shift, lay_on_desk, until
from typedgator import ConfigurationError, Gator, Job, JobState, Worker, current_job
from typedgator.events import LeaseLost, WorkerStarted, WorkerStopped

Burst = Callable[..., Worker]


def attempts(gator: Gator, job: Job[int]) -> int:
    """How many attempts were counted against the job."""
    record = gator.backend.find(job._id)  # type: ignore[attr-defined]  # every backend here can be inspected
    return int(record.attempt)


@pytest.mark.parametrize("is_async", [False, True])
def test_running_jobs_finish_and_unstarted_ones_go_back(gator: Gator, start: Start, is_async: bool) -> None:
    """Nothing is lost, and no attempt is spent."""
    going, go_on = Semaphore(0), Event()

    def wait(number: int) -> int:
        going.release()
        assert go_on.wait(PATIENCE)
        return number

    if is_async:

        @gator.register(name="slow")
        async def slow(number: int) -> int:
            return await asyncio.to_thread(wait, number)
    else:

        @gator.register(name="slow")
        def slow(number: int) -> int:
            return wait(number)

    jobs = gator.task_many(slow, [(n,) for n in range(4)])
    shift = start(gator, concurrency=1)
    assert going.acquire(timeout=PATIENCE)
    lay_on_desk(shift.worker, 2)
    shift.worker.stop()
    until(lambda: [job.state() for job in jobs[1:]] == [JobState.WAITING] * 3, "the way back")
    go_on.set()
    report = shift.wait()

    assert jobs[0].result(timeout=0) == 0
    assert [attempts(gator, job) for job in jobs] == [1, 0, 0, 0]
    assert (report.succeeded, report.released) == (1, 2)


def test_an_async_task_that_outlives_the_grace_is_cancelled_and_released(gator: Gator, start: Start) -> None:
    """It may clean up; its attempt is given back."""
    going, cleaned = Event(), Event()

    @gator.register(name="endless")
    async def endless() -> int:
        going.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            if current_job().should_stop:
                cleaned.set()
        return 1

    job = gator.task(endless)
    shift = start(gator, grace=0.05)
    assert going.wait(PATIENCE)
    report = shift.end()

    assert cleaned.is_set()
    assert (job.state(), attempts(gator, job)) == (JobState.WAITING, 0)
    assert (report.released, report.lost, report.ended) == (1, 0, 0)


def test_an_async_task_that_does_not_listen_is_left_behind(gator: Gator, start: Start) -> None:
    """It is released all the same, and the worker ends."""
    going = Event()

    @gator.register(name="stubborn")
    async def stubborn() -> int:
        going.set()
        for _ in range(2):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        return 1

    job = gator.task(stubborn)
    shift = start(gator, grace=0)
    assert going.wait(PATIENCE)
    report = shift.end()

    assert (job.state(), attempts(gator, job)) == (JobState.WAITING, 0)
    assert report.released == 1


def test_a_sync_task_that_outlives_the_grace_is_released_and_its_late_result_dropped(
    gator: Gator, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """It sees `should_stop`; whoever runs it next writes the result."""
    going, go_on = Event(), Event()
    stops: list[bool] = []

    @gator.register(name="slow")
    def slow() -> int:
        going.set()
        assert go_on.wait(PATIENCE)
        stops.append(current_job().should_stop)
        return 1

    lost = Heard().on(gator.events, LeaseLost)
    job = gator.task(slow)
    shift = start(gator, grace=0)
    assert going.wait(PATIENCE)
    report = shift.end()

    assert (job.state(), attempts(gator, job)) == (JobState.WAITING, 0)
    assert (report.released, report.lost, report.ended) == (1, 0, 0)
    with caplog.at_level(logging.WARNING, "typedgator"):
        go_on.set()
        lost.wait_until(1)
    assert job.state() is JobState.WAITING
    assert stops == [True]
    assert "nothing was written" in caplog.text
    assert report.released == 1, "counted once"


def test_stop_now_skips_the_grace(gator: Gator, start: Start) -> None:
    """What runs is stopped at once, also when an orderly stop was asked for before."""
    going, go_on = Event(), Event()

    @gator.register(name="slow")
    def slow() -> int:
        going.set()
        assert go_on.wait(PATIENCE)
        return 1

    job = gator.task(slow)
    shift = start(gator, grace=3600)
    assert going.wait(PATIENCE)
    shift.worker.stop()
    report = shift.end(now=True)
    go_on.set()

    assert report.released == 1
    assert job.state() is JobState.WAITING


def test_an_idle_worker_stops_within_a_second(gator: Gator, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in the middle of a claim that waits for jobs."""
    monkeypatch.setattr("typedgator.worker.claimer.WAIT_MS", 500)  # as it is in production
    joined = Heard().on(gator.events, WorkerStarted)
    shift = start(gator)
    joined.wait_until(1)
    began = time.monotonic()
    shift.end()
    assert time.monotonic() - began <= 1.0


def test_stop_before_and_during_the_start_is_heard(gator: Gator, start: Start) -> None:
    """It never runs on, whenever it was asked."""
    early = Worker(gator)
    early.stop()
    assert early.run().ended == 0

    for _ in range(10):
        start(gator).end()


def test_stop_can_be_asked_for_by_a_task(gator: Gator) -> None:
    """It is one of the threads that may."""
    worker = Worker(gator)

    @gator.register(name="stop")
    def stop() -> None:
        worker.stop()

    job = gator.task(stop)
    report = Shift(worker).wait()
    assert job.result(timeout=0) is None
    assert report.succeeded == 1


def test_no_thread_is_left(gator: Gator, burst: Burst) -> None:
    """After `run`, the process has the threads that it had before."""

    @gator.register(name="sync")
    def sync() -> None:
        pass

    @gator.register(name="async")
    async def on_loop() -> None:
        await asyncio.to_thread(lambda: None)

    before = set(threading.enumerate())
    gator.task(sync)
    gator.task(on_loop)
    burst(gator)
    left = [thread for thread in threading.enumerate() if thread not in before]
    for thread in left:
        thread.join(1.0)  # the loop's helpers are told to end, and do
    assert [thread.name for thread in left if thread.is_alive()] == []


@pytest.mark.parametrize("started", range(6))
def test_a_worker_that_cannot_start_leaves_no_thread(
    gator: Gator, monkeypatch: pytest.MonkeyPatch, started: int
) -> None:
    """The machine gives it so many threads and no more: the error is raised, and those that started have ended."""
    real, left = threading.Thread.start, iter(range(started))

    def start(thread: threading.Thread) -> None:
        if next(left, None) is None:
            raise RuntimeError("can't start new thread")
        real(thread)

    worker = Worker(gator, concurrency=2)
    before = set(threading.enumerate())
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError, match="can't start"):
            worker.run()
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize("verb", ["claim", "settle", "beat", "maintain"])
def test_a_backend_that_hangs_keeps_no_worker(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, verb: str
) -> None:
    """Who hangs in it is left behind, and that is said."""
    monkeypatch.setattr("typedgator.worker.worker.STUCK_SECONDS", 0.2)
    monkeypatch.setattr("typedgator.worker.janitor.EVERY_SECONDS", 0.01)
    monkeypatch.setattr("typedgator.leases.BEATS_PER_LEASE", 500)
    gator, hangs, go_on = Gator("locmem://"), Event(), Event()
    real = getattr(gator.backend, verb)

    def hang(*args: object, **options: object) -> object:
        hangs.set()
        assert go_on.wait(PATIENCE)
        return real(*args, **options)

    @gator.register(name="quick")
    def quick() -> None:
        pass

    monkeypatch.setattr(gator.backend, verb, hang)
    gator.task(quick)
    shift = start(gator, grace=0.2)
    try:
        assert hangs.wait(PATIENCE)
        began = time.monotonic()
        shift.end()
        assert time.monotonic() - began < 5
    finally:
        go_on.set()
    actor = {"claim": "claimer", "settle": "settler", "beat": "lease keeper", "maintain": "janitor"}[verb]
    assert f"the {actor} did not end" in caplog.text


def test_it_says_when_it_joined_and_left(gator: Gator, burst: Burst) -> None:
    """Under the same identity, and with how much it did."""

    @gator.register(name="quick")
    def quick() -> None:
        pass

    heard = Heard().on(gator.events, WorkerStarted, WorkerStopped)
    gator.task(quick)
    burst(gator, queues=["all", "other"])

    started, stopped = heard.all
    assert isinstance(started, WorkerStarted)
    assert isinstance(stopped, WorkerStopped)
    assert started.worker == stopped.worker
    assert (started.queues, stopped.jobs) == (("all", "other"), 1)


def test_twenty_thousand_jobs_leave_nothing_behind(burst: Burst) -> None:
    """Desk, buffers and executors are empty; each end was counted once."""
    gator = Gator("locmem://")

    @gator.register(name="sync")
    def sync(number: int) -> int:
        return number

    @gator.register(name="async")
    async def on_loop(number: int) -> int:
        return number

    for at in range(0, 20_000, 200):
        gator.task_many(sync, [(n,) for n in range(at, at + 100)])
        gator.task_many(on_loop, [(n,) for n in range(at, at + 100)])
    worker = burst(gator)

    assert worker.report.succeeded == 20_000
    assert len(worker._desk) == 0
    assert not worker._settler._buffer
    assert worker._settler.settled == 20_000
    assert worker._dispatcher.threads.load == worker._dispatcher.loop.load == 0


def test_a_worker_cannot_run_again_after_it_was_stopped(gator: Gator, start: Start) -> None:
    """Also when it never did anything."""
    shift = start(gator)
    shift.end()
    with pytest.raises(ConfigurationError):
        shift.worker.run()
