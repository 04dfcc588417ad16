"""Kinds that could not be run are tried again, each time later."""

from typedgator.worker import misfits
from typedgator.worker.misfits import LONGEST_SECONDS, MOST_KINDS, Misfits


class Watch:
    """The time, moved by hand."""

    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_a_kind_is_tried_again_after_a_minute_then_two_then_four() -> None:
    """Each time that it did not fit again; jobs of the same round count once."""
    watch = Watch()
    kinds = Misfits(watch)
    assert ("t", "1") not in kinds
    for seconds in (60, 120, 240):
        for _ in range(3):
            kinds.add("t", "1")
        watch.seconds += seconds - 1
        assert ("t", "1") in kinds
        watch.seconds += 1
        assert ("t", "1") not in kinds
    assert ("t", "2") not in kinds


def test_a_kind_is_tried_at_least_once_an_hour() -> None:
    """The wait has an end."""
    watch = Watch()
    kinds = Misfits(watch)
    for _ in range(20):
        kinds.add("t", "1")
        watch.seconds += LONGEST_SECONDS
        assert ("t", "1") not in kinds


def test_what_others_write_into_jobs_does_not_fill_the_memory() -> None:
    """Beyond so many kinds the oldest is forgotten."""
    kinds = Misfits(Watch())
    for number in range(misfits.MOST_KINDS + 5):
        kinds.add("t", str(number))
    assert ("t", "4") not in kinds
    assert ("t", "5") in kinds
    assert len(kinds._kinds) == MOST_KINDS
