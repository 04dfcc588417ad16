"""The alarm: says that jobs are held, so that somebody brings the release that can run them; and does not shout.

The first job of a kind is said at once. Those that follow are counted, and said together, at most once a minute.
"""

import logging
import time
from collections.abc import Callable
from threading import Lock
from typing import Final, TypeAlias

from typedgator.events import Events, JobsHeld
from typedgator.wire.verdict import Held

__all__ = ["Alarm"]

logger: Final = logging.getLogger("typedgator")

QUIET_SECONDS: Final = 60.0
MOST_KINDS: Final = 1000
"""So many kinds are told apart; beyond that the oldest is forgotten, and said at once when it comes again."""

_Said: TypeAlias = tuple[str, JobsHeld]
"""The id of the last job, and the alarm."""


class Alarm:
    """Counts held jobs by task and fingerprint. Settler and janitor call it, each from its thread."""

    def __init__(self, events: Events, now: Callable[[], float] = time.monotonic) -> None:
        self._events = events
        self._now = now
        self._kinds: dict[tuple[str, str], _Kind] = {}
        self._lock: Final = Lock()

    def held(self, job_id: str, verdict: Held) -> None:
        """A job was put aside; this is said now, or with others."""
        alarms: list[_Said] = []
        with self._lock:
            key = verdict.task, verdict.schema
            kind = self._kinds.get(key)
            if kind is None:
                if len(self._kinds) >= MOST_KINDS:
                    alarms += self._kinds.pop(next(iter(self._kinds))).said(self._now())
                kind = self._kinds[key] = _Kind(*key)
            kind.count(job_id, verdict.reason)
            if kind.may_be_said(self._now()):
                alarms += kind.said(self._now())
        self._say(alarms)

    def say(self, *, all_of_it: bool = False) -> None:
        """Says what was counted and not said: what may be said by now, or `all_of_it`."""
        alarms: list[_Said] = []
        with self._lock:
            now = self._now()
            for kind in self._kinds.values():
                if all_of_it or kind.may_be_said(now):
                    alarms += kind.said(now)
        self._say(alarms)

    def _say(self, alarms: list[_Said]) -> None:
        for job_id, alarm in alarms:
            extra = {"job": job_id, "task": alarm.task, "jobs": alarm.jobs}
            if alarm.jobs == 1:
                said = "job %s of %s is held for a worker that can run it: %s"
                logger.warning(said, job_id, alarm.task, alarm.reason, extra=extra)
            else:
                said = "%d more jobs of %s are held for a worker that can run them, the last one because: %s"
                logger.warning(said, alarm.jobs, alarm.task, alarm.reason, extra=extra)
            self._events.tell(alarm)


class _Kind:
    """What was counted of one kind since it was last said."""

    __slots__ = ("_job_id", "_jobs", "_reason", "_said_at", "_schema", "_task")

    def __init__(self, task: str, schema: str) -> None:
        self._task, self._schema = task, schema
        self._job_id = self._reason = ""
        self._jobs = 0
        self._said_at: float | None = None

    def count(self, job_id: str, reason: str) -> None:
        """One more."""
        self._job_id, self._reason = job_id, reason
        self._jobs += 1

    def may_be_said(self, now: float) -> bool:
        """Whether it was quiet for long enough."""
        return self._said_at is None or now - self._said_at >= QUIET_SECONDS

    def said(self, now: float) -> list[_Said]:
        """What there is to say, if anything; it counts as said."""
        if not self._jobs:
            return []
        alarm = JobsHeld(self._task, self._schema, self._jobs, self._reason)
        self._jobs, self._said_at = 0, now
        return [(self._job_id, alarm)]
