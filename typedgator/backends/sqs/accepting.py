"""Enqueueing: what SQS cannot keep is refused, all of it before anything is sent; then batches, queue by queue."""

from collections.abc import Sequence
from typing import Final

from typedgator.backends.contract import Capabilities, Receipt, ReceiptStatus
from typedgator.backends.sqs.crew import Finished
from typedgator.backends.sqs.line import Line
from typedgator.backends.sqs.parcel import LONGEST_DELAY_S, MOST_BYTES, Parcel, packed
from typedgator.backends.sqs.shapes import SendEntry
from typedgator.clock import Clock
from typedgator.errors import BackendUnavailable, Unsupported
from typedgator.wire.frame import Frame, pack_frame
from typedgator.wire.ids import JobId, caller_id, shown_id

__all__ = ["CAN", "accept"]

MOST_FRAME_BYTES: Final = (MOST_BYTES - 8192) // 4 * 3
"""In base64, and with room for what a job may grow by: the counts of its attempts, and its last error."""
CAN: Final = Capabilities(
    durable=True,
    shared=True,
    max_delay_ms=LONGEST_DELAY_S * 1000,
    max_frame_bytes=MOST_FRAME_BYTES,
    memory=False,
    order=False,
    upkeep=False,
    priorities=False,
    unique=False,
    dependencies=False,
    expiry=False,
    caller_ids=False,
    cancel=False,
    results=False,
    inspect=False,
    operate=False,
    holding=False,
    notes=False,
    wake=True,
)


def accept(line: Line, frames: Sequence[Frame], clock: Clock, sent: Finished) -> list[Receipt]:
    """Sends all of the frames but those that `sent` knows, from a call that was interrupted.

    Raises Unsupported with nothing sent, or BackendUnavailable: `kept` were sent, others may have been.
    """
    by_queue: dict[str, list[tuple[JobId, SendEntry]]] = {}
    entries = [_entry(frame, clock) for frame in frames]
    receipts: list[Receipt] = []
    for frame, entry in zip(frames, entries, strict=True):
        known = sent.find(frame.job_id) is not None
        receipts.append(Receipt(ReceiptStatus.DUPLICATE if known else ReceiptStatus.NEW, frame.job_id))
        if not known:
            by_queue.setdefault(frame.queue, []).append((frame.job_id, entry))
    urls = {queue: line.url_of(queue) for queue in by_queue}
    kept: set[JobId] = set()
    try:
        for queue, posts in by_queue.items():
            _send(line, queue, urls[queue], posts, kept)
    except BackendUnavailable as error:
        for job_id in kept:
            sent.add(job_id)
        error.kept = tuple(shown_id(frame.job_id) for frame in frames if sent.find(frame.job_id) is not None)
        raise
    return receipts


def _send(line: Line, queue: str, url: str, posts: Sequence[tuple[JobId, SendEntry]], kept: set[JobId]) -> None:
    refused = line.send(url, [entry for _, entry in posts], lambda place: kept.add(posts[place][0]))
    if refused:
        raise BackendUnavailable(
            f"SQS did not take {len(refused)} of {len(posts)} jobs for queue {queue}, and took the others: "
            f"{refused[0].why}"
        )


def _entry(frame: Frame, clock: Clock) -> SendEntry:
    asked = {
        "a priority": frame.priority != 100,
        "a unique key": frame.unique is not None,
        "a dependency": bool(frame.parents),
        "an expiry": frame.expires_in_ms is not None,
        "a job_id of the caller's": caller_id(frame.job_id),
    }
    for what, refused in asked.items():
        if refused:
            raise Unsupported(f"SQS cannot keep {what}: leave it out, or use redis:// or sqlite:// for this task")
    if frame.delay_ms > LONGEST_DELAY_S * 1000:
        raise Unsupported(
            f"SQS delays a job by 15 minutes at most, {frame.delay_ms / 60_000:.0f} asked: let the task Snooze "
            "until it is time, or use redis:// or sqlite://. Nothing was enqueued."
        )
    stored = pack_frame(frame, clock.now_ms())
    if len(stored) > MOST_FRAME_BYTES:
        raise Unsupported(
            f"job {shown_id(frame.job_id)} has {len(stored)} bytes, and SQS takes {MOST_FRAME_BYTES}: put the large "
            "part where the worker can fetch it (S3, a database) and pass its key. Nothing was enqueued."
        )
    return packed(Parcel(job_id=frame.job_id, frame=stored), frame.delay_ms)
