"""The deploy gate: which stored jobs a release would strand."""

import time
from datetime import timedelta

from typedgator import Gator, JobState
from typedgator.backends.contract import Inspect
from typedgator.contracts.live import Live, look


def test_what_is_too_late_to_start_strands_nothing() -> None:
    """Nobody has canceled it yet, and no release would run it."""
    producer, release = Gator("locmem://"), Gator("locmem://")

    @producer.register(name="t")
    def task() -> None: ...

    with producer.options(expires=timedelta(hours=1)) as soon, producer.options(delay_by=7200) as later:
        soon.task(task)
        later.task(task)
    stored, now = producer.backend, round(time.time() * 1000)
    assert isinstance(stored, Inspect)

    def found(hours: int) -> Live:
        return look(stored, release.registry, [JobState.WAITING, JobState.SCHEDULED], now_ms=now + hours * 3_600_000)

    [both] = found(0).stranded
    assert (both.jobs, found(0).ended) == (2, 0)
    [one] = found(2).stranded
    assert (one.states, found(2).ended) == ({"scheduled": 1}, 1)
    assert look(stored, release.registry).ended == 0
