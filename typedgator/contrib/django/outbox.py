"""Commit and enqueue together: the job is a row of the user's own transaction, under the id that it will have.

written    in the transaction: rolled back with it, kept with it
pushed     right after the commit by the same process; by a relay, when that process died or the backend was away
deleted    after it was pushed; whoever dies in between leaves it to be pushed again, and a known id is DUPLICATE

The backend remembers an id while the job is unfinished and for 24 h after (FrameFlags.CALLERS_ID, for every job that
comes this way), so one that was pushed twice within that time ran once.
"""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Generic, ParamSpec, TypeVar, cast

import msgspec
from django.db import Error as DatabaseError
from django.db import transaction
from typing_extensions import TypeVar as TypeVarWithDefault

from typedgator.backends.contract import ReceiptStatus
from typedgator.contrib.django.commits import aged
from typedgator.errors import BackendUnavailable, PayloadMismatch, UnknownDependency, Unsupported
from typedgator.events import JobEnqueued
from typedgator.gator import Gator
from typedgator.job import Job
from typedgator.options import Options, known
from typedgator.producer import CallOptions, Prepared, Producer
from typedgator.task import Hooked
from typedgator.wire.frame import Frame, FrameFlags
from typedgator.wire.ids import JobId, shown_id

if TYPE_CHECKING:  # importing a model needs loaded apps; importing this must not
    from typedgator.contrib.django.models import OutboxJob

__all__ = ["Outbox", "push"]

logger: Final = logging.getLogger("typedgator")

P = ParamSpec("P")
R = TypeVar("R")
H_contra = TypeVarWithDefault("H_contra", contravariant=True, default=object)


