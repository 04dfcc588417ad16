"""Rows of the outbox become jobs. A row is deleted when its job is in the backend, and marked when it can never be.

The caller may die anywhere: a row that is pushed again is the same job, since the backend still knows its id.
"""

import logging
from collections.abc import Sequence
from typing import Final

from typedgator.backends.contract import Inspect, Receipt, ReceiptStatus
from typedgator.contrib.django.databases import outbox_databases
from typedgator.contrib.django.models import OutboxJob
from typedgator.contrib.django.rows import opened
from typedgator.errors import PayloadMismatch, UnknownDependency, Unsupported
from typedgator.events import JobEnqueued
from typedgator.gator import Gator
from typedgator.wire.envelope import decode_envelope
from typedgator.wire.frame import Frame, open_frame
from typedgator.wire.ids import caller_id, shown_id

__all__ = ["push"]

logger: Final = logging.getLogger("typedgator")


def push(gator: Gator, using: str, rows: Sequence[OutboxJob]) -> int:
    """Pushes rows of one database, in order, and deletes them. How many jobs it were.

    What can never be pushed is marked, and not deleted. Raises BackendUnavailable, or Django's database errors: then
    some may be pushed and not deleted, and pushing them again is safe.
    """
    ready: list[tuple[OutboxJob, Frame]] = []
    for row in rows:
        try:
            ready.append((row, opened(row, gator.clock.now_ms())))
        except PayloadMismatch as error:
            _mark(using, row, error)
    return _pushed(gator, using, ready)


def _pushed(gator: Gator, using: str, ready: Sequence[tuple[OutboxJob, Frame]]) -> int:
    if not ready:
        return 0
    try:
        receipts = gator.backend.enqueue([frame for _, frame in ready])
    except (UnknownDependency, Unsupported) as error:
        if len(ready) > 1:
            return sum(_pushed(gator, using, [one]) for one in ready)
        row, frame = ready[0]
        if isinstance(error, UnknownDependency) and _is_on_its_way(error.parent):
            return 0  # later
        try:
            receipts = gator.backend.enqueue([frame])  # perhaps its parent has just left the outbox
        except (UnknownDependency, Unsupported) as final:
            _mark(using, row, final)
            return 0
    accepted = [
        (row, frame, receipt)
        for (row, frame), receipt in zip(ready, receipts, strict=True)
        if not _is_taken(gator, using, row, frame, receipt)
    ]
    OutboxJob.objects.using(using).filter(pk__in=[row.pk for row, _, _ in accepted]).delete()
    if gator.events.wants(JobEnqueued):
        for row, frame, receipt in accepted:
            is_duplicate = receipt.status is ReceiptStatus.DUPLICATE
            gator.events.tell(JobEnqueued(shown_id(receipt.job_id), row.task, frame.queue, is_duplicate))
    return len(accepted)


def _is_on_its_way(job_id: str) -> bool:
    """Whether a job waits in any outbox: that of its child may be another database's."""
    return any(
        OutboxJob.objects.using(alias).filter(job_id=job_id, refused="").exists() for alias in outbox_databases()
    )


def _is_taken(gator: Gator, using: str, row: OutboxJob, frame: Frame, receipt: Receipt) -> bool:
    """Marks a row whose `job_id=` is a job of another task already: silence would lose the call."""
    is_known = receipt.status is ReceiptStatus.DUPLICATE and receipt.job_id == frame.job_id
    backend = gator.backend
    if not is_known or not caller_id(frame.job_id) or not isinstance(backend, Inspect) or not backend.can.inspect:
        return False
    record = backend.find(frame.job_id)
    if record is None or record.frame is None:
        return False
    try:
        holder = decode_envelope(open_frame(record.frame).envelope).task
    except PayloadMismatch:  # of another release: nothing is known against it
        return False
    task = gator.registry.find(row.task)
    if holder in (row.task, *(() if task is None else task.spec.aliases)):
        return False
    _mark(using, row, f"job_id {row.job_id!r} is a job of {holder}, so {row.task} cannot have it")
    return True


def _mark(using: str, row: OutboxJob, why: object) -> None:
    logger.error("job %s of %s cannot leave the outbox: %s", row.job_id, row.task, why, extra={"job": row.job_id})
    OutboxJob.objects.using(using).filter(pk=row.pk).update(refused=str(why).replace("\0", "\\0") or type(why).__name__)
