"""Jobs that a worker cannot run are held for one that can; jobs that nobody can read fail, and say why."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import Annotated, Any

import msgspec
import pytest
from annotated_types import Le
from pydantic import AfterValidator

from tests.integration.worker.conftest import Start
from tests.integration.worker.crew import PATIENCE, Heard, until
from typedgator import Call, Gator, Job, JobFailed, JobState, Worker
from typedgator.backends.contract import Beat, HeldKind
from typedgator.events import JobEnded, JobHeld, JobsHeld, JobStarted
from typedgator.queues import operating
from typedgator.testing.contract import job as made_up
from typedgator.wire.envelope import Envelope, encode_envelope
from typedgator.wire.ids import parse_id, shown_id

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

    with caplog.at_level(logging.WARNING, "typedgator"):
        report = burst(old).report
    assert (job.state(), report.held) == (JobState.HELD, 1)
    assert [event.job_id for event in held.of(JobHeld)] == [job.id]
    assert f"job {job.id} of t is held for a worker that can run it" in caplog.text

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


def renamed(gator: Gator) -> None:
    """The task has another name in this release."""

    def task(number: int) -> int:
        return number

    gator.register(name="new", aliases=("t",))(task)


def upgraded(gator: Gator) -> None:
    """The second release, with an upgrade from the first."""
    second(gator)
    found: Any = gator.registry.find("t")

    def from_first(number: int) -> Call[str]:
        return found.call(str(number))  # type: ignore[no-any-return]  # a call of whatever is registered

    found.upgrade(from_first)


def retired(gator: Gator) -> None:
    """The task was removed in this release."""
    gator.retired("t", then="cancel")


@pytest.mark.parametrize(
    ("bring", "end"), [(renamed, JobState.SUCCESS), (upgraded, JobState.SUCCESS), (retired, JobState.CANCELED)]
)
def test_held_jobs_come_back_for_an_alias_an_upgrade_or_a_retirement(
    gator: Gator, burst: Burst, bring: Callable[[Gator], None], end: JobState
) -> None:
    """Whatever a worker that starts knows of a held job is tried."""
    job = enqueue(release(gator, first), 5)
    burst(release(gator, knows_nothing))
    assert job.state() is JobState.HELD
    burst(release(gator, bring))
    assert job.state() is end


def test_a_thousand_held_jobs_are_two_alarms(gator: Gator, burst: Burst, caplog: pytest.LogCaptureFixture) -> None:
    """The first of a kind is said at once, the others together, when there is time or the worker leaves."""
    producer, old = release(gator, first), release(gator, knows_nothing)
    alarms = Heard().on(old.events, JobsHeld)
    for _ in range(4):
        producer.task_many(producer.registry.find("t"), [(n,) for n in range(250)])  # type: ignore[arg-type]

    with caplog.at_level(logging.WARNING, "typedgator"):
        assert burst(old).report.held == 1000

    assert [alarm.jobs for alarm in alarms.of(JobsHeld)] == [1, 999]
    assert {alarm.task for alarm in alarms.of(JobsHeld)} == {"t"}
    assert {alarm.schema for alarm in alarms.of(JobsHeld)} == {producer.registry.find("t").fingerprint}  # type: ignore[union-attr]
    said = [record.getMessage() for record in caplog.records if "held" in record.getMessage()]
    assert len(said) == 2
    assert said[1].startswith("999 more jobs of t are held for a worker that can run them, the last one because: task")


def test_a_job_that_ends_unrun_is_told_under_its_name(
    gator: Gator, burst: Burst, caplog: pytest.LogCaptureFixture
) -> None:
    """Its arguments were never read, and yet everybody wants to know whose job it was."""
    enqueue(release(gator, first), 5)
    enqueue(release(gator, first), 6)
    gone = release(gator, retired)
    ended = Heard().on(gone.events, JobEnded)
    with caplog.at_level(logging.INFO, "typedgator"):
        burst(gone)
    assert [(event.task, event.state, event.error) for event in ended.of(JobEnded)] == [
        ("t", "canceled", "retired")
    ] * 2
    assert "of t was canceled: retired" in caplog.text


def test_a_running_worker_tries_an_upgrade_that_failed_again_later(
    gator: Gator, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an upgrade asks may be there in a minute; at once it would fail again, and so on."""
    monkeypatch.setattr("typedgator.worker.misfits.FIRST_SECONDS", 0.0)
    job = enqueue(release(gator, first), 5)
    new, tries = release(gator, second), list[int]()
    found: Any = new.registry.find("t")

    @found.upgrade
    def from_first(number: int) -> Call[str]:
        tries.append(number)
        if len(tries) < 3:
            raise ConnectionError("not there yet")
        return found.call(str(number))  # type: ignore[no-any-return]  # a call of whatever is registered

    held = Heard().on(new.events, JobHeld)
    shift = start(new)
    held.wait_until(1)
    shift.worker._janitor.release_held()
    held.wait_until(2)
    shift.worker._janitor.release_held()
    assert new.job(job.id, found).result(timeout=PATIENCE) == "5"
    assert len(tries) == 3


