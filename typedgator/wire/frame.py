"""The frame: what a backend may read of a job. The envelope inside is opaque to it.

Stored as bytes, big-endian, so that Lua and other languages can read it by offset:

    0       version (1)
    1       flags
    2       priority, 0 to 255
    3       crash budget, 0 to 255
    4..11   accepted, ms since the epoch, written by the backend
    12..19  expiry, ms since the epoch, written by the backend; 0 = none
    20      length of the queue's name, q
    21..    queue, ASCII
    21+q..  envelope

Mutable state (attempts, tokens, errors) is never inside: backends keep it beside the frame.
"""

import struct
from enum import IntFlag
from typing import Final

import msgspec

from typedgator.errors import PayloadMismatch
from typedgator.wire.ids import JobId
from typedgator.wire.quiet import quiet_repr

__all__ = [
    "CRASH_BUDGET",
    "FRAME_VERSION",
    "MAX_FRAME_BYTES",
    "Frame",
    "FrameFlags",
    "FrameHead",
    "open_frame",
    "pack_frame",
]

FRAME_VERSION: Final = 1
CRASH_BUDGET: Final = 3
"""So many crashes a job may have, unless its frame says otherwise."""
MAX_FRAME_BYTES: Final = 1_200_000
"""No frame is larger: a payload of 1 MiB, headers of 4 KiB, and the rest."""

_HEAD: Final = struct.Struct(">BBBBQQB")


class FrameFlags(IntFlag):
    """What else is true of a job. An unknown bit means: written by a newer release, leave it alone."""

    UNIQUE = 1
    EXPIRES = 2
    SIGNED = 4
    """Reserved: a key id and an HMAC follow the queue's name."""
    SEALED = 8
    """Reserved: the payload is encrypted."""
    CALLERS_ID = 16
    RESULT_WANTED = 32
    """Remember the job's end for 10 minutes even when it returns None."""


_KNOWN: Final = FrameFlags.UNIQUE | FrameFlags.EXPIRES | FrameFlags.CALLERS_ID | FrameFlags.RESULT_WANTED
_UNKNOWN: Final = ~int(_KNOWN)
"""A plain int: enum's own operators would cost each claimed job a microsecond."""


class Frame(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One job on its way into a backend.

    `delay_ms` and `expires_in_ms` count from the moment of acceptance on the backend's clock. `unique` is a digest of
    16 bytes. `parents` are the jobs that must succeed first. `crash_budget` is how many crashes a job may have
    behind it and still be run again.
    """

    job_id: JobId
    queue: str
    envelope: bytes
    priority: int = 100
    delay_ms: int = 0
    expires_in_ms: int | None = None
    unique: bytes | None = None
    parents: tuple[JobId, ...] = ()
    crash_budget: int = CRASH_BUDGET
    flags: FrameFlags = FrameFlags(0)

    __repr__ = quiet_repr


class FrameHead(msgspec.Struct, frozen=True, gc=False):
    """What `open_frame` reads of stored bytes; times in ms since the epoch on the backend's clock, expiry 0: none."""

    flags: int
    priority: int
    crash_budget: int
    accepted_ms: int
    expires_ms: int
    queue: str
    envelope: bytes

    __repr__ = quiet_repr


def pack_frame(frame: Frame, accepted_ms: int) -> bytes:
    """The stored bytes of a frame accepted at `accepted_ms` on the backend's clock."""
    expires_ms = 0 if frame.expires_in_ms is None else accepted_ms + frame.expires_in_ms
    queue = frame.queue.encode("ascii")
    head = _HEAD.pack(
        FRAME_VERSION, int(frame.flags), frame.priority, frame.crash_budget, accepted_ms, expires_ms, len(queue)
    )
    return head + queue + frame.envelope


def open_frame(stored: bytes) -> FrameHead:
    """Reads stored bytes back. Raises PayloadMismatch when they are no frame that this release can read."""
    if not stored:
        raise PayloadMismatch("the frame is lost: what the job was to do is not known any more")
    try:
        version, flags, priority, crash_budget, accepted_ms, expires_ms, length = _HEAD.unpack_from(stored)
        start = _HEAD.size + length
        queue = stored[_HEAD.size : start].decode("ascii")
    except TypeError as error:  # a storage that somebody edited by hand
        raise PayloadMismatch(f"a frame is {type(stored).__name__}, not bytes: {error}") from error
    except (struct.error, UnicodeDecodeError) as error:
        raise PayloadMismatch(f"a frame of {len(stored)} bytes cannot be read: {error}") from error
    if version != FRAME_VERSION or flags & _UNKNOWN:
        raise PayloadMismatch(f"a frame of version {version}, flags {flags:#04x} was written by another release")
    if len(queue) != length or start == len(stored):
        raise PayloadMismatch(f"a frame of {len(stored)} bytes ends early")
    return FrameHead(flags, priority, crash_budget, accepted_ms, expires_ms, queue, stored[start:])
