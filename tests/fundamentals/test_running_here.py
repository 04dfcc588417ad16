"""`is_async=False`: a job runs where it is enqueued, through the same codec: a test fails where production would."""

import asyncio
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import pytest

from tests.fundamentals.faces import Face
from typedgator import (
    Cancel,
    ConfigurationError,
    Gator,
    InvalidArguments,
    Job,
    JobCanceled,
    JobFailed,
    JobState,
    JobUnknown,
    Progress,
    Retry,
    RetryPolicy,
    Snooze,
    current_job,
)

Stored = Callable[[], object]

seen: list[object] = []
request_id: ContextVar[str] = ContextVar("request_id", default="none")


@pytest.fixture(autouse=True)
def _unseen() -> Iterator[None]:
    seen.clear()
    yield
    seen.clear()


@pytest.fixture
def gator(make_gator: Callable[..., Gator]) -> Gator:
    """A gator as in tests: everything runs at once."""
    return make_gator(is_async=False)


@dataclass(frozen=True)
class Note:
    """A value of one's own."""

    text: str


def takes(note: Note) -> Note:
    """Gives what it was given, and remembers the very object."""
    seen.append(note)
    return note


async def takes_later(note: Note) -> Note:
    """The same, async."""
    return takes(note)


def fails() -> None:
    """Counts its attempts."""
    seen.append(current_job().attempt)
    raise ValueError("broken")


@pytest.mark.parametrize("fn", [takes, takes_later])
def test_a_job_runs_at_once(gator: Gator, face: Face, stored: Stored, fn: Callable[[Note], Note]) -> None:
    """When `task()` returns it is over: its result is there, and nothing was stored."""
    before = stored()
    job = face.gator_task(gator, gator.register(fn), Note("a"))
    assert len(seen) == 1
    assert face.state(job) is JobState.SUCCESS
    assert face.result(job, timeout=0) == Note("a")
    assert face.cancel(job) is False
    assert stored() == before


def test_arguments_and_result_make_the_whole_round_trip(gator: Gator, face: Face) -> None:
    """What the task gets is equal, and not the same object: it came out of bytes, as in a worker."""
    note = Note("a")
    result = face.result(face.task(gator.register(takes), note))
    assert seen == [note]
    assert seen[0] is not note
    assert result == note
    assert result is not seen[0]


def test_what_production_would_refuse_is_refused(gator: Gator, face: Face) -> None:
    """A wrong argument at the call; a wrong result fails the job."""

    def lies() -> int:
        result: Any = "text"
        return result  # type: ignore[no-any-return]

    wrong: Any = "a"
    with pytest.raises(InvalidArguments):
        face.task(gator.register(takes), wrong)
    job = face.task(gator.register(name="lies")(lies))
    with pytest.raises(JobFailed, match="PayloadMismatch"):
        face.result(job)


def test_a_failure_is_raised_by_result(gator: Gator, face: Face) -> None:
    """`task()` returns as in production; retries happen at once, without their backoff."""
    opts = gator.options(retries=RetryPolicy(2, backoff=3600))
    job = face.opts_task(opts, gator.register(fails))
    assert seen == [1, 2, 3]
    assert face.state(job) is JobState.FAILED
    with pytest.raises(JobFailed, match="failed at attempt 3: ValueError: broken"):
        face.result(job)


def test_signals_mean_what_they_mean_in_a_worker(gator: Gator, face: Face) -> None:
    """Retry and Snooze at once, Cancel cancels; a job that only snoozes is stopped."""

    def moody() -> int:
        seen.append(current_job().attempt)
        match len(seen):
            case 1:
                raise Snooze(3600)
            case 2:
                raise Retry(delay=3600)
            case _:
                return len(seen)

    def has_nothing_to_do() -> None:
        raise Cancel("nothing to do")

    def sleeps() -> None:
        raise Snooze(1)

    job = face.opts_task(gator.options(retries=1), gator.register(name="moody")(moody))
    assert face.result(job) == 3
    assert seen == [1, 1, 2]
    with pytest.raises(JobCanceled, match="nothing to do"):
        face.result(face.task(gator.register(name="nothing")(has_nothing_to_do)))
    with pytest.raises(JobFailed, match="100 times in a row"):
        face.result(face.task(gator.register(name="sleeps")(sleeps)))


def test_hooks_are_called(gator: Gator, face: Face) -> None:
    """Here and now, with the handle of the job."""
    task = gator.register(on_success=remember)(takes)
    job = face.task(task, Note("a"))
    assert seen == [Note("a"), (job, Note("a"))]


def remember(job: Job[object], result: object) -> None:
    """A hook."""
    seen.append((job, result))


