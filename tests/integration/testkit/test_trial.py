"""`trial`: one gator, elsewhere for a while; with it `assert_enqueued` and its like work without pytest."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import pytest

from typedgator import Gator, JobState, Secret
from typedgator.errors import NotRegistered
from typedgator.testing import assert_enqueued, assert_not_enqueued, enqueued, trial

application = Gator("sqlite:////no/such/folder/jobs.db", is_async=False)


@application.register
def greet(name: str, *, loud: bool = False) -> str:
    return name.upper() if loud else name


@application.register
async def call_back(name: str) -> None:
    await asyncio.sleep(0)


@application.register
def log_in(password: Annotated[str, Secret]) -> None: ...


module_level = application.options(priority=200)


def test_afterwards_the_gator_is_as_before() -> None:
    """Backend, clock, DSN and what runs at once; also when the block ends by an error."""
    before = application.backend, application.clock, application.dsn

    def fail_inside() -> None:
        with trial(application) as kit:
            assert kit.gator is application
            assert application.backend is not before[0]
            greet.task("Ann")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert (application.backend, application.clock, application.dsn) == before
    assert greet.task("Ann").result() == "Ann", "at once again, and nothing is stored"


def test_blocks_nest() -> None:
    """Each has jobs of its own."""
    with trial(application):
        greet.task("outer")
        with trial(application):
            assert_not_enqueued(greet)
            greet.task("inner")
        assert [each.arguments["name"] for each in enqueued(greet)] == ["outer"]


def test_what_was_made_before_goes_along() -> None:
    """Tasks and options that a module made at import, and handles on queues asked for inside."""
    with trial(application) as kit:
        job = module_level.task(greet, "Ann", loud=True)
        (waits,) = enqueued(greet)
        assert (waits.priority, waits.queue, waits.state, waits.due) == (200, "all", JobState.WAITING, None)
        assert waits.arguments == {"name": "Ann", "loud": True}
        assert waits.job == job
        assert len(kit.gator.queue()) == 1
        kit.drain()
        assert job.result() == "ANN"
        greet.task("Bob")
        assert_enqueued(greet, "Bob", loud=False)


def test_the_time_is_that_of_now_and_then_stands_still() -> None:
    """So an instant computed from the real time is where one expects it."""
    with trial(application) as kit:
        assert abs(kit.travel() - datetime.now(UTC)) < timedelta(minutes=5)
        assert kit.travel() == kit.travel()
        with pytest.raises(ValueError, match="aware"):
            kit.travel(to=datetime(2040, 1, 1))  # noqa: DTZ001
        with pytest.raises(ValueError, match="moved back"):
            kit.travel(to=datetime(2020, 1, 1, tzinfo=UTC))


def test_async_code_drains_too() -> None:
    """From inside a running loop: an async task runs on a loop of its own."""

    async def test() -> None:
        with trial(application) as kit:
            job = await call_back.atask("Ann")
            assert kit.drain() == [job]
            assert await job.aresult() is None

    asyncio.run(test())


def test_a_new_gator_when_none_is_given() -> None:
    """Its tasks are registered in the block."""

    def double(n: int) -> int:
        return 2 * n

    with trial() as kit:
        task = kit.gator.register(name="double")(double)
        job = task.task(21)
        kit.drain()
        assert job.result() == 42
        with pytest.raises(NotRegistered):
            kit.gator.task(greet, "Ann")


@application.register
def count(n: bool | int, *more: int | float, rate: float = 1, parts: list[bool | int] = [], **named: float) -> None: ...  # noqa: B006


def test_equal_is_not_the_same() -> None:
    """True == 1 == 1.0, and a task that takes more than one of them gets what was sent."""
    with trial(application):
        count.task(True, 1, parts=[1], x=float("nan"))
        assert_enqueued(count, True, 1, parts=[1], x=float("nan"), rate=1.0)
        assert_not_enqueued(count, 1, 1, parts=[1], x=float("nan"))
        assert_not_enqueued(count, True, 1.0, parts=[1], x=float("nan"))
        assert_not_enqueued(count, True, 1, parts=[True], x=float("nan"))
        assert_not_enqueued(count, True, 1, parts=[1], x=0)


def test_a_function_that_is_no_task_is_told() -> None:
    """It could never be enqueued, so asserting that it is not would be worth nothing."""
    asserting: list[Any] = [assert_enqueued, assert_not_enqueued, enqueued]
    for each in asserting:
        with pytest.raises(NotRegistered, match="no_task is not a registered task"):
            each(no_task)


def no_task() -> None: ...


def test_a_failed_assertion_shows_no_secret() -> None:
    """Neither of the call that was expected nor of those that are there."""
    with trial(application):
        log_in.task("hunter2")
        with pytest.raises(AssertionError, match="<hidden>") as caught:
            assert_enqueued(log_in, "hunter3")
        assert "hunter" not in str(caught.value)
        with pytest.raises(AssertionError, match="<hidden>") as caught:
            assert_not_enqueued(log_in, "hunter2")
        assert "hunter" not in str(caught.value)


def test_more_than_a_page_is_seen() -> None:
    """Storages are read page by page."""
    with trial(application):
        application.task_many(greet, [(str(n),) for n in range(230)])
        assert len(enqueued(greet)) == 230
        assert_enqueued(greet, "229")
        with pytest.raises(AssertionError, match="and 220 more"):
            assert_not_enqueued(greet)
