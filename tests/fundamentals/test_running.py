"""Running: what a task knows of its job, what it may raise, and what others do around it."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fundamentals.faces import Face
from typedgator import (
    Cancel,
    ConfigurationError,
    Gator,
    GatorError,
    Job,
    JobCanceled,
    JobFailed,
    JobState,
    Middleware,
    PayloadMismatch,
    Retry,
    RetryPolicy,
    Snooze,
    current_job,
)
from typedgator.backends.contract import JobRecord
from typedgator.events import JobEnqueued
from typedgator.middleware import with_headers
from typedgator.testing.clock import FakeClock
from typedgator.wire.envelope import Envelope
from typedgator.wire.ids import parse_id

Work = Callable[[], int]

seen: list[object] = []


@pytest.fixture(autouse=True)
def _unseen() -> Iterator[None]:
    seen.clear()
    yield
    seen.clear()


# ---- the current job


def knows() -> None:
    """Looks at its own job."""
    job = current_job()
    seen.append((job.id, job.task, job.queue, job.attempt, job.enqueued_at, job.should_stop))
    seen.append(job.token)


async def knows_later() -> None:
    """The same from an async task."""
    knows()


def test_a_task_knows_its_job(gator: Gator, face: Face, clock: FakeClock) -> None:
    """`current_job()`, from sync and async tasks: no parameter needed."""
    now = datetime.fromtimestamp(clock.now_ms() / 1000, UTC)
    for fn in (knows, knows_later):
        task = gator.register(name=f"my.{fn.__name__}")(fn)
        job = face.opts_task(gator.options(queue="images"), task)
        gator.pop()
        assert seen[-2] == (job.id, f"my.{fn.__name__}", "images", 1, now, False)
    assert isinstance(seen[1], int)
    assert isinstance(seen[3], int)
    assert seen[3] > seen[1]


def test_outside_of_a_job_there_is_none(gator: Gator) -> None:
    """At import, or when the function is called as a function: GatorError says where it works."""
    with pytest.raises(GatorError, match="no job is running here"):
        current_job()
    with pytest.raises(GatorError, match="no job is running here"):
        gator.register(knows)()


def test_progress_has_its_limits(gator: Gator, face: Face) -> None:
    """1 KiB is kept; more is the task's mistake."""

    def talks() -> None:
        assert current_job().progress(0.5)
        current_job().progress(1, 2, "x" * 2000)

    job = face.task(gator.register(name="talks")(talks))
    gator.pop()
    with pytest.raises(JobFailed, match="at most 1024 are kept"):
        face.result(job)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        (("1",), "value"),
        ((True,), "value"),
        ((None,), "value"),
        ((10**400,), "value"),
        ((1, "2"), "total"),
        ((1, 2, b"text"), "text"),
        ((1, 2, "half \ud800"), "text"),
    ],
)
def test_progress_is_two_numbers_and_a_text(gator: Gator, face: Face, said: tuple[Any, ...], name: str) -> None:
    """Anything else is refused where it is said, by name, not where somebody reads it."""

    def talks() -> None:
        current_job().progress(*said)

    job = face.task(gator.register(name="talks")(talks))
    gator.pop()
    with pytest.raises(JobFailed, match=f"ConfigurationError: progress: {name} must be"):
        face.result(job)


def test_progress_of_another_release_is_a_payload_mismatch(gator: Gator) -> None:
    """The one class of every decoder."""
    record = JobRecord(job_id=parse_id("mine"), state=JobState.RUNNING, progress=b"\xc1")
    job = Job[object](gator.backend, "mine", gator.registry.read, final=record)
    with pytest.raises(PayloadMismatch, match="progress of 1 bytes cannot be read"):
        job.progress()


# ---- retries


def fails(error: str) -> str:
    """Raises an error of this kind."""
    seen.append(current_job().attempt)
    raise {"value": ValueError, "key": KeyError, "timeout": TimeoutError}[error](error)


async def fails_later(error: str) -> str:
    """The same from an async task."""
    return fails(error)


@pytest.mark.parametrize("fn", [fails, fails_later])
def test_a_failed_attempt_is_tried_again(gator: Gator, face: Face, clock: FakeClock, fn: Callable[[str], str]) -> None:
    """`retries=2`: three attempts, at most the backoff apart; then failed for good, kept with the last error."""
    job = face.opts_task(gator.options(retries=2, backoff=10), gator.register(fn), "value")
    assert gator.pop() == job
    assert face.state(job) is JobState.RETRYING
    clock.advance(10_000)
    assert gator.pop() == job
    clock.advance(20_000)
    assert gator.pop() == job
    assert seen == [1, 2, 3]
    with pytest.raises(JobFailed, match="failed at attempt 3: ValueError: value"):
        face.result(job)