class Outbox(Generic[H_contra]):
    """What `gator.outbox(…)` gives. `H_contra` is the result that the hooks of its options take."""

    def __init__(self, gator: Gator, producer: Producer, using: str, options: Options[H_contra] | None) -> None:
        self._gator: Final = gator
        self._producer: Final = producer
        self._using: Final = using
        self._call: Final = None if options is None else CallOptions(options.said)

    def task(self, fn: Hooked[P, R, H_contra], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Writes a call into the running transaction; without one, into a transaction of its own.

        Raises InvalidArguments, and then nothing was written; Unsupported by a backend that forgets ids at once. A
        backend that is away raises nothing: the job waits in its row. With `is_async=False` nothing is written, and it
        runs at the commit.
        """
        spec = known(fn, self._producer).spec
        prepared = self._producer.prepare_one(spec, self._call, args, kwargs)
        job = Job[object](self._producer.backend, prepared.frame.job_id, spec.read)
        write(prepared, self._gator, self._producer, self._using, job)
        return cast("Job[R]", job)


def write(prepared: Prepared, gator: Gator, producer: Producer, using: str, job: Job[object]) -> None:
    """Writes a prepared call, to be pushed after the commit."""
    from typedgator.contrib.django.models import OutboxJob

    if not prepared.is_async:
        transaction.on_commit(lambda: job.adopt(producer.send_one(prepared)), using=using)
        return
    if not gator.backend.can.caller_ids:
        raise Unsupported("the outbox needs a backend that remembers ids; see its `can.caller_ids`")
    row = OutboxJob(
        job_id=shown_id(prepared.frame.job_id),
        task=prepared.spec.name,
        frame=_packed(prepared.frame),
        created_ms=prepared.envelope.enqueued_at,
    )
    row.save(using=using, force_insert=True)
    transaction.on_commit(lambda: _push_soon(gator, using, row), using=using)


def _push_soon(gator: Gator, using: str, row: "OutboxJob") -> None:
    """Pushes it now; what fails is left to the relay: the user's transaction is committed, and the job is in it."""
    try:
        push(gator, using, [row])
    except (BackendUnavailable, DatabaseError) as error:
        logger.warning("job %s stays in the outbox for a relay: %s", row.job_id, error, extra={"job": row.job_id})


def push(gator: Gator, using: str, rows: Sequence["OutboxJob"]) -> int:
    """Pushes rows of one database, in order, and deletes them. How many jobs it were.

    What can never be pushed is marked, and not deleted. Raises BackendUnavailable, or Django's database errors: then
    some may be pushed and not deleted, and pushing them again is safe.
    """
    from typedgator.contrib.django.models import OutboxJob

    frames: list[Frame] = []
    good: list[OutboxJob] = []
    for row in rows:
        try:
            frames.append(_opened(row, gator.clock.now_ms()))
            good.append(row)
        except PayloadMismatch as error:
            _mark(using, row, error)
    if not good:
        return 0
    try:
        receipts = gator.backend.enqueue(frames)
    except UnknownDependency as error:
        if len(good) > 1:
            return sum(push(gator, using, [row]) for row in good)
        if OutboxJob.objects.using(using).filter(job_id=error.parent, refused="").exists():
            return 0  # its parent is still on its way: later
        try:
            receipts = gator.backend.enqueue(frames)  # perhaps it has just left the outbox
        except UnknownDependency as final:
            _mark(using, good[0], final)
            return 0
    OutboxJob.objects.using(using).filter(pk__in=[row.pk for row in good]).delete()
    if gator.events.wants(JobEnqueued):
        for row, frame, receipt in zip(good, frames, receipts, strict=True):
            is_duplicate = receipt.status is ReceiptStatus.DUPLICATE
            gator.events.tell(JobEnqueued(shown_id(receipt.job_id), row.task, frame.queue, is_duplicate))
    return len(good)


def _mark(using: str, row: "OutboxJob", error: Exception) -> None:
    from typedgator.contrib.django.models import OutboxJob

    logger.error("job %s of %s cannot leave the outbox: %s", row.job_id, row.task, error, extra={"job": row.job_id})
    OutboxJob.objects.using(using).filter(pk=row.pk).update(refused=str(error))


# ---- the stored form


class _Kept(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A frame as a row keeps it, as msgpack. Older readers ignore fields they do not know."""

    v: int = 1
    job_id: bytes
    queue: str
    envelope: bytes
    priority: int
    delay_ms: int = 0
    expires_in_ms: int | None = None
    unique: bytes | None = None
    parents: tuple[bytes, ...] = ()
    crash_budget: int
    flags: int


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(_Kept)


def _packed(frame: Frame) -> bytes:
    return _encoder.encode(
        _Kept(
            job_id=frame.job_id,
            queue=frame.queue,
            envelope=frame.envelope,
            priority=frame.priority,
            delay_ms=frame.delay_ms,
            expires_in_ms=frame.expires_in_ms,
            unique=frame.unique,
            parents=frame.parents,
            crash_budget=frame.crash_budget,
            # Remembered for 24 h, not for 60 s: a relay may come back late to a row that was pushed already.
            flags=int(frame.flags | FrameFlags.CALLERS_ID),
        )
    )


def _opened(row: "OutboxJob", now_ms: int) -> Frame:
    """The frame of a row, as old as it is. Raises PayloadMismatch when another release wrote it, or somebody else."""
    try:
        kept = _decoder.decode(bytes(row.frame))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PayloadMismatch(f"a row of the outbox cannot be read: {error}") from error
    if kept.v != 1:
        raise PayloadMismatch(f"a row of the outbox of version {kept.v} was written by a newer release")
    frame = Frame(
        job_id=JobId(kept.job_id),
        queue=kept.queue,
        envelope=kept.envelope,
        priority=kept.priority,
        delay_ms=kept.delay_ms,
        expires_in_ms=kept.expires_in_ms,
        unique=kept.unique,
        parents=tuple(map(JobId, kept.parents)),
        crash_budget=kept.crash_budget,
        flags=FrameFlags(kept.flags),
    )
    return aged(frame, now_ms - row.created_ms)
