"""A worker process is told to end with hundreds of fast jobs in hand: what it has not started goes back at once."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.integration.cli.project import PATIENCE, Project
from tests.integration.redis.servers import Server, needs_redis, until
from typedgator import Gator
from typedgator.backends.redis import RedisBackend
from typedgator.backends.redis.audit import faults
from typedgator.wire.states import JobState

pytestmark = needs_redis
JOBS = 20_000
IN_HAND = 150
"""At least so many must not have started; most often it is 250 to 500."""

FAST = f"""
import asyncio, os, pathlib, signal, time
from itertools import count
from typedgator import Gator, JobState

gator = Gator()
ran = os.open("ran", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
go, held = pathlib.Path("go"), pathlib.Path("held")
started = count(1)

def begin(number: int) -> bool:
    '''Whether to be the one that is running when the signal comes.'''
    os.write(ran, b"%d\\n" % number)
    so_many = next(started)
    if so_many % 20 or held.exists():
        return False
    in_hand = {JOBS} - gator.counts().queues["all"].get(JobState.WAITING, 0) - so_many
    if in_hand < {IN_HAND}:
        return False
    os.kill(os.getpid(), signal.SIGTERM)
    written = pathlib.Path("written")
    written.write_text(f"{{number}} {{in_hand}}")
    written.rename(held)
    return True
"""
SYNC = """
@gator.register(name="fast")
def fast(number: int) -> None:
    if begin(number):
        while not go.exists():
            time.sleep(0.01)
"""
ASYNC = """
@gator.register(name="fast")
async def fast(number: int) -> int:
    if begin(number):
        while not go.exists():
            await asyncio.sleep(0.01)
    return number
"""


@pytest.fixture
def server() -> Iterator[Server]:
    """A fresh one."""
    with Server() as started:
        yield started


@pytest.fixture
def project(tmp_path: Path, server: Server) -> Iterator[Project]:
    """Its jobs come from the server."""
    started: list[subprocess.Popen[str]] = []
    made = Project(tmp_path, started)
    made.env["TYPEDGATOR_CONN"] = server.dsn
    yield made
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("how", [SYNC, ASYNC], ids=["sync", "async"])
def test_what_was_not_started_goes_back_at_once_and_the_rest_ends(project: Project, server: Server, how: str) -> None:
    """SIGTERM: while the one that runs has its time, all others wait again, no attempt spent; then it exits with 0.
    The next worker runs the others: each job has run once.
    """
    project.write("fast.py", FAST + how)
    with closing(Gator(server.dsn)) as gator:
        backend = gator.backend
        assert isinstance(backend, RedisBackend)

        def fast(number: int) -> None: ...

        jobs = gator.task_many(gator.register(name="fast")(fast), [(number,) for number in range(JOBS)])
        worker = project.start("worker", "fast", "--concurrency", "1", "--grace", "300")
        project.until_there("held")
        until(lambda: backend.counts().queues["all"].get(JobState.RUNNING) == 1, "the others do not go back", PATIENCE)

        begun = numbers(project)
        last, in_hand = map(int, (project.folder / "held").read_text().split())
        assert begun[-1] == last
        assert len(begun) == len(set(begun)) < JOBS - IN_HAND
        assert backend.counts().queues == {"all": {JobState.RUNNING: 1, JobState.WAITING: JOBS - len(begun)}}
        touched = set(begun)
        untouched = [backend.find(job._id) for number, job in enumerate(jobs) if number not in touched]
        assert {record and (record.state, record.attempt, record.crashes) for record in untouched} == {
            (JobState.WAITING, 0, 0)
        }
        (project.folder / "go").touch()
        _, said = worker.communicate(timeout=PATIENCE)
        assert worker.returncode == 0, said
        ended = re.search(r"stopped: (\d+) succeeded, (\d+) released", said)
        assert ended is not None, said
        assert int(ended[1]) == len(begun)
        assert int(ended[2]) >= in_hand
        assert jobs[last].state() is JobState.SUCCESS
        assert faults(backend) == []

        assert project.command("worker", "fast", "--burst").returncode == 0

        assert sorted(numbers(project)) == list(range(JOBS))
        assert backend.counts().queues == {}
        assert faults(backend) == []


def numbers(project: Project) -> list[int]:
    """The jobs that were started, in that order."""
    return [int(line) for line in (project.folder / "ran").read_text().split()]
