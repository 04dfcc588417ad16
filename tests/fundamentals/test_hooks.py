"""Hooks: registered functions that hear of a job, and can never hurt it."""

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest

from tests.fundamentals.faces import Face
from typedgator import (
    ConfigurationError,
    Gator,
    Job,
    JobState,
    NotRegistered,
    RegistrationError,
    Retry,
    RetryPolicy,
    Snooze,
    current_job,
)

Work = Callable[[], int]

heard: list[tuple[object, ...]] = []


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    heard.clear()
    yield
    heard.clear()


def began(job: Job[object]) -> None:
    """For `on_start`."""
    heard.append(("began", job.id))


def ended(job: Job[object], result: object) -> None:
    """For `on_success`: called once the success is written."""
    heard.append(("ended", job.id, result, job.state()))


def went_wrong(job: Job[object], error: BaseException) -> None:
    """For `on_error`: called once the failure is written."""
    heard.append(("went wrong", job.id, repr(error), job.state()))


def hurts(job: Job[object], *more: object) -> None:
    """A hook that fails."""
    raise RuntimeError("a hook's own trouble")


async def is_async(job: Job[object]) -> None:
    """No hook."""


def who(name: str) -> str:
    """A task."""
    return name


async def who_later(name: str) -> str:
    """An async task."""
    return name


def broken() -> None:
    """A task that fails."""
    raise ValueError("broken")


def test_hooks_hear_of_start_and_success(gator: Gator, face: Face, work: Work) -> None:
    """`on_start(job)` before the call, `on_success(job, result)` after the success is written."""
    for hook in (began, ended, went_wrong):
        gator.hook(hook)
    task = gator.register(who)
    with gator.options(on_start=began, on_success=ended, on_error=went_wrong) as opts:
        job = face.opts_task(opts, task, "a")
    assert heard == []
    work()
    assert heard == [("began", job.id), ("ended", job.id, "a", JobState.SUCCESS)]


def test_hooks_of_async_tasks(gator: Gator, face: Face, work: Work) -> None:
    """The same; hooks are plain functions all the same."""
    task = gator.register(on_start=began, on_success=ended)(who_later)
    job = face.task(task, "a")
    work()
    assert heard == [("began", job.id), ("ended", job.id, "a", JobState.SUCCESS)]


def test_on_error_hears_of_the_final_failure_only(gator: Gator, face: Face, work: Work) -> None:
    """Each attempt starts, but only the last failure is one: retries are not."""
    gator.hook(went_wrong)
    gator.hook(began)
    opts = gator.options(on_start=began, on_error=went_wrong, retries=RetryPolicy(2, backoff=0))
    job = face.opts_task(opts, gator.register(broken))
    assert work() == 3
    assert heard == [("began", job.id)] * 3 + [("went wrong", job.id, "ValueError('broken')", JobState.FAILED)]


def test_a_signal_is_no_failure(gator: Gator, face: Face) -> None:
    """Retry, Snooze and Cancel say how to go on; `on_error` is not called for them."""
    gator.hook(went_wrong)

    def snoozes(seconds: int) -> None:
        raise Snooze(seconds)

    def retries() -> None:
        raise Retry(delay=5)

    opts = gator.options(on_error=went_wrong, retries=1)
    face.opts_task(opts, gator.register(name="snoozes")(snoozes), 5)
    face.opts_task(opts, gator.register(name="retries")(retries))
    assert gator.pop() is not None
    assert gator.pop() is not None
    assert heard == []


def test_a_hook_must_be_registered(gator: Gator, face: Face) -> None:
    """A worker could not find it: refused at the `options()` line, with the way out. `register(on_…=)` registers it."""
    with pytest.raises(NotRegistered, match=r"hook began is not registered.*decorate it with @gator.hook"):
        gator.options(on_start=began)
    gator.register(name="task", on_start=began)(who)
    gator.options(on_start=began)
    assert gator.hook(ended) is ended
    gator.options(on_success=ended)


def test_what_can_be_no_hook_is_refused(gator: Gator) -> None:
    """Lambdas and nested functions have no name; coroutines would need a loop; a task belongs in a queue."""

    def nested(job: Job[object]) -> None: ...

    with pytest.raises(RegistrationError, match="cannot be a hook"):
        gator.hook(nested)
    with pytest.raises(RegistrationError, match="cannot be a hook: a lambda"):
        gator.register(on_start=lambda job: None)
    with pytest.raises(RegistrationError, match="hooks are plain functions"):
        gator.hook(is_async)
    with pytest.raises(RegistrationError, match="enqueue a task inside one"):
        gator.hook(gator.register(who))


class Listener:
    """Not a function, and with a method."""

    def __init__(self, job: object, result: object = None) -> None: ...

    def hears(self, job: Job[object]) -> None: ...


def yields(job: Job[object], error: BaseException) -> Iterator[None]:
    """Calling it would run nothing."""
    yield


async def yields_later(job: Job[object]) -> AsyncIterator[None]:
    """Likewise."""
    yield


