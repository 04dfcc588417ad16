"""A thread's line to ask on: redis-py's connection, and, where its socket is a plain one, one system call each way.

A socket of Python that has a timeout asks the system before each call whether there is anything to do. Here the system
itself keeps the time, so that a question is a send and a receive. Errors are those of redis-py.
"""

import _socket
import socket
import struct
import sys
from typing import Final

import hiredis
from redis.connection import Connection, DefaultParser
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import InvalidResponse, RedisError
from redis.exceptions import TimeoutError as TimedOut

__all__ = ["Line", "line_of"]

_AT_FIRST: Final = 4096
"""Most answers are shorter, and Python gets room for all that may be read."""
_AT_ONCE: Final = 65536
"""So much is read by each further call."""


class Line:
    """What is asked on it is answered in that order, and each answer is read before somebody else asks."""

    def __init__(self, connection: Connection) -> None:
        self.connection: Final = connection

    def send(self, packed: bytes) -> None:
        """Asks."""
        self.connection.send_packed_command((packed,), check_health=False)

    def read(self) -> object:
        """The next answer. Raises it when it is an error."""
        return self.connection.read_response()

    def ask(self, packed: bytes) -> object:
        """Asks, and reads the answer."""
        self.send(packed)
        return self.read()

    def disconnect(self) -> None:
        """Hangs up."""
        self.connection.disconnect()


class Straight(Line):
    """The same on a socket that blocks, and for so long as the system was told."""

    def __init__(self, connection: Connection, plain: socket.socket, timeout_s: float) -> None:
        super().__init__(connection)
        self._timeout_s = timeout_s
        self._send = plain.sendall
        self._receive = plain.recv
        self._reader = hiredis.Reader(protocolError=InvalidResponse, replyError=DefaultParser.parse_error)
        plain.settimeout(None)
        limit = struct.pack("@ll", *_timeval(timeout_s))
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)

    def send(self, packed: bytes) -> None:
        try:
            self._send(packed)
        except OSError as error:
            raise self._told(error) from error

    def read(self) -> object:
        reader = self._reader
        while (answer := reader.gets()) is False:  # of RESP2, whose answers are never False
            reader.feed(self._more())
        if isinstance(answer, RedisError):
            raise answer
        return answer

    def ask(self, packed: bytes) -> object:
        try:
            self._send(packed)
            said = self._receive(_AT_FIRST)
        except OSError as error:
            raise self._told(error) from error
        if said == b":0\r\n":  # what most enqueues are answered; nothing else can be behind it
            return 0
        self._reader.feed(said or self._more())
        return self.read()

    def _more(self) -> bytes:
        try:
            said = self._receive(_AT_ONCE)
        except OSError as error:
            raise self._told(error) from error
        if not said:
            raise Disconnected("Connection closed by server.")
        return said

    def _told(self, error: OSError) -> RedisError:
        if isinstance(error, BlockingIOError):
            return TimedOut(f"no answer within {self._timeout_s:g} s")
        return Disconnected(f"the line broke: {error}")


def line_of(connection: Connection, timeout_s: float) -> Line:
    """The line of a connection that stands: straight where that is known to work, on Linux and without TLS."""
    plain: object = getattr(connection, "_sock", None)
    if _TELLS_TIME and type(plain) is socket.socket and _asks_the_system():
        return Straight(connection, plain, timeout_s)
    return Line(connection)


_TELLS_TIME: Final = sys.platform == "linux" and sys.maxsize > 2**32
"""Where the system is known to keep the time, told in two words of 64 bits."""


def _asks_the_system() -> bool:
    """Not where gevent or eventlet has put a socket of its own in its place: that would wait for ever."""
    mine = socket.socket
    return mine.recv is _socket.socket.recv and mine.sendall is _socket.socket.sendall


def _timeval(seconds: float) -> tuple[int, int]:
    """Never 0, which would be for ever."""
    whole = int(seconds)
    return whole, max(int((seconds - whole) * 1_000_000), 0 if whole else 1)
