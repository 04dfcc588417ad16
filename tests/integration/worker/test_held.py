"""Jobs that a worker cannot run are held for one that can; jobs that nobody can read fail, and say why."""

import logging
from collections.abc import Callable

import pytest

from tests.integration.worker.conftest import Start
from tests.integration.worker.crew import PATIENCE, Heard
from typedgator import Gator, Job, JobFailed, JobState, Worker
from typedgator.backends.contract import HeldKind
from typedgator.events import JobHeld
from typedgator.testing.contract import job as made_up
from typedgator.wire.ids import shown_id

Burst = Callable[..., Worker]


def release(gator: Gator, register: Callable[[Gator], None]) -> Gator:
    """Another release of the same program, on the same queue."""
    other = Gator(backend=gator.backend)
    register(other)
    return other


def knows_nothing(gator: Gator) -> None:
    """A release before the task was written."""


def first(gator: Gator) -> None:
    """The task's first release."""

    def task(number: int) -> int:
        return number

    gator.register(name="t")(task)


def second(gator: Gator) -> None:
    """Its second one takes text."""

    def task(words: str) -> str:
        return words

    gator.register(name="t")(task)


def enqueue(gator: Gator, *args: object) -> Job[object]:
    """A call of the task that this release knows."""
    return gator.task(gator.registry.find("t"), *args)  # type: ignore[arg-type]  # it is there


@pytest.mark.parametrize("reader", [knows_nothing, second])
def test_a_job_is_held_until_a_worker_starts_that_can_run_it(
    gator: Gator, burst: Burst, caplog: pytest.LogCaptureFixture, reader: Callable[[Gator], None]
) -> None:
    """Unknown task or other arguments: no attempt is spent, it is said once, and the job waits."""
    producer, old = release(gator, first), release(gator, reader)
    held = Heard().on(old.events, JobHeld)
    job = enqueue(producer, 5)

    with caplog.at_level(logging.ERROR, "typedgator"):
        report = burst(old).report
    assert (job.state(), report.held) == (JobState.HELD, 1)
    assert [event.job_id for event in held.of(JobHeld)] == [job.id]
    assert f"job {job.id} is held for a worker that can run it" in caplog.text

    burst(release(gator, first))
    assert job.result(timeout=0) == 5


def test_a_running_worker_tries_held_jobs_of_its_tasks_again(gator: Gator, start: Start, burst: Burst) -> None:
    """In a rolling deploy a worker of the last release may hold a job after the new one has started."""
    producer = release(gator, first)
    shift = start(producer, queues=["other"])
    with producer.options(queue="other") as opts:
        job = opts.task(producer.registry.find("t"), 5)  # type: ignore[arg-type, var-annotated]  # it is there
    job.result(timeout=PATIENCE)

    with producer.options(queue="all") as opts:
        late = opts.task(producer.registry.find("t"), 6)  # type: ignore[arg-type, var-annotated]  # it is there
    burst(release(gator, knows_nothing))
    assert late.state() is JobState.HELD
    shift.worker._janitor.release_held()
    assert late.state() is JobState.WAITING


def test_a_worker_does_not_try_again_what_it_could_not_read(gator: Gator, start: Start) -> None:
    """It would hold it again, and so on for ever."""
    job = enqueue(release(gator, first), 5)
    new = release(gator, second)
    held = Heard().on(new.events, JobHeld)
    shift = start(new)
    held.wait_until(1)
    shift.worker._janitor.release_held()
    assert job.state() is JobState.HELD
    kinds: list[HeldKind] = gator.backend.held_kinds()  # type: ignore[attr-defined]  # every backend here can
    assert [kind.jobs for kind in kinds] == [1]


@pytest.mark.parametrize("stored", [b"", b"\xff" * 40, b"\x81\xa1v\x01", bytes(16_000)], ids=len)
def test_what_nobody_can_read_fails_with_its_reason_and_the_worker_goes_on(
    gator: Gator, burst: Burst, stored: bytes
) -> None:
    """A corrupt envelope is a dead letter; the next job runs."""
    first(gator)
    gator.backend.enqueue([made_up(1, envelope=stored)])
    good = enqueue(gator, 5)
    report = burst(gator).report

    bad = gator.job(shown_id(made_up(1).job_id))
    with pytest.raises(JobFailed) as caught:
        bad.result(timeout=0)
    assert caught.value.error_type == "typedgator.errors.PayloadMismatch"
    assert good.result(timeout=0) == 5
    assert (report.succeeded, report.failed) == (1, 1)
