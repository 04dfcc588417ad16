"""A worker's lease: what a job hears of it, and what becomes of a worker that has lost it. The clock moves by hand."""

import asyncio
import contextlib
from collections.abc import Callable
from threading import Event, Semaphore

import pytest

from tests.integration.worker.conftest import Start
from tests.integration.worker.crew import PATIENCE, Heard, lay_on_desk
from typedgator import Gator, JobCanceled, JobState, Retry, Worker, current_job
from typedgator.backends.contract import Claimed, WorkerId
from typedgator.backends.locmem import LocmemBackend
from typedgator.events import JobEnded, JobRetrying, LeaseLost, WorkerStarted
from typedgator.testing.clock import FakeClock
from typedgator.testing.flaky import FlakyBackend
from typedgator.wire.verdict import Token

Burst = Callable[..., Worker]
LEASE_MS = 30_000


@pytest.fixture
def clock() -> FakeClock:
    """The backend's time."""
    return FakeClock()


@pytest.fixture
def backend(clock: FakeClock) -> FlakyBackend:
    """In memory, with faults on demand."""
    return FlakyBackend(LocmemBackend(clock=clock))


@pytest.fixture
def gator(backend: FlakyBackend, clock: FakeClock) -> Gator:
    """On that backend."""
    return Gator(backend=backend, clock=clock)


def beat(worker: Worker) -> None:
    """What the lease keeper does every ten seconds."""
    worker._keeper.tick()


def test_a_waiting_job_that_is_canceled_never_runs(gator: Gator, burst: Burst) -> None:
    """Nothing of it starts."""
    ran = Event()

    @gator.register(name="t")
    def task() -> None:
        ran.set()

    job = gator.task(task)
    assert job.cancel()
    burst(gator)
    assert not ran.is_set()
    assert job.state() is JobState.CANCELED


def test_a_running_async_task_is_cancelled_at_its_next_await(gator: Gator, start: Start) -> None:
    """Once, so that it can clean up in peace."""
    going, cleaning, clean, cleaned = Event(), Event(), Event(), Event()

    @gator.register(name="t", retries=5)
    async def task() -> None:
        going.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaning.set()
            await asyncio.to_thread(clean.wait, PATIENCE)
            cleaned.set()

    job = gator.task(task)
    shift = start(gator)
    assert going.wait(PATIENCE)
    assert job.cancel()
    beat(shift.worker)
    assert cleaning.wait(PATIENCE)
    beat(shift.worker)
    shift.worker._dispatcher.stop_all()  # as at the end of the grace
    clean.set()

    with pytest.raises(JobCanceled, match="canceled"):
        job.result(timeout=PATIENCE)
    assert cleaned.is_set()
    assert shift.end().canceled == 1


def test_a_running_sync_task_sees_that_it_should_stop(gator: Gator, start: Start) -> None:
    """What it returns then is its result: it may have finished its work."""
    going, told = Event(), Event()

    @gator.register(name="t")
    def task() -> str:
        job = current_job()
        assert not job.should_stop
        going.set()
        assert told.wait(PATIENCE)
        return "stopped" if job.should_stop else "not asked"

    job = gator.task(task)
    shift = start(gator)
    assert going.wait(PATIENCE)
    assert job.cancel()
    beat(shift.worker)
    told.set()
    assert job.result(timeout=PATIENCE) == "stopped"


def test_a_canceled_job_is_not_tried_again(gator: Gator, start: Start) -> None:
    """Asked to stop, it failed with retries left: it is canceled, and that is what is told."""
    going, told = Event(), Event()

    @gator.register(name="t", retries=5, backoff=0)
    def task() -> None:
        going.set()
        assert told.wait(PATIENCE)
        raise Retry("once more", delay=0)

    events = Heard().on(gator.events, JobEnded, JobRetrying)
    job = gator.task(task)
    shift = start(gator)
    assert going.wait(PATIENCE)
    assert job.cancel()
    beat(shift.worker)
    told.set()
    with pytest.raises(JobCanceled):
        job.result(timeout=PATIENCE)
    report = shift.end()
    assert (report.canceled, report.retried) == (1, 0)
    assert [event.state for event in events.of(JobEnded)] == ["canceled"]
    assert not events.of(JobRetrying)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_claimed_job_that_is_canceled_before_it_starts_never_runs(gator: Gator, start: Start, is_async: bool) -> None:
    """It lies behind another one on the worker's desk."""
    going, go_on = Semaphore(0), Event()
    ran: list[int] = []

    def run(number: int) -> None:
        ran.append(number)
        going.release()
        assert go_on.wait(PATIENCE)

    if is_async:

        @gator.register(name="t")
        async def task(number: int) -> None:
            await asyncio.to_thread(run, number)
    else:

        @gator.register(name="t")
        def task(number: int) -> None:
            run(number)

    first, second = gator.task(task, 1), gator.task(task, 2)
    shift = start(gator, concurrency=1)
    assert going.acquire(timeout=PATIENCE)
    lay_on_desk(shift.worker, 1)
    assert second.cancel()
    beat(shift.worker)
    with pytest.raises(JobCanceled):
        second.result(timeout=PATIENCE)
    go_on.set()
    first.result(timeout=PATIENCE)
    assert ran == [1]
    report = shift.end()
    assert (report.canceled, report.released) == (1, 0)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_worker_that_was_reaped_drops_its_jobs_and_goes_on_under_a_new_identity(
    gator: Gator, backend: FlakyBackend, clock: FakeClock, start: Start, is_async: bool
) -> None:
    """What it was running is another's now: nothing that it returns is written. It does other work."""
    going, go_on = Semaphore(0), Event()
    ends: list[tuple[int, bool]] = []

    def leave() -> int:
        ends.append((current_job().attempt, current_job().should_stop))
        return current_job().attempt

    if is_async:

        @gator.register(name="t")
        async def task() -> int:
            going.release()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.to_thread(go_on.wait, PATIENCE)
            return leave()
    else:

        @gator.register(name="t")
        def task() -> int:
            going.release()
            assert go_on.wait(PATIENCE)
            return leave()

    told = Heard().on(gator.events, LeaseLost, WorkerStarted, JobEnded)
    job = gator.task(task)
    shift = start(gator, concurrency=2)
    assert going.acquire(timeout=PATIENCE)
    backend.fail("beat")
    beat(shift.worker)
    clock.advance(LEASE_MS)
    backend.maintain(limit=10)
    backend.heal()
    beat(shift.worker)

    assert going.acquire(timeout=PATIENCE), "it joined anew and claimed the job again"
    go_on.set()
    assert job.result(timeout=PATIENCE) == 2
    told.wait_for(lambda: bool(told.of(LeaseLost)) and bool(told.of(JobEnded)))
    report = shift.end()

    assert sorted(ends) == [(1, True), (2, False)]
    assert [event.attempt for event in told.of(JobEnded)] == [2]
    assert [event.attempt for event in told.of(LeaseLost)] == [1]
    assert len({event.worker for event in told.of(WorkerStarted)}) == 2
    assert (report.succeeded, report.lost) == (1, 1)


