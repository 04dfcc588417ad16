"""Misfits: kinds of jobs whose task this worker knows and which it could not run all the same.

Tried again at once they would be held again, and so on for ever. But another job of the kind may have values that fit,
and an upgrade that failed may work later: after a minute, then two, four, up to an hour, the kind is worth a try.
"""

import time
from collections.abc import Callable
from typing import Final

__all__ = ["Misfits"]

FIRST_SECONDS: Final = 60.0
LONGEST_SECONDS: Final = 3600.0
MOST_KINDS: Final = 1000
"""A fingerprint is whatever somebody wrote into a job; beyond so many the oldest is forgotten."""


class Misfits:
    """Kinds, as task and fingerprint. The claimer's thread adds, the janitor's asks."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._kinds: dict[tuple[str, str], tuple[float, float]] = {}
        """Until when, and how long that was."""

    def add(self, task: str, schema: str) -> None:
        """A job of this kind could not be run."""
        now, before = self._now(), self._kinds.get((task, schema))
        if before is not None and now < before[0]:
            return
        seconds = FIRST_SECONDS if before is None else min(2 * before[1], LONGEST_SECONDS)
        self._kinds[task, schema] = (now + seconds, seconds)
        if len(self._kinds) > MOST_KINDS:
            del self._kinds[next(iter(self._kinds))]

    def __contains__(self, kind: tuple[str, str]) -> bool:
        """Whether it is too early to try this kind again."""
        before = self._kinds.get(kind)
        return before is not None and self._now() < before[0]
