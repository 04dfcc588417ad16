"""Two workers on one server: what one of them has in hand and cannot start is not kept from the other."""

import asyncio
from contextlib import closing
from threading import Event, Semaphore

import pytest

from tests.integration.redis.servers import Server, needs_redis
from tests.integration.worker.crew import PATIENCE, Shift
from typedgator import Gator, Worker
from typedgator.worker import claimer

pytestmark = needs_redis
SLOTS = 4


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_what_waits_behind_slow_jobs_is_run_by_others(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fast jobs promised a fast queue, then slow ones filled every slot: also when the queue is empty by now, and the
    worker could wait for more for as long as it likes.
    """
    monkeypatch.setattr(claimer, "WOKEN_MS", 60_000)
    going, go_on = Semaphore(0), Event()

    def fast(number: int) -> None:
        pass

    def slow(number: int) -> None:
        going.release()
        assert go_on.wait(3 * PATIENCE)

    async def afast(number: int) -> None:
        pass

    async def aslow(number: int) -> None:
        going.release()
        assert await asyncio.to_thread(go_on.wait, 3 * PATIENCE)

    with Server() as server, closing(Gator(server.unix_dsn)) as gator:
        quick = gator.register(name="fast")(fast if kind == "sync" else afast)
        stuck = gator.register(name="slow")(slow if kind == "sync" else aslow)
        for batch in range(20):
            gator.task_many(quick, [(n,) for n in range(batch * 250, batch * 250 + 250)])
        gator.task_many(stuck, [(n,) for n in range(SLOTS)])
        behind = gator.task_many(quick, [(n,) for n in range(100)])
        one = Shift(Worker(gator, concurrency=SLOTS))
        for _ in range(SLOTS):
            assert going.acquire(timeout=PATIENCE)
        other = Shift(Worker(gator, concurrency=SLOTS))
        try:
            for job in behind:
                job.result(timeout=PATIENCE)
        finally:
            go_on.set()
            reports = one.end(), other.end()
        assert sum(report.succeeded for report in reports) == 20 * 250 + SLOTS + 100
