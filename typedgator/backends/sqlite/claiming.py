"""Workers and what they are handed: join, leave, beat, claim, take. Reaps and promotes on the way, boundedly."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from typedgator.backends.contract import EVERY_QUEUE, Beat, Claimed, WorkerId
from typedgator.backends.sqlite.moves import (
    NUMBER,
    Job,
    Start,
    by_seq,
    come_back,
    finish,
    give_out,
    stored_frame,
)
from typedgator.backends.sqlite.statements import statement
from typedgator.backends.sqlite.transaction import Transaction
from typedgator.backends.sqlite.turning import promote, reap
from typedgator.wire.ids import new_id
from typedgator.wire.states import JobState
from typedgator.wire.verdict import Token

__all__ = ["AT_ONCE", "Worker", "beat", "claim", "find_worker", "join", "leave", "take"]

AT_ONCE: Final = 256
"""A claim promotes, reaps and expires so many at most, so that others get the write lock."""

_WORKER_JOIN: Final = statement("worker_join")
_WORKER_BY_NAME: Final = statement("worker_by_name")
_WORKER_JOBS: Final = statement("worker_jobs")
_WORKER_DELETE: Final = statement("worker_delete")
_WORKER_BEAT: Final = statement("worker_beat")
_WORKER_TOKENS: Final = statement("worker_tokens")
_WORKER_UNSEEN: Final = statement("worker_unseen")
_WORKER_SUSPECT: Final = statement("worker_suspect")
_GIVE_BACK: Final = statement("give_back")
_QUEUE_BY_NAME: Final = statement("queue_by_name")
_QUEUES_SERVING: Final = statement("queues_serving")
_LINE: Final = statement("line")
_ONE: Final = statement("one")
_TAKEABLE: Final = frozenset(NUMBER[state] for state in (JobState.SCHEDULED, JobState.WAITING, JobState.RETRYING))
_EVERYTHING: Final = 1 << 62


class Worker(NamedTuple):
    """A worker's row, in the order of the statement's columns."""

    number: int
    queues: str
    lease_ms: int
    until_ms: int
    over: int


def join(tx: Transaction, queues: Sequence[str], lease_ms: int) -> WorkerId:
    """A fresh identity; its lease starts now."""
    worker = WorkerId(new_id().hex())
    tx.db.execute(
        _WORKER_JOIN,
        {
            "ns": tx.ns,
            "name": worker,
            "queues": " ".join(dict.fromkeys(queues)),
            "lease_ms": lease_ms,
            "until_ms": tx.now + lease_ms,
        },
    )
    return worker


def find_worker(tx: Transaction, name: WorkerId) -> Worker | None:
    """A worker that is not over."""
    row = tx.db.execute(_WORKER_BY_NAME, (name, tx.ns)).fetchone()
    worker = None if row is None else Worker(*row)
    return None if worker is None or worker.over else worker


def leave(tx: Transaction, worker: Worker) -> None:
    """What it still held comes back, attempts given back."""
    for seq, _ in tx.db.execute(_WORKER_JOBS, {"worker": worker.number, "limit": _EVERYTHING}).fetchall():
        tx.db.execute(_GIVE_BACK, (seq,))
        come_back(tx, by_seq(tx, seq))
    tx.db.execute(_WORKER_DELETE, (worker.number,))


def beat(tx: Transaction, worker: Worker, tokens: Sequence[Token]) -> Beat:
    """The lease starts anew, also when it ended and nobody noticed."""
    tx.db.execute(_WORKER_BEAT, (tx.now + worker.lease_ms, worker.number))
    held = dict(tx.db.execute(_WORKER_TOKENS, (worker.number,)).fetchall())
    return Beat([token for token in tokens if token not in held], [token for token in tokens if held.get(token)])


def claim(tx: Transaction, name: WorkerId, limit: int, seen: Token) -> list[Claimed] | None:
    """Lost replies again, else new jobs; None when this identity is over."""
    reap(tx, AT_ONCE)
    promote(tx, AT_ONCE)
    worker = find_worker(tx, name)
    if worker is None:
        return None
    again = tx.db.execute(_WORKER_UNSEEN, (worker.number, seen, limit)).fetchall()
    if again:
        return [
            Claimed(job_id, token, attempt, crashes, stored_frame(tx, seq) if frame is None else frame)
            for seq, job_id, token, attempt, crashes, frame in again
        ]
    if tx.db.execute(_WORKER_SUSPECT, (worker.number,)).fetchone():
        return []
    jobs = _next_jobs(tx, worker, limit)
    return give_out(tx, worker.number, jobs) if jobs else []


def take(tx: Transaction, worker: Worker, job: Job) -> Claimed | None:
    """This one job, if it is neither blocked, held, running nor over."""
    if job.state not in _TAKEABLE:
        return None
    if job.expires_ms is not None and job.expires_ms <= tx.now:
        finish(tx, job, JobState.CANCELED, reason="expired")
        return None
    start: Start = tx.db.execute(_ONE, (job.seq,)).fetchone()
    return give_out(tx, worker.number, [start])[0]


def _next_jobs(tx: Transaction, worker: Worker, limit: int) -> list[Start]:
    """From the first queue that has something: a suspect alone, or all up to the next suspect."""
    jobs: list[Start] = []
    for queue in _queues_for(tx, worker):
        more, ended = _first_of(tx, queue, limit - len(jobs), alone=not jobs)
        jobs += more
        if ended or len(jobs) >= limit:
            break
    return jobs


def _first_of(tx: Transaction, queue: int, limit: int, *, alone: bool) -> tuple[list[Start], bool]:
    """The first of a queue that are not too late; whether a suspect ended them. `alone`: nothing is picked yet."""
    expired = 0
    while True:
        line: list[Start] = tx.db.execute(_LINE, (queue, limit)).fetchall()
        jobs: list[Start] = []
        late: list[int] = []
        suspect = False
        for job in line:
            _, _, _, _, _, crashes, expires_ms, _ = job
            if expires_ms is not None and expires_ms <= tx.now:
                late.append(job[0])
                continue
            suspect = crashes > 0
            if not suspect or (alone and not jobs):
                jobs.append(job)
            if suspect:
                break
        for seq in late:
            finish(tx, by_seq(tx, seq), JobState.CANCELED, reason="expired")
        expired += len(late)
        # Those that expired made room: look again, from the start, since nobody else can write meanwhile.
        if suspect or not late or len(line) < limit or expired >= AT_ONCE:
            return jobs, suspect


def _queues_for(tx: Transaction, worker: Worker) -> Iterator[int]:
    """Queues that are not paused, in the order that the worker serves them."""
    # Never one twice: its line is read before any of it is given out, and would be given out again.
    listed = list(dict.fromkeys(worker.queues.split(" ")))
    for name in listed:
        if name == EVERY_QUEUE:
            for queue, other in tx.db.execute(_QUEUES_SERVING, (tx.ns,)).fetchall():
                if other not in listed:
                    yield queue
            return
        row = tx.db.execute(_QUEUE_BY_NAME, (tx.ns, name)).fetchone()
        if row is not None and not row[1]:
            yield row[0]
