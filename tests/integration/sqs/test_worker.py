"""Tasks over SQS, from call to effect: real worker processes, one of them killed; and a stop that nobody waits for."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.sqs.servers import Server, needs_sqs
from typedgator import Gator, Worker
from typedgator.backends.sqs.backend import SqsBackend
from typedgator.backends.sqs.shapes import Message
from typedgator.errors import Unsupported

pytestmark = needs_sqs
PATIENCE = 40.0

APP = """
import os, pathlib, signal, time
from typedgator import Gator, current_job

gator = Gator()
folder = pathlib.Path(__file__).parent


def note(line: str) -> None:
    with open(folder / "effects", "a", encoding="utf-8") as file:
        file.write(line + "\\n")


@gator.register
def write(text: str) -> None:
    note(text)


@gator.register(retries=2, backoff=0)
def stubborn() -> None:
    note(f"attempt {current_job().attempt}")
    if current_job().attempt < 3:
        raise LookupError("not yet")


@gator.register
def hang(name: str) -> None:
    note(f"started {name} {current_job().attempt}")
    if current_job().attempt == 1:
        time.sleep(60)
    note(f"finished {name}")


@gator.register
async def write_async(text: str) -> None:
    note(text)
"""


class Project:
    """A folder with a module `app` over a place in SQS, and what its tasks did."""

    def __init__(self, folder: Path, dsn: str) -> None:
        self.folder = folder
        self.env = {**os.environ, "TYPEDGATOR_CONN": dsn}
        (folder / "app.py").write_text(APP, encoding="utf-8")
        self.processes: list[subprocess.Popen[bytes]] = []

    def python(self, code: str) -> None:
        """Runs code in a process of its own, `app` imported."""
        done = subprocess.run(
            [sys.executable, "-c", f"from app import *\n{code}"],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr

    def worker(self, *options: str) -> subprocess.Popen[bytes]:
        """A worker process; what it says is in the file `log`."""
        command = [sys.executable, "-m", "typedgator", "worker", "app", "--lease", "5", *options]
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(command, cwd=self.folder, env=self.env, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    @property
    def effects(self) -> list[str]:
        """The lines that tasks wrote."""
        path = self.folder / "effects"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def wait_for(self, done: Callable[[list[str]], bool]) -> list[str]:
        """Looks until it is so."""
        ends = time.monotonic() + PATIENCE
        while not done(self.effects):
            assert time.monotonic() < ends, f"only {self.effects}: {(self.folder / 'log').read_text()}"
            time.sleep(0.05)
        return self.effects


@pytest.fixture
def project(tmp_path: Path, server: Server) -> Iterator[Project]:
    """Its processes end with the test."""
    made = Project(tmp_path, server.fail().go_on().dsn())
    yield made
    for process in made.processes:
        if process.poll() is None:
            process.kill()
        process.wait()


def test_from_call_to_effect(project: Project) -> None:
    """Calls, a batch, a delay, retries, async tasks: all run, and a worker that is told to stop ends well."""
    project.python(
        "write.task('one'); stubborn.task(); write_async.task('async')\n"
        "gator.task_many(write, [(f'many {n}',) for n in range(25)])\n"
        "with gator.options(delay_by=2) as later: later.task(write, 'later')"
    )
    worker = project.worker()

    effects = project.wait_for(lambda lines: len(lines) == 31)
    worker.send_signal(signal.SIGTERM)

    assert worker.wait(PATIENCE) == 0
    expected = {"one", "async", "later", "attempt 1", "attempt 2", "attempt 3", *(f"many {n}" for n in range(25))}
    assert set(effects) == expected
    assert effects.index("later") > effects.index("one")


def test_a_burst_runs_what_is_due_and_ends(project: Project) -> None:
    """Exit code 0."""
    project.python("write.task('one')")
    assert project.worker("--burst").wait(PATIENCE) == 0
    assert project.effects == ["one"]


def test_the_jobs_of_a_killed_worker_run_again(project: Project) -> None:
    """kill -9 in the middle of a job: another worker has it once SQS shows it again, as the second attempt."""
    project.python("hang.task('it')")
    victim = project.worker()
    project.wait_for(lambda lines: lines == ["started it 1"])
    victim.kill()
    victim.wait()

    project.worker()

    assert project.wait_for(lambda lines: len(lines) == 3) == ["started it 1", "started it 2", "finished it"]


def test_an_idle_worker_stops_while_it_polls(server: Server) -> None:
    """A long poll takes up to 20 s; the worker does not wait for its end."""
    gator = Gator(server.fail().go_on().dsn(more="&poll=20"))
    worker = Worker(gator)
    backend = gator.backend
    assert isinstance(backend, SqsBackend)
    receive = backend.line.receive

    def receive_and_stop(url: str, most: int, *, hide_s: int, wait_s: int) -> list[Message]:
        if wait_s:  # this is the poll: it is told to stop just before
            worker.stop()
        return receive(url, most, hide_s=hide_s, wait_s=wait_s)

    backend.line.receive = receive_and_stop  # type: ignore[method-assign]  # the moment that the test is about
    worker.run()

    assert "typedgator-sqs-poll" in [thread.name for thread in threading.enumerate()], (
        "it waited for the end of the poll"
    )
    gator.close()


def test_what_sqs_cannot_keep_is_refused_before_anything_is_sent(server: Server) -> None:
    """At the call, with the name of the option."""
    gator = Gator(server.dsn())

    @gator.register(name="t")
    def task(n: int) -> None: ...

    for option in (
        {"priority": 200},
        {"unique": True},
        {"expires": 60},
        {"job_id": "mine"},
        {"keep_result": True},
        {"delay_by": 901},
    ):
        name = next(iter(option))
        with pytest.raises(Unsupported, match=f"{name}="), gator.options(**option) as said:  # type: ignore[arg-type]
            said.task(task, 1)
    job = task.task(1)
    with pytest.raises(Unsupported, match="results"):
        job.result()
    with pytest.raises(Unsupported, match="raise Cancel"):
        job.cancel()
    gator.close()
