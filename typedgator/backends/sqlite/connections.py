"""Connections to one file: one for each thread, none carried over a fork. The law: nobody else opens or closes one.

Two backends of one process that name the same file share its `SharedFile`: writers queue on its lock instead of
sleeping in SQLite's busy handler, and whoever waits for work is woken by it at once.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import random
from typing import Final, TypeVar
from weakref import WeakSet, WeakValueDictionary

from typedgator.backends.sqlite.layout import bring_up_to_date
from typedgator.backends.sqlite.place import create, refuse_network
from typedgator.errors import BackendUnavailable, ConfigurationError

__all__ = ["BUSY_S", "Connection", "Connections", "SharedFile", "patiently", "unavailable"]

T = TypeVar("T")

OLDEST: Final = (3, 35, 0)
"""The first SQLite with RETURNING and the planner that the partial indexes rely on."""
BUSY_S: Final = 10.0
"""So long a call waits for another connection to finish."""
NAP_S: Final = 0.00005
LONGEST_NAP_S: Final = 0.001
"""SQLite's own busy handler sleeps for up to 100 ms between two tries: with four producers single calls took 3 s.
A commit takes 0.1 ms, so whoever waits for one should look about as often."""
PAGE_BYTES: Final = 2048
"""An enqueue writes three pages, each small: 4 to 6 % faster than with 4096 (docs/internals/sqlite.md)."""
CHECKPOINT_PAGES: Final = {"full": 1000}
"""The log is copied into the file every 2 MB when each commit is flushed: a log that grows takes twice as long to flush
as one that is used again, so it is kept short. Else only the copying is flushed, so it is rare: every 16 MB."""
SELDOM_PAGES: Final = 8000
KEPT_LOG_BYTES: Final = 64 << 20


class SharedFile:
    """What all of one process share about one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.generation: int = 0
        """Counts the writes of this process that somebody may wait for."""
        self.renew()

    def renew(self) -> None:
        """Fresh locks: after a fork the old ones may be held by a thread that is not here."""
        self.writing: threading.Lock = threading.Lock()
        self.changed: threading.Condition = threading.Condition(threading.Lock())

    def signal(self) -> None:
        """Something was written."""
        with self.changed:
            self.generation += 1
            self.changed.notify_all()

    def wait(self, generation: int, timeout: float) -> None:
        """Until something is written after `generation`, or `timeout` seconds."""
        with self.changed:
            if self.generation == generation:
                self.changed.wait(timeout)


class Connection:
    """One thread's connection; `lock` is held while it is used, so that `close` waits."""

    __slots__ = ("__weakref__", "db", "lock", "pid")

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db: sqlite3.Connection | None = db
        self.lock: threading.Lock = threading.Lock()
        self.pid: int = os.getpid()

    def close(self) -> None:
        """Not in a child: closing a parent's connection there could end the log under the parent's feet."""
        db, self.db = self.db, None
        if db is None:
            return
        if self.pid == os.getpid():
            db.close()
        else:
            _forget(db)

    def __del__(self) -> None:
        self.close()