def test_a_job_that_no_release_brings_a_worker_for_fails_at_last(
    gator: Gator, start: Start, burst: Burst, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `hold_for`, with the reason; it is kept, and runs when somebody brings the task and requeues it."""
    monkeypatch.setattr("typedgator.worker.janitor.EVERY_SECONDS", 0.05)
    producer = release(gator, first)
    job = enqueue(producer, 5)
    shift = start(Gator(backend=gator.backend, hold_for=1))
    until(lambda: job.state() is JobState.HELD, "holding")
    until(lambda: job.state() is JobState.FAILED, "the end of the bound")
    with pytest.raises(JobFailed, match="task t is not known to the worker that took it"):
        job.result(timeout=0)

    shift.end()
    assert operating(gator.backend).requeue(parse_id(job.id))
    burst(producer)
    assert job.result(timeout=0) == 5


@pytest.mark.parametrize("is_async", [False, True])
def test_an_upgrade_that_waits_holds_up_nobody(gator: Gator, start: Start, is_async: bool) -> None:
    """It takes a slot as a task does: claims and the event loop go on, and the attempt starts when it is done."""
    old_job = enqueue(release(gator, first), 5)
    new, go, ran_in = release(gator, knows_nothing), Event(), list[str]()

    async def on_loop(words: str) -> str:
        return words

    def in_thread(words: str) -> str:
        return words

    found: Any = new.register(name="t")(on_loop if is_async else in_thread)

    @found.upgrade
    def from_first(number: int) -> Call[str]:
        ran_in.append(threading.current_thread().name)
        assert go.wait(PATIENCE)
        return found.call(f"number {number}")  # type: ignore[no-any-return]  # a call of whatever is registered

    started = Heard().on(new.events, JobStarted)
    start(new, concurrency=2)
    until(lambda: len(ran_in) == 1, "the upgrade")
    assert found.task("new").result(timeout=PATIENCE) == "new"
    assert [event.job_id for event in started.of(JobStarted)].count(old_job.id) == 0
    go.set()
    assert new.job(old_job.id, found).result(timeout=PATIENCE) == "number 5"
    assert ran_in[0].startswith("typedgator-helper" if is_async else "typedgator-task")


@pytest.mark.parametrize("is_async", [False, True])
def test_a_job_that_is_canceled_during_its_upgrade_never_starts(gator: Gator, start: Start, is_async: bool) -> None:
    """It goes as any other that has not started; what the upgrade makes of it is of no use."""
    old_job = enqueue(release(gator, first), 5)
    new, go, runs = release(gator, knows_nothing), Event(), list[str]()

    async def on_loop(words: str) -> None:
        runs.append(words)

    def in_thread(words: str) -> None:
        runs.append(words)

    found: Any = new.register(name="t")(on_loop if is_async else in_thread)
    upgrading = Event()

    @found.upgrade
    def from_first(number: int) -> Call[None]:
        upgrading.set()
        assert go.wait(PATIENCE)
        return found.call("late")  # type: ignore[no-any-return]  # a call of whatever is registered

    shift = start(new)
    assert upgrading.wait(PATIENCE)
    old_job.cancel()
    holding = shift.worker._desk.all()[0]
    shift.worker._dispatcher.hear(Beat(cancels=[holding.token]))
    go.set()
    shift.end()
    assert old_job.state() is JobState.CANCELED
    assert runs == []


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


def by_validator(refuses: type[Exception] | None) -> Callable[[Gator], None]:
    """Releases whose validator has one name and refuses odd numbers, or nothing: their fingerprints are equal."""

    def even(n: int) -> int:
        if refuses is not None and n % 2:
            raise refuses(n)
        return n

    def task(number: Annotated[int, Le(9), AfterValidator(even)]) -> int:
        return number

    return lambda gator: gator.register(name="t")(task) and None


def by_post_init(refuses: type[Exception] | None) -> Callable[[Gator], None]:
    """The same in a value type."""

    @dataclass(frozen=True)
    class Even:
        n: Annotated[int, Le(9)]

        def __post_init__(self) -> None:
            if refuses is not None and self.n % 2:
                raise refuses(self.n)

    def task(number: Even) -> int:
        return number.n

    task.__annotations__["number"] = Even
    lax: Any = Even
    return lambda gator: (gator.register(name="t")(task), setattr(gator, "even", lax))[0] and None


@pytest.mark.parametrize("refuses", [ValueError, AssertionError, KeyError])
@pytest.mark.parametrize("releases", [by_validator, by_post_init])
def test_a_job_that_only_this_releases_own_code_refuses_is_held(
    gator: Gator, burst: Burst, releases: Callable[[Any], Callable[[Gator], None]], refuses: type[Exception]
) -> None:
    """The producer's code of that name took it, so a worker of that release can run it."""
    before, after = release(gator, releases(None)), release(gator, releases(refuses))
    [old], [new] = before.registry, after.registry
    assert old.fingerprint == new.fingerprint
    even: Callable[[int], object] = getattr(before, "even", int)
    job = enqueue(before, even(5))
    assert burst(after).report.held == 1
    record = job.record()
    assert (record.state, record.attempt) == (JobState.HELD, 0)
    assert "t: the payload does not fit: " in record.reason
    burst(before)
    assert job.result(timeout=0) == 5


@pytest.mark.parametrize("releases", [by_validator, by_post_init])
@pytest.mark.parametrize("number", [12, "x", None])
def test_bytes_that_break_a_rule_that_both_releases_have_fail(
    gator: Gator, burst: Burst, releases: Callable[[Any], Callable[[Gator], None]], number: object
) -> None:
    """No producer of this schema can have sent them, so no worker could ever run them."""
    strict = release(gator, releases(ValueError))
    [task] = strict.registry
    stored = {"number": number if releases is by_validator else {"n": number}}
    envelope = Envelope(
        id=made_up(1).job_id, task="t", schema=task.fingerprint, args=msgspec.Raw(msgspec.msgpack.encode(stored))
    )
    strict.backend.enqueue([made_up(1, envelope=encode_envelope(envelope))])
    assert burst(strict).report.held == 0
    assert strict.job(shown_id(made_up(1).job_id)).state() is JobState.FAILED
