"""A worker with nothing to do: it costs the server next to nothing, and yet hears at once what concerns it."""

import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from threading import Event, Thread
from time import monotonic
from typing import Final

import pytest

from tests.integration.redis.servers import Server, needs_redis
from typedgator import Gator, Worker

pytestmark = needs_redis
SOON_S: Final = 10
WATCHED_S: Final = 8
PER_SECOND: Final = 2


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of its own: what it hears is this worker."""
    with Server() as started:
        yield started


@pytest.fixture
def gator(server: Server) -> Iterator[Gator]:
    """Its jobs."""
    with closing(Gator(server.dsn)) as opened:
        yield opened


ran = Event()


def touch() -> None:
    """A task."""
    ran.set()


def _facts(server: Server, section: str) -> dict[str, str]:
    with socket.create_connection(("127.0.0.1", server.port)) as line:
        line.sendall(f"INFO {section}\r\nQUIT\r\n".encode())
        text = b"".join(iter(lambda: line.recv(1 << 16), b"")).decode()
    return dict(each.split(":", 1) for each in text.splitlines() if ":" in each)


def _until(holds: Callable[[], bool]) -> None:
    ends = monotonic() + SOON_S
    while not holds():
        assert monotonic() < ends


def _started(gator: Gator, server: Server, **options: float) -> tuple[Worker, Thread]:
    """A worker that waits in the server."""
    worker = Worker(gator, **options)  # type: ignore[arg-type]  # what a test wants to say
    thread = Thread(target=worker.run)
    thread.start()
    _until(lambda: _facts(server, "clients")["blocked_clients"] == "1")
    return worker, thread


def _heard(server: Server, seconds: float) -> list[str]:
    """What clients send meanwhile; MONITOR marks what scripts do. From 7.2 on redis-py introduces itself."""
    ends, text = monotonic() + seconds, b""
    with socket.create_connection(("127.0.0.1", server.port)) as line:
        line.sendall(b"MONITOR\r\n")
        while (left := ends - monotonic()) > 0:
            line.settimeout(left)
            try:
                text += line.recv(1 << 16)
            except TimeoutError:
                break
    heard = (each for each in text.decode("latin-1").splitlines() if " [" in each and " lua] " not in each)
    return [each for each in heard if '"SETINFO"' not in each]


def test_an_idle_worker_sends_two_commands_a_second_at_most(gator: Gator, server: Server) -> None:
    """Its waits, its looks at what is due, its beats and its upkeep, all together, with the shortest lease there is."""
    worker, thread = _started(gator, server, lease=5)
    try:
        heard = _heard(server, WATCHED_S)
    finally:
        worker.stop()
        thread.join(SOON_S)

    assert {word for each in heard for word in ("EVALSHA", "BLPOP") if word in each} == {"EVALSHA", "BLPOP"}
    assert len(heard) <= WATCHED_S * PER_SECOND, heard


def test_an_idle_worker_stops_at_once(gator: Gator, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits in the server for a minute at a time, and is woken to end."""
    monkeypatch.setattr("typedgator.worker.claimer.WOKEN_MS", 60_000)
    worker, thread = _started(gator, server)

    worker.stop()
    thread.join(3)  # a wait of the server would end after 5 s

    assert not thread.is_alive()
    assert [each for each in _clients(server) if "cmd=blpop" in each] == []


def test_a_worker_that_cannot_be_woken_stops_all_the_same(gator: Gator, server: Server) -> None:
    """The server is gone: nobody can end a wait there, and the worker ends."""
    worker, thread = _started(gator, server, grace=0)
    server.kill()

    worker.stop(now=True)
    thread.join(SOON_S)

    assert not thread.is_alive()


def test_an_idle_worker_starts_what_becomes_due(gator: Gator, server: Server) -> None:
    """A job that is delayed while all workers are idle runs when it is due, not at their next look."""
    task = gator.register(touch)
    ran.clear()
    worker, thread = _started(gator, server)
    try:
        before = monotonic()
        gator.options(delay_by=0.1).task(task)
        assert ran.wait(3)  # the next look is up to 5 s away
        assert monotonic() - before >= 0.1
    finally:
        worker.stop()
        thread.join(SOON_S)


def _clients(server: Server) -> list[str]:
    with socket.create_connection(("127.0.0.1", server.port)) as line:
        line.sendall(b"CLIENT LIST\r\nQUIT\r\n")
        return b"".join(iter(lambda: line.recv(1 << 16), b"")).decode().splitlines()
