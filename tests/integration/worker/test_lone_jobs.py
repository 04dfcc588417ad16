"""A job that comes alone, to a worker with nothing to do: it runs in the thread that claimed it, another claims on."""

import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Semaphore

import pytest

from tests.integration.worker.conftest import Start
from tests.integration.worker.crew import PATIENCE, Heard, Shift, until
from typedgator import BackendUnavailable, Gator, JobState, Worker
from typedgator.backends.contract import Claimed, WorkerId
from typedgator.backends.locmem import LocmemBackend
from typedgator.events import WorkerStarted
from typedgator.testing.flaky import FlakyBackend
from typedgator.wire.verdict import Token

Burst = Callable[..., Worker]


@dataclass(frozen=True)
class Box:
    """Something that can be seen to be gone."""

    number: int


def test_lone_jobs_run_at_once_as_long_as_there_is_a_slot(gator: Gator, start: Start) -> None:
    """Each is brought by a claim of its own while all before it run; the last one waits for a slot."""
    began, go_on = Semaphore(0), Event()

    @gator.register(name="wait")
    def wait(number: int) -> int:
        began.release()
        assert go_on.wait(PATIENCE)
        return number

    start(gator, concurrency=3)
    jobs = []
    for number in range(3):
        jobs.append(gator.task(wait, number))
        assert began.acquire(timeout=PATIENCE)
    jobs.append(gator.task(wait, 3))
    assert not began.acquire(timeout=0.2)
    assert jobs[3].state() is JobState.WAITING
    go_on.set()
    assert [job.result(timeout=PATIENCE) for job in jobs] == [0, 1, 2, 3]


def test_with_one_slot_lone_jobs_follow_one_another(gator: Gator, start: Start) -> None:
    """All in one thread, to which what they keep may belong."""
    ran_in: set[int] = set()

    @gator.register(name="double")
    def double(number: int) -> int:
        ran_in.add(threading.get_ident())
        return 2 * number

    shift = start(gator, concurrency=1)
    assert [gator.task(double, number).result(timeout=PATIENCE) for number in range(30)] == list(range(0, 60, 2))
    assert shift.end().succeeded == 30
    assert len(ran_in) == 1


def test_a_stop_while_claiming_is_passed_on_loses_nothing(dsn: str) -> None:
    """The job that ran is told, what came later is left to others, and no thread stays."""
    gator = Gator(dsn)
    passing = threading.Barrier(2, timeout=PATIENCE)

    @gator.register(name="quick")
    def quick(number: int) -> int:
        passing.wait()
        return number

    taken = 0
    for number in range(20):
        worker = Worker(gator, concurrency=2)
        heard = Heard().on(gator.events, WorkerStarted)
        shift = Shift(worker)
        heard.wait_until(1)
        job = gator.task(quick, number)
        passing.wait()  # the job runs: another thread is about to claim, or does
        report = shift.end()
        assert job.result(timeout=0) == number
        assert (report.ended, report.released, report.lost) == (1, 0, 0)
        taken += report.succeeded
    assert taken == 20
    gator.close()


@pytest.mark.parametrize("is_burst", [False, True])
def test_max_tasks_and_bursts_count_a_lone_job(gator: Gator, start: Start, is_burst: bool) -> None:
    """Who claims next knows of it, and of its end."""

    @gator.register(name="quick")
    def quick() -> None:
        pass

    first = gator.task(quick)
    shift = start(gator, burst=True) if is_burst else start(gator, max_tasks=1)
    report = shift.wait()
    assert first.result(timeout=0) is None
    second = gator.task(quick)
    assert report.succeeded == 1
    assert second.state() is JobState.WAITING


class Troubled(FlakyBackend):
    """Each claim brings one job, while whoever is to claim next rests; and the one after that fails."""

    worker: Worker
    is_due = False

    def claim(self, worker: WorkerId, /, *, limit: int, wait_ms: int, seen: Token) -> list[Claimed]:
        if self.is_due:
            self.is_due = False
            raise BackendUnavailable("a moment's trouble")
        pool = self.worker._dispatcher.threads
        until(lambda: pool._deputy in pool._idle, "resting")
        claimed = super().claim(worker, limit=1, wait_ms=wait_ms, seen=seen)
        self.is_due = bool(claimed)
        return claimed


def test_troubles_with_lone_jobs_between_them_are_not_taken_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time the first wait before the next try is the short one."""
    monkeypatch.setattr("typedgator.worker.claimer.ERROR_SECONDS", (0.0, 3600.0))
    backend = Troubled(LocmemBackend())
    gator = Gator(backend=backend)

    @gator.register(name="quick")
    def quick() -> None:
        pass

    for _ in range(4):
        gator.task(quick)
    backend.worker = Worker(gator, concurrency=2, max_tasks=4)
    shift = Shift(backend.worker)
    try:
        assert shift.ends_within(PATIENCE / 2)
    finally:
        shift.end(now=True)
    assert backend.worker.report.succeeded == 4


def test_an_idle_worker_keeps_neither_arguments_nor_results_alive(gator: Gator, start: Start) -> None:
    """Also of the job that its claiming threads ran last."""
    seen: list[weakref.ref[Box]] = []

    @gator.register(name="box")
    def task(box: Box) -> Box:
        made = Box(box.number + 1)
        seen.extend((weakref.ref(box), weakref.ref(made)))
        return made

    start(gator, concurrency=2)
    for number in range(4):
        assert gator.task(task, Box(number)).result(timeout=PATIENCE).number == number + 1
    assert len(seen) == 8
    until(lambda: all(ref() is None for ref in seen), "letting go of what jobs had")
