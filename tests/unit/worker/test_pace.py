"""The recent pace: how many jobs are worth asking for."""

from typedgator.testing.clock import FakeClock
from typedgator.worker.claimer import Pace


def test_a_rise_is_believed_at_once_and_a_fall_slowly() -> None:
    """An empty moment between two batches says nothing about the jobs."""
    clock = FakeClock()
    pace = Pace(clock.monotonic)
    clock.advance(200)
    pace.note(2_000, 1_000)
    assert pace.per_second == 10_000
    clock.advance(200)
    pace.note(2_000, 1_000)
    assert pace.per_second == 3_000


def test_what_ends_together_is_no_pace() -> None:
    """Eight jobs of an hour may end in one millisecond: they count as spread over a tenth of a second."""
    clock = FakeClock()
    pace = Pace(clock.monotonic)
    clock.advance(1)
    pace.note(8, 8)
    assert pace.per_second == 80
    clock.advance(199)
    pace.note(8, 8)
    assert pace.per_second == 0.3 * 80 + 0.7 * 40


def test_a_tenth_of_a_second_is_enough_to_go_by() -> None:
    """Jobs of 50 ms, 500 at once: the next ones are fetched before these end."""
    clock = FakeClock()
    pace = Pace(clock.monotonic)
    clock.advance(55)
    pace.note(500, 500)
    assert pace.per_second == 5_000
    clock.advance(65)
    pace.note(1_020, 500)
    assert pace.per_second == 8_500


def test_a_moment_in_which_each_slot_took_several_counts() -> None:
    """They cannot all have begun together: a worker need not claim few at a time for twenty milliseconds."""
    clock = FakeClock()
    pace = Pace(clock.monotonic)
    clock.advance(2)
    pace.note(31, 8)
    assert pace.per_second == 310
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
