"""Facts about jobs, told after they are true. A listener can never hurt who tells: its errors are only logged.

In all of them `job_id` is the job's id, `task` its name as it is stored, `attempt` which run of it this is, from 1.
"""

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
    """A backend accepted a job in `queue`; `duplicate`: it was there before, nothing was added."""

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
    """An attempt's end was written: `state` is success, failed or canceled, after `seconds` of running.

    `error` is type and text of what a failed one raised, the reason of a canceled one.
    """

    job_id: str
    task: str
    state: str
    attempt: int
    seconds: float
    error: str = ""


class JobRetrying(msgspec.Struct, frozen=True):
    """A failed attempt was written, and the job is due again in `delay` seconds; `error` as in JobEnded."""

    job_id: str
    task: str
    attempt: int
    delay: float
    error: str


class JobHeld(msgspec.Struct, frozen=True):
    """This worker could not run a job, for this `reason`, and put it aside for one that can."""

    job_id: str
    task: str
    reason: str


class JobsHeld(msgspec.Struct, frozen=True):
    """An alarm: this worker holds `jobs` more jobs of a task, and cannot run them.

    Told for the first one, then at most once a minute. `schema` is the fingerprint of their arguments, `reason` the
    last one's.
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
    """A worker joined, under the identity `worker`, and serves `queues` in this order."""

    worker: str
    queues: tuple[str, ...]


class WorkerStopped(msgspec.Struct, frozen=True):
    """The worker `worker` left. `jobs` is how many attempts it settled."""

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