class Connections:
    """A backend's connections. `prepare` is told of the first one, after the file was checked and migrated."""

    def __init__(
        self, path: Path, *, synchronous: str, insist: bool, prepare: Callable[[sqlite3.Connection], None]
    ) -> None:
        self.path = path
        self.file: SharedFile = _shared(path)
        self._synchronous = synchronous
        self._insist = insist
        self._prepare = prepare
        self._reset()
        with _sharing:
            _all.add(self)

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._local = threading.local()
        self._open: WeakSet[Connection] = WeakSet()
        self._opening = threading.Lock()
        self._ready = False

    def mine(self) -> Connection:
        """This thread's connection, opened if need be. Raises ConfigurationError or BackendUnavailable."""
        found: Connection | None = getattr(self._local, "connection", None)
        if found is not None and found.db is not None and found.pid == os.getpid():
            return found
        if self._pid != os.getpid():
            self.renew()
        with self._opening:
            made = self._connect()
            self._open.add(made)
            self._local.connection = made
        return made

    def close(self) -> None:
        """All of them, each as soon as its thread has finished with it."""
        with self._opening:
            self._ready = False
            self._close_all()

    def _close_all(self) -> None:
        for connection in list(self._open):
            with connection.lock:
                connection.close()
        self._open.clear()
        self._local = threading.local()

    def before_fork(self) -> None:
        """Closes all, and keeps threads from opening others until `after_fork`.

        A child must not inherit one, not even unused: SQLite keeps by file, in plain memory, which locks its process
        has, so a connection that the child opened anew would rely on locks that only the parent has.
        """
        self._opening.acquire()
        self._close_all()

    def after_fork(self) -> None:
        """In the parent: its threads may open connections again."""
        self._opening.release()

    def renew(self) -> None:
        """In the child: nothing of the parent's is left. What C code forked behind our back is let go of, unclosed."""
        for connection in list(self._open):
            connection.close()
        self._reset()

    def _connect(self) -> Connection:
        if not self._ready:
            if sqlite3.sqlite_version_info < OLDEST:
                oldest = ".".join(map(str, OLDEST))
                raise ConfigurationError(
                    f"this Python has SQLite {sqlite3.sqlite_version}; {oldest} or newer is needed"
                )
            create(self.path)
            if not self._insist:
                refuse_network(self.path)
        try:
            db = sqlite3.connect(
                self.path, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=512
            )
            usable = False
            try:
                self._settle_in(db)
                if not self._ready:
                    patiently(lambda: bring_up_to_date(db, str(self.path)))
                    patiently(lambda: self._prepare(db))
                self._ready = usable = True
            finally:
                if not usable:
                    db.close()
        except sqlite3.Error as error:
            if _names(error) == "SQLITE_NOTADB":
                raise ConfigurationError(f"{self.path} is not an SQLite database; name another file") from error
            if _names(error) == "SQLITE_READONLY":
                raise ConfigurationError(f"{self.path} cannot be opened: this user may not write to it") from error
            raise unavailable(self.path, error) from error
        return Connection(db)

    def _settle_in(self, db: sqlite3.Connection) -> None:
        # Switching a new file to WAL needs it alone for a moment, and no busy handler is asked for that lock.
        db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        (mode,) = patiently(lambda: db.execute("PRAGMA journal_mode = wal").fetchone())
        if mode != "wal":
            raise ConfigurationError(
                f"{self.path} cannot keep a write-ahead log here (journal mode stays {mode!r}); use a local disk"
            )
        db.execute(f"PRAGMA synchronous = {self._synchronous}")
        db.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES.get(self._synchronous, SELDOM_PAGES)}")
        db.execute(f"PRAGMA journal_size_limit = {KEPT_LOG_BYTES}")
        db.execute("PRAGMA temp_store = memory")
        db.execute("PRAGMA cache_size = -16000")
        if self._synchronous == "full":
            # On macOS fsync does not reach the platter; elsewhere these two do nothing.
            db.execute("PRAGMA fullfsync = on")
            db.execute("PRAGMA checkpoint_fullfsync = on")


def patiently(act: Callable[[], T]) -> T:
    """Does it again while another connection is in the way, for up to BUSY_S; doing it twice must do no harm."""
    waited, nap = 0.0, NAP_S
    while True:
        try:
            return act()
        except sqlite3.OperationalError as error:
            if waited > BUSY_S or _names(error) not in ("SQLITE_BUSY", "SQLITE_LOCKED"):
                raise
        time.sleep(nap)
        waited += nap
        # Not in step with the others that wait.
        nap = min(LONGEST_NAP_S, nap * (1 + random() / 2))


def unavailable(path: Path, error: sqlite3.Error) -> BackendUnavailable:
    """A driver's error in our words; the caller chains it."""
    match _names(error):
        case "SQLITE_BUSY" | "SQLITE_LOCKED":
            why = f"another connection held it for more than {BUSY_S:.0f} s"
        case "SQLITE_FULL":
            why = "the disk is full"
        case "SQLITE_READONLY":
            why = "it may not be written to"
        case _:
            why = str(error)
    return BackendUnavailable(f"SQLite file {path} is not available: {why}")


def _names(error: sqlite3.Error) -> str:
    """The primary result code's name; extended ones begin with it."""
    name: str = getattr(error, "sqlite_errorname", "") or ""
    return "_".join(name.split("_")[:2])


# Files by path as long as some backend names them; backends, to be told of a fork.
_files: Final[WeakValueDictionary[Path, SharedFile]] = WeakValueDictionary()
_all: Final[WeakSet[Connections]] = WeakSet()
_sharing = threading.Lock()


def _shared(path: Path) -> SharedFile:
    real = Path(os.path.realpath(path))
    with _sharing:
        found = _files.get(real)
        if found is None:
            found = _files[real] = SharedFile(real)
    return found


def _forget(db: sqlite3.Connection) -> None:
    """Keeps a parent's connection from ever being finalised in this child, not even when the interpreter ends."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(db))


# Backends whose connections are closed for the fork that is under way.
_forking: Final[list[Connections]] = []


def _before_fork() -> None:
    _sharing.acquire()
    for connections in list(_all):
        connections.before_fork()
        _forking.append(connections)


def _after_fork_in_parent() -> None:
    while _forking:
        _forking.pop().after_fork()
    _sharing.release()


def _after_fork_in_child() -> None:
    global _sharing
    _sharing = threading.Lock()
    _forking.clear()
    for file in list(_files.values()):
        file.renew()
    for connections in list(_all):
        connections.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
