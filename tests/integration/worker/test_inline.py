"""One job in this process: `pop`, `get` and `is_async=False`, by the same steps as a worker."""

import asyncio
import threading
from collections.abc import Callable
from threading import Event

import pytest

from tests.integration.worker.crew import PATIENCE
from typedgator import (
    BackendUnavailable,
    Cancel,
    Gator,
    Job,
    JobCanceled,
    JobFailed,
    JobState,
    JobUnknown,
    Snooze,
    Worker,
    current_job,
    inline,
)
from typedgator.backends.contract import Beat, WorkerId
from typedgator.backends.locmem import LocmemBackend
from typedgator.testing.clock import FakeClock
from typedgator.testing.flaky import FlakyBackend
from typedgator.wire.verdict import Token

Burst = Callable[..., Worker]


def test_pop_runs_the_next_due_job_and_get_runs_this_one(gator: Gator) -> None:
    """Each one attempt, each settled; None when nothing is due."""

    @gator.register(name="t")
    def task(number: int) -> int:
        return number * 10

    jobs = gator.task_many(task, [(1,), (2,), (3,)])
    with gator.options(delay_by=3600) as opts:
        later = opts.task(task, 4)

    assert gator.pop() == jobs[0]
    assert gator.get(jobs[2].id) == jobs[2]
    assert gator.get(later.id).result(timeout=0) == 40
    assert gator.pop("other") is None
    assert gator.pop("all") == jobs[1]
    assert gator.pop() is None
    assert [job.result(timeout=0) for job in jobs] == [10, 20, 30]
    with pytest.raises(JobUnknown):
        gator.get("00" * 16)


def test_pop_runs_one_attempt(gator: Gator) -> None:
    """A failed one leaves the rest to whoever comes next."""

    @gator.register(name="t", retries=1, backoff=0)
    async def task() -> int:
        return 10 // (current_job().attempt - 1)

    job = gator.task(task)
    gator.pop()
    assert job.state() is JobState.RETRYING
    gator.pop()
    assert job.result(timeout=0) == 10


@pytest.mark.parametrize("raised", [SystemExit, GeneratorExit, asyncio.CancelledError, ValueError])
@pytest.mark.parametrize("is_async", [False, True])
def test_whatever_a_popped_task_raises_is_its_failure(
    gator: Gator, raised: type[BaseException], is_async: bool
) -> None:
    """Given back, it would be popped and raise again for ever."""
    if is_async:

        @gator.register(name="t")
        async def task() -> None:
            raise raised
    else:

        @gator.register(name="t")
        def task() -> None:
            raise raised

    job = gator.task(task)
    gator.pop()
    with pytest.raises(JobFailed, match=raised.__name__):
        job.result(timeout=0)
    assert gator.pop() is None


@pytest.mark.parametrize("is_async", [False, True])
def test_ctrl_c_is_the_callers_and_the_job_goes_back(gator: Gator, is_async: bool) -> None:
    """It was the caller's terminal; the job waits, no attempt spent."""
    if is_async:

        @gator.register(name="t")
        async def task() -> None:
            raise KeyboardInterrupt
    else:

        @gator.register(name="t")
        def task() -> None:
            raise KeyboardInterrupt

    job = gator.task(task)
    with pytest.raises(KeyboardInterrupt):
        gator.pop()
    assert job.state() is JobState.WAITING


def test_a_task_that_cancels_itself_fails_here_too(gator: Gator) -> None:
    """In a loop of its own, and beside a running one."""

    @gator.register(name="t")
    async def task() -> None:
        me = asyncio.current_task()
        assert me is not None
        me.cancel()
        await asyncio.Event().wait()

    job = gator.task(task)
    gator.pop()
    with pytest.raises(JobFailed, match="CancelledError"):
        job.result(timeout=0)

    async def beside() -> Job[None]:
        with gator.options(is_async=False) as opts:
            return opts.task(task)

    with pytest.raises(JobFailed, match="CancelledError"):
        asyncio.run(beside()).result(timeout=0)


