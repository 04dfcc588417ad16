"""What was received, sorted: jobs to run, jobs whose time has not come, jobs that are over, and what is no job."""

from collections.abc import Callable, Sequence

import msgspec

from typedgator.backends.sqs.crew import Delivery
from typedgator.backends.sqs.parcel import arrived, packed, stray, unpacked
from typedgator.backends.sqs.settling import Post, fail
from typedgator.backends.sqs.shapes import Message
from typedgator.errors import PayloadMismatch
from typedgator.wire.frame import open_frame
from typedgator.wire.ids import JobId

__all__ = ["Sorted", "sort"]


class Sorted(msgspec.Struct, frozen=True):
    """What is `ready`, what is sent `on`, to the failed jobs or to its own queue, and the handles of what is `over`."""

    ready: list[Delivery]
    on: list[Post]
    over: list[str]


def sort(url: str, failed_url: str, messages: Sequence[Message], is_done: Callable[[JobId], bool]) -> Sorted:
    """Each message in its place. `is_done` knows jobs that have ended: a copy of one is deleted."""
    mail = Sorted([], [], [])
    for message in messages:
        _sort(url, failed_url, message, mail, is_done)
    return mail


def _sort(url: str, failed_url: str, message: Message, mail: Sorted, is_done: Callable[[JobId], bool]) -> None:
    handle, postage = message["ReceiptHandle"], arrived(message)
    try:
        parcel = unpacked(message)
        budget = open_frame(parcel.frame).crash_budget
    except PayloadMismatch as error:
        mail.on.append(Post(failed_url, stray(message, str(error)), url, handle))
        return
    if is_done(parcel.job_id):
        mail.over.append(handle)
        return
    if parcel.rest_ms > postage.late_ms:
        mail.on.append(Post(url, packed(parcel, parcel.rest_ms - postage.late_ms), url, handle))
        return
    attempt, crashes = parcel.spent + postage.times, parcel.crashes + postage.times - 1
    known = msgspec.structs.replace(parcel, spent=attempt - 1, crashes=crashes, rest_ms=0)
    if crashes > budget:
        mail.on.append(Post(failed_url, fail(known, "crashed"), url, handle))
        return
    mail.ready.append(Delivery(url, message["MessageId"], handle, known, attempt, crashes))
