"""The janitor: calls `maintain` now and then, looks for strays, and has held jobs tried again that this worker may be
able to run.

Every worker has one; none of them is in charge.
"""

import logging
import random
import time
from collections.abc import Callable
from threading import Event, Thread
from typing import Final

from typedgator.backends.contract import Backend, HeldKind, Holding
from typedgator.errors import BackendUnavailable
from typedgator.threads import has_ended
from typedgator.worker.alarm import Alarm
from typedgator.worker.strays import Strays

__all__ = ["Janitor"]

_chance: Final = random.SystemRandom()
"""Not the one that a user's program seeds, and a test watches."""

logger: Final = logging.getLogger("typedgator")

EVERY_SECONDS: Final = 2.0
RELEASE_SECONDS: Final = 15.0
LIMIT: Final = 256
LOOK_EVERY: Final = 4
"""Every so many rounds we look for strays, and once more in the round after one was found."""


class Janitor:
    """Bounded upkeep from a thread of its own, at an interval with jitter, so that many workers do not come at once.

    `fits` says whether this worker may be able to run jobs of a kind; `alarm` is given the time to speak;
    `strays` are looked for every fourth round.
    """

    def __init__(self, backend: Backend, *, fits: Callable[[HeldKind], bool], alarm: Alarm, strays: Strays) -> None:
        self._backend = backend
        self._fits = fits
        self._alarm = alarm
        self._strays = strays
        self._rounds = 0
        self._released_at = time.monotonic()
        self._stopping = Event()
        self._thread: Final = Thread(target=self._run, name="typedgator-janitor", daemon=True)

    def start(self) -> None:
        """Starts the rounds."""
        self._thread.start()

    def stop(self, wait_seconds: float | None = None) -> bool:
        """Ends after the present call. False: it has not ended after `wait_seconds`."""
        self._stopping.set()
        return has_ended(self._thread, wait_seconds)

    def tick(self) -> None:
        """One round: until nothing more is to be done, or we are asked to stop."""
        self._alarm.say()
        try:
            # In a rolling deploy, a worker of the last release may hold a job after this one has started.
            if time.monotonic() - self._released_at >= RELEASE_SECONDS:
                self.release_held()
            self._maintain()
            self._look_for_strays()
        except BackendUnavailable as error:
            logger.warning("upkeep was not possible, and is tried again: %s", error)

    def release_held(self) -> None:
        """Held jobs of fitting kinds wait again. Raises BackendUnavailable."""
        self._released_at = time.monotonic()
        if not isinstance(self._backend, Holding) or not self._backend.can.holding:
            return
        fitting = [kind for kind in self._backend.held_kinds() if self._fits(kind)]
        if fitting:
            released = self._backend.release_held(fitting)
            logger.info("%d held jobs wait again: this worker may be able to run them", released)

    def _maintain(self) -> None:
        while not self._stopping.is_set():
            upkeep = self._backend.maintain(limit=LIMIT)
            if upkeep.reclaimed or upkeep.failed:
                logger.warning(
                    "%d jobs of lapsed workers wait again, %d failed for good", upkeep.reclaimed, upkeep.failed
                )
            if not upkeep.more:
                return

    def _look_for_strays(self) -> None:
        self._rounds += 1
        if (self._rounds % LOOK_EVERY == 0 or self._strays.are_suspected) and not self._stopping.is_set():
            self._strays.look()

    def _run(self) -> None:
        while not self._stopping.wait(EVERY_SECONDS * _chance.uniform(0.5, 1.5)):
            try:
                self.tick()
            except Exception:
                logger.exception("the janitor stumbled and goes on")
