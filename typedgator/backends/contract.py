"""The backend contract: what every storage promises, word for word; `typedgator.testing.contract` proves it.

Rules for all verbs
    Thread-safe. Durations are relative and in ms; the only clock is the backend's own. Driver errors leave as
    BackendUnavailable with their cause. Lists answer in the order asked. Every change of one job is atomic.

States
    enqueue ─► scheduled ──due──► waiting ──claim──► running ──Succeeded──► success
       │           ▲              ▲  ▲  ▲              ├─ RetryIn ──► retrying ──due──► waiting
       │           │              │  │  │              ├─ Snoozed ──► retrying          (the attempt is given back)
       └─► blocked ┴──deps met────┘  │  └─ Released ───┤                                (the attempt is given back)
                                     └─ requeue ◄── failed ◄── Failed, held too long, crash budget spent
    Held ─► held ─► waiting by `release_held` or `requeue`; cancel: every state before running ─► canceled.

Order
    A queue hands out by priority (255 first), then by place. A job that becomes waiting takes the last place; one
    that comes back unfinished (released, its worker left or lapsed) takes a place before all that never left, in the
    order of coming back. Several at once: promoted by due time, returned by token, freed dependents and released held
    ones by nothing but id; ties always by id.

Time
    A job is due, expired or held too long, and a lease is over, at the very millisecond that was said, not one later.
    A delay counts from acceptance, also while the job is blocked. Expiry is for what was never started: it ends with
    the first attempt that ran (RetryIn, Snoozed, a crash) and with `requeue`; Released, Held and `leave` start
    nothing. RetryIn and Snoozed with delay 0 are retrying until the next claim or maintain, like all that is due.

Crashes and suspects
    A worker whose lease ended is lapsed. Whoever notices first (claim, maintain) reaps it: each of its jobs has one
    crash more; with more crashes than its crash budget it is failed with reason `crashed`, else asked to cancel it is
    canceled, else it comes back. Until then nothing is lost: its beat revives it, it settles, notes and leaves like
    any other. A job with a crash behind it is a suspect: `claim` hands it out alone, and hands its worker nothing
    more until it is settled. What a worker has from claims before stays with it.

Tokens
    Greater than every token granted before, also across restarts. A settlement spends its token: the same settlement
    again (same job, token and kind of verdict) answers WRITTEN for at least 60 s, whatever became of the job meanwhile;
    everything else under that token is LOST.

Memory
    A finished job is known for as long as its verdict asks, at least 60 s; with FrameFlags.CALLERS_ID at least 24 h,
    with FrameFlags.RESULT_WANTED at least 10 min; a purged or dropped one likewise. Known means: `find` has a record,
    a repeated enqueue is DUPLICATE, a child may name it. Dead letters (failed) are kept 7 days, the newest 10,000 of
    them; what is dropped earlier is counted.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from enum import Enum
from typing import Final, NewType, Protocol, runtime_checkable

import msgspec

from typedgator.wire.frame import MAX_FRAME_BYTES, Frame
from typedgator.wire.ids import JobId
from typedgator.wire.mould import Series, Shape
from typedgator.wire.quiet import quiet_repr
from typedgator.wire.states import JobState
from typedgator.wire.verdict import Settlement, Token

__all__ = [
    "ATOMIC_BATCH",
    "DEAD_LETTERS",
    "EVERY_QUEUE",
    "AsyncBackend",
    "Backend",
    "Beat",
    "CancelAnswer",
    "Capabilities",
    "Claimed",
    "Counts",
    "Exchange",
    "HeldKind",
    "Holding",
    "InSeries",
    "Inspect",
    "JobRecord",
    "Notes",
    "Operate",
    "Owning",
    "Page",
    "Receipt",
    "ReceiptStatus",
    "Results",
    "Settled",
    "Upkeep",
    "Waking",
    "WorkerId",
    "in_series",
    "on_loops",
]

ATOMIC_BATCH: Final = 250
"""Up to so many frames in one `enqueue` are one atomic write."""
DEAD_LETTERS: Final = 10_000
"""So many failed jobs are kept, the newest."""
EVERY_QUEUE: Final = "*"
"""Joins every queue, also those that appear later; queues listed before it are served first, the others by name."""

WorkerId = NewType("WorkerId", str)
"""One worker's identity, from `join` until it leaves or lapses; never used twice."""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a backend promises. A call that needs more is refused with Unsupported before anything is sent."""

    durable: bool
    """Accepted jobs survive the end of the process."""
    shared: bool
    """Other processes may open the same storage."""
    max_delay_ms: int | None = None
    """The longest delay it keeps; None: a year, the limit of the library."""
    max_frame_bytes: int = MAX_FRAME_BYTES
    """The largest frame that it keeps; a larger one is refused by `enqueue`."""
    memory: bool = True
    """Jobs are known by their ids: a repeated enqueue is DUPLICATE, and so for a while after the end. False: at least
    once, also where nobody crashed; and a batch of frames may be accepted in part."""
    order: bool = True
    """Waiting jobs are handed out by priority, then by place; False: in about that order."""
    upkeep: bool = True
    """`maintain` and `claim` promote and reap, and count it. False: the storage does so by itself and by its own clock,
    whether anybody looks or not; no worker is in time after the end of its lease."""
    priorities: bool = True
    unique: bool = True
    dependencies: bool = True
    expiry: bool = True
    caller_ids: bool = True
    cancel: bool = True
    results: bool = True
    inspect: bool = True
    operate: bool = True
    holding: bool = True
    notes: bool = True
    exchange: bool = False
    owned: bool = False
    wake: bool = False
    native_async: bool = False
    """Callers on an event loop need no thread: AsyncBackend."""
    series: bool = False