def test_it_is_said_for_one_block_too(make_gator: Callable[..., Gator], face: Face) -> None:
    """`options(is_async=False)` beside others that are queued; `options(is_async=True)` queues from a gator as here."""
    queueing = make_gator()
    task = queueing.register(takes)
    here = face.opts_task(queueing.options(is_async=False), task, Note("a"))
    later = face.task(task, Note("b"))
    assert face.state(here) is JobState.SUCCESS
    assert face.state(later) is JobState.WAITING
    running = make_gator(is_async=False)
    assert face.state(face.opts_task(running.options(is_async=True), running.register(takes), Note("a"))) is (
        JobState.WAITING
    )


def test_batches_run_when_they_end(gator: Gator, face: Face, stored: Stored) -> None:
    """Checked first, all of them: one wrong call, and none runs."""
    task = gator.register(takes)
    before = stored()
    batch = face.enter(gator.batch())
    job = batch.task(task, Note("a"))
    assert seen == []
    face.leave(batch)
    assert face.result(job) == Note("a")
    jobs = face.task_many(gator, task, [(Note("b"),), (Note("c"),)])
    assert [face.result(job) for job in jobs] == [Note("b"), Note("c")]
    with pytest.raises(InvalidArguments):
        face.task_many(gator, task, [(Note("d"),), ("e",)])
    assert len(seen) == 3
    assert stored() == before


def test_nothing_waits_for_a_job_here(gator: Gator, face: Face) -> None:
    """`depends_on` is refused: no parent is stored that could be waited for, and it may have failed."""
    task = gator.register(takes)
    parent = face.task(task, Note("a"))
    with pytest.raises(ConfigurationError, match="depends_on has no meaning with is_async=False"):
        face.opts_task(gator.options(depends_on=parent), task, Note("b"))
    assert seen == [Note("a")]


def test_a_job_that_ran_here_is_known_to_its_handle_alone(gator: Gator, face: Face) -> None:
    """Delays, expiry, unique keys and queues have no meaning here, and nothing is stored that an id could find."""
    task = gator.register(takes)
    opts = gator.options(delay_by=3600, expires=1, unique=True, queue="images")
    jobs = [face.opts_task(opts, task, Note("a")) for _ in range(2)]
    assert [face.result(job) for job in jobs] == [Note("a")] * 2
    with pytest.raises(JobUnknown):
        face.state(gator.job(jobs[0].id))


def test_a_job_started_by_a_job_runs_inside_it(gator: Gator, face: Face) -> None:
    """And `current_job()` is the outer one again afterwards; async tasks likewise, though a loop is running."""
    inner, inner_later = gator.register(takes), gator.register(takes_later)

    def outer() -> bool:
        mine = current_job().id
        inner.task(Note("a"))
        inner_later.task(Note("b"))
        return current_job().id == mine

    async def outer_later() -> bool:
        mine = current_job().id
        inner_later.task(Note("c"))
        await inner_later.atask(Note("d"))
        return current_job().id == mine

    assert face.result(face.task(gator.register(name="outer")(outer)))
    assert face.result(face.task(gator.register(name="outer.later")(outer_later)))
    assert seen == [Note("a"), Note("b"), Note("c"), Note("d")]


def test_context_variables_of_the_caller_are_seen(gator: Gator) -> None:
    """Also by an async task that is called from sync code inside a running loop."""

    async def reads() -> str:
        return request_id.get()

    task = gator.register(name="reads")(reads)

    async def caller() -> tuple[str, str]:
        request_id.set("r1")
        from_sync_code = task.task()
        return await from_sync_code.aresult(), await (await task.atask()).aresult()

    assert asyncio.run(caller()) == ("r1", "r1")


def test_progress_is_taken_and_forgotten(gator: Gator, face: Face) -> None:
    """Nobody can look while it runs, so nothing is kept, and nothing fails."""

    def tells() -> bool:
        return current_job().progress(1, 2)

    job = face.task(gator.register(name="tells")(tells))
    assert face.result(job) is True
    nothing: Progress | None = face.progress(job)
    assert nothing is None


def test_an_async_task_that_cancels_itself_fails(gator: Gator, face: Face) -> None:
    """A CancelledError that escapes is the task's failure, not the caller's cancellation."""

    async def cancels() -> None:
        raise asyncio.CancelledError

    job = face.task(gator.register(name="cancels")(cancels))
    with pytest.raises(JobFailed, match="CancelledError"):
        face.result(job)


def test_ctrl_c_is_the_callers(gator: Gator) -> None:
    """It is not taken for a failure of the task."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gator.register(name="interrupted")(interrupted).task()
