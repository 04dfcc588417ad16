"""The wire: one connection for each thread to ask on, one to wait on, both of redis-py, packed by hiredis.

Every error leaves as BackendUnavailable with its cause. What a server says when it is not the one to ask any more
(READONLY, LOADING, MASTERDOWN, CLUSTERDOWN, UNBLOCKED) drops the connection: the next call asks who is.
"""

import os
import threading
from collections.abc import Sequence
from typing import Final, TypeAlias, TypedDict, cast
from weakref import WeakSet

import hiredis
import msgspec
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ClusterDownError, MasterDownError, NoScriptError, ReadOnlyError, RedisError, ResponseError
from redis.exceptions import ConnectionError as Disconnected

from typedgator.backends.redis.place import Place
from typedgator.backends.redis.scripts import Script
from typedgator.errors import BackendUnavailable, NotReplicated

__all__ = ["WAIT_S", "Link", "Request", "Word"]

Word: TypeAlias = bytes | str | int
WAIT_S: Final = 5.0
"""No wait in the server is longer."""
_ELSEWHERE: Final = (ReadOnlyError, MasterDownError, ClusterDownError)
"""Not LOADING: redis-py counts that as a broken line, as it should be."""


class Request(msgspec.Struct, frozen=True, gc=False):
    """A script to run. `again`: may be sent once more when the line broke, since twice is as once."""

    script: Script
    keys: Sequence[bytes]
    args: Sequence[Word]
    again: bool = True
    confirm: "tuple[Request, bytes] | None" = None
    """Asked in the same breath, on the same line: a script that writes, and a WAIT for a replica, packed."""

    def packed(self, *, whole: bool = False) -> bytes:
        """The command: by SHA, or with the whole script for a server that does not know it."""
        how = (b"EVAL", self.script.text) if whole else (b"EVALSHA", self.script.sha)
        return hiredis.pack_command((*how, len(self.keys), *self.keys, *self.args))

    def all_packed(self, *, whole: bool = False) -> list[bytes]:
        """The command, and what confirms it: so many answers."""
        if self.confirm is None:
            return [self.packed(whole=whole)]
        fence, wait = self.confirm
        return [self.packed(whole=whole), fence.packed(whole=whole), wait]


class _Common(TypedDict):
    db: int
    username: str | None
    password: str | None
    socket_timeout: float
    socket_connect_timeout: float
    protocol: int


class _Mine(threading.local):
    """This thread's connections; those of a process before a fork are left to it."""

    def __init__(self) -> None:
        self.pid = 0
        self.generation = 0
        self.asking: Connection | None = None
        self.waiting: Connection | None = None
        self.waiting_id = 0


