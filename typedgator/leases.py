"""The lease keeper: one thread that says "still here" for a worker identity, whatever the tasks are doing meanwhile."""

import logging
import time
from collections.abc import Callable, Iterable
from threading import Event, Thread
from typing import Final

from typedgator.backends.contract import Backend, Beat, WorkerId
from typedgator.errors import BackendUnavailable
from typedgator.threads import has_ended
from typedgator.wire.verdict import Token

__all__ = ["LeaseKeeper"]

logger: Final = logging.getLogger("typedgator")


BEATS_PER_LEASE: Final = 3


class LeaseKeeper:
    """Beats at a third of the lease, from its own thread and so on its own connection.

    `identity` and `tokens` are asked at each beat; `hear` gets the answer, in this thread. An unanswered beat is tried
    again after a tenth of the lease.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        lease_ms: int,
        identity: Callable[[], WorkerId | None],
        tokens: Callable[[], Iterable[Token]],
        hear: Callable[[WorkerId, Beat], None],
    ) -> None:
        self._backend = backend
        self._lease = lease_ms / 1000
        self._identity = identity
        self._tokens = tokens
        self._hear = hear
        self._stop = Event()
        self._thread: Final = Thread(target=self._run, name="typedgator-lease-keeper", daemon=True)
        self.last_good: float = time.monotonic()
        """When a beat was last answered, or none was due, seconds of the monotonic clock."""

    def start(self) -> None:
        """Starts beating."""
        self._thread.start()

    def stop(self, wait_seconds: float | None = None) -> bool:
        """Stops beating; the leases end by themselves, or by `leave`. False: one still hangs after `wait_seconds`."""
        self._stop.set()
        return has_ended(self._thread, wait_seconds)

    def tick(self) -> bool:
        """One beat. Whether it was answered."""
        identity = self._identity()
        if identity is None:
            self.last_good = time.monotonic()
            return True
        try:
            answer = self._backend.beat(identity, list(self._tokens()))
        except BackendUnavailable as error:
            logger.warning("a heartbeat was not answered, its jobs' leases go on ageing: %s", error)
            return False
        self.last_good = time.monotonic()
        self._hear(identity, answer)
        return True

    def _run(self) -> None:
        wait = self._lease / BEATS_PER_LEASE
        while not self._stop.wait(wait):
            try:
                wait = self._lease / (BEATS_PER_LEASE if self.tick() else 10)
            except Exception:
                logger.exception("the lease keeper stumbled and goes on")
                wait = self._lease / 10
