"""A backend that accepts nothing: what a gator has while `manage.py` is told what is wrong with its settings or tasks.

So every module can be imported and all mistakes are reported in one run, while not one job is taken for done.
"""

from collections.abc import Sequence
from typing import NoReturn

from typedgator.backends.contract import Capabilities, WorkerId
from typedgator.errors import ConfigurationError
from typedgator.wire.frame import Frame
from typedgator.wire.ids import JobId
from typedgator.wire.states import JobState
from typedgator.wire.verdict import Settlement, Token

__all__ = ["Refusing"]


class Refusing:
    """Every verb raises ConfigurationError, with this reason."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    @property
    def can(self) -> Capabilities:
        """Everything, so that nothing else is complained of."""
        return Capabilities(durable=True, shared=True)

    def open(self) -> NoReturn:
        """Refuses."""
        raise ConfigurationError(f"nothing is enqueued or run until this is mended: {self._reason}")

    def close(self) -> None:
        """Nothing is open."""

    def enqueue(self, frames: Sequence[Frame], /) -> NoReturn:
        """Refuses."""
        self.open()

    def join(self, queues: Sequence[str], /, *, lease_ms: int) -> NoReturn:
        """Refuses."""
        self.open()

    def leave(self, worker: WorkerId, /) -> NoReturn:
        """Refuses."""
        self.open()

    def claim(self, worker: WorkerId, /, *, limit: int, wait_ms: int, seen: Token) -> NoReturn:
        """Refuses."""
        self.open()

    def beat(self, worker: WorkerId, tokens: Sequence[Token], /) -> NoReturn:
        """Refuses."""
        self.open()

    def settle(self, worker: WorkerId, settlements: Sequence[Settlement], /) -> NoReturn:
        """Refuses."""
        self.open()

    def cancel(self, job_id: JobId, /) -> NoReturn:
        """Refuses."""
        self.open()

    def maintain(self, *, limit: int) -> NoReturn:
        """Refuses."""
        self.open()

    def outcome(self, job_id: JobId, /, *, wait_ms: int) -> NoReturn:
        """Refuses."""
        self.open()

    def counts(self) -> NoReturn:
        """Refuses."""
        self.open()

    def find(self, job_id: JobId, /) -> NoReturn:
        """Refuses."""
        self.open()

    def page(
        self, state: JobState, /, *, queue: str | None = None, after: str | None = None, limit: int = 100
    ) -> NoReturn:
        """Refuses."""
        self.open()
