"""Strays: jobs that run under our name, and that nobody here knows of. They are given back, to run again.

A failover or a restored snapshot may forget a settlement that was answered. Its job is then running again, under a
lease that we keep for as long as we live, and no claim brings it, since we say that we have seen its token. So we ask.
"""

import logging
from collections.abc import Callable
from typing import Final

from typedgator.backends.contract import Backend, Owning, Settled, WorkerId
from typedgator.wire.ids import JobId
from typedgator.wire.verdict import Released, Settlement, Token
from typedgator.worker.settler import Settler

__all__ = ["Strays"]

logger: Final = logging.getLogger("typedgator")


class Strays:
    """Has no thread of its own: the janitor looks. `identity` and `seen` are the claimer's."""

    def __init__(
        self,
        backend: Backend,
        settler: Settler,
        *,
        identity: Callable[[], WorkerId | None],
        seen: Callable[[], Token],
    ) -> None:
        self._backend = backend
        self._owning = backend if isinstance(backend, Owning) and backend.can.owned else None
        self._settler = settler
        self._identity = identity
        self._seen = seen
        self._suspected: frozenset[Token] = frozenset()

    @property
    def are_suspected(self) -> bool:
        """Whether the last look found some: the next one decides."""
        return bool(self._suspected)

    def look(self) -> None:
        """Gives back what is found astray for the second time in a row. Raises BackendUnavailable."""
        identity = self._identity()
        if self._owning is None or identity is None:
            return
        # Before the backend is asked, and in this order: what has been received is owed, until its settlement is
        # answered. So a token that we have seen and do not owe is not ours any more, whatever is under way.
        seen, owed = self._seen(), self._settler.owed.copy()
        astray = [each for each in self._owning.owned(identity) if each[1] <= seen and each[1] not in owed]
        # Twice: in the first moments of a failover, one connection may still ask the old server, and hear old news.
        twice = [each for each in astray if each[1] in self._suspected]
        self._suspected = frozenset(token for _, token in astray)
        if twice:
            self._give_back(identity, twice)

    def _give_back(self, identity: WorkerId, jobs: list[tuple[JobId, Token]]) -> None:
        # Under its token: should it have been settled all the same, this is LOST, and changes nothing.
        settlements = [Settlement(job_id, token, Released()) for job_id, token in jobs]
        written = self._backend.settle(identity, settlements).count(Settled.WRITTEN)
        if written:
            logger.warning(
                "%d jobs are given back: the backend has forgotten that they were settled, as in a failover", written
            )
