"""Hooks and events of a worker: told once, after the write, and unable to hurt it."""

import logging
from collections.abc import Callable, Iterator
from threading import Event

import pytest

from tests.integration.worker.conftest import Start
from tests.integration.worker.crew import PATIENCE, Heard
from typedgator import Cancel, Gator, Job, JobFailed, Snooze, Worker, current_job
from typedgator.events import JobEnded, JobHeld, JobRetrying, JobStarted

Burst = Callable[..., Worker]

heard = Heard()
go_on = Event()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    heard.all.clear()
    go_on.clear()
    return


def on_start(job: Job[object]) -> None:
    """Before the call."""
    heard(("start", job.id))


def on_success(job: Job[object], result: object) -> None:
    """After the write."""
    heard(("success", job.id, result, str(job.state())))


def on_error(job: Job[object], error: BaseException) -> None:
    """After the write of the final failure."""
    heard(("error", job.id, type(error).__name__, str(job.state())))


def bad_hook(job: Job[object], *more: object) -> None:
    """A hook with trouble of its own."""
    heard("bad hook")
    raise ValueError("a hook's trouble")


def worst_hook(job: Job[object], *more: object) -> None:
    """A hook that wants to end the process."""
    heard("worst hook")
    raise SystemExit(1)


def slow_hook(job: Job[object], result: object) -> None:
    """A hook that takes its time."""
    heard("slow hook began")
    assert go_on.wait(PATIENCE)
    heard("slow hook ended")


@pytest.mark.parametrize("is_async", [False, True])
def test_hooks_hear_of_start_and_written_end(gator: Gator, burst: Burst, is_async: bool) -> None:
    """`on_error` only when no attempt is left; each hook once."""
    if is_async:

        @gator.register(name="t", retries=1, backoff=0, on_start=on_start, on_success=on_success, on_error=on_error)
        async def task(number: int) -> int:
            return 10 // number
    else:

        @gator.register(name="t", retries=1, backoff=0, on_start=on_start, on_success=on_success, on_error=on_error)
        def task(number: int) -> int:
            return 10 // number

    good, bad = gator.task(task, 5), gator.task(task, 0)
    burst(gator, concurrency=1)

    about_good = [each for each in heard.all if isinstance(each, tuple) and each[1] == good.id]
    about_bad = [each for each in heard.all if isinstance(each, tuple) and each[1] == bad.id]
    assert about_good == [("start", good.id), ("success", good.id, 2, "success")]
    assert about_bad == [("start", bad.id), ("start", bad.id), ("error", bad.id, "ZeroDivisionError", "failed")]


def test_cancel_and_snooze_call_no_hook_of_an_end(gator: Gator, burst: Burst) -> None:
    """Neither success nor error."""

    @gator.register(name="t", on_success=on_success, on_error=on_error)
    def task(number: int) -> None:
        if number:
            raise Cancel
        raise Snooze(60)

    gator.task(task, 0)
    gator.task(task, 1)
    burst(gator)
    assert heard.all == []


@pytest.mark.parametrize("hook", [bad_hook, worst_hook])
def test_a_failing_hook_hurts_neither_job_nor_worker(
    gator: Gator, burst: Burst, caplog: pytest.LogCaptureFixture, hook: Callable[..., None]
) -> None:
    """Whatever it raises is logged; with one thread, the next jobs run all the same."""

    @gator.register(name="t", on_start=hook, on_success=hook, on_error=hook)
    def task(number: int) -> int:
        return 10 // number

    @gator.register(name="a", on_start=hook, on_success=hook, on_error=hook)
    async def on_loop(number: int) -> int:
        return 10 // number

    jobs = [job for each in (task, on_loop) for number in (5, 0, 2) for job in gator.task_many(each, [(number,)])]
    with caplog.at_level(logging.ERROR, "typedgator"):
        report = burst(gator, concurrency=1).report

    assert [job.result(timeout=0) for job in (*jobs[:1], *jobs[2:4], *jobs[5:])] == [2, 5, 2, 5]
    for job in (jobs[1], jobs[4]):
        with pytest.raises(JobFailed, match="ZeroDivisionError"):
            job.result(timeout=0)
    assert len(heard.all) == 12
    assert "the job is not affected" in caplog.text
    assert (report.succeeded, report.failed) == (4, 2)