class Link:
    """A server, for any number of threads and for processes after a fork."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._mine = _Mine()
        self._all: WeakSet[Connection] = WeakSet()
        self._lock = threading.Lock()
        self._generation = 1

    def close(self) -> None:
        """Hangs up for all threads; a later call connects again."""
        with self._lock:
            self._generation += 1
            connections, self._all = list(self._all), WeakSet()
        for connection in connections:
            connection.disconnect()

    def ask(self, *command: Word, again: bool = True) -> object:
        """Sends one command and reads its answer; `again`: once more when the line broke, since twice is as once."""
        return self._send(hiredis.pack_command(command), again=again)

    def run(self, request: Request) -> object:
        """Runs a script, by its SHA if the server knows it. Raises NotReplicated where that was asked for."""
        try:
            return self._run(request, whole=False)
        except BackendUnavailable as error:
            if not isinstance(error.__cause__, NoScriptError):
                raise
        return self._run(request, whole=True)

    def _run(self, request: Request, *, whole: bool) -> object:
        if request.confirm is None:
            return self._send(request.packed(whole=whole), again=request.again)
        packed = b"".join(request.all_packed(whole=whole))
        answer, _, replicas = cast("list[object]", self._send(packed, again=request.again, answers=3))
        if not replicas:
            raise NotReplicated((), str(self.place), self.place.replica_timeout_s)
        return answer

    def run_packed(self, packed: bytes) -> object | None:
        """Sends an EVALSHA that is packed already, again if need be; None when the server does not know the script."""
        try:
            return self._send(packed, again=True)
        except BackendUnavailable as error:
            if not isinstance(error.__cause__, NoScriptError):
                raise
            return None

    def wait(self, lists: Sequence[bytes], seconds: float, *, sharp: bool = False) -> bool:
        """Until one of these lists has something, which is taken, or the time is over.

        A server ends waits when it comes by, up to a tenth of a second late; `sharp`, it is told when, for one more
        command.
        """
        seconds = max(min(seconds, WAIT_S), 0.001)
        limit = seconds + (0.2 if sharp else 0)
        packed = hiredis.pack_command((b"BLPOP", *lists, f"{limit:.3f}"))
        return self._send(packed, again=True, waiting=True, patience_s=seconds if sharp else None) is not None

    def _send(
        self, packed: bytes, *, again: bool, waiting: bool = False, patience_s: float | None = None, answers: int = 1
    ) -> object:
        while True:
            connection = self._connection(waiting=waiting)
            # Half an answer may be left on the line, also after an interrupt: nobody must read it as his own.
            clean = False
            try:
                connection.send_packed_command((packed,), check_health=False)
                if patience_s is not None and not connection.can_read(patience_s):
                    self.ask("CLIENT", "UNBLOCK", self._mine.waiting_id)
                answer = connection.read_response() if answers == 1 else _read(connection, answers)
                clean = True
                return answer
            except (Disconnected, OSError) as error:
                if not again or isinstance(error, TimeoutError):
                    raise self._unavailable(error) from error
            except ResponseError as error:
                clean = not isinstance(error, _ELSEWHERE) and not str(error).startswith("UNBLOCKED")
                raise self._unavailable(error) from error
            except RedisError as error:  # it took too long, or was no answer
                raise self._unavailable(error) from error
            finally:
                if not clean:
                    connection.disconnect()
                    # The next one will have another id.
                    self._mine.waiting = None if waiting else self._mine.waiting
            again = False

    def _connection(self, *, waiting: bool) -> Connection:
        mine = self._mine
        if mine.pid != os.getpid() or mine.generation != self._generation:
            mine.asking = mine.waiting = None
            mine.pid, mine.generation = os.getpid(), self._generation
        connection = mine.waiting if waiting else mine.asking
        if connection is None:
            connection = self._made(self.place.timeout_s + (WAIT_S if waiting else 0))
            try:
                connection.connect()
                if waiting:
                    connection.send_packed_command((hiredis.pack_command((b"CLIENT", b"ID")),), check_health=False)
                    mine.waiting_id = cast(int, connection.read_response())
            except (RedisError, OSError) as error:
                connection.disconnect()
                raise self._unavailable(error) from error
            with self._lock:
                self._all.add(connection)
            if waiting:
                mine.waiting = connection
            else:
                mine.asking = connection
        return connection

    def _made(self, timeout_s: float) -> Connection:
        place = self.place
        common: _Common = {
            "db": place.db,
            "username": place.username,
            "password": place.password,
            "socket_timeout": timeout_s,
            "socket_connect_timeout": place.connect_timeout_s,
            "protocol": 2,
        }
        if place.path is not None:
            return UnixDomainSocketConnection(path=place.path, **common)
        if not place.tls:
            return Connection(host=place.host, port=place.port, socket_keepalive=True, **common)
        return SSLConnection(
            host=place.host,
            port=place.port,
            socket_keepalive=True,
            ssl_cert_reqs="required",
            ssl_check_hostname=True,
            ssl_ca_certs=place.ca_certs,
            ssl_certfile=place.certfile,
            ssl_keyfile=place.keyfile,
            **common,
        )

    def _unavailable(self, error: Exception) -> BackendUnavailable:
        return BackendUnavailable(f"{self.place} did not do what it was asked: {type(error).__name__}: {error}")


def _read(connection: Connection, answers: int) -> list[object]:
    """So many answers; the first error among them, once all are read."""
    read: list[object] = []
    refused: ResponseError | None = None
    for _ in range(answers):
        try:
            read.append(connection.read_response())
        except ResponseError as error:
            refused = refused or error
    if refused is not None:
        raise refused
    return read
