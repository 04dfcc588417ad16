"""Who works in these tests: workers in threads of their own, and what they are heard to do. Waits have an end."""

import time
from collections.abc import Callable
from threading import Condition, Event, Thread
from typing import Final, TypeVar

import msgspec

from typedgator.events import Events
from typedgator.worker import Worker, WorkerReport

E = TypeVar("E", bound=msgspec.Struct)

PATIENCE: Final = 20.0
"""Seconds after which a test has failed: much, for machines that are busy with something else."""


class Shift:
    """A worker that runs in a thread until it ends by itself, or `end` is called."""

    def __init__(self, worker: Worker) -> None:
        self.worker: Final = worker
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name=f"shift-{id(worker)}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.worker.run()
        except BaseException as error:
            self._error = error

    def end(self, *, now: bool = False) -> WorkerReport:
        """Stops it and waits for that."""
        self.worker.stop(now=now)
        return self.wait()

    def wait(self, seconds: float = PATIENCE) -> WorkerReport:
        """Waits until it has ended by itself."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the worker still runs"
        if self._error is not None:
            raise self._error
        return self.worker.report

    def ends_within(self, seconds: float) -> bool:
        """Whether it has ended by then."""
        self._thread.join(seconds)
        return not self._thread.is_alive()


class Heard:
    """Collects what is told, and lets a test wait for it."""

    def __init__(self) -> None:
        self.all: Final[list[object]] = []
        self._changed = Condition()

    def on(self, events: Events, *kinds: type[msgspec.Struct]) -> "Heard":
        """Listens to these events."""
        for kind in kinds:
            events.on(kind, self)
        return self

    def __call__(self, what: object) -> None:
        with self._changed:
            self.all.append(what)
            self._changed.notify_all()

    def of(self, kind: type[E]) -> list[E]:
        """What was heard of one kind."""
        return [each for each in list(self.all) if isinstance(each, kind)]

    def wait_for(self, done: Callable[[], bool]) -> None:
        """Returns as soon as it is so; looked at whenever something is heard."""
        with self._changed:
            assert self._changed.wait_for(done, PATIENCE), f"heard only {self.all[-20:]}"

    def wait_until(self, number: int) -> None:
        """Returns once so many things were heard."""
        self.wait_for(lambda: len(self.all) >= number)


def until(done: Callable[[], bool], what: str) -> None:
    """Looks again and again, for what nobody tells."""
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, f"{what} did not happen"
        Event().wait(0.005)


def lay_on_desk(worker: Worker, count: int) -> None:
    """Claims so many more than there are slots for, as a worker does whose jobs were fast up to now."""
    identity = worker._claimer.identity
    assert identity is not None
    seen = max(worker._desk.holdings)
    claimed = worker._backend.claim(identity, limit=count, wait_ms=0, seen=seen)
    assert len(claimed) == count
    worker._claimer._claimed += count
    worker._settler.owed.update(one.token for one in claimed)
    worker._dispatcher.dispatch(identity, claimed)
