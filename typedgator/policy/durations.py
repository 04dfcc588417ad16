"""Durations and instants as users write them, in milliseconds; what cannot mean anything is refused by name."""

import math
from datetime import datetime, timedelta
from typing import Final

from typedgator.errors import ConfigurationError

__all__ = ["MAX_DELAY_MS", "instant_ms", "to_ms"]

MAX_DELAY_MS: Final = 366 * 24 * 3_600_000
"""A year: nothing is put off longer."""


def to_ms(duration: object, name: str, *, least: int = 0, most: int = MAX_DELAY_MS) -> int:
    """Seconds (int or float) or a timedelta as whole milliseconds, rounded up, so that "soon" never means "now".

    Raises ConfigurationError naming `name` when it is neither, not finite, or outside `least` .. `most` milliseconds.
    """
    if isinstance(duration, timedelta):
        seconds = duration.total_seconds()
    elif isinstance(duration, (int, float)) and not isinstance(duration, bool) and math.isfinite(duration):
        seconds = float(duration)
    else:
        raise ConfigurationError(f"{name} must be seconds (int or float) or a timedelta, got {duration!r}")
    if not least <= seconds * 1000 <= most:
        raise ConfigurationError(f"{name} must be between {least / 1000:g} s and {most / 1000:g} s, got {duration!r}")
    return math.ceil(round(seconds * 1000, 6))


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
        return math.ceil(round(instant.timestamp() * 1000, 3))
    except (OverflowError, ValueError) as error:
        raise ConfigurationError(f"{name} is out of range: {instant!r}") from error
