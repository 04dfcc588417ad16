"""Enqueue: a plain frame is three words after a head that is the same for all of its queue; any other says more.

One plain frame, several, or any: each has a script of its own. What is packed without a Request is in pressing.py.
"""

from collections.abc import Sequence
from typing import Final, cast

from typedgator.backends.contract import Receipt, ReceiptStatus
from typedgator.backends.redis.caller import Answer, Caller, Steps
from typedgator.backends.redis.pressing import accept_one, is_plain, piece_of
from typedgator.backends.redis.request import Request, Word
from typedgator.errors import NotReplicated, UnknownDependency
from typedgator.wire.frame import Frame, pack_frame
from typedgator.wire.ids import JobId, shown_id

__all__ = ["accept", "accepting"]

_ACCEPTED: Final = slice(4, 12)
_HEAD: Final = 4


def accept(caller: Caller, frames: Sequence[Frame]) -> list[Receipt]:
    """All of them or, when a parent is unknown, none."""
    if len(frames) == 1 and caller.confirm is None and is_plain(frames[0]):
        return [_accept_one(caller, frames[0])]
    return caller.do(accepting(caller, frames)) if frames else []


def accepting(caller: Caller, frames: Sequence[Frame]) -> Steps[list[Receipt]]:
    """The same in steps. Raises NotReplicated of all of them, also of those that were known."""
    try:
        return (yield from _accepting(caller, frames))
    except NotReplicated as error:
        raise error.about([shown_id(frame.job_id) for frame in frames]) from None


def _accepting(caller: Caller, frames: Sequence[Frame]) -> Steps[list[Receipt]]:
    queues = dict.fromkeys(frame.queue for frame in frames)
    lines = [key for queue in queues for key in (caller.keys.ready(queue), caller.keys.wake(queue))]
    if len(frames) == 1 and is_plain(frames[0]):
        keys = *caller.keys.plain, *lines
        found = yield Request(caller.script("enqueue_one"), keys, _plain(frames[0]), confirm=caller.confirm)
        return [_receipt(frames[0], found)]
    if all(map(is_plain, frames)):
        words = [b"0", *(word for frame in frames for word in _plain(frame))]
        known = yield Request(
            caller.script("enqueue_plain"), (*caller.keys.plain, *lines), words, confirm=caller.confirm
        )
        receipts = [Receipt(ReceiptStatus.NEW, frame.job_id) for frame in frames]
        for number in cast(list[int], known):
            receipts[number - 1] = Receipt(ReceiptStatus.DUPLICATE, frames[number - 1].job_id)
        return receipts
    words = [word for frame in frames for word in _any(frame)]
    answer = cast(Answer, (yield caller.request("enqueue", lines, words)))
    if answer[0] == b"unknown":
        raise UnknownDependency(shown_id(JobId(cast(bytes, answer[1]))))
    yield from caller.telling(answer[2])
    return [
        Receipt(ReceiptStatus.DUPLICATE, JobId(holder)) if holder else Receipt(ReceiptStatus.NEW, frame.job_id)
        for frame, holder in zip(frames, cast(list[bytes], answer[1]), strict=True)
    ]


def _accept_one(caller: Caller, frame: Frame) -> Receipt:
    """Most jobs come one by one: all that is the same for each job of a queue is packed once."""
    caller.tell_the_time()
    return _receipt(frame, accept_one(caller, frame.queue, piece_of(frame)))


def _receipt(frame: Frame, known: object) -> Receipt:
    return Receipt(ReceiptStatus.DUPLICATE if known else ReceiptStatus.NEW, frame.job_id)


def _plain(frame: Frame) -> tuple[Word, Word, Word]:
    stored = pack_frame(frame, 0)
    return frame.job_id, stored[: _ACCEPTED.start], stored[_ACCEPTED.stop :]


def _any(frame: Frame) -> tuple[Word, ...]:
    stored = pack_frame(frame, 0)
    expires: Word = b"" if frame.expires_in_ms is None else frame.expires_in_ms
    head = frame.job_id, stored[:_HEAD], stored[20:], frame.delay_ms, expires, frame.unique or b""
    return *head, len(frame.parents), *frame.parents
