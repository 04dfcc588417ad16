"""The mould: what the envelopes of one task and one set of options have in common, encoded once.

An envelope is then joined around an id, arguments and the time; byte for byte it is what `encode_envelope` would give.
A series is many plain jobs out of one mould at one time, for a backend that joins them itself.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from typedgator.wire.envelope import Envelope, JobPolicy, encode_envelope
from typedgator.wire.frame import CRASH_BUDGET, Frame, FrameFlags
from typedgator.wire.ids import ID_BYTES, JobId
from typedgator.wire.quiet import quiet_repr

__all__ = ["Mould", "Series", "Shape"]

_pack: Final = msgspec.msgpack.Encoder().encode
_SHORTEST: Final = _pack(None)
_WHEN: Final = _pack("enqueued_at")
_LENGTH_AT: Final = len(b"\x80") + len(_pack("id")) + 1
"""Where the id's length stands, in one byte: after the head of the map, the name, and the type of the id."""
_SAMPLE: Final = JobId(bytes(16))
_MS: Final = b"\xcf\x00\x00"
"""Before the 6 bytes of a time in ms: 8 bytes without a sign."""


class Series(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Jobs that are due at once, after nothing, beside nothing, without expiry, and differ only in id and arguments.

    Each envelope is `before + id + between + payload + after`. The ids are ours, of 16 bytes, and all different.
    """

    ids: list[JobId]
    payloads: list[bytes]
    before: bytes
    between: bytes
    after: bytes
    queue: str
    priority: int = 100
    crash_budget: int = CRASH_BUDGET
    flags: FrameFlags = FrameFlags(0)
    is_new: bool = False
    """The ids were made for these jobs, and never go another way: what is sent again is sent in the same portions."""

    __repr__ = quiet_repr

    def frames(self, start: int = 0, end: int | None = None) -> list[Frame]:
        """The same jobs as `enqueue` takes them, or some of them."""
        return [
            Frame(
                job_id=job_id,
                queue=self.queue,
                envelope=b"%b%b%b%b%b" % (self.before, job_id, self.between, payload, self.after),
                priority=self.priority,
                crash_budget=self.crash_budget,
                flags=self.flags,
            )
            for job_id, payload in zip(self.ids[start:end], self.payloads[start:end], strict=True)
        ]


class Mould:
    """Makes envelopes of one task, policy and headers."""

    __slots__ = ("_between", "_later", "_start", "_tail")

    def __init__(
        self, task: str, schema: str, policy: JobPolicy, headers: Mapping[str, str], secret: tuple[str, ...]
    ) -> None:
        whole = encode_envelope(
            Envelope(
                id=_SAMPLE,
                task=task,
                schema=schema,
                args=msgspec.Raw(_SHORTEST),
                policy=policy,
                headers=dict(headers) if headers else {},
                enqueued_at=1,
                secret=secret,
            )
        )
        between = _LENGTH_AT + 1 + len(_SAMPLE)
        args = between + sum(len(_pack(word)) for word in ("task", task, "schema", schema, "args"))
        tail = len(whole) - (len(_pack("secret")) + len(_pack(secret)) if secret else 0)
        self._start: Final = whole[:_LENGTH_AT]
        self._between: Final = whole[between:args]
        # What is left out here is one byte of arguments, and one of a time that is 1.
        self._later: Final = whole[args + 1 : tail - 1]
        self._tail: Final = whole[tail:]

    def envelope(self, job_id: JobId, payload: bytes, enqueued_at: int) -> bytes:
        """The bytes that are stored."""
        if not enqueued_at:
            before, between, after = self.around(len(job_id), 0)
            return before + job_id + between + payload + after
        start, length, when = self._start, len(job_id).to_bytes(), _pack(enqueued_at)
        return b"".join((start, length, job_id, self._between, payload, self._later, when, self._tail))

    def around(self, id_bytes: int, enqueued_at: int) -> tuple[bytes, bytes, bytes]:
        """What stands before an id of so many bytes, between it and the arguments, and after these."""
        length = id_bytes.to_bytes()
        if enqueued_at:
            return self._start + length, self._between, self._later + _pack(enqueued_at) + self._tail
        # A time of 0, on the clock of a test, is left out of the map.
        start = (self._start[0] - 1).to_bytes() + self._start[1:]
        return start + length, self._between, self._later.removesuffix(_WHEN) + self._tail

    def around_own_time(self) -> tuple[bytes, bytes, bytes, bytes]:
        """What stands before an id of ours, between it and the arguments, between these and its time, and at the end.

        The time of such an envelope is that of its id, whose first 6 bytes say it.
        """
        return self._start + ID_BYTES.to_bytes(), self._between, self._later + _MS, self._tail


class Shape(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What jobs of one task and one set of options have in common, due at once, after nothing, beside nothing, without
    expiry, under ids of ours.
    """

    mould: Mould
    queue: str
    priority: int = 100
    crash_budget: int = CRASH_BUDGET
    flags: FrameFlags = FrameFlags(0)
