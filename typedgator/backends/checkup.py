"""What a storage would lose, and how it fares: the words in which every backend answers `typedgator doctor`."""

from collections.abc import Collection
from enum import StrEnum
from typing import Protocol, runtime_checkable

import msgspec

__all__ = ["Checkup", "Danger", "Examined", "Finding", "Level", "Loss"]


class Danger(StrEnum):
    """What may befall a storage."""

    PROCESS = "process"
    """The process that keeps the jobs is killed; its machine stays up."""
    HOST = "host"
    """The machine loses power, or its kernel crashes."""
    FAILOVER = "failover"
    """The machine does not come back, and another one takes over."""


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """What a danger would take of what was accepted.

    `safe`: nothing; None: it cannot be told. `promised`: the durability that was asked for promises that it is nothing.
    """

    danger: Danger
    safe: bool | None
    lost: str
    promised: bool = False
    remedy: str = ""


class Level(StrEnum):
    """How much a finding matters."""

    FINE = "fine"
    LOOK = "look"
    """Nothing is lost by it, yet."""
    WRONG = "wrong"


class Finding(msgspec.Struct, frozen=True):
    """Something that was looked at."""

    about: str
    level: Level
    says: str
    remedy: str = ""


class Checkup(msgspec.Struct, frozen=True):
    """All of it, of one namespace as this caller reaches it."""

    server: str
    durability: str
    losses: list[Loss]
    findings: list[Finding]

    def at_risk(self, survive: Collection[Danger] = ()) -> list[Danger]:
        """The dangers that would take something, and must not: by promise, or because the caller says so."""
        return [
            loss.danger for loss in self.losses if loss.safe is not True and (loss.promised or loss.danger in survive)
        ]

    def wrong(self) -> list[Finding]:
        """What is wrong whatever was asked for."""
        return [finding for finding in self.findings if finding.level is Level.WRONG]


@runtime_checkable
class Examined(Protocol):
    """A backend that can be examined."""

    def examine(self, *, audit: bool | None = None) -> Checkup:
        """Looks, and writes nothing but what opening writes. `audit`: also at every key; None: if it is not much.

        Raises BackendUnavailable when nobody answers.
        """
        ...
