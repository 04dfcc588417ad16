"""What a task may raise to say how its attempt should end. Signals, not errors: they are never logged as failures."""

from datetime import timedelta

from typedgator.policy.durations import MAX_DELAY_MS, to_ms

__all__ = ["Cancel", "Retry", "Snooze"]


class Retry(Exception):
    """Ends the attempt as failed and asks for another one.

    `delay`: seconds or timedelta; None: the job's backoff. It counts against the job's retries; when none are left, the
    job fails with `reason`.
    """

    def __init__(self, reason: str = "", *, delay: float | timedelta | None = None) -> None:
        super().__init__(reason or "the task asked for a retry")
        self.delay_ms: int | None = None if delay is None else to_ms(delay, "Retry(delay=)", most=MAX_DELAY_MS)


class Snooze(Exception):
    """Puts the job off by `delay` (seconds or timedelta) without spending an attempt: not ready yet, ask later."""

    def __init__(self, delay: float | timedelta) -> None:
        super().__init__(f"snoozed for {delay}")
        self.delay_ms: int = to_ms(delay, "Snooze(delay)", most=MAX_DELAY_MS)


class Cancel(Exception):
    """Ends the job as canceled, with a reason for people, of which 200 characters are kept: there is nothing to do."""

    def __init__(self, reason: str = "canceled by the task") -> None:
        super().__init__(reason)
        self.reason: str = reason[:200]
