"""The proxy of the campaigns does what it says, and else nothing."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Self, TypeAlias

import pytest

from tests.integration.chaos.proxy import Proxy
from tests.integration.redis.servers import Server, needs_redis

pytestmark = needs_redis
Connect: TypeAlias = Callable[..., "Client"]
LARGE = b"x" * 1_000_000


@pytest.fixture
def server() -> Iterator[Server]:
    """A server."""
    with Server() as started:
        yield started


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """A proxy before it."""
    with Proxy(server.port) as started:
        yield started


@pytest.fixture
def connect(proxy: Proxy) -> Iterator[Connect]:
    """Makes lines to the proxy, and hangs up at the end."""
    with ExitStack() as stack:
        yield lambda source="127.0.0.1": stack.enter_context(Client(proxy, source))


class Client:
    """A line to the proxy."""

    def __init__(self, proxy: Proxy, source: str) -> None:
        self.line = socket.create_connection(("127.0.0.1", proxy.port), 10, (source, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.line.close()

    def silent(self) -> None:
        """Nothing comes for a while."""
        self.line.settimeout(0.1)
        with pytest.raises(TimeoutError):
            self.line.recv(100)
        self.line.settimeout(10)

    def ping(self) -> None:
        """There is somebody."""
        assert self.ask(b"PING", size=7) == b"+PONG\r\n"

    def send(self, *words: bytes) -> None:
        self.line.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words))

    def read(self, size: int) -> bytes:
        found = b""
        while len(found) < size and (more := self.line.recv(size - len(found))):
            found += more
        return found

    def ask(self, *words: bytes, size: int = 5) -> bytes:
        self.send(*words)
        return self.read(size)


def test_what_passes_is_unchanged(connect: Connect) -> None:
    """Also a megabyte, and on several lines at once."""
    clients = [connect() for _ in range(3)]

    for number, client in enumerate(clients):
        assert client.ask(b"SET", b"k%d" % number, LARGE) == b"+OK\r\n"

    for number, client in enumerate(clients):
        answer = b"$%d\r\n%b\r\n" % (len(LARGE), LARGE)
        assert client.ask(b"GET", b"k%d" % number, size=len(answer)) == answer


def test_a_reset_is_heard_and_the_next_line_holds(proxy: Proxy, connect: Connect) -> None:
    """RST, not a farewell; and the server hears it too."""
    first = connect()
    first.ping()

    proxy.reset()

    with pytest.raises(ConnectionResetError):
        first.line.recv(100)
    connect().ping()
    assert proxy.reset_lines == 1


def test_a_held_line_is_silent_and_then_goes_on(proxy: Proxy, server: Server, connect: Connect) -> None:
    """Neither question nor answer passes, old lines and new ones alike; later all of it does, in order."""
    old = connect()
    old.ping()
    proxy.hold()
    new = connect()
    for client in (old, new):
        client.send(b"INCR", b"n")
        client.silent()
    assert server.ask("GET", "n") is None

    proxy.release()

    assert old.read(4) == b":1\r\n"
    assert new.read(2) == b":2"


def test_an_answer_is_held_too(proxy: Proxy, server: Server, connect: Connect) -> None:
    """What was asked before may be answered; the answer does not pass."""
    client = connect()
    client.send(b"BLPOP", b"list", b"0")
    while not server.info("clients")["blocked_clients"].startswith("1"):
        pass
    proxy.hold()
    server.ask("RPUSH", "list", "one")
    client.silent()

    proxy.release()

    assert client.read(21) == b"*2\r\n$4\r\nlist\r\n$3\r\none"


def test_one_address_is_cut_off(proxy: Proxy, connect: Connect) -> None:
    """The others go on."""
    ours, theirs = connect(), connect(source="127.0.0.2")
    theirs.ping()

    proxy.hold("127.0.0.2")

    ours.ping()
    theirs.send(b"PING")
    theirs.silent()


def test_a_cut_reply_was_executed(proxy: Proxy, server: Server, connect: Connect) -> None:
    """The server did it, the client hears a reset; others and the next are not hurt."""
    client, other = connect(), connect()
    proxy.cut_replies(1, having=b"INCR")

    other.ping()
    client.send(b"INCR", b"n")
    with pytest.raises(ConnectionResetError):
        client.line.recv(100)

    assert server.ask("GET", "n") == b"1"
    assert proxy.cut == 1
    assert connect().ask(b"INCR", b"n", size=2) == b":2"


def test_a_server_that_is_away_is_refused(server: Server, connect: Connect) -> None:
    """Its lines end; new ones end at once; when it is back, so are we."""
    client = connect()
    client.ping()
    server.kill()
    assert client.line.recv(100) == b""
    with pytest.raises(ConnectionResetError):
        connect().read(1)

    server.start()

    connect().ping()
