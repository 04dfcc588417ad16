"""Settle: the lease is checked, then the verdict is written. The short road is for jobs that went well, alone."""

from collections.abc import Sequence
from itertools import groupby
from typing import Final, assert_never

from typedgator.backends.contract import Settled, WorkerId
from typedgator.backends.sqlite.moves import KINDS, NUMBER, Job, by_id, by_seq, come_back, finish
from typedgator.backends.sqlite.statements import statement
from typedgator.backends.sqlite.transaction import Transaction
from typedgator.wire.states import JobState
from typedgator.wire.verdict import (
    KEPT_ID_MS,
    Canceled,
    Failed,
    Held,
    Released,
    RetryIn,
    Settlement,
    Snoozed,
    Succeeded,
    Verdict,
)

__all__ = ["settle"]

_WORKER_BY_NAME: Final = statement("worker_by_name")
_SUCCEED: Final = statement("succeed")
_SPENT_KIND: Final = statement("spent_kind")
_SPEND: Final = statement("spend")
_SET_OUTCOME: Final = statement("set_outcome")
_GIVE_BACK: Final = statement("give_back")
_AGAIN: Final = statement("again")
_HOLD: Final = statement("hold")
_RUNNING: Final = NUMBER[JobState.RUNNING]


def settle(tx: Transaction, name: WorkerId, settlements: Sequence[Settlement]) -> list[Settled]:
    """Ends attempts in their order, each if its worker and token are right."""
    row = tx.db.execute(_WORKER_BY_NAME, (name, tx.ns)).fetchone()
    # A lease that is over but not reaped yet counts: reaping asks the state.
    worker: int | None = None if row is None else row[0]
    answers: list[Settled] = []
    for plain, group in groupby(settlements, _went_well):
        some = list(group)
        if plain and worker is not None and _all_succeed(tx, worker, some):
            answers += [Settled.WRITTEN] * len(some)
        else:
            # Those that the short road has just written answer like any that is sent again: WRITTEN.
            answers += [_settle(tx, worker, settlement) for settlement in some]
    return answers


def _went_well(settlement: Settlement) -> bool:
    return type(settlement.verdict) is Succeeded


def _all_succeed(tx: Transaction, worker: int, settlements: Sequence[Settlement]) -> bool:
    """Writes those that are running here, small and nobody's parent; whether that was all of them."""
    now, ns = tx.now, tx.ns
    rows = [
        (now + max(verdict.keep_ms, KEPT_ID_MS), now, verdict.outcome, worker, settlement.token, ns, settlement.job_id)
        for settlement in settlements
        if isinstance(verdict := settlement.verdict, Succeeded)
    ]
    tx.changed = True
    return tx.db.executemany(_SUCCEED, rows).rowcount == len(settlements)


def _settle(tx: Transaction, worker: int | None, settlement: Settlement) -> Settled:
    job = by_id(tx, settlement.job_id)
    if job is None:
        return Settled.LOST
    kind = KINDS[settlement.verdict.kind]
    if job.state != _RUNNING or job.token != settlement.token or job.worker != worker:
        spent_as = job.kind if job.token == settlement.token else _spent_as(tx, settlement)
        return Settled.WRITTEN if spent_as == kind else Settled.LOST
    tx.db.execute(_SPEND, (kind, job.seq))
    _end_attempt(tx, job, settlement.verdict)
    return Settled.WRITTEN


def _spent_as(tx: Transaction, settlement: Settlement) -> int | None:
    row = tx.db.execute(_SPENT_KIND, (settlement.token, tx.ns, settlement.job_id)).fetchone()
    return None if row is None else row[0]


def _end_attempt(tx: Transaction, job: Job, verdict: Verdict) -> None:
    match verdict:
        case Succeeded():
            tx.db.execute(_SET_OUTCOME, (verdict.outcome, job.seq))
            finish(tx, job, JobState.SUCCESS, keep_ms=verdict.keep_ms)
        case Failed():
            tx.db.execute(_SET_OUTCOME, (verdict.outcome, job.seq))
            finish(tx, job, JobState.FAILED)
        case Canceled():
            finish(tx, job, JobState.CANCELED, reason=verdict.reason)
        case _ if job.canceling:
            finish(tx, job, JobState.CANCELED, reason="canceled")
        case RetryIn():
            tx.db.execute(_SET_OUTCOME, (verdict.outcome, job.seq))
            _again(tx, job, verdict.delay_ms)
        case Snoozed():
            tx.db.execute(_GIVE_BACK, (job.seq,))
            _again(tx, job, verdict.delay_ms)
        case Released():
            tx.db.execute(_GIVE_BACK, (job.seq,))
            come_back(tx, by_seq(tx, job.seq))
        case Held():
            tx.db.execute(_GIVE_BACK, (job.seq,))
            _hold(tx, job, verdict)
        case _:
            assert_never(verdict)


def _again(tx: Transaction, job: Job, delay_ms: int) -> None:
    tx.db.execute(_AGAIN, {"due_ms": tx.now + delay_ms, "seq": job.seq})
    tx.changed = True


def _hold(tx: Transaction, job: Job, held: Held) -> None:
    since_ms = tx.now if job.held_ms is None else job.held_ms
    tx.db.execute(
        _HOLD,
        {
            "due_ms": since_ms + held.bound_ms,
            "task": held.task,
            "schema": held.schema,
            "reason": held.reason,
            "since": since_ms,
            "seq": job.seq,
        },
    )
