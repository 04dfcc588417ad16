"""What the disk sees: a full one, a locked file, a file that must not grow for ever."""

import sqlite3
from pathlib import Path

import pytest

from typedgator.backends.contract import ReceiptStatus
from typedgator.backends.sqlite import SqliteBackend, connections
from typedgator.backends.sqlite.audit import faults
from typedgator.backends.sqlite.moves import INLINE_BYTES
from typedgator.errors import BackendUnavailable
from typedgator.testing.clock import FakeClock
from typedgator.testing.contract import job
from typedgator.wire.states import JobState
from typedgator.wire.verdict import Failed, RetryIn, Settlement, Succeeded, Verdict


def drain(backend: SqliteBackend) -> int:
    """Claims and settles all that is waiting; how many it were."""
    worker, seen, done = backend.join(["all"], lease_ms=60_000), 0, 0
    settlements: list[Settlement] = []
    while True:
        _, claimed = backend.exchange(worker, settlements, limit=100, seen=seen)
        if not claimed:
            break
        settlements = [Settlement(each.job_id, each.token, Succeeded()) for each in claimed]
        seen, done = claimed[-1].token, done + len(claimed)
    backend.leave(worker)
    return done


def test_a_full_disk_accepts_nothing_and_loses_nothing(tmp_path: Path) -> None:
    """The error says so and has SQLite's own as its cause; with room again the same call succeeds."""
    backend = SqliteBackend(tmp_path / "jobs.db")
    backend.enqueue([job(0)])
    db = backend.storage.connections.mine().db
    assert db is not None
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages + 10}")
    accepted = 1

    def fill_up() -> None:
        nonlocal accepted
        while accepted < 1000:
            backend.enqueue([job(accepted, envelope=b"x" * 1000)])
            accepted += 1

    with pytest.raises(BackendUnavailable, match="the disk is full") as refusal:
        fill_up()
    assert isinstance(refusal.value.__cause__, sqlite3.Error)
    with pytest.raises(BackendUnavailable, match="the disk is full"):
        backend.enqueue([job(number, envelope=b"x" * 5000) for number in range(1000, 1010)])
    assert backend.counts().queues == {"all": {JobState.WAITING: accepted}}
    db.execute("PRAGMA max_page_count = 1000000")
    assert backend.enqueue([job(accepted)])[0].status is ReceiptStatus.NEW
    backend.close()
    assert faults(backend.path) == []


