"""What one library must say and do to be measured. Standard library only: it runs in the environment of each."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

__all__ = ["PORT", "SETTING", "SLEEP", "TEXT", "URL", "Adapter", "Command", "program", "python"]

PORT: Final = int(os.environ.get("TYPEDGATOR_PEERS_PORT", "6379"))
URL: Final = f"redis://127.0.0.1:{PORT}/0"
SETTING: Final = os.environ.get("TYPEDGATOR_PEERS_SETTING", "default")
"""`default`: as the library comes. `best`: tuned for no-op jobs. `sleep`: 500 jobs at once."""
TEXT: Final = "sixty characters of text, as long as many an argument may be."
SLEEP: Final = 0.05


@dataclass(frozen=True)
class Command:
    """How a worker is started: this many times, with these words."""

    words: Sequence[str]
    copies: int = 1


class Adapter:
    """One library. A method that is left out, or a kind of task that is not named, is not measured.

    Every task takes an int and a str. Kinds: `sync` and `async` call `effects.ran`; `sleep` is a coroutine that sleeps
    50 ms between `effects.began` and `effects.ended`.
    """

    package: ClassVar[str]
    """The distribution whose version is shown."""
    imports: ClassVar[str]
    """What a module of tasks imports first; its time is measured."""
    kinds: ClassVar[Sequence[str]]
    """The one that the library is made for comes first; latency is measured by it."""
    settings: ClassVar[Mapping[str, str]]
    """In words, for the table. Without `best`, the library is at its best as it comes."""
    uvloop: ClassVar[bool] = False
    """Whether its callers' event loop is uvloop's."""
    enqueues: ClassVar[int] = 5000
    """About how many jobs one caller enqueues in a second: it sets how many are measured, nothing else."""
    drains: ClassVar[int] = 3000
    """About how many no-op jobs one worker runs in a second; as above."""

    def one(self, kind: str, number: int) -> None:
        """Enqueues a job from sync code."""
        raise NotImplementedError

    async def aone(self, kind: str, number: int) -> None:
        """Enqueues a job from async code."""
        raise NotImplementedError

    def bulk(self, kind: str, numbers: Sequence[int]) -> None:
        """Enqueues jobs by one call of sync code."""
        raise NotImplementedError

    async def abulk(self, kind: str, numbers: Sequence[int]) -> None:
        """Enqueues jobs by one call of async code."""
        raise NotImplementedError

    async def open(self) -> None:
        """Before anything is enqueued."""

    async def close(self) -> None:
        """After everything was."""

    def worker(self, processes: int) -> Command:
        """How a worker of so many processes is started, in the setting `SETTING`."""
        raise NotImplementedError

    async def work(self) -> None:
        """A worker, where the library has no command line of its own: `python("work")` comes here."""
        raise NotImplementedError

    def can(self, method: str) -> bool:
        """Whether the method was given."""
        return getattr(type(self), method) is not getattr(Adapter, method)

    async def fill(self, kind: str, numbers: Sequence[int]) -> None:
        """Enqueues jobs the quickest way there is."""
        if self.can("abulk"):
            for first in range(0, len(numbers), 5000):
                await self.abulk(kind, numbers[first : first + 5000])
        elif self.can("bulk"):
            for first in range(0, len(numbers), 5000):
                self.bulk(kind, numbers[first : first + 5000])
        elif self.can("aone"):
            await self.at_once(kind, numbers)
        else:
            for number in numbers:
                self.one(kind, number)

    async def at_once(self, kind: str, numbers: Sequence[int], coroutines: int = 100) -> None:
        """Enqueues from so many coroutines, each one job at a time."""

        async def call(mine: Sequence[int]) -> None:
            for number in mine:
                await self.aone(kind, number)

        await asyncio.gather(*(call(numbers[first::coroutines]) for first in range(coroutines)))


def program(name: str, *words: str) -> list[str]:
    """A program of this environment."""
    return [os.path.join(sys.prefix, "bin", name), *words]


def python(*words: str) -> list[str]:
    """This interpreter."""
    return [sys.executable, *words]
