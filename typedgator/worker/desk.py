"""What a worker has on its desk: the attempts that it holds, under which identity, and what became of those it has finished.

The claimer puts on, the executors take off, the lease keeper reads. Whoever takes an attempt off the desk settles it; an attempt
that is no longer there is not ours any more, and its end is dropped.
"""

from collections.abc import Callable
from threading import Event
from typing import Final

import msgspec

from typedgator.backends.contract import WorkerId
from typedgator.execution import Attempt, Ending
from typedgator.wire.verdict import Settlement, Token

__all__ = ["Desk", "Finished", "Holding", "WorkerReport"]


class Holding:
    """One attempt of ours, and the identity that claimed it."""

    __slots__ = ("attempt", "canceled", "identity", "since")

    def __init__(self, identity: WorkerId, attempt: Attempt, since: float) -> None:
        self.identity: Final = identity
        self.attempt: Final = attempt
        self.since: Final = since
        self.canceled = False
        """Somebody asked the job to stop."""

    @property
    def token(self) -> Token:
        """The attempt's token."""
        return self.attempt.claimed.token


class Finished(msgspec.Struct, frozen=True, gc=False):
    """A settlement on its way to the backend. `holding` and `ending` are None when the attempt could not be opened."""

    identity: WorkerId
    settlement: Settlement
    holding: Holding | None = None
    ending: Ending | None = None


class WorkerReport(msgspec.Struct):
    """How many attempts a worker ended, by what was written; `lost` are those whose lease was no longer ours."""

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
        """Attempts that ran and were settled."""
        return self.succeeded + self.failed + self.retried + self.snoozed + self.canceled


class Desk:
    """The attempts in hand, by token. Its dict is changed by single operations only, which CPython makes atomic."""

    def __init__(self) -> None:
        self.holdings: Final[dict[Token, Holding]] = {}
        self.room: Final = Event()
        """Set when the claimer may want more: at most `wake_at` attempts are in hand."""
        self.wake_at = 0

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
        dropped = [holding for holding in list(self.holdings.values()) if which(holding)]
        return [holding for holding in dropped if self.take(holding)]

    def __len__(self) -> int:
        return len(self.holdings)
