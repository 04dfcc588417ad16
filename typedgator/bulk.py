"""Many calls of one task, in series: the quickest way into a backend that joins such jobs itself.

It is taken for plain jobs alone, when nobody wants to see each of them on its way; the producer decides.
"""

from collections.abc import Callable, Sequence

from typedgator.backends.contract import ATOMIC_BATCH, Backend, InSeries
from typedgator.errors import BackendUnavailable, BatchIncomplete
from typedgator.job import Job, ResultReader
from typedgator.wire.frame import Frame
from typedgator.wire.ids import shown_id
from typedgator.wire.mould import Series

__all__ = ["send_series"]


def send_series(
    backend: Backend,
    facet: InSeries,
    series: Series,
    read: ResultReader[object],
    again: Callable[[Sequence[Frame]], Sequence[str]],
) -> list[Job[object]]:
    """The handles, in order. Raises BatchIncomplete when a write was interrupted; `again` sends its rest as frames."""
    ids, jobs = series.ids, list[Job[object]]()
    try:
        for _ in facet.enqueue_series(series):
            # The ids were made for this call: those that were known were written by it, and a line broke behind it.
            jobs += [Job(backend, job_id, read) for job_id in ids[len(jobs) : len(jobs) + ATOMIC_BATCH]]
    except BackendUnavailable as error:
        rest = series.frames(len(jobs))
        names = [shown_id(frame.job_id) for frame in rest]
        raise BatchIncomplete([job.id for job in jobs], names, lambda: again(rest)) from error
    return jobs
