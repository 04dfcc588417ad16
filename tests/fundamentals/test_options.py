"""Options: when a job runs, how often, once or many times, after what, and what is kept of it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tests.fundamentals.faces import Face
from typedgator import (
    ConfigurationError,
    Gator,
    InvalidArguments,
    Job,
    JobCanceled,
    JobState,
    JobUnknown,
    RetryPolicy,
    UnknownDependency,
    Unsupported,
    current_job,
)
from typedgator.backends.contract import Capabilities
from typedgator.backends.locmem import LocmemBackend
from typedgator.testing.clock import FakeClock

Stored = Callable[[], object]
Work = Callable[[], int]


def who(name: str) -> str:
    """A task that gives its argument."""
    return name


def nothing(name: str) -> None:
    """A task without a result."""


def broken(name: str) -> str:
    """A task that fails."""
    raise ValueError(name)


def instant(clock: FakeClock, ms: int = 0) -> datetime:
    """The time on this clock, and `ms` later."""
    return datetime.fromtimestamp((clock.now_ms() + ms) / 1000, UTC)


# ---- when


@pytest.mark.parametrize("delay", [60, 60.0, timedelta(minutes=1)])
def test_delay_by_puts_a_job_off(
    gator: Gator, face: Face, clock: FakeClock, work: Work, delay: float | timedelta
) -> None:
    """Seconds or timedelta: not before, and from that very millisecond on."""
    job = face.opts_task(gator.options(delay_by=delay), gator.register(who), "a")
    assert face.state(job) is JobState.SCHEDULED
    clock.advance(59_999)
    assert work() == 0
    clock.advance(1)
    assert work() == 1
    assert face.result(job) == "a"


def test_delay_until_names_an_instant(gator: Gator, face: Face, clock: FakeClock, work: Work) -> None:
    """Aware, in any time zone; one that is over means now."""
    task = gator.register(who)
    cet = instant(clock, 60_000).astimezone(timezone(timedelta(hours=1)))
    face.opts_task(gator.options(delay_until=cet), task, "later")
    face.opts_task(gator.options(delay_until=instant(clock, -5000)), task, "now")
    assert work() == 1
    clock.advance(60_000)
    assert work() == 1


def test_an_instant_without_a_time_zone_is_refused(gator: Gator) -> None:
    """At the `options()` line: naive means something else on each machine."""
    with pytest.raises(ConfigurationError, match="does not say in which time zone"):
        gator.options(delay_until=datetime(2030, 1, 1))  # noqa: DTZ001


def test_both_delays_exclude_each_other(gator: Gator, clock: FakeClock) -> None:
    """Refused at the `options()` line, before any task; None is no delay."""
    with pytest.raises(ConfigurationError, match="delay_by and delay_until exclude each other"):
        gator.options(delay_by=1, delay_until=instant(clock))
    gator.options(delay_by=1, delay_until=None)
    gator.options(delay_by=None, delay_until=instant(clock))


def test_nothing_is_put_off_for_more_than_a_year(gator: Gator, face: Face, clock: FakeClock, stored: Stored) -> None:
    """Most likely milliseconds were meant for seconds."""
    task = gator.register(who)
    before = stored()
    with pytest.raises(ConfigurationError, match="delay_by must be between"):
        gator.options(delay_by=400 * 24 * 3600)
    far = gator.options(delay_until=instant(clock) + timedelta(days=400))
    with pytest.raises(ConfigurationError, match="more than a year away"):
        face.opts_task(far, task, "a")
    assert stored() == before


def test_a_job_that_expires_does_not_run(gator: Gator, face: Face, clock: FakeClock, work: Work) -> None:
    """Not started in time: canceled with reason `expired`. In time it runs as ever."""
    task = gator.register(who)
    late = face.opts_task(gator.options(expires=60, queue="slow"), task, "late")
    in_time = face.opts_task(gator.options(expires=timedelta(minutes=2)), task, "in time")
    clock.advance(60_000)
    assert work() == 1
    assert face.result(in_time) == "in time"
    with pytest.raises(JobCanceled) as caught:
        face.result(late)
    assert caught.value.reason == "expired"


# ---- once or many times


def test_the_same_id_is_the_same_job(gator: Gator, face: Face, work: Work) -> None:
    """Enqueued again under its `job_id`, nothing is written: the handle is of the job that is there, and says so."""
    task = gator.register(who)
    mine = gator.options(job_id="invoice:7")
    first = face.opts_task(mine, task, "a")
    again = face.opts_task(mine, task, "b")
    assert (first.id, first.duplicate, again.duplicate) == ("invoice:7", False, True)
    assert first == again
    assert work() == 1
    assert face.result(again) == "a"


def test_one_id_is_never_two_tasks(gator: Gator, face: Face, work: Work) -> None:
    """A handle of another task's job would be no answer: refused in one block, and where somebody else has the id."""
    task, other = gator.register(who), gator.register(name="other")(who)
    with gator.options(job_id="mine") as opts:
        face.opts_task(opts, task, "a")
        with pytest.raises(ConfigurationError, match=r"job_id 'mine' is a job of .*who, so other cannot have it"):
            face.opts_task(opts, other, "a")
    elsewhere = gator.options(job_id="mine")
    with pytest.raises(ConfigurationError, match=r"'mine' is a job of .*who, so other cannot.* Nothing was enqueued"):
        face.opts_task(elsewhere, other, "a")
    batch = face.enter(gator.batch(elsewhere))
    batch.task(other, "a")
    with pytest.raises(ConfigurationError, match="is a job of"):
        face.leave(batch)
    assert len(gator.queue()) == 1
    assert face.opts_task(gator.options(job_id="mine"), task, "b").duplicate
    assert work() == 1


