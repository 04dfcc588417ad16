"""One job and one worker as they lie in memory. Plain values: who may change them, and when, is the ledger's law."""

import msgspec

from typedgator.backends.contract import Claimed, JobRecord, WorkerId
from typedgator.wire.ids import JobId
from typedgator.wire.states import JobState
from typedgator.wire.verdict import KEPT_ID_MS, Held, Token

__all__ = ["Job", "Worker"]


class Job(msgspec.Struct, gc=False):
    """A job. It names others by id only: without cycles the collector need not look at a million of them."""

    id: JobId
    frame: bytes | None
    """None once only the memory of a finished job is left."""
    queue: str
    priority: int
    crash_budget: int
    least_ms: int
    """How long its end is known at least."""
    unique: bytes | None
    due_ms: int | None
    expires_ms: int | None
    """None also once it has been started: then it does not expire."""
    state: JobState = JobState.BLOCKED
    attempt: int = 0
    crashes: int = 0
    token: Token = 0
    worker: WorkerId | None = None
    kind: str | None = None
    """The kind of verdict that spent `token`; None when none did."""
    settled_ms: int = 0
    spent: dict[Token, tuple[str, int]] | None = None
    """Tokens spent before this one: kind and time."""
    lane: int = 0
    place: int = 0
    parents: set[JobId] | None = None
    children: list[JobId] | None = None
    cancel_requested: bool = False
    held: Held | None = None
    held_since_ms: int | None = None
    finished_ms: int | None = None
    forget_ms: int = 0
    keep_until_ms: int = 0
    reason: str = ""
    outcome: bytes | None = None
    progress: bytes | None = None

    def grant(self, token: Token, worker: WorkerId, now_ms: int) -> None:
        """A new attempt under a new token; the one before is remembered for as long as it may be sent again."""
        if self.kind is not None:
            fresh = {t: spent for t, spent in (self.spent or {}).items() if spent[1] + KEPT_ID_MS > now_ms}
            self.spent = fresh | {self.token: (self.kind, self.settled_ms)}
        self.kind, self.token, self.worker = None, token, worker
        self.attempt += 1

    def spent_as(self, token: Token) -> str | None:
        """The kind of verdict that spent this token; None when none did, or it was too long ago."""
        if token == self.token:
            return self.kind
        return self.spent[token][0] if self.spent and token in self.spent else None

    def claimed(self) -> Claimed:
        """What the worker gets of it."""
        assert self.frame is not None
        return Claimed(self.id, self.token, self.attempt, self.crashes, self.frame)

    def record(self) -> JobRecord:
        """What `find` shows."""
        running = self.state is JobState.RUNNING
        since_ms = self.held_since_ms or 0
        return JobRecord(
            job_id=self.id,
            state=self.state,
            frame=self.frame,
            queue=self.queue,
            attempt=self.attempt,
            crashes=self.crashes,
            token=self.token,
            worker=self.worker if running else None,
            due_ms=self.due_ms if self.held is None else since_ms + self.held.bound_ms,
            held_ms=None if self.held is None else since_ms,
            finished_ms=self.finished_ms,
            cancel_requested=self.cancel_requested,
            parents=tuple(sorted(self.parents or ())),
            reason=self.reason if self.held is None else self.held.reason,
            outcome=self.outcome,
            progress=self.progress,
        )


class Worker(msgspec.Struct):
    """A worker's identity; `running` is in the order of tokens."""

    id: WorkerId
    queues: tuple[str, ...]
    lease_ms: int
    running: dict[Token, Job] = {}
    suspects: set[Token] = set()
    newest: Token = 0