def takes_three(job: Job[object], result: object, more: object) -> None:
    """No hook is called so."""


@pytest.mark.parametrize(
    ("hook", "says"),
    [
        (Listener, "hooks are plain functions"),
        (yields, "hooks are plain functions"),
        (yields_later, "hooks are plain functions"),
        (Listener(1).hears, "it is a method of an object"),
        (heard.append, "it is a method of an object"),
        (takes_three, r"called as on_start\(job\) or on_success\(job, result\) or on_error\(job, error\), and takes"),
        (partial(began), "register a function"),
        (3, "hooks are plain functions"),
    ],
)
def test_a_hook_that_could_not_be_called_is_refused(gator: Gator, hook: Any, says: str) -> None:
    """At its line, and in the words of hooks: `name=` is for tasks."""
    for line in (
        lambda: gator.hook(hook),
        lambda: gator.register(on_error=hook),
        lambda: Gator("locmem://", on_error=hook),
    ):
        with pytest.raises(RegistrationError, match=says if hook is not takes_three else "takes") as caught:
            line()
        assert "name=" not in str(caught.value)


def test_a_hook_takes_what_its_option_gives(gator: Gator) -> None:
    """`on_start(job)`, `on_success(job, result)`, `on_error(job, error)`: one that cannot is refused at the line."""
    one: Any = gator.hook(began)
    two: Any = gator.hook(ended)
    any_number: Any = gator.hook(hurts)
    for register in (gator.register, gator.options):
        with pytest.raises(RegistrationError, match=r"ended cannot be a hook: it is called as on_start\(job\)"):
            register(on_start=two)
        with pytest.raises(RegistrationError, match=r"it is called as on_success\(job, result\), and takes \(job:"):
            register(on_success=one)
        register(on_start=any_number, on_success=any_number, on_error=any_number)


def test_hooks_at_three_levels(make_gator: Callable[..., Gator], face: Face) -> None:
    """The nearest one is called, and no other; None calls none."""
    gator = make_gator(on_success=ended)
    plain = gator.register(name="plain")(who)
    silent = gator.register(name="silent", on_success=None)(who)
    face.task(plain, "a")
    face.task(silent, "b")
    face.opts_task(gator.options(on_success=None), plain, "c")
    while gator.pop():
        pass
    assert [entry[2] for entry in heard] == ["a"]


def test_a_hooks_error_is_logged_and_the_job_is_not_affected(
    gator: Gator, face: Face, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    """What must be certain is no hook but a dependent job."""
    gator.hook(hurts)
    opts = gator.options(on_start=hurts, on_success=hurts)
    job = face.opts_task(opts, gator.register(who), "a")
    with caplog.at_level(logging.ERROR, logger="typedgator"):
        work()
    assert face.result(job) == "a"
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert all("hurts failed; the job is not affected" in line for line in told)


def test_a_hook_that_the_worker_does_not_know_is_logged(
    gator: Gator, face: Face, caplog: pytest.LogCaptureFixture
) -> None:
    """Its name travels, never its code: a worker without it says so, and goes on."""
    gator.hook(began)
    job = face.opts_task(gator.options(on_start=began), gator.register(who), "a")
    other = Gator(backend=gator.backend, clock=gator.clock)
    other.register(who)
    with caplog.at_level(logging.ERROR, logger="typedgator"):
        other.pop()
    assert face.result(job) == "a"
    assert "began is not known to this worker" in caplog.text


def test_two_hooks_of_one_name_are_refused(gator: Gator) -> None:
    """As with tasks; the same one again is no second hook."""
    gator.hook(began)
    gator.hook(began)

    def other(job: Job[object]) -> None: ...

    other.__qualname__ = "began"
    with pytest.raises(RegistrationError, match="two hooks are called"):
        gator.hook(other)


def test_a_hook_runs_outside_of_the_job(gator: Gator, face: Face, work: Work) -> None:
    """`current_job()` is for tasks; a hook is told its job."""
    gator.hook(outside)
    face.opts_task(gator.options(on_success=outside), gator.register(who), "a")
    work()
    assert heard == [("GatorError",)]


def outside(job: Job[object], result: object) -> None:
    """Asks for the current job."""
    try:
        current_job()
    except Exception as error:
        heard.append((type(error).__name__,))


def test_a_result_that_cannot_be_stored_is_an_error(gator: Gator, face: Face, work: Work) -> None:
    """It ran, so it is not run again, whatever the retries: failed, and `on_error` hears why."""
    gator.hook(went_wrong)

    def lies() -> int:
        return "text"  # type: ignore[return-value]

    job = face.opts_task(gator.options(on_error=went_wrong, retries=3), gator.register(name="lies")(lies))
    assert work() == 1
    assert face.state(job) is JobState.FAILED
    assert heard[0][0] == "went wrong"


def test_hooks_given_as_text_are_refused(gator: Gator) -> None:
    """Import paths never come out of a payload."""
    with pytest.raises((NotRegistered, ConfigurationError)):
        gator.options(on_start="os.system")  # type: ignore[arg-type]
