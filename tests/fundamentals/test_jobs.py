"""The handle on a job: what it answers while the job waits, runs, and when it is over."""

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

import pytest

from tests.fundamentals.faces import Face
from typedgator import (
    ConfigurationError,
    Gator,
    Job,
    JobCanceled,
    JobError,
    JobFailed,
    JobState,
    JobUnknown,
    PayloadMismatch,
    Progress,
    ResultNotKept,
    current_job,
)
from typedgator.testing.clock import FakeClock

Work = Callable[[], int]


class Point(NamedTuple):
    """A value of one's own."""

    x: int
    y: int


def move(point: Point, by: int = 1) -> Point:
    """A task with a result that only its types can read back."""
    return Point(point.x + by, point.y + by)


def nothing() -> None:
    """A task without a result."""


def broken() -> None:
    """A task that fails."""
    raise ValueError("no such file")


def says_progress(steps: int) -> str:
    """A task that tells how far it is."""
    current_job().progress(1, steps, "first of all")
    return current_job().id


def test_a_job_waits_runs_and_gives_its_result(gator: Gator, face: Face, work: Work) -> None:
    """`state()`, then `result()`: of the annotated type, exactly as it was returned."""
    job = face.task(gator.register(move), Point(1, 2), by=3)
    assert face.state(job) is JobState.WAITING
    work()
    assert face.state(job) is JobState.SUCCESS
    result = face.result(job)
    assert (result, type(result)) == (Point(4, 5), Point)


def test_waiting_ends_with_timeout_error(gator: Gator, face: Face) -> None:
    """`result(timeout)` in seconds or timedelta; the job goes on."""
    job = face.task(gator.register(nothing))
    for timeout in (0, 0.01, timedelta(milliseconds=5)):
        with pytest.raises(TimeoutError, match="waiting, not finished"):
            face.result(job, timeout)
    assert face.state(job) is JobState.WAITING


@pytest.mark.parametrize("timeout", [-1, "5", float("nan"), True])
def test_a_timeout_that_means_nothing_is_refused(gator: Gator, face: Face, timeout: float) -> None:
    """Not taken for "at once" or "for ever"."""
    with pytest.raises(ConfigurationError, match="timeout"):
        face.result(face.task(gator.register(nothing)), timeout)


def test_a_result_is_waited_for(gator: Gator, face: Face) -> None:
    """Without a timeout `result()` waits until the job is over."""
    job = face.task(gator.register(move), Point(1, 1))
    started = threading.Event()

    def later() -> None:
        started.wait(5)
        gator.pop()

    thread = threading.Thread(target=later)
    thread.start()
    started.set()
    assert face.result(job) == Point(2, 2)
    thread.join()


@pytest.mark.timeout(30)
def test_who_gave_up_waiting_is_not_waited_for(gator: Gator) -> None:
    """A cancelled `aresult()` leaves nothing behind: the loop ends although the job never will."""
    job = gator.register(nothing).task()

    async def impatient() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(job.aresult(), 0.05)

    before = time.monotonic()
    try:
        asyncio.run(impatient())
        assert time.monotonic() - before < 20
    finally:
        gator.pop()  # frees the thread that waits, should one do so for ever


def test_a_failed_job_raises_what_is_known_of_it(gator: Gator, face: Face, work: Work) -> None:
    """JobFailed: the error's class, its text, its traceback without the library's frames, and the attempt."""
    job = face.task(gator.register(broken))
    work()
    assert face.state(job) is JobState.FAILED
    with pytest.raises(JobFailed, match="failed at attempt 1: ValueError: no such file") as caught:
        face.result(job)
    error = caught.value
    assert (error.job_id, error.error_type, error.error_message) == (job.id, "ValueError", "no such file")
    assert "raise ValueError" in error.traceback
    assert "execution.py" not in error.traceback


def test_a_job_is_canceled(gator: Gator, face: Face, work: Work) -> None:
    """`cancel()` before it starts: it never runs. Again: still canceled. After its end: False, it is too late."""
    job, done = face.task(gator.register(nothing)), face.task(gator.register(move), Point(0, 0))
    assert face.cancel(job)
    assert face.cancel(job)
    assert work() == 1
    assert face.state(job) is JobState.CANCELED
    with pytest.raises(JobCanceled, match="canceled") as caught:
        face.result(job)
    assert caught.value.reason == "canceled"
    assert not face.cancel(done)
    assert face.result(done) == Point(1, 1)


