"""Whether and when a failed attempt is tried again.

Exponential backoff with full jitter (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
"""

from datetime import timedelta
from typing import Final

import msgspec

from typedgator.errors import ConfigurationError
from typedgator.policy.control import Retry
from typedgator.policy.durations import to_ms
from typedgator.wire.envelope import JobPolicy
from typedgator.wire.origin import importable_module

__all__ = ["MAX_BACKOFF_MS", "MAX_RETRIES", "RetryPolicy", "backoff_ms", "class_name", "retry_delay_ms"]

MAX_RETRIES: Final = 1000
MAX_BACKOFF_MS: Final = 7 * 24 * 3_600_000


class RetryPolicy(msgspec.Struct, frozen=True):
    """How often and how soon a failed attempt is tried again, for `retries=`.

    `backoff`, `cap`: seconds or timedelta, before the first retry and at most. `factor`: how much longer each wait may
    be. `jitter`: draw the wait from 0 to the backoff (full jitter), so that jobs that failed together do not come back
    together. `on`: only these exceptions are retried (subclasses too); `never`: these are not, whatever `on` says. A
    `Retry` raised by the task is always granted while retries are left. Raises ConfigurationError for values that
    cannot mean anything.
    """

    retries: int
    backoff: float | timedelta = 1.0
    factor: float = 2.0
    cap: float | timedelta = 600.0
    jitter: bool = True
    on: tuple[type[BaseException], ...] = ()
    never: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        checked_retries(self.retries)
        to_ms(self.backoff, "backoff", most=MAX_BACKOFF_MS)
        to_ms(self.cap, "cap", most=MAX_BACKOFF_MS)
        if isinstance(self.factor, bool) or not isinstance(self.factor, (int, float)) or not 1 <= self.factor <= 100:
            raise ConfigurationError(f"factor must be between 1 and 100, got {self.factor!r}")
        if not isinstance(self.jitter, bool):
            raise ConfigurationError(f"jitter must be True or False, got {self.jitter!r}")
        for option, classes in (("on", self.on), ("never", self.never)):
            if not isinstance(classes, tuple) or not all(map(_is_exception, classes)):
                raise ConfigurationError(f"{option} must be a tuple of exception classes, got {classes!r:.200}")


def checked_retries(retries: object) -> int:
    """`retries` when it is a whole number from 0 to MAX_RETRIES. Raises ConfigurationError otherwise."""
    if isinstance(retries, bool) or not isinstance(retries, int) or not 0 <= retries <= MAX_RETRIES:
        raise ConfigurationError(f"retries must be a whole number from 0 to {MAX_RETRIES}, got {retries!r}")
    return retries


def _is_exception(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, BaseException)


def class_name(of: type) -> str:
    """The name by which an exception class is stored and compared: of a script, as a worker would import it."""
    return f"{importable_module(of) or of.__module__}.{of.__qualname__}"


def backoff_ms(policy: JobPolicy, retry: int, draw: float) -> int:
    """The wait before retry number `retry` (from 1), ms. `draw`, a random number in [0, 1), is the jitter."""
    try:
        longest = policy.backoff_base_ms * policy.backoff_factor ** (retry - 1)
    except OverflowError:
        longest = policy.backoff_cap_ms if policy.backoff_base_ms else 0
    wait = min(longest, policy.backoff_cap_ms)
    return int(wait * draw) if policy.backoff_jitter else int(wait)


def retry_delay_ms(policy: JobPolicy, error: BaseException, failures: int, draw: float) -> int | None:
    """How long to wait before the job is tried again, or None when it has failed for good.

    `failures` is how many attempts ended by the task's own doing, this one included. A `Retry` passes the class
    filters, and the delay that it names is never shortened.
    """
    if failures > policy.retries:
        return None
    if isinstance(error, Retry):
        return backoff_ms(policy, failures, draw) if error.delay_ms is None else error.delay_ms
    if policy.retry_on or policy.retry_never:
        names = {class_name(base) for base in type(error).__mro__}
        if not names.isdisjoint(policy.retry_never):
            return None
        if policy.retry_on and names.isdisjoint(policy.retry_on):
            return None
    return backoff_ms(policy, failures, draw)
