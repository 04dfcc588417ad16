"""What is stored of how an attempt ended: a result, or an error in bounded words, whatever a user's error does."""

import traceback
from pathlib import Path
from typing import Final

import msgspec

from typedgator.attempt import Attempt
from typedgator.backends.contract import Claimed
from typedgator.errors import PayloadMismatch
from typedgator.policy.retry import class_name
from typedgator.producer import TaskSpec
from typedgator.wire.outcome import MAX_TRACEBACK_BYTES, ErrorRecord, Outcome, encode_outcome
from typedgator.wire.verdict import Failed, Settlement

__all__ = ["error_outcome", "result_outcome", "storable", "text_of", "unwritable"]

_TEXT_LIMIT: Final = MAX_TRACEBACK_BYTES
_FRAMES: Final = 40
"""The last frames of a traceback, more than fit into its bytes: a RecursionError has a thousand."""
_CALLER: Final = str(Path(__file__).with_name("execution.py"))
"""Who calls a task stands first in its traceback, and is left out."""


def result_outcome(attempt: Attempt, spec: TaskSpec, payload: bytes) -> bytes:
    """What a task returned, encoded."""
    return encode_outcome(
        Outcome(
            kind="result",
            result=msgspec.Raw(payload),
            task=spec.name,
            attempt=attempt.claimed.attempt,
            token=attempt.claimed.token,
            schema=spec.results.fingerprint,
            secret=spec.results.is_secret,
            started_at=attempt.job.started_at_ms,
        )
    )


def error_outcome(claimed: Claimed, task: str, error: BaseException, started_at: int = 0) -> bytes:
    """What a task, or the opening of its job, raised."""
    record = ErrorRecord(
        type=storable(class_name(type(error)).removeprefix("builtins.")),
        message=text_of(error),
        traceback=_traceback_of(error),
    )
    return encode_outcome(
        Outcome(
            kind="error",
            error=record,
            task=task,
            attempt=claimed.attempt,
            token=claimed.token,
            started_at=started_at,
        )
    )


def text_of(error: BaseException) -> str:
    """Its own words, or that it has none."""
    try:
        return storable(str(error))
    except BaseException:  # a user's __str__
        return "(its __str__ failed)"


def _traceback_of(error: BaseException) -> str:
    if isinstance(error, PayloadMismatch):
        return ""
    frames = traceback.extract_tb(error.__traceback__, limit=-_FRAMES)
    own = next((n for n, frame in enumerate(frames) if frame.filename != _CALLER), 0)
    return storable("".join(traceback.format_list(frames[own:])), keep_end=True)


def storable(text: str, *, keep_end: bool = False) -> str:
    """At most 4 KiB of UTF-8, whatever a user's error says."""
    raw = str.encode(text, "utf-8", "replace")
    if len(raw) > _TEXT_LIMIT:
        raw = raw[-_TEXT_LIMIT:] if keep_end else raw[:_TEXT_LIMIT]
    return raw.decode("utf-8", "ignore")


def unwritable(settlement: Settlement, error: Exception) -> Settlement:
    """What is written instead of a settlement that the backend cannot write: it ran, so it is not run again."""
    text = storable(f"what it ended as ({settlement.verdict.kind}) could not be written: {text_of(error)}")
    record = ErrorRecord(type=storable(class_name(type(error))), message=text)
    outcome = Outcome(kind="error", error=record, token=settlement.token)
    return Settlement(settlement.job_id, settlement.token, Failed(encode_outcome(outcome)))
