"""Durations and instants as users write them, in milliseconds; what cannot mean anything is refused by name."""

import math
from datetime import UTC, datetime, timedelta
from typing import Final

from typedgator.errors import ConfigurationError

__all__ = ["MAX_DELAY_MS", "instant_ms", "to_ms"]

MAX_DELAY_MS: Final = 366 * 24 * 3_600_000
"""A year: nothing is put off longer."""
_HUGE: Final = 10**30  # an int may be too large even for repr()
_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def to_ms(duration: object, name: str, *, least: int = 0, most: int = MAX_DELAY_MS) -> int:
    """Seconds (int or float) or a timedelta as whole milliseconds, rounded up, so that "soon" never means "now".

    Raises ConfigurationError naming `name` when it is neither, not finite, or outside `least` .. `most` milliseconds.
    """
    if isinstance(duration, timedelta):
        us = duration // _MICROSECOND
    elif isinstance(duration, float) and math.isfinite(duration):
        # As near as a float can tell; but what is not nothing stays so.
        us = round(duration * 1e6) or (duration > 0)
    elif isinstance(duration, int) and not isinstance(duration, bool):
        us = duration * 1_000_000
    else:
        raise ConfigurationError(f"{name} must be seconds (int or float) or a timedelta, got {duration!r}")
    if not least * 1000 <= us <= most * 1000:
        got = repr(duration) if abs(us) < _HUGE else "much more or less"
        raise ConfigurationError(f"{name} must be between {least / 1000:g} s and {most / 1000:g} s, got {got}")
    return -(-us // 1000)


def instant_ms(instant: object, name: str) -> int:
    """An aware datetime as milliseconds since the epoch. Raises ConfigurationError for a naive one, naming `name`."""
    if not isinstance(instant, datetime):
        raise ConfigurationError(f"{name} must be an aware datetime, got {instant!r}")
    if instant.tzinfo is None or instant.utcoffset() is None:
        raise ConfigurationError(
            f"{name} must be an aware datetime: {instant!r} does not say in which time zone; "
            "use datetime.now(timezone.utc) or give tzinfo="
        )
    try:
        return -((_EPOCH - instant) // _MICROSECOND // 1000)
    except OverflowError as error:
        raise ConfigurationError(f"{name} is out of range: {instant!r}") from error