class ReceiptStatus(Enum):
    """What became of a frame."""

    NEW = "new"
    DUPLICATE = "duplicate"


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """The answer to one frame. `job_id` is the job that stands for the call: its own, or its unique key's holder."""

    status: ReceiptStatus
    job_id: JobId


class Claimed(msgspec.Struct, frozen=True, gc=False):
    """One attempt, leased to the worker that claimed it.

    `attempt` counts from 1 and includes this one and those that ended in a crash; `crashes` are the reaped ones among
    them, so `attempt - crashes` is how many times the task will have ended by its own doing. `frame` is the stored
    bytes.
    """

    job_id: JobId
    token: Token
    attempt: int
    crashes: int
    frame: bytes

    __repr__ = quiet_repr


class Beat(msgspec.Struct, frozen=True):
    """The answer to a heartbeat: tokens no longer ours, tokens whose job should stop, whether the worker was reaped."""

    lost: list[Token] = []
    cancels: list[Token] = []
    lapsed: bool = False


class Settled(Enum):
    """What became of a settlement."""

    WRITTEN = "written"
    LOST = "lost"


class CancelAnswer(Enum):
    """What became of a wish to cancel."""

    DONE = "done"
    """It is canceled, now or before; it will not run."""
    REQUESTED = "requested"
    """It is running; its worker is told with the next beat."""
    TOO_LATE = "too late"
    """It already succeeded or failed."""
    UNKNOWN = "unknown"


class Upkeep(msgspec.Struct, frozen=True, kw_only=True):
    """What one `maintain` did, in jobs; `more` when its limit stopped it."""

    promoted: int = 0
    reclaimed: int = 0
    failed: int = 0
    expired: int = 0
    pruned: int = 0
    more: bool = False


class JobRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the storage knows of one job; times in ms since the epoch on the backend's clock.

    `frame` is None once only the memory of a finished job is left. `reason` says why a canceled job was canceled
    (`canceled`, `expired`, `dependency`, `purged` or the task's words), what a held job is held for, and why the
    backend failed one (`crashed`, or what it was held for). `due_ms` of a held job is when it fails. `outcome` is an
    encoded outcome record: a result, or the last error; it stays until another verdict that has one replaces it.
    `progress` ends with its attempt.
    """

    job_id: JobId
    state: JobState
    frame: bytes | None = None
    queue: str = ""
    attempt: int = 0
    crashes: int = 0
    token: Token = 0
    worker: WorkerId | None = None
    due_ms: int | None = None
    held_ms: int | None = None
    """Since when a held job is held."""
    finished_ms: int | None = None
    cancel_requested: bool = False
    parents: tuple[JobId, ...] = ()
    """The parents that it still waits for."""
    reason: str = ""
    outcome: bytes | None = None
    progress: bytes | None = None

    __repr__ = quiet_repr


class Counts(msgspec.Struct, frozen=True):
    """Jobs by queue and state; success and canceled are counted only where the backend can. `dropped`: dead letters
    lost to the limit of 10,000 or to age. `paused`: queues that hand out nothing."""

    queues: dict[str, dict[JobState, int]]
    dropped: int = 0
    paused: frozenset[str] = frozenset()


class Page(msgspec.Struct, frozen=True):
    """Some records, and where the next page starts; None when there is none."""

    records: list[JobRecord]
    after: str | None = None


class HeldKind(msgspec.Struct, frozen=True):
    """Jobs that wait for a worker that knows this task with arguments it can read as `schema`, a fingerprint."""

    task: str
    schema: str
    jobs: int = 0


class Backend(Protocol):
    """What every storage is. Facets below are there where `can` says so."""

    @property
    def can(self) -> Capabilities:
        """What this backend promises; does no I/O."""
        ...

    def open(self) -> None:
        """Connects and checks that the storage can keep its promises. Idempotent.

        Raises ConfigurationError or BackendUnavailable.
        """
        ...

    def close(self) -> None:
        """Lets go of connections; what was accepted stays. Idempotent; a later call opens again."""
        ...

    def enqueue(self, frames: Sequence[Frame], /) -> list[Receipt]:
        """Accepts up to ATOMIC_BATCH frames, all or none.

        A known id is DUPLICATE and writes nothing; so is a unique key held by an unfinished job, with the holder's
        id. A frame may depend on an earlier one of the same call, or on what stands for it. Success of a parent
        counts while it is known; a parent that failed or was canceled makes the child canceled with reason
        `dependency`. Raises UnknownDependency, with nothing written; a DUPLICATE's parents are not looked at.
        """
        ...

    def join(self, queues: Sequence[str], /, *, lease_ms: int) -> WorkerId:
        """A fresh identity that serves `queues` in this order, each once however often named; its lease starts now."""
        ...

    def leave(self, worker: WorkerId, /) -> None:
        """Ends an identity; what it still held comes back, attempts given back. Unknown or reaped: does nothing."""
        ...

    def claim(self, worker: WorkerId, /, *, limit: int, wait_ms: int, seen: Token) -> list[Claimed]:
        """Up to `limit` jobs become running, each with attempt + 1 and a fresh token.

        Promotes what is due and reaps lapsed workers on the way, itself included. Jobs of this worker with a token
        greater than `seen` come first, by token, and nothing new with them: their reply was lost. Else new ones, up
        to the first suspect; none while this worker has a suspect. Expired jobs that were never started are canceled
        with reason `expired`. Paused queues give nothing. Nothing to give: waits up to `wait_ms` for something.
        Raises WorkerLapsed when this identity is over.
        """
        ...

    def beat(self, worker: WorkerId, tokens: Sequence[Token], /) -> Beat:
        """The worker's lease, and so all its jobs', starts anew; late but not reaped is in time.

        Reaped, or unknown: `lapsed`, and every token is lost. Both lists hold tokens that were asked about, in order.
        """
        ...

    def settle(self, worker: WorkerId, settlements: Sequence[Settlement], /) -> list[Settled]:
        """Ends attempts; per job one transaction: token and worker checked, then state, outcome, key, dependents.

        A wrong token or worker writes nothing and is LOST. A job that was asked to cancel goes to canceled instead of
        retrying, waiting or held. A parent's success frees its children, its failure or cancellation cancels them,
        reason `dependency`, and theirs. The bound of Held counts from the first time that it was held since it last
        ran.
        """
        ...

    def cancel(self, job_id: JobId, /) -> CancelAnswer:
        """Ends a job that is not running; asks a running one to stop. Its children are canceled with it."""
        ...

    def maintain(self, *, limit: int) -> Upkeep:
        """Promotes, reaps, expires, fails what was held too long, forgets: each up to `limit` jobs.

        Idempotent, safe from every worker at once. Dependents that end with a job are not counted.
        """
        ...


@runtime_checkable
class Results(Protocol):
    """`can.results`."""

    def outcome(self, job_id: JobId, /, *, wait_ms: int) -> JobRecord | None:
        """The job's record as soon as its state is final, or as it stands after `wait_ms`; None: not known."""
        ...


@runtime_checkable
class Inspect(Protocol):
    """`can.inspect`: reading only."""

    def counts(self) -> Counts:
        """How many jobs there are."""
        ...

    def find(self, job_id: JobId, /) -> JobRecord | None:
        """What is known of one job."""
        ...

    def page(self, state: JobState, /, *, queue: str | None = None, after: str | None = None, limit: int = 100) -> Page:
        """Jobs in one state: waiting ones by queue as they will be handed out, failed newest first, others by id."""
        ...


@runtime_checkable
class Operate(Protocol):
    """`can.operate`: what an operator does by hand."""

    def requeue(self, job_id: JobId, /) -> bool:
        """A failed or held job becomes waiting, attempts and crashes at 0, last in its queue. False when it is neither.

        It has its unique key again when that is free, and runs without it otherwise.
        """
        ...

    def purge(self, state: JobState, /, *, queue: str | None = None, limit: int) -> int:
        """Removes up to `limit` jobs: failed ones but for their memory, others are canceled with reason `purged`.

        How many it were, dependents not counted; 0 when none is left. Raises ConfigurationError for running, success
        and canceled.
        """
        ...

    def pause(self, queue: str, /) -> None:
        """The queue accepts and keeps, but hands out nothing."""
        ...

    def resume(self, queue: str, /) -> None:
        """Undoes `pause`."""
        ...

    def take(self, worker: WorkerId, job_id: JobId, /) -> Claimed | None:
        """Claims this one job if it is scheduled, waiting or retrying, whatever its queue, due or not; else None.

        An expired one that was never started is canceled instead. Raises WorkerLapsed.
        """
        ...


@runtime_checkable
class Holding(Protocol):
    """`can.holding`."""

    def held_kinds(self) -> list[HeldKind]:
        """What held jobs wait for, by task and fingerprint."""
        ...

    def release_held(self, kinds: Sequence[HeldKind], /) -> int:
        """Held jobs of these kinds become waiting; how many it were. The bound since they were first held goes on."""
        ...


@runtime_checkable
class Notes(Protocol):
    """`can.notes`."""

    def note(self, worker: WorkerId, token: Token, progress: bytes, /) -> bool:
        """Keeps up to 1 KiB of progress beside a running job. False when the token is not this worker's."""
        ...


@runtime_checkable
class Exchange(Protocol):
    """`can.exchange`: settle and claim in one round trip; elsewhere they follow each other."""

    def exchange(
        self, worker: WorkerId, settlements: Sequence[Settlement], /, *, limit: int, seen: Token
    ) -> tuple[list[Settled], list[Claimed]]:
        """`settle`, then `claim` without waiting."""
        ...


@runtime_checkable
class Owning(Protocol):
    """`can.owned`: a worker finds what runs under its name without its knowledge, as after a failover that forgot."""

    def owned(self, worker: WorkerId, /) -> list[tuple[JobId, Token]]:
        """The jobs that run under this identity, by token, also those whose claim reply was lost; none once it is over.

        Changes nothing: the lease goes on ageing. As true as an answer of `settle`: no lagging replica is asked.
        """
        ...


@runtime_checkable
class Waking(Protocol):
    """`can.wake`: claims may wait for long, since they need not be waited for."""

    def wake(self, worker: WorkerId, /) -> None:
        """The claim of this worker that waits now, or else the next that would, does not wait any longer.

        For identities that joined through this very backend; for others it does nothing.
        """
        ...


@runtime_checkable
class InSeries(Protocol):
    """`can.series`: joins jobs that differ in little itself; elsewhere they are accepted as frames."""

    def enqueue_series(self, series: Series, /) -> Iterator[list[int]]:
        """`enqueue` of `series.frames()`, ATOMIC_BATCH at a time, in order: none is accepted unless the one before was.

        Gives, for each such write, the places in the series of those that were DUPLICATE. What a write raises ends it:
        of those after it none was accepted, unless it was accepted itself. Nothing is sent before it is asked for the
        first; whoever stops asking does not know of one write more.
        """
        ...

    def press(self, shape: Shape, /) -> Callable[[bytes], JobId] | None:
        """What accepts one job of this shape after the other: called with arguments, it accepts a job, as `enqueue`
        does, and gives its id. None: they are accepted as frames.

        The id is made for the call, by `new_id`, and the envelope is the mould's, whose time is the id's: so nobody can
        know the job before, and whoever calls again has another one. Raises what `enqueue` raises. Asks nothing itself.
        """
        ...

    def apress(self, shape: Shape, /) -> Callable[[bytes], Awaitable[JobId]] | None:
        """The same for event loops, as the verbs of AsyncBackend; None where `press` gives None."""
        ...


@runtime_checkable
class AsyncBackend(Protocol):
    """`can.native_async`: what callers need, for any number of event loops; each promises what its twin does.

    Never blocks the loop. Many callers of one loop at once: each has its own answer, in the order of asking. A caller
    that is cancelled may have been served, its answer is nobody's; what it asked may be asked again. A loop may end
    without `aclose`: nothing is left open once it shut its asynchronous generators down, as `asyncio.run` does.
    """

    async def aenqueue(self, frames: Sequence[Frame], /) -> list[Receipt]:
        """`enqueue`."""
        ...

    async def acancel(self, job_id: JobId, /) -> CancelAnswer:
        """`cancel`."""
        ...

    async def aoutcome(self, job_id: JobId, /, *, wait_ms: int) -> JobRecord | None:
        """`outcome`."""
        ...

    async def aclose(self) -> None:
        """Lets go of what this loop has open. Idempotent; a later call opens again."""
        ...


def on_loops(backend: Backend) -> AsyncBackend | None:
    """The backend as callers on event loops use it; None when they need a thread."""
    return backend if isinstance(backend, AsyncBackend) and backend.can.native_async else None


def in_series(backend: Backend) -> InSeries | None:
    """The backend, where it takes jobs in series."""
    return backend if isinstance(backend, InSeries) and backend.can.series else None
