"""A gator under test: its jobs go to a backend of the test's own, its time moves by order, and it runs by hand.

The codec, the checks, retries, expiry and hooks are those of production. Nothing here needs pytest; its plugin makes
fixtures of it.
"""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol
from uuid import uuid4

from typedgator.backends.connect import connect
from typedgator.clock import SystemClock
from typedgator.errors import GatorError
from typedgator.gator import Gator
from typedgator.job import Job
from typedgator.policy.durations import to_ms
from typedgator.testing.clock import FakeClock
from typedgator.wire.states import JobState

__all__ = ["Drain", "Kit", "Travel", "trial"]


class Drain(Protocol):
    """The fixture `drain`: see `Kit.drain`."""

    def __call__(self, *queues: str, raises: bool = True, at_most: int = 1000) -> list[Job[object]]: ...


class Travel(Protocol):
    """The fixture `travel`: see `Kit.travel`."""

    def __call__(self, by: float | timedelta = 0, /, *, to: datetime | None = None) -> datetime: ...


class Kit:
    """A gator, its clock, and hands that work as a worker does."""

    def __init__(self, gator: Gator, clock: FakeClock) -> None:
        self.gator: Final = gator
        self.clock: Final = clock

    def drain(self, *queues: str, raises: bool = True, at_most: int = 1000) -> list[Job[object]]:
        """Runs what is due in these queues (none given: in all) until nothing is, jobs enqueued meanwhile too.

        Gives the jobs, one for each attempt, in their order. A job that failed for good raises JobFailed, once all
        others have run; `raises=False`: it only fails. Delays, and waits before a retry, are for `travel`. Raises
        GatorError when after `at_most` attempts jobs are still due.
        """
        ran: list[Job[object]] = []
        while (job := self.gator.pop(*queues)) is not None:
            ran.append(job)
            if len(ran) > at_most:
                raise GatorError(f"drain() ran {at_most} attempts, and jobs are still due: does one enqueue itself?")
        if raises:
            for job in ran:
                if job.state() is JobState.FAILED:
                    job.result()
        return ran

    def travel(self, by: float | timedelta = 0, /, *, to: datetime | None = None) -> datetime:
        """Moves the time on by seconds or a timedelta, or to an aware datetime, and tells what time it is then.

        Jobs become due, expire and are forgotten as they would; nothing is run: that is for `drain`.
        """
        by_ms = to_ms(by, "by")
        if to is not None:
            if to.tzinfo is None:
                raise ValueError(f"to must be an aware datetime, got {to!r}: give it a time zone")
            by_ms += round(to.timestamp() * 1000) - self.clock.now_ms()
        self.clock.advance(by_ms)
        while self.gator.backend.maintain(limit=1000).more:
            pass
        return datetime.fromtimestamp(self.clock.now_ms() / 1000, UTC)


@contextmanager
def trial(gator: Gator | None = None, *, dsn: str = "locmem://") -> Generator[Kit]:
    """A block in which a gator keeps its jobs at `dsn`, in a namespace of the block's own, under a clock that stands
    still. Without a gator, a new one.

    Afterwards the gator is as before. What it does by default where it is called (`is_async=False`) is queued inside.
    """
    clock = FakeClock(SystemClock().now_ms())
    backend = connect(dsn, namespace=f"trial-{uuid4().hex}", clock=clock)
    try:
        if gator is None:
            yield Kit(Gator(backend=backend, clock=clock, is_async=True), clock)
        else:
            with gator.elsewhere(backend, clock):
                yield Kit(gator, clock)
    finally:
        backend.close()
