"""What a worker has on its desk: the attempts that it holds, under which identity, and what became of those it ended.

The dispatcher puts on, the executors take off, the lease keeper reads. Whoever takes an attempt off the desk settles
it; an attempt that is no longer there is not ours any more, and its end is dropped.
"""

from collections.abc import Callable
from threading import Event, Lock
from typing import Final

import msgspec

from typedgator.attempt import Attempt, Ending
from typedgator.backends.contract import WorkerId
from typedgator.wire.verdict import Settlement, Token

__all__ = ["Desk", "Finished", "Holding", "WorkerReport"]


class Holding:
    """One attempt of ours, and the identity that claimed it."""

    __slots__ = ("attempt", "canceled", "identity", "since", "stopped", "token")

    def __init__(self, identity: WorkerId, attempt: Attempt, since: float) -> None:
        self.identity: Final = identity
        self.attempt: Attempt = attempt
        """Another one as soon as its arguments were upgraded."""
        self.since: Final = since
        self.token: Final[Token] = attempt.claimed.token
        self.canceled: bool = False
        """Somebody asked the job to stop."""
        self.stopped: bool = False
        """The worker told the attempt to stop, for whatever reason."""


class Finished(msgspec.Struct, frozen=True, gc=False):
    """A settlement on its way to the backend.

    `ending` is None when nothing ran to its end; `holding` too when the attempt could not even be opened, and then
    `task` is what its envelope says. `is_second`: what it first ended as could not be written.
    """

    identity: WorkerId
    settlement: Settlement
    holding: Holding | None = None
    ending: Ending | None = None
    is_second: bool = False
    task: str = ""


class WorkerReport(msgspec.Struct):
    """How many attempts a worker took, by what became of them: each is counted once.

    `lost` are those whose lease ended before their end was written.
    """

    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    snoozed: int = 0
    canceled: int = 0
    held: int = 0
    released: int = 0
    lost: int = 0

    @property
    def ended(self) -> int:
        """Attempts that were settled, but for those that went back unfinished."""
        return self.succeeded + self.failed + self.retried + self.snoozed + self.canceled


class Desk:
    """The attempts in hand, by token. Its dict is changed by single operations only, which CPython makes atomic."""

    def __init__(self) -> None:
        self.holdings: Final[dict[Token, Holding]] = {}
        self.room: Final = Event()
        """Set when the claimer may want more: at most `wake_at` attempts are in hand."""
        self.wake_at: int = 0
        self.dropped: int = 0
        """Attempts that were taken off unsettled."""
        self._dropping: Final = Lock()

    def put(self, holding: Holding) -> None:
        """An attempt was claimed."""
        self.holdings[holding.token] = holding

    def take(self, holding: Holding) -> bool:
        """Whether the attempt was still ours; it is off the desk either way."""
        ours = self.holdings.pop(holding.token, None) is not None
        if len(self.holdings) <= self.wake_at and not self.room.is_set():
            self.room.set()
        return ours

    def drop(self, which: Callable[[Holding], bool]) -> list[Holding]:
        """Takes off the desk, unsettled, what is not ours any more."""
        with self._dropping:
            dropped = [holding for holding in self.all() if which(holding) and self.take(holding)]
            self.dropped += len(dropped)
        return dropped

    def all(self) -> list[Holding]:
        """The attempts in hand, in the order of claiming."""
        return list(self.holdings.values())

    def __contains__(self, holding: Holding) -> bool:
        return holding.token in self.holdings

    def __len__(self) -> int:
        return len(self.holdings)
