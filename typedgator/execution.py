"""One attempt, from a claimed frame to a settlement: opened, called, closed. Nothing here waits, stores or retries.

open_attempt   frame -> envelope -> task and arguments (`fitting`); or at once a settlement: held for a release that can
               run it, or failed or canceled with its reason
call / acall   the only `try` around a task's code; whatever it does becomes an Ending
close_attempt  Ending -> Verdict by the job's own policy; a result that cannot be stored is a failure, not a re-run

Neither opening nor closing ever raises: a claimed job that is not settled would stay with its worker for ever.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Final, assert_never, cast

from typedgator.attempt import Attempt, Ending, Raised, Returned, Stopped
from typedgator.backends.contract import Claimed
from typedgator.context import running
from typedgator.errors import PayloadMismatch, TimeLimitExceeded
from typedgator.fitting import Misfit, fitted
from typedgator.middleware import Middleware
from typedgator.outcomes import error_outcome, result_outcome, storable
from typedgator.policy.control import Cancel, Snooze
from typedgator.policy.retry import retry_delay_ms
from typedgator.registry import Registry
from typedgator.wire.envelope import decode_envelope
from typedgator.wire.frame import open_frame
from typedgator.wire.verdict import (
    HELD_MS,
    KEPT_ID_MS,
    KEPT_RESULT_MS,
    Canceled,
    Failed,
    Held,
    Released,
    RetryIn,
    Settlement,
    Snoozed,
    Succeeded,
    Verdict,
)

__all__ = ["acall", "call", "close_attempt", "open_attempt", "stored_task"]

_chance: Final = random.SystemRandom()
"""Not the one that a user's program seeds, and a test watches."""

MAX_REASON: Final = 500
"""So many characters of why a job is held are kept."""


def open_attempt(
    claimed: Claimed,
    registry: Registry,
    note: Callable[[int, bytes], bool] | None = None,
    *,
    hold_ms: int = HELD_MS,
    upgrade_late: bool = False,
) -> Attempt | Settlement:
    """Makes a claimed frame callable, or settles it at once: nothing that a job's bytes say can hurt the worker.

    A job that this worker cannot run is held for `hold_ms` at most. `upgrade_late`: see `Attempt`; no upgrade is run.
    """
    task = ""
    try:
        head = open_frame(claimed.frame)
        envelope = decode_envelope(head.envelope)
        task = envelope.task
        opened = fitted(claimed, head, envelope, registry, note, upgrade_late=upgrade_late)
    except Exception as error:  # PayloadMismatch; and whatever a user's validator raises in there
        return Settlement(claimed.job_id, claimed.token, Failed(error_outcome(claimed, task, error)))
    if isinstance(opened, Misfit):
        held = Held(storable(opened.reason)[:MAX_REASON], envelope.task, envelope.schema, hold_ms)
        return Settlement(claimed.job_id, claimed.token, held)
    return opened


def stored_task(claimed: Claimed) -> str:
    """The name that a frame says its task has; "" when it cannot be read."""
    try:
        return decode_envelope(open_frame(claimed.frame).envelope).task
    except PayloadMismatch:
        return ""


def call(attempt: Attempt, middleware: tuple[Middleware, ...] = ()) -> Ending:
    """Runs a sync task in this thread. Never raises."""
    try:
        with running(attempt.job):
            if not middleware:
                return Returned(attempt.task.fn(*attempt.args, **attempt.kwargs))
            return Returned(_inside(attempt, middleware, lambda: attempt.task.fn(*attempt.args, **attempt.kwargs)))
    except BaseException as error:  # user code may raise anything, SystemExit and KeyboardInterrupt included
        return Raised(error)


async def acall(attempt: Attempt, middleware: tuple[Middleware, ...] = ()) -> Ending:
    """Runs an async task on this loop. Raises CancelledError when it was cancelled, by whomever, else nothing."""
    limit_ms = attempt.policy.time_limit_ms
    deadline = None if limit_ms is None else asyncio.timeout(limit_ms / 1000)
    try:
        with running(attempt.job):
            if deadline is not None:
                async with deadline:
                    return Returned(await _ainside(attempt, middleware))
            return Returned(await (_ainside(attempt, middleware) if middleware else _coroutine(attempt)))
    except TimeoutError as error:
        if limit_ms is not None and deadline is not None and deadline.expired():
            return Raised(
                TimeLimitExceeded(f"{attempt.envelope.task} ran longer than its time_limit of {limit_ms / 1000:g} s")
            )
        return Raised(error)
    except asyncio.CancelledError:
        raise  # only the caller knows whether it was the one who asked
    except BaseException as error:  # as in call
        return Raised(error)


def close_attempt(attempt: Attempt, ending: Ending) -> Settlement:
    """What an attempt ended as, by the policy that the job was promised."""
    claimed = attempt.claimed
    try:
        verdict = _verdict(attempt, ending)
    except Exception as error:  # a user's exception may be anything, such as a Snooze without a delay
        verdict = Failed(error_outcome(claimed, attempt.envelope.task, error))
    return Settlement(claimed.job_id, claimed.token, verdict)


def _verdict(attempt: Attempt, ending: Ending) -> Verdict:
    match ending:
        case Returned(value):
            return _succeeded(attempt, value)
        case Raised(Snooze() as signal):
            return Snoozed(signal.delay_ms)
        case Raised(Cancel() as signal):
            return Canceled(storable(signal.reason))
        case Raised(error):
            failures = attempt.claimed.attempt - attempt.claimed.crashes
            outcome = error_outcome(attempt.claimed, attempt.envelope.task, error, attempt.job.started_at_ms)
            delay_ms = retry_delay_ms(attempt.policy, error, failures, _chance.random())
            return Failed(outcome) if delay_ms is None else RetryIn(delay_ms, outcome)
        case Stopped(canceled):
            return Canceled() if canceled else Released()
        case _:
            assert_never(ending)


def _succeeded(attempt: Attempt, value: object) -> Verdict:
    spec, keep_ms = attempt.task.spec, attempt.policy.keep_result_ms
    if spec.returns_nothing and value is None:
        return _SUCCEEDED if keep_ms is None else Succeeded(None, max(keep_ms, KEPT_ID_MS))
    try:
        payload = spec.results.encode(value)
    except PayloadMismatch as error:  # it ran, so running it again would be wrong
        return Failed(error_outcome(attempt.claimed, spec.name, error, attempt.job.started_at_ms))
    if keep_ms is not None and keep_ms < 0:
        return _SUCCEEDED
    return Succeeded(
        result_outcome(attempt, spec, payload), KEPT_RESULT_MS if keep_ms is None else max(keep_ms, KEPT_ID_MS)
    )


_SUCCEEDED: Final = Succeeded()


def _coroutine(attempt: Attempt) -> Coroutine[object, None, object]:
    return cast("Coroutine[object, None, object]", attempt.task.fn(*attempt.args, **attempt.kwargs))


def _inside(attempt: Attempt, layers: tuple[Middleware, ...], fn: Callable[[], object]) -> object:
    if not layers:
        return fn()
    with layers[0].call(attempt.envelope):
        return _inside(attempt, layers[1:], fn)


async def _ainside(attempt: Attempt, layers: tuple[Middleware, ...]) -> object:
    if not layers:
        return await _coroutine(attempt)
    async with layers[0].acall(attempt.envelope):
        return await _ainside(attempt, layers[1:])
