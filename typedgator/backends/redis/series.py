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

__all__ = ["accept_series"]


def accept_series(caller: Caller, series: Series) -> Generator[list[int]]:
    """A write for each ATOMIC_BATCH of them: the places of those that were known. Raises NotReplicated of one write."""
    caller.tell_the_time()
    start = 0
    try:
        for known in caller.link.run_each(_requests(caller, series)):
            yield [start + number - 1 for number in cast("list[int]", known)]
            start += ATOMIC_BATCH
    except NotReplicated as error:
        raise error.about([shown_id(job_id) for job_id in series.ids[start : start + ATOMIC_BATCH]]) from None


def _requests(caller: Caller, series: Series) -> Iterator[Request]:
    script, keys = caller.script("enqueue_series"), caller.plain_keys(series.queue)
    bare = Frame(
        job_id=JobId(b""),
        queue=series.queue,
        envelope=b"",
        priority=series.priority,
        crash_budget=series.crash_budget,
        flags=series.flags,
    )
    stored = pack_frame(bare, 0)
    shared = series.queue, stored[:4], stored[12:] + series.before, series.between, series.after
    for start in range(0, len(series.ids), ATOMIC_BATCH):
        ids = series.ids[start : start + ATOMIC_BATCH]
        words: list[Word] = [b""] * (2 * len(ids))
        words[::2], words[1::2] = ids, series.payloads[start : start + ATOMIC_BATCH]
        yield Request(script, keys, (*shared, *words), confirm=caller.confirm)
