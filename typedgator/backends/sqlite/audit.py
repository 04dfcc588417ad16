"""What must always be true of a file, asked in SQL of the raw tables. For tests and for a doctor; reads only."""

import sqlite3
from pathlib import Path
from typing import Final

from typedgator.backends.sqlite.statements import read

__all__ = ["INVARIANTS", "faults"]

INVARIANTS: Final = read(Path(__file__).parent / "audit.sql")
"""Claims, and the SQL that answers with what contradicts them."""


def faults(path: Path, *, integrity: bool = True) -> list[str]:
    """One line for each broken claim, with up to five culprits; empty when the file is as it should be."""
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=10)
    try:
        # One snapshot, so that a claim is not broken by a transaction in between.
        db.execute("BEGIN")
        found: list[str] = []
        for claim, sql in INVARIANTS.items():
            culprits = db.execute(sql).fetchmany(5)
            if culprits:
                found.append(f"{claim}: {culprits}")
        db.execute("ROLLBACK")
        if integrity:
            (verdict,) = db.execute("PRAGMA integrity_check").fetchone()
            if verdict != "ok":
                found.append(f"integrity_check: {verdict}")
        return found
    finally:
        db.close()
