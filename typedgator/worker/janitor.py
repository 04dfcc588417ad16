"""The janitor: calls `maintain` now and then. Every worker has one; none of them is in charge."""

import logging
import random
from threading import Event, Thread
from typing import Final

from typedgator.backends.contract import Backend
from typedgator.errors import BackendUnavailable

__all__ = ["Janitor"]

logger: Final = logging.getLogger("typedgator")

EVERY_SECONDS: Final = 2.0
LIMIT: Final = 256


class Janitor:
    """Bounded upkeep from a thread of its own, at an interval with jitter, so that many workers do not come at once."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._stopping = Event()
        self._thread: Final = Thread(target=self._run, name="typedgator-janitor", daemon=True)

    def start(self) -> None:
        """Starts the rounds."""
        self._thread.start()

    def stop(self) -> None:
        """Ends after the present round."""
        self._stopping.set()
        self._thread.join()

    def tick(self) -> None:
        """One round: until nothing more is to be done, or we are asked to stop."""
        while not self._stopping.is_set():
            try:
                upkeep = self._backend.maintain(limit=LIMIT)
            except BackendUnavailable as error:
                logger.warning("upkeep was not possible, and is tried again: %s", error)
                return
            if upkeep.reclaimed or upkeep.failed:
                logger.warning(
                    "%d jobs of lapsed workers wait again, %d failed for good", upkeep.reclaimed, upkeep.failed
                )
            if not upkeep.more:
                return

    def _run(self) -> None:
        while not self._stopping.wait(EVERY_SECONDS * random.uniform(0.5, 1.5)):
            try:
                self.tick()
            except Exception:
                logger.exception("the janitor stumbled and goes on")
