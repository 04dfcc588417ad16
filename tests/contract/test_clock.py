"""The clock of tests."""

from threading import Thread

import pytest

from typedgator.testing.clock import FakeClock


def test_it_stands_still_until_it_is_moved() -> None:
    """`advance` moves wall and monotonic time together, and nothing else does."""
    clock = FakeClock(now_ms=1000)

    assert (clock.now_ms(), clock.monotonic()) == (1000, 0.0)
    clock.advance(1500)

    assert (clock.now_ms(), clock.monotonic()) == (2500, 1.5)


def test_it_cannot_be_moved_back() -> None:
    """Time that somebody waits for never goes back."""
    with pytest.raises(ValueError, match="moved back"):
        FakeClock().advance(-1)


def test_threads_may_move_it_together() -> None:
    """No step is lost."""
    clock = FakeClock(now_ms=0)

    def move() -> None:
        for _ in range(1000):
            clock.advance(1)

    threads = [Thread(target=move) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert clock.now_ms() == 4000
