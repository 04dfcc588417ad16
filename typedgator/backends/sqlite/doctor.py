"""What a file would lose, and what else may be wrong with it. Reads only, but for what opening writes."""

import os
import shutil
import sqlite3
from pathlib import Path
from typing import Final

from typedgator.backends.checkup import Checkup, Danger, Finding, Level, Loss
from typedgator.backends.sqlite.audit import faults
from typedgator.backends.sqlite.place import NETWORK, filesystem_of
from typedgator.backends.sqlite.transaction import Storage

__all__ = ["examine"]

FULL: Final = 2
"""`PRAGMA synchronous`: each commit is flushed."""
MUCH_BYTES: Final = 256 << 20
"""A file up to this size is read without being asked to."""
LITTLE_BYTES: Final = 256 << 20
LONG_LOG_BYTES: Final = 64 << 20


def examine(storage: Storage, *, audit: bool | None = None) -> Checkup:
    """Asks the file as this caller has it open. Raises ConfigurationError or BackendUnavailable."""
    mine = storage.connections.mine()
    with mine.lock:
        assert mine.db is not None, "it was opened just now"
        (mode,) = mine.db.execute("PRAGMA journal_mode").fetchone()
        (synchronous,) = mine.db.execute("PRAGMA synchronous").fetchone()
    flushed = synchronous >= FULL
    return Checkup(
        server=f"SQLite {sqlite3.sqlite_version}, {storage.path}",
        durability="power" if flushed else "process",
        losses=[
            Loss(
                danger=Danger.PROCESS,
                safe=True,
                promised=True,
                lost="nothing: every commit is in the file before it is answered",
            ),
            _host(flushed=flushed),
            Loss(
                danger=Danger.FAILOVER,
                safe=False,
                lost="everything: there is no second copy of the file",
                remedy="copy it with `sqlite3 FILE '.backup COPY'`, or use redis:// with a replica",
            ),
        ],
        findings=[
            Finding("journal", Level.FINE if mode == "wal" else Level.WRONG, str(mode)),
            *(_filesystem(storage.path), _room(storage.path), _log(storage.path), *_tables(storage.path, audit)),
        ],
    )


def _host(*, flushed: bool) -> Loss:
    if flushed:
        lost = "nothing, if the disk keeps what it says it has flushed"
        return Loss(danger=Danger.HOST, safe=True, promised=True, lost=lost)
    return Loss(
        danger=Danger.HOST,
        safe=False,
        lost="the last commits, those since the log was last flushed; the file stays whole",
        remedy="leave out ?durability=process, so that each commit is flushed",
    )


def _filesystem(path: Path) -> Finding:
    kind = filesystem_of(path)
    if kind in NETWORK:
        return Finding("filesystem", Level.WRONG, f"{kind}, a network file system, which corrupts it", "a local disk")
    return Finding("filesystem", Level.FINE, kind or "not known")


def _room(path: Path) -> Finding:
    free = shutil.disk_usage(path.parent).free
    says = f"{free / 2**20:,.0f} MiB free, {path.stat().st_size / 2**20:,.1f} MiB used by the file"
    return Finding("disk", Level.FINE if free > LITTLE_BYTES else Level.LOOK, says)


def _log(path: Path) -> Finding:
    log = Path(f"{path}-wal")
    size = os.path.getsize(log) if log.exists() else 0
    says = f"{size / 2**20:,.1f} MiB not yet copied into the file"
    return Finding("log", Level.FINE if size <= LONG_LOG_BYTES else Level.LOOK, says)


def _tables(path: Path, audit: bool | None) -> list[Finding]:
    size = path.stat().st_size
    if audit is False or (audit is None and size > MUCH_BYTES):
        says = f"not looked at: all of {size / 2**20:,.0f} MiB would be read"
        return [Finding("tables", Level.LOOK, says, "--audit looks at them")]
    found = faults(path)
    if not found:
        return [Finding("tables", Level.FINE, "all that must be true of them is")]
    return [Finding("tables", Level.WRONG, fault, "keep a copy of the file, and report this") for fault in found]
