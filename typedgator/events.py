"""Facts about jobs, told after they are true. A listener can never hurt who tells: its errors are only logged."""

import logging
from collections.abc import Callable
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

__all__ = [
    "Event",
    "Events",
    "JobEnded",
    "JobEnqueued",
    "JobHeld",
    "JobRetrying",
    "JobStarted",
    "JobsHeld",
    "LeaseLost",
    "WorkerStarted",
    "WorkerStopped",
]

logger: Final = logging.getLogger("typedgator")


class JobEnqueued(msgspec.Struct, frozen=True):
    """A backend accepted a job."""

    job_id: str
    task: str
    queue: str
    duplicate: bool


class JobStarted(msgspec.Struct, frozen=True):
    """An attempt is about to run."""

    job_id: str
    task: str
    attempt: int


class JobEnded(msgspec.Struct, frozen=True):
    """An attempt's end was written: `state` is success, failed or canceled."""

    job_id: str
    task: str
    state: str
    attempt: int
    seconds: float
    error: str = ""


class JobRetrying(msgspec.Struct, frozen=True):
    """A failed attempt was written, and the job is due again in `delay` seconds."""

    job_id: str
    task: str
    attempt: int
    delay: float
    error: str


class JobHeld(msgspec.Struct, frozen=True):
    """This worker could not run a job, and put it aside for one that can."""

    job_id: str
    task: str
    reason: str


class JobsHeld(msgspec.Struct, frozen=True):
    """An alarm: this worker holds `jobs` more jobs of a task, with arguments of this fingerprint, and cannot run them.

    Told for the first one, then at most once a minute; `reason` is the last one's.
    """

    task: str
    schema: str
    jobs: int
    reason: str


class LeaseLost(msgspec.Struct, frozen=True):
    """An attempt ended, but its lease was no longer ours: nothing was written, the job runs elsewhere."""

    job_id: str
    task: str
    attempt: int


class WorkerStarted(msgspec.Struct, frozen=True):
    """A worker joined under this identity."""

    worker: str
    queues: tuple[str, ...]


class WorkerStopped(msgspec.Struct, frozen=True):
    """A worker left. `jobs` is how many attempts it settled."""

    worker: str
    jobs: int


Event: TypeAlias = (
    JobEnqueued | JobStarted | JobEnded | JobRetrying | JobHeld | JobsHeld | LeaseLost | WorkerStarted | WorkerStopped
)

E = TypeVar("E", bound=msgspec.Struct)


class Events:
    """Who listens to what. `wants` is asked before an event is made, so that nobody pays for events nobody hears."""

    def __init__(self) -> None:
        self._listeners: dict[type[msgspec.Struct], tuple[Callable[[Any], object], ...]] = {}  # key and value agree

    def on(self, kind: type[E], listener: Callable[[E], object], /) -> None:
        """Calls `listener` with every event of this kind, in the thread where it happens."""
        self._listeners[kind] = (*self._listeners.get(kind, ()), listener)

    def wants(self, kind: type[msgspec.Struct]) -> bool:
        """Whether anybody listens to events of this kind."""
        return kind in self._listeners

    def tell(self, event: Event) -> None:
        """Tells every listener. Never raises."""
        for listener in self._listeners.get(type(event), ()):
            try:
                listener(event)
            except Exception:
                logger.exception("a listener of %s failed; the job is not affected", type(event).__name__)