def test_an_id_is_all_one_needs(gator: Gator, face: Face, work: Work) -> None:
    """`gator.job(id)` finds the job again; with its task the handle is typed. Both read the result back."""
    task = gator.register(move)
    job = face.task(task, Point(1, 1))
    work()
    again: Job[object] = gator.job(job.id)
    typed: Job[Point] = gator.job(job.id, task)
    assert face.result(again) == face.result(typed) == Point(2, 2)
    assert again == typed == job
    assert len({again, typed, job}) == 1
    assert job != gator.job("another")
    assert job != job.id


def test_a_result_of_a_task_unknown_here_is_plain_values(gator: Gator) -> None:
    """Another process may read results of tasks that it does not have: as lists, maps and scalars."""
    task = gator.register(move)
    job = task.task(Point(1, 1))
    gator.pop()
    stranger = Gator(backend=gator.backend)
    assert stranger.job(job.id).result() == [2, 2]


def test_a_result_that_no_longer_fits_its_task_is_an_error(gator: Gator) -> None:
    """The result type was changed since: PayloadMismatch, never a value of another type."""
    job = gator.register(name="t")(move).task(Point(1, 1))
    gator.pop()
    other = Gator(backend=gator.backend)

    def changed(point: Point, by: int = 1) -> str:
        return ""

    with pytest.raises(PayloadMismatch):
        other.job(job.id, other.register(name="t")(changed)).result()


def test_an_unknown_id_is_heard_at_the_first_question(gator: Gator, face: Face) -> None:
    """Making the handle asks nothing; each question raises JobUnknown. What can be no id is refused at once."""
    job = gator.job("never-enqueued")
    for ask in (face.state, face.result, face.cancel, face.progress):
        with pytest.raises(JobUnknown, match="never-enqueued"):
            ask(job)
    with pytest.raises(ConfigurationError, match="cannot be an id"):
        gator.job("not an id")


def test_a_finished_job_is_forgotten_after_a_while(gator: Gator, face: Face, clock: FakeClock, work: Work) -> None:
    """None results are known for a minute, other results and errors for ten, none twice as long; then JobUnknown."""
    none, some = face.task(gator.register(nothing)), face.task(gator.register(move), Point(0, 0))
    work()
    clock.advance(59_000)
    gator.backend.maintain(limit=100)
    assert face.state(gator.job(none.id)) is JobState.SUCCESS
    clock.advance(61_000)
    gator.backend.maintain(limit=100)
    with pytest.raises(JobUnknown):
        face.state(gator.job(none.id))
    assert face.result(gator.job(some.id)) == Point(1, 1)
    clock.advance(1_080_000)
    gator.backend.maintain(limit=100)
    with pytest.raises(JobUnknown):
        face.state(gator.job(some.id))


def test_a_result_that_was_not_kept_says_so(gator: Gator, face: Face, work: Work) -> None:
    """`keep_result=False`: the success is known, the value is not: ResultNotKept, with the way out."""
    job = face.opts_task(gator.options(keep_result=False), gator.register(move), Point(0, 0))
    work()
    assert face.state(job) is JobState.SUCCESS
    with pytest.raises(ResultNotKept, match="keep_result=True"):
        face.result(job)


def test_progress_is_read_while_the_job_runs(gator: Gator, face: Face) -> None:
    """What the task last said of it; None before, and once the attempt is over."""
    heard: list[Progress | None] = []

    def looks(steps: int) -> None:
        says_progress(steps)
        heard.append(gator.job(current_job().id).progress())

    job = face.task(gator.register(name="looks")(looks), 4)
    assert face.progress(job) is None
    gator.pop()
    assert heard == [Progress(1, 4, "first of all")]
    assert face.progress(job) is None


def test_a_handle_shows_its_id(gator: Gator) -> None:
    """For logs: 32 hexadecimal digits when the id is ours."""
    job = gator.register(nothing).task()
    assert repr(job) == f"<Job {job.id}>"
    assert len(job.id) == 32
    assert int(job.id, 16)


def test_errors_about_jobs_are_of_one_family(gator: Gator, face: Face) -> None:
    """`except JobError` catches what any job may answer; JobUnknown is a LookupError, too."""
    with pytest.raises(JobError) as caught:
        face.result(gator.job("unknown"))
    assert isinstance(caught.value, LookupError)
    assert caught.value.job_id == "unknown"
