"""The tables of a file, and how an older file gets them: numbered migrations, all in one transaction."""

import sqlite3
from pathlib import Path
from typing import Final

from typedgator.errors import ConfigurationError

__all__ = ["LAYOUT", "bring_up_to_date", "layout_of"]

_MIGRATIONS: Final = sorted((Path(__file__).parent / "migrations").glob("[0-9][0-9][0-9][0-9]_*.sql"))
LAYOUT: Final = len(_MIGRATIONS)
"""The layout that this release reads and writes."""


def layout_of(db: sqlite3.Connection) -> int:
    """The file's layout; 0 when it has none of our tables."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'tg_layout'").fetchone() is None:
        return 0
    (version,) = db.execute("SELECT version FROM tg_layout").fetchone()
    return int(version)


def bring_up_to_date(db: sqlite3.Connection, file: str) -> None:
    """Migrates an older file. Raises ConfigurationError for one of a newer release."""
    if layout_of(db) != LAYOUT:
        db.execute("BEGIN IMMEDIATE")
        try:
            # Read again under the lock: another process may have migrated meanwhile.
            version = layout_of(db)
            if version > LAYOUT:
                raise ConfigurationError(
                    f"{file} has layout {version}, written by a newer typedgator; this one knows up to {LAYOUT}: "
                    "upgrade it"
                )
            for migration in _MIGRATIONS[version:]:
                for statement in statements_of(migration.read_text(encoding="utf-8")):
                    db.execute(statement)
            db.execute("DELETE FROM tg_layout")
            db.execute("INSERT INTO tg_layout (version) VALUES (?)", (LAYOUT,))
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")


def statements_of(script: str) -> list[str]:
    """One by one, since `executescript` would commit the transaction first."""
    found: list[str] = []
    part = ""
    for line in script.splitlines(keepends=True):
        part += line
        if line.rstrip().endswith(";") and sqlite3.complete_statement(part):
            found.append(part)
            part = ""
    return found
