"""Enqueue: what is known, what holds a unique key, what is blocked by what; and the short road for a plain job.

The short road writes one row with three index entries and reads nothing: that is the whole price of a durable enqueue
beside the disk's flush.
"""

from collections.abc import Sequence
from typing import Final

from typedgator.backends.contract import Receipt, ReceiptStatus
from typedgator.backends.sqlite.moves import INLINE_BYTES, NUMBER, by_id, finish, lane, least_ms, line_up
from typedgator.backends.sqlite.statements import statement
from typedgator.backends.sqlite.transaction import Transaction
from typedgator.errors import UnknownDependency
from typedgator.wire.frame import Frame, pack_frame
from typedgator.wire.ids import JobId, shown_id
from typedgator.wire.states import FINAL, JobState
from typedgator.wire.verdict import KEPT_ID_MS

__all__ = ["ACCEPT_PLAIN", "accept", "accept_plain", "is_plain", "plain_row"]

ACCEPT_PLAIN: Final = statement("accept_waiting")
_LANE_LENGTH: Final = 1 << 53
_BLOCKED: Final = NUMBER[JobState.BLOCKED]
_SCHEDULED: Final = NUMBER[JobState.SCHEDULED]
_SUCCESS: Final = NUMBER[JobState.SUCCESS]
_FINAL: Final = frozenset(NUMBER[state] for state in FINAL)
_ACCEPT: Final = statement("accept")
_BODY_ADD: Final = statement("body_add")
_HOLDER: Final = statement("holder")
_PARENT_ADD: Final = statement("parent_add")
_PARENT_MARK: Final = statement("parent_mark")


def is_plain(frame: Frame) -> bool:
    """Whether a frame takes the short road: due at once, after nothing, beside nothing, and small."""
    return (
        frame.delay_ms == 0 and frame.unique is None and not frame.parents and len(frame.envelope) <= INLINE_BYTES - 276
    )


def plain_row(frame: Frame, ns: int, queue: int, now_ms: int) -> tuple[object, ...]:
    """The parameters of ACCEPT_PLAIN."""
    low = lane(frame.priority, returned=False)
    expires_ms = None if frame.expires_in_ms is None else now_ms + frame.expires_in_ms
    stored = pack_frame(frame, now_ms)
    keep_ms = least_ms(frame.flags) if frame.flags else KEPT_ID_MS
    return (ns, frame.job_id, queue, low, queue, low, low + _LANE_LENGTH - 1, expires_ms, keep_ms, stored)


def accept_plain(tx: Transaction, frames: Sequence[Frame]) -> bool:
    """Accepts plain frames; False when one of them is known already: then only some were written."""
    tx.changed = True
    rows = [plain_row(frame, tx.ns, tx.queue(frame.queue), tx.now) for frame in frames]
    return tx.db.executemany(ACCEPT_PLAIN, rows).rowcount == len(rows)


def accept(tx: Transaction, frames: Sequence[Frame]) -> list[Receipt]:
    """All of them or, when a parent is unknown, none: the exception rolls back."""
    receipts: list[Receipt] = []
    stands_for: dict[JobId, JobId] = {}
    for frame in frames:
        holder = _holder(tx, frame)
        if holder is None:
            _enter(tx, frame, stands_for)
            stands_for[frame.job_id] = frame.job_id
            receipts.append(Receipt(ReceiptStatus.NEW, frame.job_id))
        else:
            stands_for[frame.job_id] = holder
            receipts.append(Receipt(ReceiptStatus.DUPLICATE, holder))
    return receipts


def _holder(tx: Transaction, frame: Frame) -> JobId | None:
    """Who stands for this call already."""
    if by_id(tx, frame.job_id) is not None:
        return frame.job_id
    if frame.unique is None:
        return None
    row = tx.db.execute(_HOLDER, (tx.ns, frame.unique)).fetchone()
    return None if row is None else JobId(row[0])


def _enter(tx: Transaction, frame: Frame, stands_for: dict[JobId, JobId]) -> None:
    blockers: list[int] = []
    doomed = False
    # A parent that is a duplicate in this call is the job that stands for it.
    for parent_id in dict.fromkeys(stands_for.get(parent, parent) for parent in frame.parents):
        parent = by_id(tx, parent_id)
        if parent is None:
            raise UnknownDependency(shown_id(parent_id))
        if parent.state == _SUCCESS:
            continue
        if parent.state in _FINAL:
            doomed = True
        else:
            blockers.append(parent.seq)
    due_ms = tx.now + frame.delay_ms if frame.delay_ms else None
    stored = pack_frame(frame, tx.now)
    large = len(stored) > INLINE_BYTES
    seq = tx.db.execute(
        _ACCEPT,
        {
            "ns": tx.ns,
            "id": frame.job_id,
            "queue": tx.queue(frame.queue),
            "state": _SCHEDULED if due_ms is not None and not blockers else _BLOCKED,
            "due_ms": due_ms,
            "expires_ms": None if frame.expires_in_ms is None else tx.now + frame.expires_in_ms,
            "keep_ms": least_ms(frame.flags),
            "uniq": frame.unique,
            "frame": None if large else stored,
        },
    ).lastrowid
    assert seq is not None
    if large:
        tx.db.execute(_BODY_ADD, (seq, stored))
    tx.changed = True
    if doomed:
        job = by_id(tx, frame.job_id)
        assert job is not None
        finish(tx, job, JobState.CANCELED, reason="dependency")
    elif blockers:
        tx.db.executemany(_PARENT_ADD, [(parent, seq) for parent in blockers])
        tx.db.executemany(_PARENT_MARK, [(parent,) for parent in blockers])
    elif due_ms is None:
        job = by_id(tx, frame.job_id)
        assert job is not None
        line_up(tx, job)
