"""A job as an SQS message: the frame in the body, in base64; what changes between attempts in message attributes.

A message cannot be changed, only sent again. So `spent` and `crashes` are those of before this message was sent, and
each time that it is received but the first, somebody who had it fell silent: a crash.
"""

import binascii
import re
from base64 import b64decode, b64encode
from typing import Final

import msgspec

from typedgator.backends.sqs.shapes import Message, MessageAttribute, SendEntry
from typedgator.errors import PayloadMismatch
from typedgator.wire.ids import JobId, parse_id, shown_id

__all__ = ["MOST_BYTES", "Parcel", "Postage", "arrived", "packed", "size_of", "stray", "unpacked"]

MOST_BYTES: Final = 262_144
"""One call, and so one message, with names, types and values of its attributes."""
MOST_ATTRIBUTES: Final = 10
LONGEST_DELAY_S: Final = 900
_NUMBERS: Final = ("spent", "crashes", "rest_ms", "held_ms")
_NUMBER: Final = re.compile("[0-9]{1,15}")
_UNSENDABLE: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What SQS refuses in a text: in a body as in an attribute."""
MOST_TEXT: Final = 1024


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """One job with what is known of it. `rest_ms`: what of its delay is left once this message can be received;
    `held_ms`: how long it was held so far; `reason` and `outcome`: why it failed."""

    job_id: JobId
    frame: bytes
    spent: int = 0
    crashes: int = 0
    rest_ms: int = 0
    held_ms: int = 0
    reason: str = ""
    outcome: bytes = b""


class Postage(msgspec.Struct, frozen=True):
    """How a message came: how often, and how late after the delay that it was sent with."""

    times: int
    late_ms: int


def packed(parcel: Parcel, delay_ms: int = 0) -> SendEntry:
    """What to send, its place in a batch open; a delay that is longer than SQS keeps is split, the rest goes along."""
    delay_s = -(-delay_ms // 1000)
    at_once = min(delay_s, LONGEST_DELAY_S)
    parcel = msgspec.structs.replace(parcel, rest_ms=(delay_s - at_once) * 1000)
    attributes: dict[str, MessageAttribute] = {"job_id": _text(shown_id(parcel.job_id))}
    attributes |= {name: _number(getattr(parcel, name)) for name in _NUMBERS if getattr(parcel, name)}
    if parcel.reason:
        attributes["reason"] = _text(parcel.reason)
    if parcel.outcome:
        attributes["outcome"] = {"DataType": "Binary", "BinaryValue": parcel.outcome}
    return {
        "Id": "",
        "MessageBody": b64encode(parcel.frame).decode("ascii"),
        "DelaySeconds": at_once,
        "MessageAttributes": attributes,
    }


def stray(message: Message, reason: str) -> SendEntry:
    """The entry by which a message that is no job goes to the failed ones: as it came, and why if it has room."""
    attributes = message.get("MessageAttributes", {})
    entry: SendEntry = {"Id": "", "MessageBody": message["Body"], "DelaySeconds": 0, "MessageAttributes": attributes}
    reasoned: SendEntry = {**entry, "MessageAttributes": attributes | {"reason": _text(reason)}}
    return reasoned if len(attributes) < MOST_ATTRIBUTES and size_of(reasoned) <= MOST_BYTES else entry


def size_of(entry: SendEntry) -> int:
    """What SQS counts of a message."""
    counted = len(entry["MessageBody"].encode())
    for name, value in entry["MessageAttributes"].items():
        text, data = value.get("StringValue", ""), value.get("BinaryValue", b"")
        counted += len(name) + len(value["DataType"]) + len(text.encode()) + len(data)
    return counted


def unpacked(message: Message) -> Parcel:
    """The job in a message. Raises PayloadMismatch when it is none of ours."""
    attributes = message.get("MessageAttributes", {})
    try:
        numbers = {name: _count(attributes[name].get("StringValue", "")) for name in _NUMBERS if name in attributes}
        job_id = parse_id(attributes["job_id"].get("StringValue", ""))
        frame = b64decode(message["Body"], validate=True)
    except (KeyError, ValueError, binascii.Error) as error:
        raise PayloadMismatch(f"message {message['MessageId']} is no job of typedgator: {error!r:.200}") from error
    if "reason" in attributes:  # it was failed, and somebody moved it back: it begins anew
        return Parcel(job_id=job_id, frame=frame)
    return Parcel(
        job_id=job_id,
        frame=frame,
        spent=numbers.get("spent", 0),
        crashes=numbers.get("crashes", 0),
        rest_ms=numbers.get("rest_ms", 0),
        held_ms=numbers.get("held_ms", 0),
    )


def arrived(message: Message) -> Postage:
    """How a message came."""
    said = message.get("Attributes", {})
    sent, first = int(said.get("SentTimestamp", 0)), int(said.get("ApproximateFirstReceiveTimestamp", 0))
    return Postage(
        times=max(1, int(said.get("ApproximateReceiveCount", 1))), late_ms=max(0, first - sent - LONGEST_DELAY_S * 1000)
    )


def _text(text: str) -> MessageAttribute:
    return {"DataType": "String", "StringValue": _UNSENDABLE.sub("\ufffd", text)[:MOST_TEXT]}


def _number(number: int) -> MessageAttribute:
    return {"DataType": "Number", "StringValue": str(number)}


def _count(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text:.50} is no count")
    return int(text)
