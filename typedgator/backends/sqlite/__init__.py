"""The backend in a file: durable, for many processes of one machine, nothing to install. Only here is sqlite3 known."""

from typing import Final

from typedgator.backends.connect import Dsn
from typedgator.backends.sqlite.backend import SqliteBackend
from typedgator.backends.sqlite.place import file_of
from typedgator.clock import Clock

__all__ = ["SqliteBackend", "from_dsn"]

_SYNCHRONOUS: Final = {"power": "full", "process": "normal"}


def from_dsn(dsn: Dsn, clock: Clock) -> SqliteBackend:
    """The backend of `sqlite:///relative.db` or `sqlite:////absolute.db`; opens nothing yet.

    `?durability=power` (the default): what was accepted survives a loss of power; `process`: the end of the process.
    `?filesystem=local` (the default) refuses network file systems; `any` is for whoever knows better.
    """
    durability = dsn.choose("durability", ("power", "process"))
    insist = dsn.choose("filesystem", ("local", "any")) == "any"
    dsn.done()
    path = file_of(dsn)
    return SqliteBackend(
        path, namespace=dsn.namespace, synchronous=_SYNCHRONOUS[durability], insist=insist, clock=clock
    )
