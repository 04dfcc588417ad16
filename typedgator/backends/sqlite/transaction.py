"""A transaction that writes, and a look that does not: BEGIN IMMEDIATE always, commit or roll back, wake who waits.

Time is the host's clock, but never less than the file's mark, the latest time ever acted on. So leases, delays and
tokens never go back, whatever the clock does: after a step back time stands still until the clock has caught up.
"""

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final

from typedgator.backends.sqlite.connections import Connection, Connections, SharedFile, patiently, unavailable
from typedgator.backends.sqlite.statements import statement
from typedgator.clock import Clock
from typedgator.wire.verdict import Token

__all__ = ["Looking", "Storage", "Transaction", "Writing"]

logger: Final = logging.getLogger("typedgator.sqlite")

MARK_MS: Final = 1000
"""The mark in the file may lag so far behind, so that not every transaction writes it."""

_TENANT_BY_NAME: Final = statement("tenant_by_name")
_TENANT_ADD: Final = statement("tenant_add")
_TENANT_READ: Final = statement("tenant_read")
_TENANT_WRITE: Final = statement("tenant_write")
_QUEUE_BY_NAME: Final = statement("queue_by_name")
_QUEUE_ADD: Final = statement("queue_add")


class Storage:
    """One namespace of one file: its connections, its number, its time."""

    def __init__(self, path: Path, *, namespace: str, synchronous: str, insist: bool, clock: Clock) -> None:
        self.path = path
        self.namespace = namespace
        self.clock = clock
        self.connections: Connections = Connections(path, synchronous=synchronous, insist=insist, prepare=self._enter)
        self.file: SharedFile = self.connections.file
        self.ns: int = 0
        self.mark_ms: int = 0
        self.queues: dict[str, int] = {}
        """Queue numbers by name; a queue never loses its number."""
        self._warned = False

    def _enter(self, db: sqlite3.Connection) -> None:
        row = db.execute(_TENANT_BY_NAME, (self.namespace,)).fetchone()
        if row is None:
            db.execute(_TENANT_ADD, (self.namespace,))
            row = db.execute(_TENANT_BY_NAME, (self.namespace,)).fetchone()
        self.ns, _, mark_ms = row
        self.mark_ms = mark_ms
        self.queues = {}

    def now_ms(self) -> int:
        """The time to act on."""
        now = self.clock.now_ms()
        if now >= self.mark_ms:
            self._warned = False
            return now
        if self.mark_ms - now > MARK_MS and not self._warned:
            self._warned = True
            logger.warning(
                "the clock of this host is %.1f s behind the time last seen in %s; time stands still meanwhile",
                (self.mark_ms - now) / 1000,
                self.path,
            )
        return self.mark_ms

    def write(self) -> "Writing":
        """A transaction that writes: `with storage.write() as tx`."""
        return Writing(self)

    def look(self) -> "Looking":
        """Reading only, one snapshot: `with storage.look() as db`."""
        return Looking(self)

    def alone(self, sql: str, parameters: tuple[object, ...]) -> int:
        """One statement as a transaction of its own; how many rows it wrote.

        It takes the write lock as its first act, as BEGIN IMMEDIATE does, and saves two calls.
        """
        connection, db = self.take()
        try:
            with self.file.writing:
                return patiently(lambda: db.execute(sql, parameters)).rowcount
        except sqlite3.Error as error:
            raise unavailable(self.path, error) from error
        finally:
            connection.lock.release()

    def take(self) -> tuple[Connection, sqlite3.Connection]:
        """This thread's connection, its lock held."""
        while True:
            connection = self.connections.mine()
            connection.lock.acquire()
            if connection.db is not None:
                return connection, connection.db
            # Closed by another thread in between.
            connection.lock.release()


