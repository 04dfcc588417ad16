"""Enqueue: a plain frame is three words after a head that is the same for all of its queue; any other says more."""

from collections.abc import Sequence
from typing import Final, cast

from typedgator.backends.contract import Receipt, ReceiptStatus
from typedgator.backends.redis.caller import Answer, Caller
from typedgator.backends.redis.link import Word
from typedgator.errors import UnknownDependency
from typedgator.wire.frame import Frame, pack_frame
from typedgator.wire.ids import JobId, shown_id

__all__ = ["accept"]

_ACCEPTED: Final = slice(4, 12)
_HEAD: Final = 4


def accept(caller: Caller, frames: Sequence[Frame]) -> list[Receipt]:
    """All of them or, when a parent is unknown, none."""
    if not frames:
        return []
    queues = dict.fromkeys(frame.queue for frame in frames)
    lines = [key for queue in queues for key in (caller.keys.ready(queue), caller.keys.wake(queue))]
    caller.tell_the_time()
    if all(map(_is_plain, frames)):
        keys = (*caller.keys.plain, *lines)
        known = caller.link.run(caller.script("enqueue_plain"), keys, [word for f in frames for word in _plain(f)])
        receipts = [Receipt(ReceiptStatus.NEW, frame.job_id) for frame in frames]
        for number in cast(list[int], known):
            receipts[number - 1] = Receipt(ReceiptStatus.DUPLICATE, frames[number - 1].job_id)
        return receipts
    words = [word for frame in frames for word in _any(frame)]
    answer = cast(Answer, caller.link.run(caller.script("enqueue"), (*caller.keys.fixed, *lines), words))
    if answer[0] == b"unknown":
        raise UnknownDependency(shown_id(JobId(cast(bytes, answer[1]))))
    caller.tell(answer[2])
    return [
        Receipt(ReceiptStatus.DUPLICATE, JobId(holder)) if holder else Receipt(ReceiptStatus.NEW, frame.job_id)
        for frame, holder in zip(frames, cast(list[bytes], answer[1]), strict=True)
    ]


def _is_plain(frame: Frame) -> bool:
    return frame.delay_ms == 0 and frame.unique is None and not frame.parents and frame.expires_in_ms is None


def _plain(frame: Frame) -> tuple[Word, Word, Word]:
    stored = pack_frame(frame, 0)
    return frame.job_id, stored[: _ACCEPTED.start], stored[_ACCEPTED.stop :]


def _any(frame: Frame) -> tuple[Word, ...]:
    stored = pack_frame(frame, 0)
    expires: Word = b"" if frame.expires_in_ms is None else frame.expires_in_ms
    head = frame.job_id, stored[:_HEAD], stored[20:], frame.delay_ms, expires, frame.unique or b""
    return *head, len(frame.parents), *frame.parents
