"""How a job gets from one state to another: the statements behind each arrow. Always inside a transaction.

Nothing here reads a clock or decides whether a move is due; that is told by claiming, settling, upkeep and operating.
"""

from typing import Final, NamedTuple, TypeAlias

from typedgator.backends.contract import DEAD_LETTERS, Claimed
from typedgator.backends.sqlite.statements import statement
from typedgator.backends.sqlite.transaction import Transaction
from typedgator.wire.frame import FRAME_VERSION, FrameFlags
from typedgator.wire.ids import JobId
from typedgator.wire.states import JobState
from typedgator.wire.verdict import KEPT_FAILURE_MS, KEPT_ID_MS, KEPT_RESULT_MS, Token

__all__ = [
    "CALLERS_ID_MS",
    "INLINE_BYTES",
    "KINDS",
    "NUMBER",
    "STATES",
    "Job",
    "Start",
    "admit",
    "bury",
    "by_id",
    "by_seq",
    "come_back",
    "finish",
    "give_out",
    "head",
    "least_ms",
    "lane",
    "line_up",
    "stored_frame",
]

CALLERS_ID_MS: Final = 24 * 3_600_000
INLINE_BYTES: Final = 1500
"""A larger frame has a row of its own: a change of state rewrites the job's row, and should not rewrite much."""

STATES: Final[tuple[JobState, ...]] = tuple(JobState)
"""A state's number is its place here."""
NUMBER: Final = {state: number for number, state in enumerate(STATES)}
KINDS: Final = {"succeeded": 0, "failed": 1, "retry": 2, "snoozed": 3, "released": 4, "canceled": 5, "held": 6}
"""How an attempt ended, as it is stored."""

_LANE: Final = 1 << 53
_USUAL_HEAD: Final = bytes((FRAME_VERSION, 0, 100, 3))
_JOB_BY_ID: Final = statement("job_by_id")
_JOB_BY_SEQ: Final = statement("job_by_seq")
_LAST_RANK: Final = statement("last_rank")
_LINE_UP: Final = statement("line_up")
_FRAME_HEAD: Final = statement("frame_head")
_SCHEDULE: Final = statement("schedule")
_FINISH: Final = statement("finish")
_SHRINK: Final = statement("shrink")
_BURY: Final = statement("bury")
_BODY_READ: Final = statement("body_read")
_BODY_DELETE: Final = statement("body_delete")
_CHILDREN: Final = statement("children")
_PARENT_DONE: Final = statement("parent_done")
_CHILD_GONE: Final = statement("child_gone")
_CHILD_BLOCKED: Final = statement("child_blocked")
_START: Final = statement("start")
_SPENT_ADD: Final = statement("spent_add")
_DEAD_COUNT: Final = statement("dead_count")
_DEAD_OLDEST: Final = statement("dead_oldest")
_TENANT_DROP: Final = statement("tenant_drop")


class Job(NamedTuple):
    """A job's row but for what may be large: frame, outcome, progress. In the order of the statement's columns."""

    seq: int
    id: JobId
    queue: int
    state: int
    rank: int | None
    due_ms: int | None
    expires_ms: int | None
    keep_ms: int
    worker: int | None
    token: Token
    kind: int | None
    attempt: int
    crashes: int
    canceling: int
    children: int
    memory: int
    finished_ms: int | None
    unique: bytes | None
    held_reason: str | None
    held_ms: int | None


Start: TypeAlias = tuple[int, JobId, Token, int | None, int, int, int | None, bytes | None]
"""A job about to be started: seq, id, last token, how that ended, attempt, crashes, expires_ms, frame unless large."""


def by_id(tx: Transaction, job_id: JobId) -> Job | None:
    """The job of this id, if it is known."""
    row = tx.db.execute(_JOB_BY_ID, (tx.ns, job_id)).fetchone()
    return None if row is None else Job(*row)


def by_seq(tx: Transaction, seq: int) -> Job:
    """The job in this row."""
    return Job(*tx.db.execute(_JOB_BY_SEQ, (seq,)).fetchone())


def least_ms(flags: int) -> int:
    """How long a job's end is known at least."""
    if flags & FrameFlags.CALLERS_ID:
        return CALLERS_ID_MS
    return KEPT_RESULT_MS if flags & FrameFlags.RESULT_WANTED else KEPT_ID_MS


def lane(priority: int, *, returned: bool) -> int:
    """Where the ranks of a priority begin: those that came back before those that never left."""
    return (2 * (255 - priority) + (not returned)) * _LANE


def stored_frame(tx: Transaction, seq: int) -> bytes:
    """A large frame, from its own row; nothing when that is lost, so that this job fails and its neighbours run."""
    row = tx.db.execute(_BODY_READ, (seq,)).fetchone()
    return b"" if row is None else bytes(row[0])