class Transaction:
    """What a transaction that writes knows: the connection, the namespace, the time, the tokens, what it changed."""

    __slots__ = (
        "_storage",
        "_stored_mark",
        "changed",
        "db",
        "last_act",
        "new_queues",
        "now",
        "ns",
        "token",
        "tokens_granted",
    )

    def __init__(self, storage: Storage, db: sqlite3.Connection) -> None:
        self._storage = storage
        self.db: sqlite3.Connection = db
        self.ns: int = storage.ns
        self.token: Token
        self._stored_mark: int
        self.token, self._stored_mark = db.execute(_TENANT_READ, (storage.ns,)).fetchone()
        if self._stored_mark > storage.mark_ms:
            storage.mark_ms = self._stored_mark
        self.now: int = storage.now_ms()
        self.tokens_granted: bool = False
        self.new_queues: dict[str, int] = {}
        self.changed: bool = False
        """Somebody may wait for what was written."""
        self.last_act: Callable[[Transaction], None] | None = None
        """To be done once, before the commit."""

    def grant(self, count: int) -> Token:
        """The first of `count` fresh tokens in a row."""
        first = max(self.token + 1, self.now * 1000)
        self.token = first + count - 1
        self.tokens_granted = True
        return first

    def queue(self, name: str) -> int:
        """A queue's number; it gets one at its first use."""
        known = self._storage.queues.get(name) or self.new_queues.get(name)
        if known is None:
            row = self.db.execute(_QUEUE_BY_NAME, (self.ns, name)).fetchone()
            known = int(row[0]) if row else int(self.db.execute(_QUEUE_ADD, (self.ns, name)).lastrowid or 0)
            self.new_queues[name] = known
        return known

    def close(self) -> None:
        """Writes down what must outlive this process, just before the commit."""
        if self.last_act is not None:
            self.last_act(self)
        if self.tokens_granted or self.now - self._stored_mark >= MARK_MS:
            self.db.execute(_TENANT_WRITE, (self.token, max(self.now, self._stored_mark), self.ns))

    def committed(self) -> None:
        """What others may be told now that it is true."""
        if self.new_queues:
            self._storage.queues |= self.new_queues
        if self.now > self._storage.mark_ms:
            self._storage.mark_ms = self.now
        if self.changed:
            self._storage.file.signal()


class Writing:
    """The frame of a transaction that writes. Driver errors leave as BackendUnavailable, and nothing was written."""

    __slots__ = ("_connection", "_db", "_storage", "_tx")

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def __enter__(self) -> Transaction:
        storage = self._storage
        self._connection, self._db = storage.take()
        storage.file.writing.acquire()
        begun = False
        try:
            patiently(lambda: self._db.execute("BEGIN IMMEDIATE"))
            self._tx = Transaction(storage, self._db)
            begun = True
        except sqlite3.Error as error:
            raise unavailable(storage.path, error) from error
        finally:
            if not begun:
                self._let_go()
        return self._tx

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if error is None:
                self._tx.close()
                self._db.execute("COMMIT")
        except sqlite3.Error as failure:
            raise unavailable(self._storage.path, failure) from failure
        finally:
            self._let_go()
        if error is None:
            self._tx.committed()
        elif isinstance(error, sqlite3.Error):
            raise unavailable(self._storage.path, error) from error

    def _let_go(self) -> None:
        # After a full disk or an I/O error SQLite has rolled back already.
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        self._storage.file.writing.release()
        self._connection.lock.release()


class Looking:
    """The frame of reading: one snapshot, never the write lock."""

    __slots__ = ("_connection", "_db", "_storage")

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def __enter__(self) -> sqlite3.Connection:
        self._connection, self._db = self._storage.take()
        try:
            patiently(self._begin)
        except sqlite3.Error as error:
            self._connection.lock.release()
            raise unavailable(self._storage.path, error) from error
        return self._db

    def _begin(self) -> None:
        """The snapshot is taken now: while another process repairs or removes the log, that has to wait."""
        if not self._db.in_transaction:
            self._db.execute("BEGIN")
        self._db.execute(_TENANT_READ, (self._storage.ns,)).fetchone()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        finally:
            self._connection.lock.release()
        if isinstance(error, sqlite3.Error):
            raise unavailable(self._storage.path, error) from error