def test_without_retries_one_attempt_is_all(gator: Gator, face: Face, work: Work) -> None:
    """The default, as it is the only safe one for a task that nobody made repeatable."""
    face.task(gator.register(fails), "value")
    assert work() == 1


@pytest.mark.parametrize(
    ("error", "attempts"), [("key", 3), ("timeout", 3), ("value", 1)], ids=["subclass of on", "on", "not in on"]
)
def test_only_some_errors_are_tried_again(gator: Gator, face: Face, work: Work, error: str, attempts: int) -> None:
    """`RetryPolicy(on=…)`: these classes and their subclasses."""
    policy = RetryPolicy(2, backoff=0, on=(LookupError, OSError))
    face.opts_task(gator.options(retries=policy), gator.register(fails), error)
    assert work() == attempts


def test_some_errors_are_never_tried_again(gator: Gator, face: Face, work: Work) -> None:
    """`RetryPolicy(never=…)` wins over `on`."""
    policy = RetryPolicy(2, backoff=0, on=(LookupError,), never=(KeyError,))
    face.opts_task(gator.options(retries=policy), gator.register(fails), "key")
    assert work() == 1


# ---- signals


def signals(kind: str) -> None:
    """Raises a signal."""
    seen.append(current_job().attempt)
    match kind:
        case "retry":
            raise Retry("not there yet", delay=60)
        case "retry when it suits":
            raise Retry
        case "snooze":
            raise Snooze(timedelta(minutes=1))
        case _:
            raise Cancel("nothing to do")


async def signals_later(kind: str) -> None:
    """The same from an async task."""
    signals(kind)


@pytest.fixture(params=[signals, signals_later])
def signalling(request: pytest.FixtureRequest) -> Callable[[str], object]:
    """A task that raises a signal, sync and async."""
    fn: Callable[[str], object] = request.param
    return fn


def test_retry_names_its_delay(
    gator: Gator, face: Face, clock: FakeClock, work: Work, signalling: Callable[[str], None]
) -> None:
    """`raise Retry(reason, delay=60)`: not a second sooner; it counts as a retry; then the job fails for it."""
    job = face.opts_task(gator.options(retries=1, backoff=0), gator.register(signalling), "retry")
    assert work() == 1
    clock.advance(59_999)
    assert work() == 0
    clock.advance(1)
    assert work() == 1
    assert seen == [1, 2]
    with pytest.raises(JobFailed, match="not there yet"):
        face.result(job)


def test_retry_passes_every_filter(gator: Gator, face: Face, work: Work) -> None:
    """Asked for, it is granted while retries are left, whatever `on` and `never` say."""
    policy = RetryPolicy(1, backoff=0, on=(OSError,), never=(Exception,))
    face.opts_task(gator.options(retries=policy), gator.register(signals), "retry when it suits")
    assert work() == 2


def test_snooze_spends_no_attempt(
    gator: Gator, face: Face, clock: FakeClock, work: Work, signalling: Callable[[str], None]
) -> None:
    """`raise Snooze(60)`: the job is put off, as often as it likes."""
    job = face.task(gator.register(signalling), "snooze")
    for _ in range(3):
        assert work() == 1
        assert face.state(job) is JobState.RETRYING
        clock.advance(60_000)
    assert seen == [1, 1, 1]


def test_cancel_ends_a_job_without_failing(
    gator: Gator, face: Face, work: Work, signalling: Callable[[str], None]
) -> None:
    """`raise Cancel(reason)`: there is nothing to do. Not retried, no error."""
    job = face.opts_task(gator.options(retries=3), gator.register(signalling), "cancel")
    assert work() == 1
    with pytest.raises(JobCanceled, match="nothing to do"):
        face.result(job)


@pytest.mark.parametrize("delay", ["soon", -1, True, 10**9])
def test_a_signal_with_a_delay_that_means_nothing_is_an_error(delay: float) -> None:
    """Where it is raised, so it fails the attempt with its own name."""
    with pytest.raises(ConfigurationError, match="delay"):
        Snooze(delay)
    with pytest.raises(ConfigurationError, match="delay"):
        Retry(delay=delay)


# ---- time limits


async def stuck() -> None:
    """Waits for what never comes."""
    import asyncio

    await asyncio.Event().wait()


def test_an_async_attempt_ends_at_its_time_limit(gator: Gator, face: Face) -> None:
    """It is cancelled, and that is a failure like another: TimeLimitExceeded."""
    job = face.opts_task(gator.options(time_limit=0.01), gator.register(stuck))
    gator.pop()
    with pytest.raises(JobFailed, match=r"TimeLimitExceeded: .*stuck ran longer than its time_limit of 0.01 s"):
        face.result(job)


