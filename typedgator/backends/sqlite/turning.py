"""What time does to jobs: it promotes, reaps, expires, fails what was held too long, forgets.

Each takes a limit and says how many jobs it was, so that claim and maintain are bounded.
"""

from heapq import merge
from typing import Final

from typedgator.backends.sqlite.moves import by_seq, come_back, finish, head, line_up
from typedgator.backends.sqlite.statements import statement
from typedgator.backends.sqlite.transaction import Transaction
from typedgator.wire.states import JobState

__all__ = ["expire", "fail_held", "forget", "promote", "reap"]

_DUE_JOBS: Final = statement("due_jobs")
_WORKERS_LAPSED: Final = statement("workers_lapsed")
_WORKER_OVER: Final = statement("worker_over")
_WORKER_JOBS: Final = statement("worker_jobs")
_WORKER_DELETE: Final = statement("worker_delete")
_CRASH: Final = statement("crash")
_EXPIRED_JOBS: Final = statement("expired_jobs")
_OVERHELD_JOBS: Final = statement("overheld_jobs")
_ENDED_JOBS: Final = statement("ended_jobs")
_DROP_OUTCOME: Final = statement("drop_outcome")
_FORGET: Final = statement("forget")
_BODY_DELETE: Final = statement("body_delete")
_SPENT_FORGET: Final = statement("spent_forget")
_TENANT_DROP: Final = statement("tenant_drop")


def promote(tx: Transaction, limit: int) -> int:
    """What is due gets in line, by due time, ties by id."""
    due = tx.db.execute(_DUE_JOBS, {"ns": tx.ns, "now": tx.now, "limit": limit}).fetchall()
    for (seq,) in due:
        line_up(tx, by_seq(tx, seq))
    return len(due)


def reap(tx: Transaction, limit: int) -> tuple[int, int]:
    """One crash more for each job of a lapsed worker, by token: how many came back, and how many failed."""
    lapsed = [worker for (worker,) in tx.db.execute(_WORKERS_LAPSED, {"ns": tx.ns, "now": tx.now}).fetchall()]
    if not lapsed:
        return 0, 0
    # Over before its first job is touched: from now on its beats come too late, also when the limit stops us.
    tx.db.executemany(_WORKER_OVER, [(worker,) for worker in lapsed])
    hands = [tx.db.execute(_WORKER_JOBS, {"worker": worker, "limit": limit + 1}).fetchall() for worker in lapsed]
    by_token = merge(*([(token, seq) for seq, token in hand] for hand in hands))
    reclaimed = failed = 0
    for _, seq in by_token:
        if reclaimed + failed == limit:
            break
        tx.db.execute(_CRASH, (seq,))
        job = by_seq(tx, seq)
        if job.crashes > head(tx, seq)[3]:
            finish(tx, job, JobState.FAILED, reason="crashed")
            failed += 1
        else:
            come_back(tx, job)
            reclaimed += 1
    for worker in lapsed:
        if not tx.db.execute(_WORKER_JOBS, {"worker": worker, "limit": 1}).fetchone():
            tx.db.execute(_WORKER_DELETE, (worker,))
    return reclaimed, failed


def expire(tx: Transaction, limit: int) -> tuple[int, bool]:
    """What was not started in time is canceled: how many jobs it was, and whether the limit stopped it."""
    expired = 0
    late = tx.db.execute(_EXPIRED_JOBS, {"ns": tx.ns, "now": tx.now, "limit": limit}).fetchall()
    for (seq,) in late:
        job = by_seq(tx, seq)
        # A parent that expired just before may have taken it along.
        if job.finished_ms is None:
            finish(tx, job, JobState.CANCELED, reason="expired")
            expired += 1
    return expired, len(late) == limit


def fail_held(tx: Transaction, limit: int) -> int:
    """What no worker could run within its bound fails, with what it was held for."""
    overheld = tx.db.execute(_OVERHELD_JOBS, {"ns": tx.ns, "now": tx.now, "limit": limit}).fetchall()
    for (seq,) in overheld:
        job = by_seq(tx, seq)
        finish(tx, job, JobState.FAILED, reason=job.held_reason or "held")
    return len(overheld)


def forget(tx: Transaction, limit: int) -> tuple[int, bool]:
    """Outcomes go when their time is over, and then what is known of the job; spent tokens after a minute.

    How many jobs went, and whether the limit stopped it.
    """
    ended = tx.db.execute(_ENDED_JOBS, {"ns": tx.ns, "now": tx.now, "limit": limit}).fetchall()
    kept = [(until_ms, seq) for seq, _, until_ms in ended if until_ms > tx.now]
    gone = [(seq,) for seq, _, until_ms in ended if until_ms <= tx.now]
    dead = [(seq,) for seq, is_dead, _ in ended if is_dead]
    tx.db.executemany(_DROP_OUTCOME, kept)
    tx.db.executemany(_FORGET, gone)
    if dead:
        tx.db.executemany(_BODY_DELETE, dead)
        tx.db.execute(_TENANT_DROP, {"lost": len(dead), "ns": tx.ns})
    tx.db.execute(_SPENT_FORGET, {"now": tx.now, "limit": limit})
    return len(gone), len(ended) == limit