def head(tx: Transaction, seq: int) -> bytes:
    """The first bytes of a frame: flags, priority and crash budget are the second, third and fourth.

    Of a frame that is lost or cut short: what is usual, so that its job can be moved as any other.
    """
    (stored,) = tx.db.execute(_FRAME_HEAD, (seq,)).fetchone()
    return bytes(stored or b"") + _USUAL_HEAD[len(stored or b"") :]


def line_up(tx: Transaction, job: Job, *, returned: bool = False) -> None:
    """The last place of its lane."""
    low = lane(head(tx, job.seq)[2], returned=returned)
    (last,) = tx.db.execute(_LAST_RANK, (job.queue, low, low + _LANE - 1)).fetchone()
    tx.db.execute(_LINE_UP, ((low if last is None else last) + 1, job.seq))
    tx.changed = True


def admit(tx: Transaction, job: Job) -> None:
    """Blocked by nothing any more: it waits for its time, or in line."""
    if job.due_ms is not None and job.due_ms > tx.now:
        tx.db.execute(_SCHEDULE, (job.seq,))
        tx.changed = True
    else:
        line_up(tx, job)


def come_back(tx: Transaction, job: Job) -> None:
    """Unfinished, from a worker's hands to the front of its queue."""
    if job.canceling:
        finish(tx, job, JobState.CANCELED, reason="canceled")
    else:
        line_up(tx, job, returned=True)


def finish(tx: Transaction, job: Job, state: JobState, *, reason: str = "", keep_ms: int = KEPT_ID_MS) -> None:
    """A final state; what waited for it is freed or canceled, and theirs, however long the chain."""
    _close(tx, job, state, reason, keep_ms)
    if not job.children:
        return
    if state is JobState.SUCCESS:
        children = [seq for (seq,) in tx.db.execute(_CHILDREN, (job.seq,)).fetchall()]
        tx.db.execute(_PARENT_DONE, (job.seq,))
        for seq in children:
            if tx.db.execute(_CHILD_BLOCKED, (seq,)).fetchone() is None:
                admit(tx, by_seq(tx, seq))
        return
    # A list and not recursion: a chain of dependents may be longer than the stack.
    doomed = [job.seq]
    while doomed:
        for (seq,) in tx.db.execute(_CHILDREN, (doomed.pop(),)).fetchall():
            child = by_seq(tx, seq)
            _close(tx, child, JobState.CANCELED, "dependency", KEPT_ID_MS)
            if child.children:
                doomed.append(seq)


def _close(tx: Transaction, job: Job, state: JobState, reason: str, keep_ms: int) -> None:
    if state is JobState.FAILED:
        keep_ms, tx.last_act = KEPT_FAILURE_MS, _keep_the_newest
    tx.db.execute(
        _FINISH,
        {
            "state": NUMBER[state],
            "due_ms": tx.now + max(keep_ms, KEPT_ID_MS),
            "now": tx.now,
            "reason": reason,
            "seq": job.seq,
        },
    )
    if job.state == 0:
        tx.db.execute(_CHILD_GONE, (job.seq,))
    if state is not JobState.FAILED:
        tx.db.execute(_BODY_DELETE, (job.seq,))
        tx.db.execute(_SHRINK, (job.seq,))
    tx.changed = True


def bury(tx: Transaction, job: Job) -> None:
    """A dead letter is dropped or purged: only its id is known, for as long as any end is."""
    tx.db.execute(_BODY_DELETE, (job.seq,))
    tx.db.execute(_BURY, {"due_ms": tx.now + max(KEPT_ID_MS, job.keep_ms), "seq": job.seq})


def _keep_the_newest(tx: Transaction) -> None:
    """Drops the oldest dead letters beyond the limit, and counts them: once in a transaction that failed jobs."""
    (count,) = tx.db.execute(_DEAD_COUNT, (tx.ns,)).fetchone()
    if count > DEAD_LETTERS:
        oldest = tx.db.execute(_DEAD_OLDEST, {"ns": tx.ns, "limit": count - DEAD_LETTERS}).fetchall()
        for (seq,) in oldest:
            bury(tx, by_seq(tx, seq))
        tx.db.execute(_TENANT_DROP, {"lost": len(oldest), "ns": tx.ns})


def give_out(tx: Transaction, worker: int, jobs: list[Start]) -> list[Claimed]:
    """These jobs are the worker's, under fresh tokens in their order."""
    first = tx.grant(len(jobs))
    tx.db.executemany(_START, [(worker, token, job[0]) for token, job in enumerate(jobs, first)])
    spent = [
        (token, tx.ns, job_id, kind, tx.now + KEPT_ID_MS) for _, job_id, token, kind, *_ in jobs if kind is not None
    ]
    if spent:
        tx.db.executemany(_SPENT_ADD, spent)
    return [
        Claimed(job_id, token, attempt + 1, crashes, stored_frame(tx, seq) if frame is None else frame)
        for token, (seq, job_id, _, _, attempt, crashes, _, frame) in enumerate(jobs, first)
    ]
