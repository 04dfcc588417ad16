"""Verdicts: what an attempt ended as, and the settlement that tells the backend so.

A closed union: whoever matches on it ends in `assert_never`. Durations in ms, counted on the backend's clock.
"""

from typing import ClassVar, Final, TypeAlias

import msgspec

from typedgator.wire.ids import JobId
from typedgator.wire.quiet import quiet_repr

__all__ = [
    "HELD_MS",
    "KEPT_FAILURE_MS",
    "KEPT_ID_MS",
    "KEPT_RESULT_MS",
    "Canceled",
    "Failed",
    "Held",
    "Released",
    "RetryIn",
    "Settlement",
    "Snoozed",
    "Succeeded",
    "Token",
    "Verdict",
]

Token: TypeAlias = int
"""A fencing token: one for each attempt, greater than every token granted before in its namespace; below 2**53."""

KEPT_ID_MS: Final = 60_000
"""A finished job's id is known at least this long."""
KEPT_RESULT_MS: Final = 600_000
"""Results and errors are kept this long unless said otherwise."""
HELD_MS: Final = 24 * 3_600_000
"""A job is held this long unless said otherwise."""
KEPT_FAILURE_MS: Final = 7 * 24 * 3_600_000
"""Dead letters are kept this long, and at most 10,000 of them."""


class Succeeded(msgspec.Struct, frozen=True, gc=False):
    """The task returned. `outcome` is an encoded outcome record, None when the result is None or not wanted.

    The end is remembered for `keep_ms` (at least `KEPT_ID_MS`).
    """

    kind: ClassVar[str] = "succeeded"
    outcome: bytes | None = None
    keep_ms: int = KEPT_ID_MS

    __repr__ = quiet_repr


class Failed(msgspec.Struct, frozen=True, gc=False):
    """It failed for good: kept as a dead letter with its reason, an encoded outcome record."""

    kind: ClassVar[str] = "failed"
    outcome: bytes


class RetryIn(msgspec.Struct, frozen=True, gc=False):
    """It failed and is due again after `delay_ms`; the attempt is spent.

    `outcome` is the error's record, shown meanwhile.
    """

    kind: ClassVar[str] = "retry"
    delay_ms: int
    outcome: bytes | None = None


class Snoozed(msgspec.Struct, frozen=True, gc=False):
    """The task asked to be run again after `delay_ms`; the attempt is given back."""

    kind: ClassVar[str] = "snoozed"
    delay_ms: int


class Released(msgspec.Struct, frozen=True, gc=False):
    """A live worker gives the job back unfinished (it stops, or never started it); the attempt is given back."""

    kind: ClassVar[str] = "released"


class Canceled(msgspec.Struct, frozen=True, gc=False):
    """It stopped because it was asked to, or because the task said so. `reason` is at most 200 characters."""

    kind: ClassVar[str] = "canceled"
    reason: str = "canceled"


class Held(msgspec.Struct, frozen=True, gc=False):
    """This worker cannot run it: task unknown or arguments of another release.

    Kept for a worker that can; the attempt is given back. After `bound_ms` in all it fails with `reason`.

    `task` and `schema` (a fingerprint) say what a fitting worker must know.
    """

    kind: ClassVar[str] = "held"
    reason: str
    task: str
    schema: str
    bound_ms: int = HELD_MS


Verdict: TypeAlias = Succeeded | Failed | RetryIn | Snoozed | Released | Canceled | Held


class Settlement(msgspec.Struct, frozen=True, gc=False):
    """A lease and how it ended. Two settlements are the same when job, token and kind of verdict are."""

    job_id: JobId
    token: Token
    verdict: Verdict
