"""The relay: pushes what was committed to the outbox and left there. Any number of them at once do no harm.

Where the database can skip locked rows, relays share the work; elsewhere two may push the same row, which is one job.
"""

import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from threading import Event
from typing import Final

from django.db import Error as DatabaseError
from django.db import close_old_connections, connections, router, transaction
from django.db.models import QuerySet

from typedgator.backends.contract import ATOMIC_BATCH
from typedgator.contrib.django.models import TABLE, OutboxJob
from typedgator.contrib.django.outbox import push
from typedgator.errors import BackendUnavailable, ConfigurationError
from typedgator.gator import Gator

__all__ = ["FRESH_MS", "Relay", "outbox_databases"]

logger: Final = logging.getLogger("typedgator")

FRESH_MS: Final = 2_000
"""So long a row is left to the process that wrote it."""
REMEMBERED_MS: Final = 24 * 3_600_000
"""So long after its end the backend still knows a job that came out of the outbox."""


class Relay:
    """Empties the outboxes of these databases."""

    def __init__(self, gator: Gator, databases: Sequence[str]) -> None:
        self._gator = gator
        self._databases = tuple(databases)

    def run(self, stop: Event, *, interval: float) -> None:
        """Works until `stop`. A database or backend that is away is tried again, and said once."""
        is_away = False
        while not stop.is_set():
            try:
                pushed = self.tick(FRESH_MS)
                is_away = False
            except (BackendUnavailable, DatabaseError) as error:
                pushed = 0
                if not is_away:
                    logger.warning("the outbox waits: %s", error)
                is_away = True
            if pushed < ATOMIC_BATCH:
                stop.wait(interval)

    def tick(self, older_than_ms: int = 0) -> int:
        """Pushes what is there, up to ATOMIC_BATCH rows of each database. How many jobs it were.

        Raises BackendUnavailable, or Django's database errors.
        """
        close_old_connections()
        try:
            return sum(self._empty(alias, older_than_ms) for alias in self._databases)
        finally:
            close_old_connections()

    def _empty(self, alias: str, older_than_ms: int) -> int:
        now_ms = self._gator.clock.now_ms()
        with _locked(alias) as waiting:
            rows = list(waiting.filter(created_ms__lte=now_ms - older_than_ms)[:ATOMIC_BATCH])
            if not rows:
                return 0
            if rows[0].created_ms < now_ms - REMEMBERED_MS:
                logger.warning(
                    "job %s has been in the outbox for more than 24 h: if it was pushed before, and its relay killed, "
                    "it runs again",
                    rows[0].job_id,
                )
            return push(self._gator, alias, rows)


@contextmanager
def _locked(alias: str) -> Generator["QuerySet[OutboxJob]"]:
    waiting = OutboxJob.objects.using(alias).filter(refused="").order_by("id")
    if not connections[alias].features.has_select_for_update_skip_locked:
        yield waiting  # no transaction: on SQLite, one that first reads and then deletes may be refused the lock
        return
    with transaction.atomic(using=alias):
        yield waiting.select_for_update(skip_locked=True)


def outbox_databases(wanted: Sequence[str] = ()) -> list[str]:
    """The databases with an outbox; of `wanted`, each must have one. Raises ConfigurationError."""
    found: list[str] = []
    for alias in wanted or connections:
        if alias not in connections:
            raise ConfigurationError(f"there is no database {alias!r} in DATABASES: it has {', '.join(connections)}")
        if not wanted and not router.allow_migrate_model(alias, OutboxJob):
            continue
        connection = connections[alias]
        with connection.cursor() as cursor:
            if TABLE in connection.introspection.table_names(cursor):
                found.append(alias)
            elif wanted:
                raise ConfigurationError(
                    f"database {alias!r} has no outbox: run `manage.py migrate --database {alias}`"
                )
    return found