def test_a_file_that_stays_locked_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the time that SQLite is told to wait; nothing was written."""
    monkeypatch.setattr(connections, "BUSY_S", 0.05)
    backend = SqliteBackend(tmp_path / "jobs.db")
    backend.enqueue([job(1)])
    writer = sqlite3.connect(backend.path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    for frames in ([job(2)], [job(2), job(3)]):
        with pytest.raises(BackendUnavailable, match="held it for more than") as refusal:
            backend.enqueue(frames)
        assert isinstance(refusal.value.__cause__, sqlite3.OperationalError)
    with pytest.raises(BackendUnavailable):
        backend.join(["all"], lease_ms=1000)
    writer.execute("ROLLBACK")
    writer.close()
    assert backend.enqueue([job(2), job(3)])[0].status is ReceiptStatus.NEW
    backend.close()


def test_the_file_does_not_grow_with_the_jobs_that_went_through(tmp_path: Path) -> None:
    """The memory of a finished job is small and ends; its pages are used again."""
    clock = FakeClock()
    backend = SqliteBackend(tmp_path / "jobs.db", synchronous="off", clock=clock)
    sizes: list[int] = []
    for _ in range(12):
        for first in range(0, 1000, 250):
            backend.enqueue([job(number) for number in range(first, first + 250)])
        assert drain(backend) == 1000
        clock.advance(60_000)
        while backend.maintain(limit=500).more:
            pass
        with backend.storage.look() as db:
            sizes.append(db.execute("PRAGMA page_count").fetchone()[0])
    assert max(sizes[2:]) <= sizes[1] * 1.05
    with backend.storage.look() as db:
        for table in ("tg_job", "tg_body", "tg_worker", "tg_parent", "tg_spent"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    backend.close()
    assert faults(backend.path) == []


def test_a_large_frame_is_written_once(tmp_path: Path) -> None:
    """It has a row of its own, so that a change of state does not rewrite it, and goes with the job."""
    clock = FakeClock()
    backend = SqliteBackend(tmp_path / "jobs.db", clock=clock)
    envelope = bytes(range(256)) * 400
    backend.enqueue([job(1, envelope=envelope), job(2, envelope=b"y" * INLINE_BYTES), job(3)])
    worker = backend.join(["all"], lease_ms=60_000)
    claimed = backend.claim(worker, limit=9, wait_ms=0, seen=0)
    assert [len(each.frame) > INLINE_BYTES for each in claimed] == [True, True, False]
    assert claimed[0].frame.endswith(envelope)
    assert backend.claim(worker, limit=9, wait_ms=0, seen=0) == claimed
    verdicts: list[Verdict] = [RetryIn(0), Failed(b"an error"), Succeeded()]
    answers = [Settlement(each.job_id, each.token, verdict) for each, verdict in zip(claimed, verdicts, strict=True)]
    backend.settle(worker, answers)
    with backend.storage.look() as db:
        assert db.execute("SELECT count(*) FROM tg_body").fetchone() == (2,)
    assert faults(backend.path) == []
    backend.requeue(claimed[1].job_id)
    assert drain(backend) == 2
    with backend.storage.look() as db:
        assert db.execute("SELECT count(*) FROM tg_body").fetchone() == (0,)
    backend.close()
    assert faults(backend.path) == []


def test_work_beside_the_call_is_bounded(tmp_path: Path) -> None:
    """A claim promotes 256 due jobs at most, whatever has piled up; the others follow with the next calls."""
    clock = FakeClock()
    backend = SqliteBackend(tmp_path / "jobs.db", synchronous="off", clock=clock)
    for first in range(0, 1000, 250):
        backend.enqueue([job(number, delay_ms=1) for number in range(first, first + 250)])
    worker = backend.join(["all"], lease_ms=60_000)
    clock.advance(1)
    backend.claim(worker, limit=1, wait_ms=0, seen=0)
    assert backend.counts().queues == {
        "all": {JobState.RUNNING: 1, JobState.WAITING: 255, JobState.SCHEDULED: 744},
    }
    upkeep = backend.maintain(limit=100)
    assert (upkeep.promoted, upkeep.more) == (100, True)
    backend.close()


def test_upkeep_goes_on_when_one_job_took_another_along(tmp_path: Path) -> None:
    """Two of the first three late jobs are parent and child: they end together, and count as one; `more` stays true."""
    clock = FakeClock()
    backend = SqliteBackend(tmp_path / "jobs.db", clock=clock)
    backend.enqueue([job(1, expires_in_ms=1), job(2, after=[1], expires_in_ms=1), job(3, expires_in_ms=1)])
    clock.advance(1)
    upkeep = backend.maintain(limit=2)
    assert (upkeep.expired, upkeep.more) == (1, True)
    upkeep = backend.maintain(limit=2)
    assert (upkeep.expired, upkeep.more) == (1, False)
    backend.close()


def test_an_intact_file_has_no_faults_and_a_doctored_one_has(tmp_path: Path) -> None:
    """The audit that the other tests rely on does find something."""
    backend = SqliteBackend(tmp_path / "jobs.db")
    backend.enqueue([job(1), job(2, after=[1]), job(3, delay_ms=1000)])
    worker = backend.join(["all"], lease_ms=60_000)
    backend.claim(worker, limit=1, wait_ms=0, seen=0)
    backend.close()
    assert faults(backend.path) == []
    db = sqlite3.connect(backend.path)
    for damage, claim in (
        ("DELETE FROM tg_worker", "a running job has a token and a worker with a lease"),
        ("DELETE FROM tg_parent", "a blocked job waits for an unfinished parent"),
        ("UPDATE tg_job SET due_ms = NULL", "a job that is scheduled"),
        ("UPDATE tg_job SET frame = NULL", "an unfinished job and a dead letter have a frame"),
    ):
        db.execute("BEGIN")
        db.execute(damage)
        db.commit()
        assert any(fault.startswith(claim) for fault in faults(backend.path)), damage
    db.close()
