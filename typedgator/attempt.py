"""An attempt in a worker's hands, and the ways in which a task can end it."""

from typing import Final, TypeAlias

import msgspec

from typedgator.backends.contract import Claimed
from typedgator.context import CurrentJob
from typedgator.registry import AnyTask
from typedgator.task import AsyncTask
from typedgator.wire.envelope import Envelope, JobPolicy

__all__ = ["Attempt", "Ending", "Raised", "Returned", "Stopped"]


class Attempt:
    """An attempt that can be called: its task, its arguments, and what `current_job()` will say.

    One that is `late` cannot be called: it has to be opened again off the actors' threads, to run the user's upgrade.
    """

    __slots__ = ("args", "claimed", "envelope", "job", "kwargs", "late", "started", "task")

    def __init__(
        self,
        claimed: Claimed,
        envelope: Envelope,
        task: AnyTask,
        args: tuple[object, ...],
        kwargs: dict[str, object],
        job: CurrentJob,
        *,
        late: bool = False,
    ) -> None:
        self.claimed: Final = claimed
        self.envelope: Final = envelope
        self.task: Final = task
        self.args: Final = args
        self.kwargs: Final = kwargs
        self.job: Final = job
        self.late: Final = late
        self.started: float = 0.0

    @property
    def policy(self) -> JobPolicy:
        """What was promised for this job at enqueue."""
        return self.envelope.policy

    @property
    def is_async(self) -> bool:
        """Whether the task is an `async def`."""
        return isinstance(self.task, AsyncTask)


class Returned(msgspec.Struct, frozen=True, gc=False):
    """The task returned this."""

    value: object


class Raised(msgspec.Struct, frozen=True, gc=False):
    """The task raised this: an error, or a signal (Retry, Snooze, Cancel)."""

    error: BaseException


class Stopped(msgspec.Struct, frozen=True, gc=False):
    """The task was stopped from outside: somebody `canceled` it, or the worker ends and gives the job back."""

    canceled: bool


Ending: TypeAlias = Returned | Raised | Stopped