def test_a_hook_that_this_worker_does_not_know_is_logged(
    gator: Gator, burst: Burst, caplog: pytest.LogCaptureFixture
) -> None:
    """A deploy may have taken it away; the job is not affected."""
    other = Gator(backend=gator.backend)

    def task() -> int:
        return 1

    other.register(name="t", on_success=on_success)(task)
    gator.register(name="t")(task)
    job = other.task(other.registry.find("t"))  # type: ignore[arg-type, var-annotated]  # it is there
    with caplog.at_level(logging.ERROR, "typedgator"):
        burst(gator)

    assert job.result(timeout=0) == 1
    assert "test_hooks.on_success is not known to this worker" in caplog.text


def test_hooks_are_run_before_the_end(gator: Gator, start: Start) -> None:
    """A slow hook of the last job is waited for while there is grace, and the claimer does not spin meanwhile."""

    @gator.register(name="t", on_success=slow_hook)
    def task() -> None:
        pass

    gator.task(task)
    shift = start(gator, burst=True, concurrency=2)
    heard.wait_until(1)
    assert shift.worker._over.wait(PATIENCE)
    assert not shift.ends_within(0.5)
    go_on.set()
    shift.wait()
    assert heard.all == ["slow hook began", "slow hook ended"]


def test_events_tell_what_became_of_each_attempt(gator: Gator, burst: Burst) -> None:
    """Started before the call, ended after the write; with the time it took and the error's words."""

    @gator.register(name="t", retries=1, backoff=0)
    def task(number: int) -> int:
        if number == 2:
            raise Cancel("enough")
        if number == 3:
            raise Snooze(60)
        return 10 // (number if current_job().attempt == 1 else 1)

    told = Heard().on(gator.events, JobStarted, JobEnded, JobRetrying, JobHeld)
    jobs = [gator.task(task, number) for number in (0, 1, 2, 3)]
    burst(gator, concurrency=1)

    def about(place: int) -> list[tuple[str, object]]:
        mine = [each for each in told.all if each.job_id == jobs[place].id]  # type: ignore[attr-defined]  # each has
        return [(type(each).__name__, getattr(each, "state", each.attempt)) for each in mine]  # type: ignore[attr-defined]  # all have

    assert about(0) == [("JobStarted", 1), ("JobRetrying", 1), ("JobStarted", 2), ("JobEnded", "success")]
    assert about(1) == [("JobStarted", 1), ("JobEnded", "success")]
    assert about(2) == [("JobStarted", 1), ("JobEnded", "canceled")]
    assert about(3) == [("JobStarted", 1)]
    assert [event.error for event in told.of(JobEnded) if event.state == "canceled"] == ["enough"]
    assert told.of(JobRetrying)[0].error.startswith("ZeroDivisionError: ")
    assert all(0 < event.seconds < PATIENCE for event in told.of(JobEnded))


@pytest.mark.parametrize("raised", [ValueError, SystemExit, KeyboardInterrupt])
def test_a_failing_listener_hurts_no_actor(gator: Gator, burst: Burst, raised: type[BaseException]) -> None:
    """It is called in the actors' threads; they go on whatever it raises."""

    def listener(event: object) -> None:
        raise raised("a listener's trouble")

    for kind in (JobStarted, JobEnded, JobRetrying, JobHeld):
        gator.events.on(kind, listener)

    @gator.register(name="t", retries=1, backoff=0)
    def task(number: int) -> int:
        return 10 // (number if current_job().attempt == 1 else 1)

    jobs = gator.task_many(task, [(0,), (1,), (2,)])
    burst(gator, concurrency=1)
    assert [job.result(timeout=0) for job in jobs] == [10, 10, 5]
