"""What people do to jobs by hand: cancel, requeue, purge, pause, let go what was held."""

from collections.abc import Sequence
from typing import Final

from typedgator.backends.contract import CancelAnswer, HeldKind
from typedgator.backends.sqlite.moves import NUMBER, STATES, bury, by_id, by_seq, finish, line_up
from typedgator.backends.sqlite.reading import pick
from typedgator.backends.sqlite.statements import statement
from typedgator.backends.sqlite.transaction import Transaction
from typedgator.errors import ConfigurationError
from typedgator.wire.ids import JobId
from typedgator.wire.states import FINAL, JobState

__all__ = ["cancel", "pause", "purge", "release_held", "requeue"]

_ASK_TO_CANCEL: Final = statement("ask_to_cancel")
_RENEW: Final = statement("renew")
_HOLDER: Final = statement("holder")
_HELD_OF_KIND: Final = statement("held_of_kind")
_QUEUE_PAUSE: Final = statement("queue_pause")
PURGEABLE: Final = frozenset(JobState) - {JobState.RUNNING, JobState.SUCCESS, JobState.CANCELED}


def cancel(tx: Transaction, job_id: JobId) -> CancelAnswer:
    """Ends a job that is not running; asks a running one to stop."""
    job = by_id(tx, job_id)
    if job is None:
        return CancelAnswer.UNKNOWN
    state = STATES[job.state]
    if state in FINAL:
        return CancelAnswer.DONE if state is JobState.CANCELED else CancelAnswer.TOO_LATE
    if state is JobState.RUNNING:
        tx.db.execute(_ASK_TO_CANCEL, (job.seq,))
        return CancelAnswer.REQUESTED
    finish(tx, job, JobState.CANCELED, reason="canceled")
    return CancelAnswer.DONE


def requeue(tx: Transaction, job_id: JobId) -> bool:
    """A dead letter or a held job begins again, with its unique key if that is free."""
    job = by_id(tx, job_id)
    if job is None or job.state not in (NUMBER[JobState.HELD], NUMBER[JobState.FAILED]) or job.memory:
        return False
    holder = tx.db.execute(_HOLDER, (tx.ns, job.unique)).fetchone()
    tx.db.execute(_RENEW, {"keyless": int(holder not in (None, (job.id,))), "seq": job.seq})
    line_up(tx, job)
    return True


def purge(tx: Transaction, state: JobState, queue: str | None, limit: int) -> int:
    """Removes up to `limit` jobs in a state."""
    if state not in PURGEABLE:
        raise ConfigurationError(
            f"jobs in state {state} cannot be purged: choose one of {', '.join(sorted(PURGEABLE))}"
        )
    purged = 0
    for seq, _ in list(pick(tx.db, tx.ns, state, queue, None, limit)):
        job = by_seq(tx, seq)
        if STATES[job.state] is not state:
            continue  # a dependent of one that was purged just now
        if state is JobState.FAILED:
            bury(tx, job)
        else:
            finish(tx, job, JobState.CANCELED, reason="purged")
        purged += 1
    return purged


def pause(tx: Transaction, queue: str, *, paused: bool) -> None:
    """The queue hands out nothing, or does again."""
    tx.queue(queue)
    tx.db.execute(_QUEUE_PAUSE, {"paused": int(paused), "ns": tx.ns, "name": queue})
    tx.changed = True


def release_held(tx: Transaction, kinds: Sequence[HeldKind]) -> int:
    """Held jobs of these kinds get in line, by id."""
    found = [
        row
        for task, schema in {(kind.task, kind.schema) for kind in kinds}
        for row in tx.db.execute(_HELD_OF_KIND, {"ns": tx.ns, "task": task, "schema": schema}).fetchall()
    ]
    for seq, _ in sorted(found, key=lambda row: bytes(row[1])):
        line_up(tx, by_seq(tx, seq))
    return len(found)
