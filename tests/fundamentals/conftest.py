"""Fixtures of the manual: a gator on each backend, a clock that stands still, both faces, and the raw store."""

import sqlite3
from asyncio import Runner
from collections.abc import Callable, Generator, Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.fundamentals.faces import AsyncFace, Face, SyncFace
from tests.integration.redis.servers import Server, needs_redis
from typedgator import Gator
from typedgator.backends.redis import RedisBackend
from typedgator.testing.clock import FakeClock

_numbers = count()


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment says nothing."""
    for name in ("TYPEDGATOR_CONN", "TYPEDGATOR_ASYNC", "TYPEDGATOR_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def clock() -> FakeClock:
    """The time, which moves only by `clock.advance(ms)`."""
    return FakeClock()


@pytest.fixture(scope="session")
def redis() -> Generator[Server]:
    """One server for all tests; each has a namespace of its own."""
    with Server() as started:
        yield started


@pytest.fixture(params=["locmem", "sqlite", pytest.param("redis", marks=needs_redis)])
def dsn(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the jobs are kept: each test runs on every backend."""
    if request.param == "redis":
        server: Server = request.getfixturevalue("redis")
        return f"{server.unix_dsn}&namespace=test-{next(_numbers)}"
    return "locmem://" if request.param == "locmem" else f"sqlite:///{tmp_path / 'jobs.db'}?durability=process"


@pytest.fixture
def make_gator(dsn: str, clock: FakeClock) -> Iterator[Callable[..., Gator]]:
    """A gator with options of the house: `make_gator(retries=1)`."""
    made: list[Gator] = []

    def make(**options: object) -> Gator:
        made.append(Gator(dsn, clock=clock, **options))  # type: ignore[arg-type]  # whatever a test wants to say
        return made[-1]

    yield make
    for gator in made:
        gator.close()


@pytest.fixture
def gator(make_gator: Callable[..., Gator]) -> Gator:
    """A gator that says nothing of its own."""
    return make_gator()


@pytest.fixture(params=["sync", "async"])
def face(request: pytest.FixtureRequest) -> Generator[Face]:
    """Sync code, then async code."""
    if request.param == "sync":
        yield SyncFace()
    else:
        with Runner() as runner:
            yield AsyncFace(runner)


@pytest.fixture
def work(gator: Gator) -> Callable[[], int]:
    """Runs what is due until nothing is; how many attempts it were."""

    def run() -> int:
        attempts = 0
        while gator.pop() is not None:
            attempts += 1
        return attempts

    return run


@pytest.fixture
def stored(gator: Gator, tmp_path: Path) -> Callable[[], object]:
    """All that the storage holds, read past the library: rows of the file, keys of the server, or jobs in memory."""

    def read() -> object:
        if gator.dsn is not None and gator.dsn.startswith("sqlite"):
            file = tmp_path / "jobs.db"
            if not file.exists():
                return "no file"
            with sqlite3.connect(file) as db:
                rows = list(db.iterdump())
            db.close()
            return rows
        if isinstance(gator.backend, RedisBackend):
            link, keys = gator.backend.link, gator.backend.caller.keys
            found = link.ask("KEYS", keys.prefix.replace("{", "\\{") + "*")
            assert isinstance(found, list)
            return {key: link.ask("DUMP", key) for key in found if key != keys.named("clock")}
        ledger = gator.backend._ledger  # type: ignore[attr-defined]
        return sorted(ledger.jobs), gator.counts()

    return read