# ---- middleware


class Tracing(Middleware):
    """Gives each job a header, and looks at each call."""

    def __init__(self, name: str) -> None:
        self.name = name

    def enqueue(self, envelope: Envelope) -> Envelope:
        return with_headers(envelope, {self.name: "sent", "last": self.name})

    def call(self, envelope: Envelope) -> AbstractContextManager[object]:
        return self._around(envelope)

    @contextmanager
    def _around(self, envelope: Envelope) -> Iterator[None]:
        seen.append(f"{self.name} in")
        try:
            yield
        finally:
            seen.append(f"{self.name} out")


def looks() -> dict[str, str]:
    """A task that gives its headers."""
    seen.append("task")
    return dict(current_job().headers)


async def looks_later() -> dict[str, str]:
    """The same, async."""
    return looks()


@pytest.mark.parametrize("fn", [looks, looks_later])
def test_middleware_maps_the_envelope_and_surrounds_the_call(
    make_gator: Callable[..., Gator], face: Face, fn: Callable[[], dict[str, str]]
) -> None:
    """In the order given: the first is the outermost. The user's own headers stay."""
    gator = make_gator(middleware=[Tracing("outer"), Tracing("inner")])
    job = face.opts_task(gator.options(headers={"mine": "x"}), gator.register(fn))
    gator.pop()
    assert face.result(job) == {"mine": "x", "outer": "sent", "inner": "sent", "last": "inner"}
    assert seen == ["outer in", "inner in", "task", "inner out", "outer out"]


class Refusing(Middleware):
    """Lets nothing pass."""

    def enqueue(self, envelope: Envelope) -> Envelope:
        raise PermissionError("not today")

    def call(self, envelope: Envelope) -> AbstractContextManager[object]:
        raise PermissionError("not here")


def test_a_middleware_may_refuse_a_call(make_gator: Callable[..., Gator], face: Face) -> None:
    """Its exception is the caller's, and nothing is enqueued."""
    gator = make_gator(middleware=[Refusing()])
    with pytest.raises(PermissionError, match="not today"):
        face.task(gator.register(looks))
    assert gator.counts().queues == {}


def test_what_a_middleware_raises_around_the_call_fails_the_attempt(gator: Gator, face: Face) -> None:
    """As if the task had raised it; the task does not run."""
    job = face.task(gator.register(looks))
    worker = Gator(backend=gator.backend, middleware=[Refusing()], clock=gator.clock)
    worker.register(looks)
    worker.pop()
    assert seen == []
    with pytest.raises(JobFailed, match="PermissionError: not here"):
        face.result(job)


# ---- events


def test_events_are_told_after_they_are_true(gator: Gator, face: Face) -> None:
    """`JobEnqueued` comes once the backend has the job, and says whether it was there already."""
    task = gator.register(looks)
    states: list[JobState] = []
    events: list[JobEnqueued] = []

    def listen(event: JobEnqueued) -> None:
        events.append(event)
        states.append(gator.job(event.job_id).state())

    gator.events.on(JobEnqueued, listen)
    opts = gator.options(job_id="mine", queue="images")
    face.opts_task(opts, task)
    face.opts_task(opts, task)
    assert events == [JobEnqueued("mine", task.name, "images", again) for again in (False, True)]
    assert states == [JobState.WAITING] * 2


def test_a_listener_can_never_hurt(gator: Gator, face: Face, caplog: pytest.LogCaptureFixture) -> None:
    """Its errors are logged, and the others hear the event."""
    heard: list[JobEnqueued] = []

    def hurts(event: JobEnqueued) -> None:
        raise RuntimeError("a listener's own trouble")

    gator.events.on(JobEnqueued, hurts)
    gator.events.on(JobEnqueued, heard.append)
    with caplog.at_level(logging.ERROR, logger="typedgator"):
        face.task(gator.register(looks))
    assert len(heard) == 1
    assert "a listener of JobEnqueued failed" in caplog.text


def test_threads_of_a_task_see_its_job(gator: Gator, face: Face) -> None:
    """Through `contextvars.copy_context()`, as with every context variable."""
    import contextvars

    def spawns() -> str:
        found: list[str] = []
        context = contextvars.copy_context()
        thread = threading.Thread(target=lambda: found.append(context.run(current_job).id))
        thread.start()
        thread.join()
        return found[0]

    job = face.task(gator.register(name="spawns")(spawns))
    gator.pop()
    assert face.result(job) == job.id
