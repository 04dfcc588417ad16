"""Plain jobs as bytes on the wire: what all jobs of a queue, and all of a shape, have in common is packed once.

A command is a head and, for each of its jobs, a piece: id, first bytes and last bytes of the frame, as enqueue_new.lua,
enqueue_one.lua and enqueue_plain.lua take them.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Final

import hiredis

from typedgator.backends.redis.caller import Caller
from typedgator.wire.frame import FRAME_VERSION, Frame
from typedgator.wire.ids import ID_BYTES, JobId, new_id
from typedgator.wire.mould import Shape

__all__ = [
    "ASK_WITH_CARE",
    "WITH_CARE",
    "accept_one",
    "command_of_many",
    "command_of_new",
    "command_of_one",
    "head_of_new",
    "is_plain",
    "load_of_one",
    "note_of_repeat",
    "piece_of",
    "pieces_of",
    "press",
]

ASK_WITH_CARE: Final = 2
"""What enqueue_new.lua answers when it has done nothing."""
WITH_CARE: Final = 64
"""So many calls of this process go through enqueue_one.lua at once, after one whose script did nothing."""
REPEATED_MS: Final = b"60000"
"""So long a first copy may be late behind one that was sent again: as long as any finished job is known at least."""
_WORDS: Final = 3
"""Of a piece."""


def is_plain(frame: Frame) -> bool:
    """Due at once, after nothing, beside nothing, without expiry."""
    return frame.delay_ms == 0 and frame.unique is None and not frame.parents and frame.expires_in_ms is None


def press(caller: Caller, shape: Shape, check: Callable[[], None]) -> Callable[[bytes], JobId]:
    """What accepts one job of this shape after the other, in a thread; before the first, `check` asks the server."""
    made, queue = pieces_of(shape), shape.queue
    head = head_of_new(caller, queue)
    with_care = _with_care(caller, queue, head)

    def pressed(payload: bytes) -> JobId:
        if not caller.trusted:
            check()
        job_id, piece = made(payload)
        if caller.careful > 0:
            caller.careful -= 1
            accept_one(caller, queue, piece)
        else:
            answer = caller.link.run_packed(head + piece, with_care)
            # Should it be known, a line broke behind it: this was it, sent again.
            if answer is None or answer == ASK_WITH_CARE:
                _accept_another_way(caller, queue, piece, answer)
        return job_id

    return pressed


def _accept_another_way(caller: Caller, queue: str, piece: bytes, answer: object) -> None:
    """The server does not know the script, or it did nothing."""
    if answer is None:
        head = _whole("enqueue_new", caller, queue)
        answer = caller.link.run_packed(head + piece, _with_care(caller, queue, head))
    if answer == ASK_WITH_CARE:
        caller.careful = WITH_CARE
        accept_one(caller, queue, piece)


def _with_care(caller: Caller, queue: str, head: bytes) -> Callable[[bytes], list[bytes]]:
    """What is sent when a line broke behind an id that nobody could know: with all care, and noted."""

    def with_care(packed: bytes) -> list[bytes]:
        return [note_of_repeat(caller), _whole("enqueue_one", caller, queue) + packed.removeprefix(head)]

    return with_care


def accept_one(caller: Caller, queue: str, piece: bytes) -> object:
    """Whether it was known."""
    known = caller.link.run_packed(command_of_one(caller, queue, piece))
    return caller.link.run_packed(_whole("enqueue_one", caller, queue) + piece) if known is None else known


def command_of_new(caller: Caller, queue: str, piece: bytes) -> bytes:
    """One job of a queue that is sent for the first time, for a server that knows the script."""
    return head_of_new(caller, queue) + piece


def head_of_new(caller: Caller, queue: str) -> bytes:
    """What goes before the piece of such a job."""
    return _head_of_one("enqueue_new", caller, queue)


def command_of_one(caller: Caller, queue: str, piece: bytes) -> bytes:
    """The same of one that may have been sent before."""
    return _head_of_one("enqueue_one", caller, queue) + piece


def load_of_one(caller: Caller, *, is_new: bool) -> bytes:
    """Makes one of the two scripts known to a server that has forgotten it."""
    return hiredis.pack_command((b"SCRIPT", b"LOAD", caller.script("enqueue_new" if is_new else "enqueue_one").text))


def note_of_repeat(caller: Caller) -> bytes:
    """Goes before a job that was sent already: should the first copy come after it, it is looked at with care."""
    return hiredis.pack_command((b"SET", caller.keys.named("resent"), b"1", b"PX", REPEATED_MS))


def _head_of_one(name: str, caller: Caller, queue: str) -> bytes:
    head = caller.heads.get((name, queue))
    if head is None:
        words = b"EVALSHA", caller.script(name).sha
        head = caller.heads[name, queue] = _head(words, _keys_of_one(name, caller, queue), 1)
    return head


def _whole(name: str, caller: Caller, queue: str) -> bytes:
    return _head((b"EVAL", caller.script(name).text), _keys_of_one(name, caller, queue), 1)


def _keys_of_one(name: str, caller: Caller, queue: str) -> tuple[bytes, ...]:
    if name == "enqueue_new":
        return *caller.keys.new, caller.keys.ready(queue), caller.keys.wake(queue)
    return _keys(caller, (queue,))


def command_of_many(
    caller: Caller, queues: Collection[str], pieces: Sequence[bytes], *, are_new: bool, whole: bool = False
) -> bytes:
    """Several jobs of these queues; `whole`: for a server that does not know the script.

    `are_new`: their ids were made for them, and never go another way than together.
    """
    script = caller.script("enqueue_plain")
    words = (b"EVAL", script.text) if whole else (b"EVALSHA", script.sha)
    own = b"$1\r\n1\r\n" if are_new else b"$1\r\n0\r\n"
    return _head(words, _keys(caller, queues), len(pieces), 1) + own + b"".join(pieces)


def _keys(caller: Caller, queues: Collection[str]) -> tuple[bytes, ...]:
    keys = caller.keys
    return *keys.plain, *(key for queue in queues for key in (keys.ready(queue), keys.wake(queue)))


def _head(how: tuple[bytes, bytes], keys: Sequence[bytes], jobs: int, more: int = 0) -> bytes:
    words = *how, b"%d" % len(keys), *keys
    return b"*%d\r\n" % (len(words) + more + _WORDS * jobs) + b"".join(
        b"$%d\r\n%b\r\n" % (len(word), word) for word in words
    )


def piece_of(frame: Frame) -> bytes:
    """A plain frame's own words."""
    job_id, queue, envelope = frame.job_id, frame.queue.encode("ascii"), frame.envelope
    return b"$%d\r\n%b\r\n$4\r\n%b\r\n$%d\r\n%b%c%b%b\r\n" % (
        *(len(job_id), job_id, _first(frame), 9 + len(queue) + len(envelope), bytes(8), len(queue), queue, envelope),
    )


def pieces_of(shape: Shape) -> Callable[[bytes], tuple[JobId, bytes]]:
    """What makes of arguments a job of this shape: its id, and its own words."""
    queue = shape.queue.encode("ascii")
    before, between, later, tail = shape.mould.around_own_time()
    unexpiring = bytes(8) + bytes((len(queue),)) + queue + before
    first = b"\r\n$4\r\n%b\r\n$" % _first(shape)
    rest = b"\r\n" + unexpiring
    size = len(unexpiring) + ID_BYTES + len(between) + len(later) + 6 + len(tail)
    tail += b"\r\n"

    def piece(payload: bytes) -> tuple[JobId, bytes]:
        job_id = new_id()
        return job_id, b"$16\r\n%b%b%d%b%b%b%b%b%b%b" % (
            *(job_id, first, size + len(payload), rest, job_id, between, payload, later, job_id[:6], tail),
        )

    return piece


def _first(of: Frame | Shape) -> bytes:
    return bytes((FRAME_VERSION, int(of.flags), of.priority, of.crash_budget))
