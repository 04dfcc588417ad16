"""A rolling deploy and its rollback, under load: who takes a job that they cannot run holds it for those who can."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final

import pytest

from tests.integration.deploy.releases import FIRST, PRODUCER, SECOND, THIRD
from tests.integration.redis.servers import Server, needs_redis
from typedgator import Gator, JobState
from typedgator.backends.contract import Holding

pytestmark = pytest.mark.timeout(180)

PATIENCE: Final = 60.0
WORKERS: Final = 2
UNKNOWN_TO_A: Final = {"shop.mail", "shop.thumbnail", "shop.audit", "shop.future"}
UNFINISHED: Final = (JobState.WAITING, JobState.RUNNING, JobState.RETRYING, JobState.SCHEDULED, JobState.BLOCKED)


class Fleet:
    """Worker and producer processes of several releases over one storage; each release in a folder of its own."""

    def __init__(self, folder: Path, dsn: str) -> None:
        self.gator: Final = Gator(dsn)
        self._folder = folder
        self._env = {k: v for k, v in os.environ.items() if not k.startswith("TYPEDGATOR_")}
        self._env |= {"TYPEDGATOR_CONN": dsn, "JOURNAL": str(folder / "journal")}
        self._crew: list[subprocess.Popen[str]] = []
        self._producers: list[subprocess.Popen[str]] = []
        for name, source in (("A", FIRST), ("B", SECOND), ("C", THIRD)):
            (folder / name).mkdir()
            (folder / name / "shop.py").write_text(source)
            (folder / name / "produce.py").write_text(PRODUCER)

    def produce(self, release: str, rounds: int = 100_000) -> None:
        """Starts a producer; it enqueues until `stop_producing`, or so many rounds."""
        command = [sys.executable, "produce.py", *map(str, (self._ledger(release), self._folder / "stop", rounds))]
        self._producers.append(self._start(command, release))

    def stop_producing(self) -> None:
        """Every producer has ended, and without an error."""
        (self._folder / "stop").touch()
        for each in self._producers:
            _, said = each.communicate(timeout=PATIENCE)
            assert each.returncode == 0, said

    def roll(self, release: str) -> None:
        """Replaces the workers one by one: an old one ends in order, then a new one comes."""
        for _ in range(WORKERS):
            if len(self._crew) == WORKERS:
                self._end(self._crew.pop(0))
            command = [sys.executable, "-m", "typedgator", "worker", "shop", "--log-level", "info"]
            worker = self._start(command, release)
            assert worker.stderr is not None
            assert any(" serves " in line for line in worker.stderr), "it ended before it served"
            self._crew.append(worker)

    def _start(self, command: list[str], release: str) -> subprocess.Popen[str]:
        return subprocess.Popen(command, cwd=self._folder / release, env=self._env, stderr=subprocess.PIPE, text=True)

    def _end(self, worker: subprocess.Popen[str]) -> None:
        worker.terminate()
        _, said = worker.communicate(timeout=PATIENCE)
        assert worker.returncode == 0, said
        assert "Traceback" not in said
        assert len(said.splitlines()) < 60, "alarms are not shouted"

    def close(self) -> None:
        """Nothing of it is left."""
        for process in (*self._crew, *self._producers):
            if process.poll() is None:
                process.kill()
            process.communicate()
        self.gator.close()

    # ---- what became of it

    def _ledger(self, release: str) -> Path:
        return self._folder / f"accepted-{release}"

    def accepted(self) -> list[str]:
        """The keys of all jobs that an enqueue returned for."""
        return [key for release in "ABC" for key in self._ledger(release).read_text().split()]

    def ran(self) -> list[list[str]]:
        """Key, what, attempt and release of each run."""
        journal = self._folder / "journal"
        return [line.split() for line in journal.read_text().splitlines()] if journal.exists() else []

    def did(self, release: str) -> set[str]:
        """What a release ran, each with the release that enqueued it."""
        return {f"{what.partition(':')[0]}:{key[0]}" for key, what, _, by in self.ran() if by == release}

    def count(self, *states: JobState) -> int:
        """How many jobs are in these states."""
        return sum(jobs.get(state, 0) for jobs in self.gator.counts().queues.values() for state in states)

    def held(self) -> set[str]:
        """The tasks that held jobs wait for."""
        assert isinstance(self.gator.backend, Holding)
        return {kind.task for kind in self.gator.backend.held_kinds() if kind.jobs}

    def until_quiet(self) -> None:
        """Waits until nothing is left but what is held."""
        until(lambda: not self.count(*UNFINISHED), "an empty queue")


def until(done: Callable[[], bool], what: str) -> None:
    """Looks again and again."""
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.02)


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=needs_redis)])
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Fleet]:
    """On a file, and on a server of its own."""
    if request.param == "sqlite":
        made = Fleet(tmp_path, f"sqlite:///{tmp_path / 'jobs.db'}?durability=process")
        yield made
        made.close()
        return
    with Server() as server:
        made = Fleet(tmp_path, server.unix_dsn)
        yield made
        made.close()


def test_a_rolling_deploy_and_its_rollback_lose_and_fail_nothing(fleet: Fleet) -> None:
    """Both releases enqueue while workers are replaced, forth and back; what nobody can read waits for who can."""
    fleet.produce("A")
    fleet.produce("B")
    fleet.produce("C", rounds=5)

    fleet.roll("A")
    until(lambda: fleet.held() >= UNKNOWN_TO_A, "A holding B's jobs")
    fleet.roll("B")
    until(lambda: fleet.held() >= {"shop.legacy", "shop.charge", "shop.future"}, "B holding A's jobs")
    until(lambda: fleet.did("B") >= {"thumbnail:A", "thumbnail:B", "mail:A", "mail:B", "audit:B"}, "B running the rest")
    fleet.roll("A")
    until(lambda: fleet.held() >= UNKNOWN_TO_A, "A holding B's jobs again")
    fleet.stop_producing()
    fleet.until_quiet()
    assert fleet.held() == UNKNOWN_TO_A, "A took all that it can read"
    fleet.roll("C")
    until(lambda: not fleet.held(), "an end of holding")
    fleet.until_quiet()

    accepted, ran = fleet.accepted(), fleet.ran()
    assert len(accepted) > 100
    assert fleet.count(JobState.FAILED, JobState.HELD, JobState.CANCELED) == 0
    assert Counter(key for key, *_ in ran) == Counter(accepted), "each job ran, and once"
    assert {attempt for _, _, attempt, _ in ran} == {"1"}, "being held spends no attempt"
    by_release = {key: (what, release) for key, what, _, release in ran}
    upgraded = {(what, by) for key, (what, by) in by_release.items() if key[0] == "A" and key.endswith("-mail")}
    assert {by for what, by in upgraded if what.endswith(":old")} == {"B"}, "B ran A's mails by its upgrade"
    assert {by for what, by in upgraded if not what.endswith(":old")} == {"A"}
    renamed = {(what, by) for key, (what, by) in by_release.items() if key.endswith("-resize")}
    assert renamed == {("resize", "A"), ("thumbnail", "B")}
    assert {by for what, by in by_release.values() if what == "legacy"} == {"A"}
    assert {by for what, by in by_release.values() if what == "charge:-1"} == {"A"}
    assert {by for what, by in by_release.values() if what == "audit"} == {"B", "C"}
    assert {by for what, by in by_release.values() if what == "future"} == {"C"}
