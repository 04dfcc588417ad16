"""Every statement finds its jobs by an index. Asked of SQLite itself, for the file as a fresh layout makes it."""

import re
import sqlite3
from collections.abc import Generator
from pathlib import Path

import pytest

from typedgator.backends.connect import connect
from typedgator.backends.sqlite.audit import INVARIANTS
from typedgator.backends.sqlite.statements import STATEMENTS, statement

FOLDER = Path(__file__).resolve().parents[3] / "typedgator" / "backends" / "sqlite"
# What people ask by hand may sort, and may read all jobs of one state; never all jobs.
MAY_SORT = {"held_kinds", "count_held", "count_running", "count_dead", "count_due", "parents"}
# A handful of rows: the children of one job.
FEW = {"children"}


@pytest.fixture
def db(tmp_path: Path) -> Generator[sqlite3.Connection]:
    """A connection to a fresh file."""
    backend = connect(f"sqlite:///{tmp_path}/jobs.db")
    backend.open()
    backend.close()
    connection = sqlite3.connect(tmp_path / "jobs.db")
    yield connection
    connection.close()


def plan(db: sqlite3.Connection, sql: str) -> list[str]:
    """The steps of SQLite's plan."""
    named = set(re.findall(r":(\w+)", sql))
    explain = f"EXPLAIN QUERY PLAN {sql}"
    rows = db.execute(explain, dict.fromkeys(named, 1)) if named else db.execute(explain, (1,) * sql.count("?"))
    return [row[3] for row in rows]


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_statement_scans_the_jobs(db: sqlite3.Connection, name: str) -> None:
    """`SEARCH tg_job` is an index or the row's number; `SCAN tg_job` would read a million jobs to find one."""
    steps = plan(db, statement(name))
    scans = [step for step in steps if re.match(r"SCAN (tg_job|tg_body|tg_parent|tg_spent)\b", step)]
    assert scans == []


@pytest.mark.parametrize("name", [name for name in STATEMENTS if not name.startswith("page_") and name not in MAY_SORT])
def test_no_statement_of_a_worker_or_producer_sorts(db: sqlite3.Connection, name: str) -> None:
    """The index has the order already, or there is one row."""
    sorts = [step for step in plan(db, statement(name)) if "TEMP B-TREE" in step]
    assert sorts == [] or name in FEW


def test_each_statement_has_a_name_of_its_own_and_is_used() -> None:
    """A second one of the same name would hide the first."""
    names = re.findall(r"^-- name: (.+)$", (FOLDER / "statements.sql").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(names) == len(set(names))
    source = "".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("*.py"))
    assert [name for name in names if f'statement("{name}")' not in source] == []


@pytest.mark.parametrize("claim", INVARIANTS)
def test_each_invariant_is_a_question_that_sqlite_understands(db: sqlite3.Connection, claim: str) -> None:
    """An empty file keeps them all."""
    assert db.execute(INVARIANTS[claim]).fetchall() == []