def test_a_refused_call_leaves_the_id_free(gator: Gator, face: Face) -> None:
    """Only a call that was accepted gives the id to its task."""
    task, other = gator.register(who), gator.register(name="other")(who)
    wrong: Any = 3
    opts = gator.options(job_id="mine")
    with pytest.raises(InvalidArguments):
        face.opts_task(opts, task, wrong)
    assert not face.opts_task(opts, other, "a").duplicate


def test_an_id_is_remembered_for_a_day(gator: Gator, face: Face, clock: FakeClock, work: Work) -> None:
    """A repeated request must not make a second job; a day later the id is free again."""
    task = gator.register(nothing)
    mine = gator.options(job_id="mine")
    face.opts_task(mine, task, "a")
    work()
    clock.advance(23 * 3_600_000)
    gator.backend.maintain(limit=100)
    assert face.opts_task(mine, task, "a").duplicate
    clock.advance(2 * 3_600_000)
    gator.backend.maintain(limit=100)
    assert not face.opts_task(mine, task, "a").duplicate


def test_unique_means_one_unfinished_job_of_the_same_call(gator: Gator, face: Face, work: Work) -> None:
    """`unique=True`: the same task and arguments, however written; another call, or once it is over, is a new job."""
    task, other = gator.register(who), gator.register(name="other")(who)
    once = gator.options(unique=True)
    first = face.opts_task(once, task, "a")
    assert face.opts_task(once, task, name="a") == first
    assert face.opts_task(once, task, "a").duplicate
    assert not face.opts_task(once, task, "b").duplicate
    assert not face.opts_task(once, other, "a").duplicate
    work()
    assert not face.opts_task(once, task, "a").duplicate


def test_unique_by_a_key_of_ones_own(gator: Gator, face: Face) -> None:
    """`unique="user:7"`: one unfinished job of this task and key, whatever its arguments."""
    task, other = gator.register(who), gator.register(name="other")(who)
    keyed = gator.options(unique="user:7")
    assert face.opts_task(keyed, task, "b") == face.opts_task(keyed, task, "a")
    assert not face.opts_task(keyed, other, "a").duplicate
    assert not face.opts_task(gator.options(unique=True), task, "a").duplicate


def test_keys_of_different_tasks_never_meet(gator: Gator, face: Face) -> None:
    """Also where a name and a key, written one after the other, read the same."""
    first, second = gator.register(name="a")(who), gator.register(name="a:")(who)
    face.opts_task(gator.options(unique=":b"), first, "x")
    assert not face.opts_task(gator.options(unique="b"), second, "x").duplicate


def test_duplicates_of_a_batch_are_answers(gator: Gator, face: Face) -> None:
    """Within a batch, too: not an error, the handles say which job stands for the call."""
    task = gator.register(who)
    batch = face.enter(gator.batch(gator.options(unique=True)))
    jobs = [batch.task(task, "a"), batch.task(task, "a"), batch.task(task, "b")]
    face.leave(batch)
    assert [job.duplicate for job in jobs] == [False, True, False]
    assert jobs[0] == jobs[1]
    assert len(gator.queue()) == 2


# ---- after what


def test_a_dependent_job_waits_for_its_parents(gator: Gator, face: Face, work: Work) -> None:
    """`depends_on`: a handle, an id, or several of either; it starts when the last of them succeeded."""
    task = gator.register(who)
    one, two = face.task(task, "one"), face.task(task, "two")
    child = face.opts_task(gator.options(depends_on=[one, two.id]), task, "child")
    assert face.state(child) is JobState.BLOCKED
    gator.pop()
    assert face.state(child) is JobState.BLOCKED
    gator.pop()
    assert face.state(child) is JobState.WAITING
    work()
    grandchild = face.opts_task(gator.options(depends_on=child), task, "grandchild")
    assert face.state(grandchild) is JobState.WAITING


