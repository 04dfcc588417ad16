"""The outcome record: what a finished attempt left behind, as one msgpack map.

Fields: v kind result|error task attempt token schema secret started_at.
"""

from typing import Final, Literal

import msgspec

from typedgator.errors import PayloadMismatch

__all__ = [
    "MAX_RESULT_BYTES",
    "MAX_TRACEBACK_BYTES",
    "OUTCOME_VERSION",
    "ErrorRecord",
    "Outcome",
    "decode_outcome",
    "encode_outcome",
]

OUTCOME_VERSION: Final = 1
MAX_RESULT_BYTES: Final = 1 << 20
MAX_TRACEBACK_BYTES: Final = 4096


class ErrorRecord(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """An error as it is stored: the class's name, its text, its traceback without locals, each at most 4 KiB."""

    type: str
    message: str = ""
    traceback: str = ""


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A result or an error. `result` is encoded by the task's result schema, whose fingerprint is `schema`; `secret`:
    nobody may be shown it. `started_at` is the worker's claim of when the attempt started, ms since
    the epoch; 0: not known.
    """

    v: int = OUTCOME_VERSION
    kind: Literal["result", "error"]
    result: msgspec.Raw = msgspec.Raw()
    error: ErrorRecord | None = None
    task: str = ""
    attempt: int = 0
    token: int = 0
    schema: str = ""
    secret: bool = False
    started_at: int = 0


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Outcome)


def encode_outcome(outcome: Outcome) -> bytes:
    """The bytes that are stored."""
    return _encoder.encode(outcome)


def decode_outcome(stored: bytes) -> Outcome:
    """Reads stored bytes back; the result stays encoded. Raises PayloadMismatch, and nothing else."""
    try:
        outcome = _decoder.decode(stored)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PayloadMismatch(f"an outcome of {len(stored)} bytes cannot be read: {error}") from error
    if outcome.v != OUTCOME_VERSION:
        raise PayloadMismatch(f"an outcome of version {outcome.v} was written by a newer release")
    return outcome
