"""A backend that does not answer: nothing is lost, nothing is written twice, and nobody hammers it."""

import logging
from collections.abc import Callable
from pathlib import Path
from threading import Event, Semaphore

import pytest

from tests.integration.worker.conftest import Start
from tests.integration.worker.crew import PATIENCE, Heard
from typedgator import BackendUnavailable, Gator, JobFailed, JobState, Worker, current_job
from typedgator.backends.contract import Settled, WorkerId
from typedgator.backends.locmem import LocmemBackend
from typedgator.backends.sqlite import SqliteBackend
from typedgator.events import JobEnded
from typedgator.testing.flaky import FlakyBackend, FlakyExchange
from typedgator.wire.verdict import Failed, Settlement, Succeeded

Burst = Callable[..., Worker]


@pytest.fixture(params=["locmem", "sqlite, exchanging"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> FlakyBackend:
    """With and without `exchange`."""
    if request.param == "locmem":
        return FlakyBackend(LocmemBackend())
    return FlakyExchange(SqliteBackend(tmp_path / "jobs.db"))


@pytest.fixture
def gator(backend: FlakyBackend) -> Gator:
    """On that backend."""
    return Gator(backend=backend)


WRITES = ("settle", "exchange")


def many(gator: Gator, count: int) -> tuple[list[int], Heard]:
    """So many jobs are enqueued; what ran, and what was written."""
    ran: list[int] = []

    @gator.register(name="count")
    def task(number: int) -> int:
        ran.append(number)
        return number

    written = Heard().on(gator.events, JobEnded)
    for at in range(0, count, 100):
        gator.task_many(task, [(n,) for n in range(at, min(at + 100, count))])
    return ran, written


@pytest.mark.parametrize("fault", ["fail", "lose_reply"])
def test_settlements_are_repeated_until_written_exactly_once(
    gator: Gator, backend: FlakyBackend, burst: Burst, fault: str
) -> None:
    """Whether the backend did nothing, or only its answer was lost."""
    ran, written = many(gator, 150)
    getattr(backend, fault)(*WRITES, times=6)
    report = burst(gator, concurrency=4).report

    assert sorted(ran) == list(range(150))
    assert len({event.job_id for event in written.of(JobEnded)}) == len(written.all) == 150
    assert (report.succeeded, report.lost) == (150, 0)


def test_jobs_whose_claim_reply_was_lost_run_once_each(gator: Gator, backend: FlakyBackend, burst: Burst) -> None:
    """They are ours already: the next claim sends them again."""
    ran, _ = many(gator, 150)
    backend.lose_reply("claim", "exchange", times=3)
    report = burst(gator, concurrency=4).report
    assert sorted(ran) == list(range(150))
    assert (report.succeeded, report.lost) == (150, 0)


def test_a_settlement_waits_longer_than_the_lease_while_the_lease_is_kept(
    gator: Gator, backend: FlakyBackend, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given up, the job would stay running with a worker that has forgotten it."""
    ran, _ = many(gator, 1)
    backend.fail(*WRITES)
    monkeypatch.setattr("typedgator.worker.worker.LEAST_LEASE_MS", 2_000)
    shift = start(gator, lease=2)
    backend.wait_for_calls("beat", 4)  # one at each third of the lease
    backend.heal()
    job = gator.job(_only_id(gator))
    assert job.result(timeout=PATIENCE) == 0
    assert ran == [0]
    assert shift.end().succeeded == 1


def _only_id(gator: Gator) -> str:
    found = gator.backend.page(JobState.RUNNING).records  # type: ignore[attr-defined]  # every backend here can
    return str(found[0].job_id.hex())


def test_it_survives_a_backend_that_answers_nothing_and_does_not_hammer_it(
    gator: Gator, backend: FlakyBackend, start: Start
) -> None:
    """Every verb fails for two seconds: few calls are made, and afterwards all goes on."""
    going, go_on = Semaphore(0), Event()

    @gator.register(name="slow")
    def slow(number: int) -> int:
        going.release()
        assert go_on.wait(PATIENCE)
        return number

    jobs = gator.task_many(slow, [(n,) for n in range(6)])
    shift = start(gator, concurrency=2, lease=5)
    for _ in range(2):
        assert going.acquire(timeout=PATIENCE)
    verbs = ("beat", "claim", "settle", "exchange", "maintain", "join", "leave", "held_kinds", "note")
    backend.fail(*verbs)
    before = backend.calls.total()
    go_on.set()
    backend.wait_for_calls("beat", backend.calls["beat"] + 2)
    calls = backend.calls.total() - before
    backend.heal()

    assert [job.result(timeout=PATIENCE) for job in jobs] == list(range(6))
    assert calls < 60
    report = shift.end()
    assert (report.succeeded, report.lost) == (6, 0)


def test_a_backend_that_cannot_be_opened_is_said_at_the_start(gator: Gator, backend: FlakyBackend) -> None:
    """Nothing was started."""
    backend.fail("open")
    with pytest.raises(BackendUnavailable):
        Worker(gator).run()


def test_joining_is_tried_until_it_works(gator: Gator, backend: FlakyBackend, start: Start) -> None:
    """A worker that starts before its server is up."""
    ran, _ = many(gator, 1)
    backend.fail("join", times=2)
    shift = start(gator, max_tasks=1)
    assert shift.wait().succeeded == 1
    assert ran == [0]


def test_a_stop_without_an_answer_ends_in_time_and_says_what_was_not_written(
    gator: Gator, backend: FlakyBackend, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """The grace is over: the job runs again elsewhere. It does not hammer the backend meanwhile."""
    ran, _ = many(gator, 1)
    backend.fail("settle", "exchange", "leave")
    shift = start(gator, grace=1)
    backend.wait_for_calls("settle", 1)
    with caplog.at_level(logging.WARNING, "typedgator"):
        report = shift.end()
    assert ran == [0]
    assert "1 settlements were not written before the end" in caplog.text
    assert "could not say goodbye" in caplog.text
    assert (report.succeeded, report.lost) == (0, 1)
    assert backend.calls["settle"] < 30


def test_a_blocked_backend_holds_up_no_running_job(gator: Gator, backend: FlakyBackend, start: Start) -> None:
    """Beats hang, say on a dead connection: jobs run and are settled all the same."""
    backend.block("beat", "maintain")
    ran, _ = many(gator, 50)
    shift = start(gator, lease=5)
    backend.wait_for_calls("beat", 1)
    with_beats_blocked = list(ran)
    backend.heal()
    assert sorted(with_beats_blocked) == list(range(50))
    assert shift.end().succeeded == 50


class Poisoned(FlakyBackend):
    """Cannot write what one job ended as: say, its driver has no way to encode it."""

    poison: tuple[type, ...] = (Succeeded,)
    bad: bytes = b""

    def settle(self, worker: WorkerId, settlements: "list[Settlement]", /) -> list[Settled]:  # type: ignore[override]  # a test's own
        """Fails as a whole when the poison is among them."""
        if any(each.job_id == self.bad and isinstance(each.verdict, self.poison) for each in settlements):
            raise OverflowError("integer too large for the column")
        return super().settle(worker, settlements)


@pytest.mark.parametrize("hopeless", [False, True])
def test_a_settlement_that_cannot_be_written_does_not_hold_up_others(burst: Burst, hopeless: bool) -> None:
    """It is written as a failure, not run again; the others are written as they are. If that fails as well, it is
    said, and the job goes back when the worker leaves.
    """
    backend = Poisoned(LocmemBackend())
    if hopeless:
        backend.poison = (Succeeded, Failed)
    gator = Gator(backend=backend)
    ran, written = many(gator, 100)
    waiting = backend.page(JobState.WAITING, limit=100).records
    backend.bad = waiting[50].job_id
    report = burst(gator, concurrency=4, max_tasks=100).report

    assert sorted(ran) == list(range(100))
    job = gator.job(waiting[50].job_id.hex())
    if hopeless:
        assert job.state() is JobState.WAITING
        assert (report.succeeded, report.failed, report.lost) == (99, 0, 1)
    else:
        with pytest.raises(JobFailed, match=r"OverflowError: what it ended as \(succeeded\) could not be written"):
            job.result(timeout=0)
        assert (report.succeeded, report.failed) == (99, 1)
        assert len(written.all) == 100


def test_the_report_adds_up_whatever_happens(gator: Gator, backend: FlakyBackend, start: Start) -> None:
    """Each attempt is in one of its counts."""
    attempts: list[int] = []

    @gator.register(name="t", retries=2, backoff=0)
    def task(number: int) -> int:
        attempts.append(number)
        if number % 3 == 0 and current_job().attempt < 2:
            raise ValueError(number)
        return number

    jobs = gator.task_many(task, [(n,) for n in range(60)])
    backend.lose_reply("claim", "settle", "exchange", times=4)
    shift = start(gator, concurrency=3)
    for job in jobs:
        job.result(timeout=PATIENCE)
    report = shift.end()
    assert len(attempts) == 80
    assert (report.succeeded, report.retried, report.ended) == (60, 20, 80)
