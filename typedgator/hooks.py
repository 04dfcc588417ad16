"""The hooks of a job, called in the worker: they may do what they like, and never hurt it."""

import logging
from typing import Final

from typedgator.attempt import Attempt, Ending, Raised, Returned
from typedgator.errors import PayloadMismatch
from typedgator.job import Job
from typedgator.registry import Registry
from typedgator.wire.verdict import Failed, Succeeded, Verdict

__all__ = ["announce_end", "announce_start"]

logger: Final = logging.getLogger("typedgator")


def announce_start(attempt: Attempt, registry: Registry, handle: Job[object]) -> None:
    """Runs the job's `on_start` hook. Never raises: a hook's error is logged, and the job goes on."""
    if attempt.policy.on_start is not None:
        _call_hook(registry, attempt.policy.on_start, handle)


def announce_end(attempt: Attempt, ending: Ending, verdict: Verdict, registry: Registry, handle: Job[object]) -> None:
    """Runs the hook of an end that was written: `on_success`, or `on_error` at the final failure. Never raises."""
    match verdict, ending:
        case Succeeded(), Returned(value):
            if attempt.policy.on_success is not None:
                _call_hook(registry, attempt.policy.on_success, handle, value)
        case Failed(), Raised(error):
            if attempt.policy.on_error is not None:
                _call_hook(registry, attempt.policy.on_error, handle, error)
        case Failed(), Returned():
            if attempt.policy.on_error is not None:
                reason = PayloadMismatch(f"what {attempt.envelope.task} returned could not be stored")
                _call_hook(registry, attempt.policy.on_error, handle, reason)
        case _:
            pass


def _call_hook(registry: Registry, name: str, *args: object) -> None:
    hook = registry.hook(name)
    if hook is None:
        logger.error("hook %s is not known to this worker, so it was not called; the job is not affected", name)
        return
    try:
        hook(*args)
    except Exception:
        logger.exception("hook %s failed; the job is not affected", name)
