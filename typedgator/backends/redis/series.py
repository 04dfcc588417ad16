"""A series: what its jobs share is sent once a write, and each of them is an id and its arguments."""

from collections.abc import Generator, Iterator
from typing import cast

from typedgator.backends.contract import ATOMIC_BATCH
from typedgator.backends.redis.caller import Caller
from typedgator.backends.redis.request import Request, Word
from typedgator.errors import NotReplicated
from typedgator.wire.frame import Frame, pack_frame
from typedgator.wire.ids import JobId, shown_id
from typedgator.wire.mould import Series

__all__ = ["Writes", "accept_series"]


def accept_series(caller: Caller, series: Series) -> Generator[list[int]]:
    """A write for each ATOMIC_BATCH of them: the places of those that were known. Raises NotReplicated of one write."""
    caller.tell_the_time()
    start, writes = 0, Writes(caller, series)
    try:
        for answer in caller.link.run_each(writes.in_turn()):
            # Refused because the one before is not known any more, and that was accepted: here nothing must be known.
            known = cast("list[int]", caller.link.run(writes.of(start, b"")) if answer == 0 else answer)
            yield [start + number - 1 for number in known]
            start += ATOMIC_BATCH
    except NotReplicated as error:
        raise error.about([shown_id(job_id) for job_id in series.ids[start : start + ATOMIC_BATCH]]) from None


class Writes:
    """The requests that a series is made of."""

    def __init__(self, caller: Caller, series: Series) -> None:
        self._series, self._confirm = series, caller.confirm
        self._script, self._keys = caller.script("enqueue_series"), caller.plain_keys(series.queue)
        bare = Frame(
            job_id=JobId(b""),
            queue=series.queue,
            envelope=b"",
            priority=series.priority,
            crash_budget=series.crash_budget,
            flags=series.flags,
        )
        stored = pack_frame(bare, 0)
        self._shared = series.queue, stored[:4], stored[12:] + series.before, series.between, series.after

    def in_turn(self) -> Iterator[Request]:
        """Each does nothing unless the last job of the one before is known."""
        ids = self._series.ids
        for start in range(0, len(ids), ATOMIC_BATCH):
            yield self.of(start, ids[start - 1] if start else b"")

    def of(self, start: int, after: bytes) -> Request:
        """The one that begins at this place, for when that job is known; always, when none is named."""
        some = slice(start, start + ATOMIC_BATCH)
        joined = b"".join(self._series.ids[some])

        def asking(own: bytes, repeat: Request | None = None) -> Request:
            words: tuple[Word, ...] = *self._shared, after, own, joined, *self._series.payloads[some]
            return Request(self._script, self._keys, words, confirm=self._confirm, repeat=repeat)

        with_care = asking(b"0")
        # Without a forerunner it may come late: behind a first copy, when that job is known no more.
        is_first = self._series.is_new and bool(after or not start)
        return asking(b"1", with_care) if is_first else with_care
