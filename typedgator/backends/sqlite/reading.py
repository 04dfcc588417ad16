"""Counts, records and pages. Reads one snapshot and writes nothing."""

import sqlite3
from collections.abc import Iterator
from typing import Final

from typedgator.backends.contract import Counts, HeldKind, JobRecord, Page
from typedgator.backends.sqlite.moves import NUMBER, STATES
from typedgator.backends.sqlite.statements import statement
from typedgator.errors import ConfigurationError
from typedgator.wire.ids import JobId
from typedgator.wire.states import FINAL, JobState

__all__ = ["counts", "held_kinds", "is_over", "page", "pick", "record"]

_RECORD: Final = statement("record")
_PARENTS: Final = statement("parents")
_SEQ_BY_ID: Final = statement("seq_by_id")
_QUEUES_ALL: Final = statement("queues_all")
_TENANT_DROPPED: Final = statement("tenant_dropped")
_COUNT_WAITING: Final = statement("count_waiting")
_COUNT_DUE: Final = statement("count_due")
_COUNTS: Final = {
    JobState.BLOCKED: statement("count_blocked"),
    JobState.HELD: statement("count_held"),
    JobState.RUNNING: statement("count_running"),
    JobState.FAILED: statement("count_dead"),
}
_PAGES: Final = {
    JobState.BLOCKED: statement("page_blocked"),
    JobState.SCHEDULED: statement("page_due"),
    JobState.HELD: statement("page_held"),
    JobState.RUNNING: statement("page_running"),
    JobState.RETRYING: statement("page_due"),
    JobState.SUCCESS: statement("page_ended"),
    JobState.CANCELED: statement("page_ended"),
}
_PAGE_WAITING: Final = statement("page_waiting")
_PAGE_DEAD: Final = statement("page_dead")
_HELD_KINDS: Final = statement("held_kinds")
_DUE_MEANS_SOMETHING: Final = frozenset({JobState.BLOCKED, JobState.SCHEDULED, JobState.RETRYING, JobState.HELD})


def record(db: sqlite3.Connection, ns: int, job_id: JobId) -> JobRecord | None:
    """What is known of one job."""
    row = db.execute(_SEQ_BY_ID, (ns, job_id)).fetchone()
    return None if row is None else _record(db, row[0])


def is_over(db: sqlite3.Connection, ns: int, job_id: JobId) -> bool:
    """Whether the job is finished, or not known: waiting for it is of no use."""
    row = db.execute(_SEQ_BY_ID, (ns, job_id)).fetchone()
    return row is None or STATES[row[1]] in FINAL


def _record(db: sqlite3.Connection, seq: int) -> JobRecord:
    row = db.execute(_RECORD, (seq,)).fetchone()
    job_id, number, frame, queue, attempt, crashes, token, worker, due_ms, finished_ms, canceling, reason = row[:12]
    outcome, progress, held_ms, held_reason = row[12:]
    state = STATES[int(number)]
    is_held = state is JobState.HELD
    parents = db.execute(_PARENTS, (seq,)).fetchall() if state is JobState.BLOCKED else []
    return JobRecord(
        job_id=job_id,
        state=state,
        frame=frame,
        queue=queue,
        attempt=attempt,
        crashes=crashes,
        token=token,
        worker=worker,
        due_ms=due_ms if state in _DUE_MEANS_SOMETHING else None,
        held_ms=held_ms if is_held else None,
        finished_ms=finished_ms,
        cancel_requested=bool(canceling),
        parents=tuple(parent for (parent,) in parents),
        reason=held_reason if is_held else reason,
        outcome=outcome,
        progress=progress,
    )


def counts(db: sqlite3.Connection, ns: int) -> Counts:
    """By queue and state, from the indexes alone: finished jobs but the dead letters are not counted."""
    names: dict[int, str] = {}
    paused: set[str] = set()
    found: dict[str, dict[JobState, int]] = {}

    def add(queue: int, state: JobState, jobs: int) -> None:
        if jobs:
            found.setdefault(names[queue], {})[state] = jobs

    for queue, name, is_paused in db.execute(_QUEUES_ALL, (ns,)).fetchall():
        names[queue] = name
        if is_paused:
            paused.add(name)
        add(queue, JobState.WAITING, db.execute(_COUNT_WAITING, (queue,)).fetchone()[0])
    for queue, number, jobs in db.execute(_COUNT_DUE, (ns,)):
        add(queue, STATES[int(number)], jobs)
    for state, sql in _COUNTS.items():
        for queue, jobs in db.execute(sql, (ns,)):
            add(queue, state, jobs)
    (dropped,) = db.execute(_TENANT_DROPPED, (ns,)).fetchone()
    return Counts(found, dropped, frozenset(paused))


def held_kinds(db: sqlite3.Connection, ns: int) -> list[HeldKind]:
    """What held jobs wait for."""
    return [HeldKind(task, schema, jobs) for task, schema, jobs in db.execute(_HELD_KINDS, (ns,))]


def page(db: sqlite3.Connection, ns: int, state: JobState, queue: str | None, after: str | None, limit: int) -> Page:
    """Up to `limit` records; a cursor is where the last one stands in the page's order."""
    try:
        found = list(pick(db, ns, state, queue, after, limit))
    except ValueError as error:
        raise ConfigurationError(f"after={after!r} is no page's end: pass what the page before said") from error
    records = [_record(db, seq) for seq, _ in found]
    return Page(records, found[-1][1] if len(found) == limit else None)


def pick(
    db: sqlite3.Connection, ns: int, state: JobState, queue: str | None, after: str | None, limit: int
) -> Iterator[tuple[int, str]]:
    """Rows of jobs in one state, each with the cursor that stands for it; failed ones only while they are kept."""
    numbers = {name: number for number, name, _ in db.execute(_QUEUES_ALL, (ns,)).fetchall()}
    if queue is not None and queue not in numbers:
        return
    if state is JobState.WAITING:
        yield from _pick_waiting(db, numbers, queue, after, limit)
        return
    wanted: dict[str, object] = {"ns": ns, "queue": None if queue is None else numbers[queue], "limit": limit}
    if state is JobState.FAILED:
        finished, _, last = (after or f"{1 << 62}/").partition("/")
        wanted |= {"finished_ms": int(finished), "after": bytes.fromhex(last)}
        for seq, finished_ms, job_id in db.execute(_PAGE_DEAD, wanted).fetchall():
            yield seq, f"{finished_ms}/{job_id.hex()}"
        return
    wanted |= {"after": bytes.fromhex(after or ""), "state": NUMBER[state]}
    for seq, job_id in db.execute(_PAGES[state], wanted).fetchall():
        yield seq, job_id.hex()


def _pick_waiting(
    db: sqlite3.Connection, numbers: dict[str, int], queue: str | None, after: str | None, limit: int
) -> Iterator[tuple[int, str]]:
    start, _, place = (after or "/-1").partition("/")
    rank = int(place)
    for name in sorted(numbers) if queue is None else [queue]:
        if name < start or limit <= 0:
            continue
        low = rank if name == start else -1
        found = db.execute(_PAGE_WAITING, {"queue": numbers[name], "after": low, "limit": limit}).fetchall()
        limit -= len(found)
        for seq, each in found:
            yield seq, f"{name}/{each}"
