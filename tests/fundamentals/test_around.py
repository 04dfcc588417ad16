"""Around a call: middleware of sync and async tasks, and of workers alone; when an attempt started; what is stored."""

import time
from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager

from typedgator import Gator, JobState, Middleware, Worker, current_job
from typedgator.wire.envelope import Envelope
from typedgator.wire.outcome import decode_outcome

told: list[str] = []


class Both(Middleware):
    """Tells which of the two was entered."""

    def call(self, envelope: Envelope) -> AbstractContextManager[object]:
        return self._sync()

    def acall(self, envelope: Envelope) -> AbstractAsyncContextManager[object]:
        return self._async()

    @contextmanager
    def _sync(self) -> Generator[None]:
        told.append("call")
        yield
        told.append("called")

    @asynccontextmanager
    async def _async(self) -> AsyncGenerator[None]:
        told.append("acall")
        yield
        told.append("acalled")


class One(Middleware):
    """Only `call`."""

    def call(self, envelope: Envelope) -> AbstractContextManager[object]:
        return Both().call(envelope)


def work() -> int:
    told.append("work")
    return current_job().started_at_ms


async def awork() -> int:
    told.append("work")
    return current_job().started_at_ms


def around(gator: Gator) -> tuple[list[str], list[str]]:
    """What was told of a sync task, and of an async one."""
    seen: list[list[str]] = []
    for task in (gator.register(name="work")(work), gator.register(name="awork")(awork)):
        told.clear()
        task.task()
        Worker(gator, concurrency=1, burst=True).run()
        seen.append(list(told))
    return seen[0], seen[1]


def test_an_async_task_has_acall_around_it_and_a_sync_one_call() -> None:
    sync, asynchronous = around(Gator("locmem://", middleware=[Both()]))
    assert sync == ["call", "work", "called"]
    assert asynchronous == ["acall", "work", "acalled"]


def test_middleware_with_call_alone_is_entered_around_both() -> None:
    sync, asynchronous = around(Gator("locmem://", middleware=[One()]))
    assert sync == asynchronous == ["call", "work", "called"]


class Tended(Gator):
    """With middleware for its workers."""

    worker_middleware = (Both(),)


def test_worker_middleware_is_entered_in_workers_and_nowhere_else() -> None:
    gator = Tended("locmem://", middleware=[One()])
    assert around(gator)[0] == ["call", "call", "work", "called", "called"]
    told.clear()
    with gator.options(is_async=False) as here:
        here.task(gator.register(name="again")(work))
    assert told == ["call", "work", "called"]


def test_a_job_knows_when_its_attempt_started_and_so_does_what_is_stored_of_it() -> None:
    gator = Gator("locmem://")
    before_ms = time.time_ns() // 1_000_000
    job = gator.register(name="work")(work).task()
    assert job.record().state is JobState.WAITING
    Worker(gator, concurrency=1, burst=True).run()
    started_ms = job.result()
    record = job.record()
    assert record.outcome is not None
    assert decode_outcome(record.outcome).started_at == started_ms
    assert before_ms <= started_ms <= time.time_ns() // 1_000_000


def test_a_job_that_ran_in_place_has_a_record_of_its_end() -> None:
    gator = Gator("locmem://", is_async=False)
    record = gator.register(name="work")(work).task().record()
    assert (record.state, record.attempt) == (JobState.SUCCESS, 1)