def test_a_claim_that_hears_of_the_lapse_first_does_the_same(
    gator: Gator, backend: FlakyBackend, clock: FakeClock, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """No beat is needed: the claim of an idle worker raises, and it joins anew. How many jobs it lost, only the backend
    knows, so the log gives no number.
    """
    joined = Heard().on(gator.events, WorkerStarted)

    @gator.register(name="t")
    def task() -> int:
        return 1

    shift = start(gator)
    joined.wait_until(1)
    clock.advance(LEASE_MS)
    backend.maintain(limit=10)
    assert gator.task(task).result(timeout=PATIENCE) == 1
    joined.wait_until(2)
    assert shift.end().succeeded == 1
    assert "longer than its lease: what it had not settled is given to others" in caplog.text


def test_unstarted_jobs_of_a_lapsed_identity_are_not_run(
    gator: Gator, backend: FlakyBackend, clock: FakeClock, start: Start
) -> None:
    """They are others' now. Those others run them, once."""
    going, go_on = Semaphore(0), Event()
    ran: list[tuple[int, int]] = []

    @gator.register(name="t")
    def task(number: int) -> None:
        ran.append((number, current_job().attempt))
        going.release()
        assert go_on.wait(PATIENCE)

    jobs = gator.task_many(task, [(1,), (2,), (3,)])
    shift = start(gator, concurrency=1)
    assert going.acquire(timeout=PATIENCE)
    worker = shift.worker
    lay_on_desk(worker, 2)
    clock.advance(LEASE_MS)
    backend.maintain(limit=10)
    beat(worker)
    assert worker.report.lost == 3
    go_on.set()
    for job in jobs:
        job.result(timeout=PATIENCE)
    assert sorted(ran) == [(1, 1), (1, 2), (2, 2), (3, 2)]


def test_a_single_lost_job_is_dropped_and_the_others_go_on(gator: Gator, backend: FlakyBackend, start: Start) -> None:
    """Somebody settled it in our name, say an operator's tool."""
    going, go_on = Semaphore(0), Event()
    told_to_stop: dict[int, bool] = {}

    @gator.register(name="t")
    def task(number: int) -> bool:
        going.release()
        assert go_on.wait(PATIENCE)
        told_to_stop[number] = current_job().should_stop
        return told_to_stop[number]

    jobs = gator.task_many(task, [(1,), (2,)])
    shift = start(gator, concurrency=2)
    for _ in range(2):
        assert going.acquire(timeout=PATIENCE)
    worker = shift.worker
    lost = next(
        held for held in worker._desk.all() if held.attempt.args == (1,) or held.attempt.kwargs == {"number": 1}
    )
    from typedgator.wire.verdict import Canceled, Settlement

    backend.inner.settle(lost.identity, [Settlement(lost.attempt.claimed.job_id, lost.token, Canceled("by hand"))])
    beat(worker)
    go_on.set()

    assert jobs[1].result(timeout=PATIENCE) is False
    with pytest.raises(JobCanceled, match="by hand"):
        jobs[0].result(timeout=PATIENCE)
    report = shift.end()
    assert (report.succeeded, report.lost) == (1, 1)
    assert told_to_stop == {1: True, 2: False}


class Twice(FlakyBackend):
    """Delivers every claim twice, as a network may."""

    again: tuple[Claimed, ...] = ()

    def claim(self, worker: WorkerId, /, *, limit: int, wait_ms: int, seen: Token) -> list[Claimed]:
        """The last one again, and a new one."""
        claimed = super().claim(worker, limit=limit, wait_ms=wait_ms, seen=seen)
        both, self.again = [*self.again, *claimed], tuple(claimed)
        return both


def test_what_is_delivered_twice_is_run_once(burst: Burst, start: Start) -> None:
    """A token that was seen is dropped."""
    gator = Gator(backend=Twice(LocmemBackend()))
    ran: list[int] = []

    @gator.register(name="t")
    def task(number: int) -> None:
        ran.append(number)

    for number in range(30):
        gator.task(task, number)
    report = start(gator, concurrency=2, max_tasks=30).wait()
    assert sorted(ran) == list(range(30))
    assert (report.succeeded, report.lost) == (30, 0)
