"""What was received, sorted: jobs to run, jobs whose time has not come, jobs that are over, and what is no job."""

from collections.abc import Callable, Sequence

import msgspec

from typedgator.backends.sqs.crew import Delivery
from typedgator.backends.sqs.parcel import arrived, packed, stray, unpacked
from typedgator.backends.sqs.settling import fail
from typedgator.backends.sqs.shapes import Message, SendEntry
from typedgator.errors import PayloadMismatch
from typedgator.wire.frame import open_frame
from typedgator.wire.ids import JobId

__all__ = ["Sorted", "sort"]


class Sorted(msgspec.Struct, frozen=True):
    """`failed` and `later` are sent, to the failed jobs and to the same queue; the handles in `over` are deleted."""

    ready: list[Delivery]
    failed: list[SendEntry]
    later: list[SendEntry]
    over: list[str]


def sort(url: str, messages: Sequence[Message], is_done: Callable[[JobId], bool]) -> Sorted:
    """Each message in its place. `is_done` knows jobs that have ended: a copy of one is deleted."""
    mail = Sorted([], [], [], [])
    for message in messages:
        _sort(url, message, mail, is_done)
    return mail


def _sort(url: str, message: Message, mail: Sorted, is_done: Callable[[JobId], bool]) -> None:
    handle, postage = message["ReceiptHandle"], arrived(message)
    try:
        parcel = unpacked(message)
        budget = open_frame(parcel.frame).crash_budget
    except PayloadMismatch as error:
        mail.failed.append(stray(message, str(error)))
        mail.over.append(handle)
        return
    if is_done(parcel.job_id):
        mail.over.append(handle)
        return
    if parcel.rest_ms > postage.late_ms:
        mail.later.append(packed(parcel, parcel.rest_ms - postage.late_ms))
        mail.over.append(handle)
        return
    attempt, crashes = parcel.spent + postage.times, parcel.crashes + postage.times - 1
    known = msgspec.structs.replace(parcel, spent=attempt - 1, crashes=crashes, rest_ms=0)
    if crashes > budget:
        mail.failed.append(fail(known, "crashed"))
        mail.over.append(handle)
        return
    mail.ready.append(Delivery(url, message["MessageId"], handle, known, attempt, crashes))
