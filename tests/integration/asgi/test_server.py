"""A real uvicorn with a worker inside: it starts, it is told to stop, it is told twice."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Final

import pytest

from tests.integration.redis.servers import free_port
from tests.integration.worker.crew import PATIENCE
from typedgator import Gator, JobState

ROOT: Final = Path(__file__).resolve().parents[3]


class Served:
    """The process, what it says, and a line to it."""

    def __init__(self, dsn: str) -> None:
        self.port: Final = free_port()
        self.process: Final = subprocess.Popen(
            [sys.executable, "-u", "-m", "tests.integration.asgi.shop", str(self.port)],
            cwd=ROOT,
            env={**os.environ, "TYPEDGATOR_CONN": dsn, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def hears(self, words: str, stream: IO[str] | None) -> None:
        """Waits until it says so; the end of what it says, with its end, fails."""
        assert stream is not None
        said = ""
        for line in stream:
            said += line
            if words in line:
                return
        pytest.fail(f"it ended without a word of {words!r}: {said}")

    def started(self) -> "Served":
        self.hears("Uvicorn running", self.process.stderr)
        return self

    def post(self, path: str) -> str:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method="POST")
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return str(json.load(answer))

    def hang(self) -> socket.socket:
        """A request that nobody will answer, when the server has it."""
        line = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        line.sendall(b"GET /hang HTTP/1.1\r\nHost: test\r\n\r\n")
        self.hears("hanging", self.process.stdout)
        return line


@pytest.fixture
def serve() -> Iterator[Callable[[str], Served]]:
    with ExitStack() as ends:

        def serve(dsn: str) -> Served:
            served = Served(dsn)
            ends.enter_context(served.process)
            ends.callback(served.process.kill)
            return served

        yield serve


@pytest.fixture
def dsn(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'jobs.db'}?durability=process"


def test_a_server_that_cannot_reach_its_jobs_ends_and_says_why(serve: Callable[[str], Served]) -> None:
    served = serve(f"redis://127.0.0.1:{free_port()}/0?timeout=0.5")

    _, said = served.process.communicate(timeout=PATIENCE)

    assert served.process.returncode == 3
    assert "typedgator.errors.BackendUnavailable" in said
    assert "Application startup failed. Exiting." in said


def test_a_signal_ends_the_server_after_the_running_job(serve: Callable[[str], Served], dsn: str) -> None:
    served = serve(dsn).started()
    job = Gator(dsn).job(served.post("/enqueue/end"))
    served.hears("started", served.process.stdout)

    served.process.send_signal(signal.SIGTERM)

    assert served.process.wait(PATIENCE) in {0, -signal.SIGTERM}
    assert job.result() == "finished"


def test_a_second_signal_gives_running_jobs_back(serve: Callable[[str], Served], dsn: str) -> None:
    """While a request is still open, uvicorn waits; told again, it ends the lifespan at once."""
    served = serve(dsn).started()
    job = Gator(dsn).job(served.post("/enqueue/endless"))
    served.hears("started", served.process.stdout)

    with served.hang():
        served.process.send_signal(signal.SIGINT)
        served.hears("Waiting for", served.process.stderr)
        served.process.send_signal(signal.SIGINT)
        served.process.wait(PATIENCE)
    assert job.state() is JobState.WAITING
