"""The recent pace: how many jobs are worth asking for."""

from typedgator.testing.clock import FakeClock
from typedgator.worker.claimer import Pace


def test_a_rise_is_believed_at_once_and_a_fall_slowly() -> None:
    """An empty moment between two batches says nothing about the jobs."""
    clock = FakeClock()
    pace = Pace(clock.monotonic)
    clock.advance(100)
    pace.note(1_000, 8)
    assert pace.per_second == 10_000
    clock.advance(100)
    pace.note(1_000, 8)
    assert pace.per_second == 7_000


def test_moments_too_short_to_count_are_added_up() -> None:
    """Twenty milliseconds are the least."""
    clock = FakeClock()
    pace = Pace(clock.monotonic)
    clock.advance(10)
    pace.note(31, 8)
    assert pace.per_second == 0
    clock.advance(10)
    pace.note(100, 8)
    assert pace.per_second == 5_000


def test_a_moment_in_which_each_slot_took_several_counts() -> None:
    """They cannot all have begun together: a worker need not claim few at a time for twenty milliseconds."""
    clock = FakeClock()
    pace = Pace(clock.monotonic)
    clock.advance(2)
    pace.note(31, 8)
    assert pace.per_second == 0
    pace.note(32, 8)
    assert pace.per_second == 16_000


def test_it_can_be_forgotten() -> None:
    """When jobs wait a second before they start, they are slow, whatever they were."""
    clock = FakeClock()
    pace = Pace(clock.monotonic)
    clock.advance(100)
    pace.note(1_000, 8)
    pace.forget()
    assert pace.per_second == 0
