"""The relay: pushes what was committed to the outbox and left there. Any number of them at once do no harm.

Where the database can skip locked rows, relays share the work; elsewhere two may push the same row, which is one job.
"""

import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from threading import Event
from typing import Final

from django.db import Error as DatabaseError
from django.db import close_old_connections, connections, transaction
from django.db.models import QuerySet

from typedgator.backends.contract import ATOMIC_BATCH
from typedgator.contrib.django.databases import has_outbox
from typedgator.contrib.django.models import OutboxJob
from typedgator.contrib.django.pushing import push
from typedgator.errors import BackendUnavailable, GatorError
from typedgator.gator import Gator

__all__ = ["FRESH_MS", "Relay"]

logger: Final = logging.getLogger("typedgator")

FRESH_MS: Final = 2_000
"""So long a row is left to the process that wrote it."""
REMEMBERED_MS: Final = 24 * 3_600_000
"""So long after its end the backend still knows a job that came out of the outbox."""
LOOK_SECONDS: Final = 5.0
"""So often `run` looks whether a database has its outbox by now."""


class Relay:
    """Empties the outboxes of these databases, each whatever becomes of the others."""

    def __init__(self, gator: Gator, databases: Sequence[str]) -> None:
        self._gator = gator
        self._databases = tuple(databases)
        self._waiting: set[str] = set()
        self._missing: dict[str, float] = {}

    def run(self, stop: Event, *, interval: float) -> None:
        """Works until `stop`. A database or backend that is away is tried again, and said once; a database without the
        table is looked at again, since a worker may be started before `migrate`.
        """
        there: set[str] = set()
        while not stop.is_set():
            pushed = [self._calmly(alias, there) for alias in self._databases]
            if max(pushed, default=0) < ATOMIC_BATCH:
                stop.wait(interval)

    def tick(self, older_than_ms: int = 0) -> int:
        """Pushes what is there, up to ATOMIC_BATCH rows of each database. How many jobs it were.

        Raises BackendUnavailable, or Django's database errors: the first, once all databases were seen.
        """
        pushed, failed = 0, list[Exception]()
        for alias in self._databases:
            try:
                pushed += self.empty(alias, older_than_ms)
            except (BackendUnavailable, DatabaseError) as error:
                failed.append(error)
        if failed:
            raise failed[0]
        return pushed

    def empty(self, alias: str, older_than_ms: int = 0) -> int:
        """`tick`, of one of them."""
        close_old_connections()
        try:
            return self._empty(alias, older_than_ms)
        finally:
            close_old_connections()

    def _calmly(self, alias: str, there: set[str]) -> int:
        try:
            if alias not in there and not self._has_outbox(alias):
                return 0
            there.add(alias)
            pushed = self.empty(alias, FRESH_MS)
        except Exception as error:  # it must outlive whatever a row, a database or a backend does to it
            if alias not in self._waiting:
                trace = None if isinstance(error, GatorError | DatabaseError) else error
                logger.warning("the outbox of database %s waits: %s", alias, error, exc_info=trace)
            self._waiting.add(alias)
            return 0
        self._waiting.discard(alias)
        return pushed

    def _has_outbox(self, alias: str) -> bool:
        now = self._gator.clock.monotonic()
        if now - self._missing.get(alias, -LOOK_SECONDS) < LOOK_SECONDS:
            return False
        close_old_connections()
        try:
            is_there = has_outbox(alias)
        finally:
            close_old_connections()
        self._missing[alias] = now
        return is_there

    def _empty(self, alias: str, older_than_ms: int) -> int:
        now_ms = self._gator.clock.now_ms()
        with _locked(alias) as waiting:
            # Not "older than": a row from the future was written where the clock is ahead.
            due = waiting.exclude(created_ms__gt=now_ms - older_than_ms, created_ms__lte=now_ms)
            rows = list(due[:ATOMIC_BATCH])
            pushed = push(self._gator, alias, rows)
        for row in rows:
            if row.created_ms < now_ms - REMEMBERED_MS:
                logger.warning(
                    "job %s was in the outbox for more than 24 h: if it was pushed before, and its relay killed, "
                    "it runs again",
                    row.job_id,
                )
        return pushed


@contextmanager
def _locked(alias: str) -> Generator["QuerySet[OutboxJob]"]:
    waiting = OutboxJob.objects.using(alias).filter(refused="").order_by("id")
    if not connections[alias].features.has_select_for_update_skip_locked:
        yield waiting  # no transaction: on SQLite, one that first reads and then deletes may be refused the lock
        return
    with transaction.atomic(using=alias):
        yield waiting.select_for_update(skip_locked=True)
