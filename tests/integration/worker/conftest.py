"""Fixtures of the worker's tests: gators on both embedded backends, workers that are stopped, threads that are gone."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.worker.crew import PATIENCE, Shift
from typedgator import Gator, Worker

Start = Callable[..., Shift]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment says nothing."""
    for name in ("TYPEDGATOR_CONN", "TYPEDGATOR_ASYNC", "TYPEDGATOR_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def short_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim waits 50 ms, not 500: nearly every test here stops an idle worker."""
    monkeypatch.setattr("typedgator.worker.claimer.WAIT_MS", 50)


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    """After each test, every thread that it started has ended."""
    before = set(threading.enumerate())
    yield
    started = [thread for thread in threading.enumerate() if thread not in before]
    for thread in started:
        thread.join(PATIENCE)
    assert [thread.name for thread in started if thread.is_alive()] == []


@pytest.fixture(params=["locmem", "sqlite"])
def dsn(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the jobs are kept: each test runs on every embedded backend."""
    return "locmem://" if request.param == "locmem" else f"sqlite:///{tmp_path / 'jobs.db'}?durability=process"


@pytest.fixture
def gator(dsn: str) -> Iterator[Gator]:
    """A gator that says nothing of its own."""
    gator = Gator(dsn)
    yield gator
    gator.close()


@pytest.fixture
def start() -> Iterator[Start]:
    """`start(gator, concurrency=4)`: a worker in a thread, stopped at the end of the test."""
    shifts: list[Shift] = []

    def start(gator: Gator, **options: object) -> Shift:
        shifts.append(Shift(Worker(gator, **options)))  # type: ignore[arg-type]  # whatever a test wants to say
        return shifts[-1]

    yield start
    for shift in shifts:
        shift.worker.stop(now=True)
    for shift in shifts:
        shift.wait()


@pytest.fixture
def burst() -> Callable[..., Worker]:
    """`burst(gator)`: runs a worker in this thread until nothing is due; the worker, with its report."""

    def burst(gator: Gator, **options: object) -> Worker:
        worker = Worker(gator, burst=True, **options)  # type: ignore[arg-type]  # whatever a test wants to say
        worker.run()
        return worker

    return burst
