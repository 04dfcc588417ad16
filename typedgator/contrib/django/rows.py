"""A job as a row of the outbox keeps it. Whoever reads one back trusts nothing: a row outlives deploys, and people."""

import struct
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from typedgator.contrib.django.commits import aged
from typedgator.errors import ConfigurationError, PayloadMismatch
from typedgator.policy.durations import MAX_DELAY_MS
from typedgator.policy.options import checked_queue
from typedgator.wire.envelope import decode_envelope
from typedgator.wire.frame import MAX_FRAME_BYTES, Frame, FrameFlags, open_frame, pack_frame
from typedgator.wire.ids import JobId, parse_id, shown_id

if TYPE_CHECKING:  # importing a model needs loaded apps; importing this must not
    from typedgator.contrib.django.models import OutboxJob

__all__ = ["opened", "packed"]

_Byte = Annotated[int, msgspec.Meta(ge=0, le=255)]
_Id = Annotated[bytes, msgspec.Meta(min_length=1, max_length=128)]
_Digest = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
_Delay = Annotated[int, msgspec.Meta(ge=0, le=MAX_DELAY_MS)]
_Term = Annotated[int, msgspec.Meta(ge=0, le=1 << 48)]


class _Kept(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A frame, as msgpack. Older readers ignore fields they do not know."""

    v: int = 1
    job_id: _Id
    queue: str
    envelope: bytes
    priority: _Byte
    delay_ms: _Delay = 0
    expires_in_ms: _Term | None = None
    unique: _Digest | None = None
    parents: tuple[_Id, ...] = ()
    crash_budget: _Byte
    flags: _Byte


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(_Kept)


def packed(frame: Frame) -> bytes:
    """What the row keeps."""
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


def opened(row: "OutboxJob", now_ms: int) -> Frame:
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
    _check(frame, row.job_id, now_ms)
    return aged(frame, now_ms - row.created_ms)


def _check(frame: Frame, job_id: str, now_ms: int) -> None:
    """Whether a backend could keep it, and a worker read it: one bad row must not stop those behind it."""
    try:
        if shown_id(frame.job_id) != job_id:
            raise PayloadMismatch(f"it says that it is job {job_id}, and holds another")
        for each in (frame.job_id, *frame.parents):
            parse_id(shown_id(each))
        checked_queue(frame.queue)
        stored = pack_frame(frame, now_ms)
        if len(stored) > MAX_FRAME_BYTES:
            raise PayloadMismatch(f"it holds {len(stored)} bytes, at most {MAX_FRAME_BYTES} are read")
        decode_envelope(open_frame(stored).envelope)
    except (ConfigurationError, PayloadMismatch, UnicodeDecodeError, struct.error) as error:
        raise PayloadMismatch(f"a row of the outbox cannot be a job: {error}") from error
