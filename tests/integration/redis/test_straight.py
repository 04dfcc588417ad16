"""A thread's line: on a plain socket it is straight, and nobody who asks can tell it from redis-py's own."""

import signal
import socket
import sys
import threading
from collections.abc import Iterator
from types import FrameType

import hiredis
import pytest
from redis.connection import Connection, UnixDomainSocketConnection
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as TimedOut

from tests.integration.redis.servers import Server, needs_redis
from typedgator.backends.redis.straight import Line, Straight, line_of

pytestmark = [needs_redis, pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no line is straight")]
KINDS = ["tcp", "unix"]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One for all that leave it as it was."""
    with Server() as started:
        yield started


def connected(server: Server, kind: str, timeout_s: float = 5.0) -> Connection:
    """A connection of redis-py."""
    made = (
        Connection(port=server.port, socket_timeout=timeout_s, protocol=2)
        if kind == "tcp"
        else UnixDomainSocketConnection(path=str(server.path), socket_timeout=timeout_s, protocol=2)
    )
    made.connect()
    return made


def straight(server: Server, kind: str = "unix", timeout_s: float = 5.0) -> Line:
    """As `link.py` makes one."""
    return line_of(connected(server, kind, timeout_s), timeout_s)


def said(line: Line, *words: bytes | str | int) -> object:
    """The answer, or the class and the words of the error."""
    try:
        return line.ask(hiredis.pack_command(words))
    except ResponseError as error:
        return type(error), str(error)


@pytest.mark.parametrize("kind", KINDS)
def test_a_plain_socket_makes_a_straight_line(server: Server, kind: str) -> None:
    """This redis-py lets us have its socket."""
    assert type(straight(server, kind)) is Straight


def test_a_socket_that_is_not_the_systems_keeps_its_own_time(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under gevent and eventlet, whose sockets block no thread and never hear of the system's time."""

    class Green(socket.socket):
        """In place of Python's own."""

        def recv(self, *args: int) -> bytes:
            return super().recv(*args)

    monkeypatch.setattr(socket, "socket", Green)
    line = straight(server, "tcp")
    assert type(line) is not Straight
    assert said(line, "PING") == b"PONG"


@pytest.mark.parametrize("kind", KINDS)
def test_its_answers_and_errors_are_those_of_redis_py(server: Server, kind: str) -> None:
    """Nulls, numbers, bytes, nested lists, more than one read holds; errors by class and word."""
    lines = straight(server, kind), Line(connected(server, kind))
    for words in (
        ("SET", "text", b"\xff\r\n"),
        *(("GET", "text"), ("GET", "none"), ("EXISTS", "none"), ("EXISTS", "text", "text"), ("EVALSHA", "0" * 40, 0)),
        *(("LPUSH", "text", 1), ("NO-SUCH",), ("EVAL", "return {1, 'two', false, {{'deep'}}, {}}", 0)),
        ("EVAL", "return string.rep('x', 1000000)", 0),
        ("EVAL", "return redis.error_reply('MOVED 1 127.0.0.1:1')", 0),
    ):
        answers = [said(line, *words) for line in lines]
        assert answers[0] == answers[1], words
    with pytest.raises(NoScriptError):
        lines[0].ask(hiredis.pack_command(("EVALSHA", "0" * 40, 0)))


def test_what_is_asked_in_one_breath_is_answered_in_order(server: Server) -> None:
    """Also where the first answer is the one that needs no reader."""
    line = straight(server)
    line.send(
        b"".join(hiredis.pack_command(words) for words in (("EXISTS", "none"), ("ECHO", "a"), ("EXISTS", "none")))
    )

    assert [line.read(), line.read(), line.read()] == [0, b"a", 0]
    assert said(line, "EXISTS", "none") == 0


def test_a_frozen_server_is_waited_for_as_long_as_was_said() -> None:
    """It is a timeout, not a broken line: nobody may ask again."""
    with Server() as server:
        line = straight(server, timeout_s=0.05)
        server.pause()
        with pytest.raises(TimedOut, match=r"0\.05 s"):
            line.ask(hiredis.pack_command(("PING",)))
        with pytest.raises(TimedOut):
            line.ask(hiredis.pack_command(("ECHO", "x" * 20_000_000)))
        server.resume()


def test_a_line_that_is_cut_is_a_broken_line(server: Server) -> None:
    """By the server, by another thread, and before the question."""
    line = straight(server)
    server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    with pytest.raises(Disconnected):
        line.ask(hiredis.pack_command(("PING",)))

    line, waiting = straight(server), threading.Event()

    def hang_up() -> None:
        waiting.wait()
        line.disconnect()

    thread = threading.Thread(target=hang_up)
    thread.start()
    waiting.set()
    with pytest.raises(Disconnected):
        line.ask(hiredis.pack_command(("BLPOP", "nothing-here", 60)))
    thread.join()
    with pytest.raises(Disconnected):
        line.ask(hiredis.pack_command(("PING",)))


def test_a_signal_does_not_end_a_wait(server: Server) -> None:
    """Its handler runs, and the answer is read all the same."""
    heard: list[int] = []

    def hear(number: int, frame: FrameType | None) -> None:
        heard.append(number)
        server.ask("RPUSH", "after-the-signal", "here")

    line, before = straight(server), signal.signal(signal.SIGALRM, hear)
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    try:
        assert line.ask(hiredis.pack_command(("BLPOP", "after-the-signal", 5))) == [b"after-the-signal", b"here"]
    finally:
        signal.signal(signal.SIGALRM, before)
    assert heard == [signal.SIGALRM]
