"""Time in the file never goes back, whatever the host's clock does; tokens grow from process to process."""

import logging
from pathlib import Path

import pytest

from typedgator.backends.sqlite import SqliteBackend
from typedgator.clock import SystemClock
from typedgator.testing.contract import job
from typedgator.wire.states import JobState
from typedgator.wire.verdict import Released, RetryIn, Settlement, Token

NOON_MS = 1_800_000_000_000
HOUR_MS = 3_600_000


class UnsteadyClock(SystemClock):
    """A host's clock that somebody sets, back too; waiting goes by the true one."""

    def __init__(self) -> None:
        self.ms = NOON_MS

    def now_ms(self) -> int:
        """What the clock on the wall shows."""
        return self.ms


@pytest.fixture
def clock() -> UnsteadyClock:
    """Shows noon."""
    return UnsteadyClock()


def one_attempt(backend: SqliteBackend, worker: str | None = None) -> Token:
    """The token of an attempt that is given back at once."""
    hand = backend.join(["all"], lease_ms=60_000)
    [claimed] = backend.claim(hand, limit=1, wait_ms=0, seen=0)
    backend.settle(hand, [Settlement(claimed.job_id, claimed.token, Released())])
    backend.leave(hand)
    return claimed.token


def test_tokens_grow_across_restarts_and_with_the_clock_set_back(tmp_path: Path, clock: UnsteadyClock) -> None:
    """A fenced write with an old token must lose, also to one granted by a process on a host that is an hour behind."""
    tokens: list[Token] = []
    for step_ms in (0, 0, 1, -HOUR_MS, 0, 2 * HOUR_MS, -HOUR_MS):
        clock.ms += step_ms
        backend = SqliteBackend(tmp_path / "jobs.db", clock=clock)
        backend.enqueue([job(1)])
        tokens += [one_attempt(backend), one_attempt(backend)]
        backend.close()
    assert tokens == sorted(set(tokens))
    assert tokens[0] == NOON_MS * 1000
    assert max(tokens) < 2**53


def test_time_stands_still_after_a_step_back(
    tmp_path: Path, clock: UnsteadyClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody's lease is taken for over, nothing is due an hour early; it says so once."""
    backend = SqliteBackend(tmp_path / "jobs.db", clock=clock)
    backend.enqueue([job(1), job(2, delay_ms=1000)])
    worker = backend.join(["all"], lease_ms=2000)
    [claimed] = backend.claim(worker, limit=1, wait_ms=0, seen=0)
    with caplog.at_level(logging.WARNING):
        clock.ms -= HOUR_MS
        again = SqliteBackend(tmp_path / "jobs.db", clock=clock)
        other = again.join(["all"], lease_ms=60_000)
        assert again.claim(other, limit=9, wait_ms=0, seen=0) == []
        assert not again.beat(worker, [claimed.token]).lapsed
    assert sum("time stands still" in record.getMessage() for record in caplog.records) == 1
    clock.ms += HOUR_MS + 999
    assert again.claim(other, limit=9, wait_ms=0, seen=0) == []
    clock.ms += 1
    assert [each.attempt for each in again.claim(other, limit=9, wait_ms=0, seen=0)] == [1]
    clock.ms += 1000
    assert [each.crashes for each in again.claim(other, limit=9, wait_ms=0, seen=claimed.token * 2)] == [1]
    again.close()
    backend.close()


def test_a_step_back_within_a_retry_only_delays_it(tmp_path: Path, clock: UnsteadyClock) -> None:
    """By no more than the step."""
    backend = SqliteBackend(tmp_path / "jobs.db", clock=clock)
    backend.enqueue([job(1)])
    worker = backend.join(["all"], lease_ms=9 * HOUR_MS)
    [claimed] = backend.claim(worker, limit=1, wait_ms=0, seen=0)
    backend.settle(worker, [Settlement(claimed.job_id, claimed.token, RetryIn(5000))])
    clock.ms -= 60_000
    assert backend.maintain(limit=9).promoted == 0
    clock.ms += 64_999
    assert backend.maintain(limit=9).promoted == 0
    clock.ms += 1
    assert backend.maintain(limit=9).promoted == 1
    backend.close()


def test_a_new_process_finds_everything_as_it_was(tmp_path: Path, clock: UnsteadyClock) -> None:
    """Places, delays, leases, cancel wishes, paused queues: all of it is in the file."""
    path = tmp_path / "jobs.db"
    backend = SqliteBackend(path, clock=clock)
    backend.enqueue([job(1), job(2), job(3, priority=200), job(4, delay_ms=5000), job(5, after=[1]), job(6, "later")])
    worker = backend.join(["all"], lease_ms=60_000)
    [claimed] = backend.claim(worker, limit=1, wait_ms=0, seen=0)
    backend.cancel(claimed.job_id)
    backend.pause("later")
    before = [backend.page(state).records for state in JobState], backend.counts()
    backend.close()

    backend = SqliteBackend(path, clock=clock)
    assert ([backend.page(state).records for state in JobState], backend.counts()) == before
    assert backend.beat(worker, [claimed.token]).cancels == [claimed.token]
    assert backend.claim(worker, limit=1, wait_ms=0, seen=0) == [claimed]
    backend.close()