def test_a_failed_or_canceled_parent_cancels_its_children(gator: Gator, face: Face, work: Work) -> None:
    """And theirs, with reason `dependency`; the same when the parent has failed already."""
    task = gator.register(who)
    fails: Job[str] = face.task(gator.register(broken), "a")
    child = face.opts_task(gator.options(depends_on=fails), task, "child")
    grandchild = face.opts_task(gator.options(depends_on=child), task, "grandchild")
    canceled = face.task(task, "canceled")
    other = face.opts_task(gator.options(depends_on=canceled.id), task, "other")
    face.cancel(canceled)
    work()
    late = face.opts_task(gator.options(depends_on=fails), task, "late")
    for job in (child, grandchild, other, late):
        with pytest.raises(JobCanceled) as caught:
            face.result(job)
        assert caught.value.reason == "dependency"


def test_a_parent_that_is_not_known_is_refused(
    gator: Gator, face: Face, clock: FakeClock, work: Work, stored: Stored
) -> None:
    """Never existed, or is forgotten: UnknownDependency names `keep_result`, which makes a parent known for longer."""
    task = gator.register(nothing)
    with pytest.raises(UnknownDependency, match="keep_result=True") as caught:
        face.opts_task(gator.options(depends_on="nobody"), task, "a")
    assert caught.value.parent == "nobody"
    assert gator.counts().queues == {}
    short = face.task(task, "short")
    long = face.opts_task(gator.options(keep_result=True), task, "long")
    work()
    clock.advance(120_000)
    gator.backend.maintain(limit=100)
    with pytest.raises(UnknownDependency):
        face.opts_task(gator.options(depends_on=short), task, "a")
    face.opts_task(gator.options(depends_on=long), task, "a")


# ---- what is kept, what travels along


def test_results_are_kept_as_long_as_was_said(gator: Gator, face: Face, clock: FakeClock, work: Work) -> None:
    """`keep_result`: a timedelta, True for ten minutes (also of None), False for not at all."""
    task = gator.register(nothing)
    hour = face.opts_task(gator.options(keep_result=timedelta(hours=1)), task, "a")
    work()
    clock.advance(59 * 60_000)
    gator.backend.maintain(limit=100)
    assert face.state(gator.job(hour.id)) is JobState.SUCCESS
    clock.advance(2 * 60_000)
    gator.backend.maintain(limit=100)
    with pytest.raises(JobUnknown):
        face.state(gator.job(hour.id))


def test_headers_travel_along(gator: Gator, face: Face) -> None:
    """Text to text, at most 4 KiB: for trace ids and the like; the task sees them."""

    def reads() -> str:
        return current_job().headers["traceparent"]

    job = face.opts_task(gator.options(headers={"traceparent": "00-ab"}), gator.register(name="reads")(reads))
    gator.pop()
    assert face.result(job) == "00-ab"


def test_options_stand_at_three_levels(make_gator: Callable[..., Gator], face: Face) -> None:
    """What is said nearest to the call holds; what was not said there comes from the task, then from the gator."""
    gator = make_gator(retries=1, priority=10, headers={"from": "gator"})
    attempts: list[tuple[int, str]] = []

    def counts() -> None:
        attempts.append((current_job().attempt, current_job().headers["from"]))
        raise ValueError

    task = gator.register(name="counts", retries=RetryPolicy(2, backoff=0), headers={"from": "task"})(counts)
    face.opts_task(gator.options(headers={"from": "call"}), task)
    while gator.pop():
        pass
    assert attempts == [(1, "call"), (2, "call"), (3, "call")]
    attempts.clear()
    face.opts_task(gator.options(retries=1), task)
    while gator.pop():
        pass
    assert attempts == [(1, "task"), (2, "task")]


class Modest(LocmemBackend):
    """A storage that keeps few promises."""

    @property
    def can(self) -> Capabilities:
        return Capabilities(
            durable=False,
            shared=False,
            max_delay_ms=900_000,
            priorities=False,
            unique=False,
            dependencies=False,
            expiry=False,
            caller_ids=False,
            results=False,
        )


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("unique", True),
        ("depends_on", "id"),
        ("expires", 5),
        ("job_id", "mine"),
        ("priority", 5),
        ("keep_result", True),
        ("delay_by", 901),
    ],
)
def test_what_a_backend_cannot_keep_is_refused(face: Face, option: str, value: object) -> None:
    """Never a silent downgrade: Unsupported, before anything is sent."""
    gator = Gator(backend=Modest())
    task = gator.register(who)
    opts = gator.options(**{option: value})  # type: ignore[arg-type]
    with pytest.raises(Unsupported, match=f"{option}= was asked for"):
        face.opts_task(opts, task, "a")
    assert gator.counts().queues == {}
