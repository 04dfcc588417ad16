"""Rows that somebody damaged by hand, or that a disk lost: each is one job's trouble, and no other's."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from typedgator import Gator, JobFailed, JobState, Worker
from typedgator.backends.sqlite import SqliteBackend
from typedgator.backends.sqlite.moves import INLINE_BYTES
from typedgator.testing.clock import FakeClock
from typedgator.testing.contract.bench import job, named
from typedgator.wire.verdict import Released, Settlement

DAMAGES = {
    "lost": "UPDATE tg_job SET frame = NULL WHERE seq = {seq}",
    "its row lost": "DELETE FROM tg_body WHERE seq = {seq}",
    "empty": "UPDATE tg_job SET frame = x'' WHERE seq = {seq}",
    "two bytes": "UPDATE tg_job SET frame = x'0100' WHERE seq = {seq}",
    "text": "UPDATE tg_job SET frame = 'text' WHERE seq = {seq}",
    "text that is no UTF-8": "UPDATE tg_job SET frame = CAST(x'ff6b' AS TEXT) WHERE seq = {seq}",
    "a number": "UPDATE tg_job SET frame = 7 WHERE seq = {seq}",
}


@pytest.fixture(params=sorted(DAMAGES))
def damage(request: pytest.FixtureRequest) -> str:
    """What happens to one frame."""
    return str(request.param)


@pytest.fixture
def gator(tmp_path: Path) -> Iterator[Gator]:
    """A gator on a file."""
    gator = Gator(f"sqlite:///{tmp_path / 'jobs.db'}?durability=process")
    yield gator
    gator.close()


def letters(damage: str) -> int:
    """How long a payload is: a large frame has a row of its own, which may be lost."""
    return 2 * INLINE_BYTES if damage == "its row lost" else 10


def spoil(path: Path, damage: str, seq: int) -> None:
    """Damages the frame of one row."""
    with sqlite3.connect(path) as db:
        db.execute(DAMAGES[damage].format(seq=seq))
    db.close()


def test_a_damaged_frame_fails_its_job_alone(gator: Gator, tmp_path: Path, damage: str) -> None:
    """With a reason; its neighbours run, and it can be listed before and after."""

    @gator.register(name="size")
    def size(text: str) -> int:
        return len(text)

    jobs = gator.task_many(size, [("x" * letters(damage),)] * 3)
    spoil(tmp_path / "jobs.db", damage, seq=2)
    assert len(gator.queue()) == 3

    Worker(gator, burst=True).run()

    assert [each.state() for each in jobs] == [JobState.SUCCESS, JobState.FAILED, JobState.SUCCESS]
    with pytest.raises(JobFailed, match="frame") as failure:
        jobs[1].result(timeout=0)
    assert failure.value.error_type.endswith("PayloadMismatch")


def test_a_damaged_frame_comes_back_as_any_other(tmp_path: Path, damage: str) -> None:
    """Released, crashed, leased anew, requeued: nothing that moves a job stumbles over it."""
    clock = FakeClock()
    backend = SqliteBackend(tmp_path / "jobs.db", clock=clock)
    backend.enqueue([job(number, envelope=b"x" * letters(damage)) for number in (1, 2)])
    spoil(backend.path, damage, seq=1)
    worker = backend.join(["all"], lease_ms=30_000)
    first = backend.claim(worker, limit=10, wait_ms=0, seen=0)
    again = backend.claim(worker, limit=10, wait_ms=0, seen=0)
    assert [each.job_id for each in first] == [each.job_id for each in again] == [named(1), named(2)]
    backend.settle(worker, [Settlement(each.job_id, each.token, Released()) for each in first])

    backend.claim(worker, limit=10, wait_ms=0, seen=first[-1].token)
    clock.advance(30_000)

    assert backend.maintain(limit=10).reclaimed == 2
    backend.close()