@pytest.mark.parametrize("beside_a_loop", [False, True])
@pytest.mark.parametrize("is_async", [False, True])
def test_is_async_false_runs_here_and_now(dsn: str, is_async: bool, beside_a_loop: bool) -> None:
    """Also called from inside a running event loop; retried at once; nothing is stored."""
    gator = Gator(dsn, is_async=False)
    threads: list[str] = []

    def body(number: int) -> int:
        threads.append(threading.current_thread().name)
        if current_job().attempt == 1:
            raise ValueError
        return number

    if is_async:

        @gator.register(name="t", retries=1, backoff=3600)
        async def task(number: int) -> int:
            await asyncio.sleep(0)
            return body(number)
    else:

        @gator.register(name="t", retries=1, backoff=3600)
        def task(number: int) -> int:
            return body(number)

    async def call() -> Job[int]:
        return gator.task(task, 7)

    job = asyncio.run(call()) if beside_a_loop else gator.task(task, 7)
    assert job.result() == 7
    assert gator.counts().queues == {}
    assert (threads == ["MainThread"] * 2) is not (is_async and beside_a_loop)
    gator.close()


def test_signals_mean_the_same_here(dsn: str) -> None:
    """Cancel ends the job; snoozing for ever is a failure, not a hang."""
    gator = Gator(dsn, is_async=False)

    @gator.register(name="cancel")
    def cancel() -> None:
        raise Cancel("no need")

    @gator.register(name="snooze")
    def snooze() -> None:
        raise Snooze(1)

    with pytest.raises(JobCanceled, match="no need"):
        gator.task(cancel).result()
    with pytest.raises(JobFailed, match="snoozed 100 times"):
        gator.task(snooze).result()
    gator.close()


class Beating(FlakyBackend):
    """Moves the clock by nearly a lease after each beat."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(LocmemBackend(clock=clock))
        self.clock = clock

    def beat(self, worker: WorkerId, tokens: "list[Token]", /) -> Beat:  # type: ignore[override]  # a test's own
        """In time, just."""
        answer = super().beat(worker, tokens)
        self.clock.advance(200)
        return answer


def test_a_popped_job_may_run_longer_than_its_lease(monkeypatch: pytest.MonkeyPatch, burst: Burst) -> None:
    """The lease is kept from a thread of its own: nobody else gets the job, and its end is written."""
    monkeypatch.setattr(inline, "LEASE_MS", 250)
    clock = FakeClock()
    backend = Beating(clock)
    gator = Gator(backend=backend, clock=clock)
    runs: list[int] = []

    @gator.register(name="t")
    def task() -> int:
        runs.append(current_job().attempt)
        backend.wait_for_calls("beat", 5)
        backend.maintain(limit=10)
        assert not burst(gator).report.ended
        return current_job().token

    job = gator.task(task)
    assert gator.pop() == job
    assert job.result(timeout=0) > 0
    assert runs == [1]
    assert backend.clock.now_ms() - FakeClock().now_ms() >= 1_000


def test_a_popped_job_is_written_although_the_backend_falters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end is tried again; a good-bye that is not answered does no harm."""
    monkeypatch.setattr(inline, "RETRY_SECONDS", (0.001,) * 5)
    backend = FlakyBackend(LocmemBackend())
    gator = Gator(backend=backend)

    @gator.register(name="t")
    def task() -> int:
        return 1

    job = gator.task(task)
    backend.lose_reply("settle", times=2)
    backend.fail("leave")
    gator.pop()
    assert job.result(timeout=0) == 1

    backend.fail("settle")
    gator.task(task)
    with pytest.raises(BackendUnavailable):
        gator.pop()


def test_a_popped_job_hears_that_it_should_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cancellation comes with the beat."""
    monkeypatch.setattr(inline, "LEASE_MS", 250)
    backend = FlakyBackend(LocmemBackend())
    gator = Gator(backend=backend)
    seen = Event()

    @gator.register(name="t")
    def task() -> None:
        gator.job(current_job().id).cancel()
        backend.wait_for_calls("beat", backend.calls["beat"] + 2)
        if current_job().should_stop:
            seen.set()

    gator.task(task)
    gator.pop()
    assert seen.wait(PATIENCE)
