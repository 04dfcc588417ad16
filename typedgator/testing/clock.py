"""A clock that stands still until a test moves it."""

from threading import Lock

from typedgator.clock import Clock

__all__ = ["FakeClock"]


class FakeClock(Clock):
    """Wall and monotonic time that move only by `advance`, together. Thread-safe."""

    def __init__(self, now_ms: int = 1_767_225_600_000) -> None:
        """Starts at `now_ms` since the epoch; unless said otherwise with the year 2026."""
        self._start_ms = self._now_ms = now_ms
        self._lock = Lock()

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch, as far as this clock was moved."""
        return self._now_ms

    def monotonic(self) -> float:
        """Seconds since this clock was made."""
        return (self._now_ms - self._start_ms) / 1000

    def advance(self, ms: int) -> None:
        """Moves the time forward. Raises ValueError for a step back: time that is waited for never goes back."""
        if ms < 0:
            raise ValueError(f"a clock cannot be moved back, not by {-ms} ms")
        with self._lock:
            self._now_ms += ms

    def __repr__(self) -> str:
        return f"FakeClock(now_ms={self._now_ms})"
