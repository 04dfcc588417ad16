"""Durations and instants, as people write them."""

import math
from datetime import UTC, date, datetime, timedelta, timezone
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from typedgator.errors import ConfigurationError
from typedgator.policy.durations import MAX_DELAY_MS, instant_ms, to_ms

SECONDS = st.one_of(
    st.floats(0, MAX_DELAY_MS / 1000, allow_nan=False),
    st.integers(0, MAX_DELAY_MS // 1000),
    st.timedeltas(timedelta(0), timedelta(milliseconds=MAX_DELAY_MS)),
)


def exact_ms(duration: float | timedelta) -> Fraction:
    """The same in milliseconds, without rounding."""
    if isinstance(duration, timedelta):
        return Fraction(duration // timedelta(microseconds=1), 1000)
    return Fraction(duration) * 1000


@given(SECONDS)
def test_durations_are_rounded_up_to_whole_milliseconds(duration: float | timedelta) -> None:
    """So that "soon" never means "now": never shorter than said, but for a float's own error, and by less than 1 ms."""
    ms = to_ms(duration, "delay_by")
    assert type(ms) is int
    assert (0 if isinstance(duration, (int, timedelta)) else -Fraction(1, 1000)) <= ms - exact_ms(duration) < 1


@given(st.integers(0, MAX_DELAY_MS))
def test_whole_milliseconds_stay_what_they_are(ms: int) -> None:
    """However they are written: 0.003 s is 3 ms, whatever its bits say."""
    assert to_ms(timedelta(milliseconds=ms), "x") == ms
    assert to_ms(ms / 1000, "x") == ms


@given(SECONDS, SECONDS)
def test_a_longer_duration_is_never_a_shorter_one(one: float | timedelta, two: float | timedelta) -> None:
    """Rounding keeps the order."""
    low, high = sorted((one, two), key=exact_ms)
    assert to_ms(low, "x") <= to_ms(high, "x")


@pytest.mark.parametrize("shortest", [1e-9, 0.0001, timedelta(microseconds=1)])
def test_the_shortest_duration_is_not_none(shortest: float | timedelta) -> None:
    """However short, it is a millisecond."""
    assert to_ms(shortest, "x") == 1


@pytest.mark.parametrize(
    "wrong",
    [True, False, None, "60", b"60", [60], 1j, math.nan, math.inf, -math.inf, -1, -0.001, timedelta(-1), len],
    ids=repr,
)
def test_what_is_no_duration_is_refused(wrong: object) -> None:
    """Naming the option, what it takes and what it got. True is not one second."""
    with pytest.raises(ConfigurationError, match=r"^expires must be"):
        to_ms(wrong, "expires")


@given(st.one_of(st.floats(MAX_DELAY_MS / 1000 + 0.001, 1e300), st.integers(MAX_DELAY_MS // 1000 + 1, 10**400)))
@example(10**5000)
def test_what_is_too_long_is_refused(seconds: float) -> None:
    """A year is the longest: whoever says more meant milliseconds. Also what is too large for a float."""
    with pytest.raises(ConfigurationError, match="x must be between 0 s and"):
        to_ms(seconds, "x")
    with pytest.raises(ConfigurationError):
        to_ms(timedelta.max, "x")


def test_a_duration_has_the_bounds_of_its_option() -> None:
    """Inclusive, at both ends."""
    assert (to_ms(1, "x", least=1000), to_ms(5, "x", most=5000)) == (1000, 5000)
    for seconds in (0.999, 5.001):
        with pytest.raises(ConfigurationError):
            to_ms(seconds, "x", least=1000, most=5000)


# ---- instants

ZONES = st.one_of(
    st.just(UTC), st.builds(timezone, st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59)))
)


@given(st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=ZONES))  # noqa: DTZ001
def test_an_instant_is_the_same_in_every_zone(instant: datetime) -> None:
    """Milliseconds since the epoch, rounded up."""
    ms = instant_ms(instant, "delay_until")
    exact = Fraction((instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1), 1000)
    assert 0 <= ms - exact < 1
    assert instant_ms(instant.astimezone(UTC), "x") == ms


@pytest.mark.parametrize("wrong", [None, 0, "2030-01-01", 1.5, date(2030, 1, 1), timedelta(1)], ids=repr)
def test_what_is_no_instant_is_refused(wrong: object) -> None:
    """Naming the option."""
    with pytest.raises(ConfigurationError, match="delay_until must be an aware datetime, got"):
        instant_ms(wrong, "delay_until")


@given(st.datetimes())
def test_a_naive_instant_is_refused(naive: datetime) -> None:
    """It says another moment on each machine; the message says what to write."""
    with pytest.raises(ConfigurationError, match="does not say in which time zone"):
        instant_ms(naive, "delay_until")
