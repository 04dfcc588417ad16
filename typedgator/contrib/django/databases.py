"""Which databases have an outbox. Only those that can be asked are known to; a migration may make one at any time."""

from collections.abc import Sequence

from django.db import connections, router

from typedgator.contrib.django.models import TABLE, OutboxJob
from typedgator.errors import ConfigurationError

__all__ = ["candidates", "has_outbox", "outbox_databases"]


def candidates(wanted: Sequence[str] = ()) -> list[str]:
    """The databases that may have one: `wanted`, or all where the routers allow its table. Nothing is connected.

    Raises ConfigurationError for a database that is not in DATABASES.
    """
    for alias in wanted:
        if alias not in connections:
            raise ConfigurationError(f"there is no database {alias!r} in DATABASES: it has {', '.join(connections)}")
    return list(wanted) or [alias for alias in connections if router.allow_migrate_model(alias, OutboxJob)]


def has_outbox(alias: str) -> bool:
    """Whether its table is there. Raises Django's database errors."""
    connection = connections[alias]
    with connection.cursor() as cursor:
        return TABLE in connection.introspection.table_names(cursor)


def outbox_databases(wanted: Sequence[str] = ()) -> list[str]:
    """The databases with an outbox; of `wanted`, each must have one: ConfigurationError says how to make it."""
    found = [alias for alias in candidates(wanted) if has_outbox(alias)]
    for alias in wanted:
        if alias not in found:
            raise ConfigurationError(f"database {alias!r} has no outbox: run `manage.py migrate --database {alias}`")
    return found
