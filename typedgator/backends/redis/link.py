"""The wire: one connection for each thread to ask on, one to wait on, both of redis-py, packed by hiredis.

Every error leaves as BackendUnavailable with its cause. `whereabouts` knows where to connect, `trouble` whether to ask
again.
"""

import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from typing import Final, cast
from weakref import WeakSet

import msgspec
from redis.connection import Connection
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import NoPermissionError, NoScriptError, RedisError, ResponseError

from typedgator.backends.redis.dial import dial
from typedgator.backends.redis.place import Address, Place
from typedgator.backends.redis.request import Request, Word, pack
from typedgator.backends.redis.straight import Line, line_of
from typedgator.backends.redis.trouble import Trouble, line_holds, told
from typedgator.backends.redis.whereabouts import Whereabouts, whereabouts
from typedgator.errors import BackendUnavailable, NotReplicated
from typedgator.forks import Mark

__all__ = ["WAIT_S", "Link"]

WAIT_S: Final = 5.0
"""No wait in the server is longer."""


class _Ahead(msgspec.Struct):
    """A request that was sent, and its answer not read; `line` None: it could not be sent, or was cut off."""

    request: Request
    packed: bytes
    line: Line | None = None
    at: Address | None = None
    """Where the line leads."""
    behind: "_Ahead | None" = None
    """What was sent after it on the same line."""


class _Mine:
    """A thread's connections."""

    __slots__ = ("asking", "at", "waiting", "waiting_id")

    def __init__(self) -> None:
        self.at: Address | None = None
        """Where both lead."""
        self.asking: Line | None = None
        self.waiting: Connection | None = None
        self.waiting_id = 0


class _Thread(threading.local):
    """What is this thread's own: looked up once a question, which is dear, and then asked as often as need be."""

    def __init__(self) -> None:
        self.mine: Final = _Mine()


class Link:
    """A server, for any number of threads and for processes after a fork; in a cluster, that which has `key`."""

    def __init__(self, place: Place, key: bytes = b"") -> None:
        self.place = place
        self.where: Whereabouts = whereabouts(place, key)
        self._thread = _Thread()
        self._all: WeakSet[Connection] = WeakSet()
        self._lock = threading.Lock()
        self._mark = Mark()
        self._here = self._mark.here

    def close(self) -> None:
        """Hangs up for all threads; a later call connects again."""
        with self._lock:
            self.where.renew()
            connections, self._all = list(self._all), WeakSet()
        for connection in connections:
            connection.disconnect()

    def ask(self, *command: Word, again: bool = True) -> object:
        """Sends one command and reads its answer; `again`: once more when the line broke, since twice is as once."""
        return self._send(pack(command), again=again)

    def run(self, request: Request) -> object:
        """Runs a script, by its SHA if the server knows it. Raises NotReplicated where that was asked for."""
        return self._known_or_whole(request, None)

    def run_each(self, requests: Iterable[Request]) -> Generator[object]:
        """Runs scripts one after the other, each of which may be sent again, and gives their answers.

        A request leaves while the server does the one before, so its script must do nothing unless that was done. Later
        leave the second one, when it is sure that the script is known, and each where an answer is to be confirmed. One
        is under way while an answer is looked at. What one raises ends it: nothing more is sent.
        """
        ahead: _Ahead | None = None
        sure = False
        try:
            for request in requests:
                packed = b"".join(request.all_packed())
                before, ahead = ahead, None
                if before is None:
                    ahead = self._send_ahead(request, packed)
                    continue
                if sure and before.line is not None and request.confirm is None:
                    ahead = before  # until the next one is sent, whatever interrupts us
                    ahead = self._send_behind(request, packed, before)
                answer = self._known_or_whole(before.request, before)
                sure = True
                if ahead is None or ahead.line is None:
                    ahead = self._send_ahead(request, packed)
                yield answer
            if ahead is not None:
                before, ahead = ahead, None
                yield self._known_or_whole(before.request, before)
        finally:
            if ahead is not None and ahead.line is not None:
                self._drop(ahead.line)

    def _send_ahead(self, request: Request, packed: bytes) -> _Ahead:
        """The line is taken from the thread, so that nothing else is asked on it before the answer is read."""
        clean, line, mine = False, None, self._thread.mine
        try:
            line = self._asking()
            mine.asking, at = None, mine.at  # before a word is sent: a signal's handler may ask in the midst of it
            line.send(packed)
            clean = True
        except (RedisError, OSError):
            return _Ahead(request, packed)  # whoever asks for the answer sends it again, and hears what is wrong
        finally:
            if not clean and line is not None:
                self._drop(line)
        return _Ahead(request, packed, line, at)

    def _send_behind(self, request: Request, packed: bytes, before: _Ahead) -> _Ahead:
        """On the same line, while the one before is on its way."""
        line = cast(Line, before.line)
        behind = before.behind = _Ahead(request, packed, line, before.at)
        try:
            line.send(packed)
        except (RedisError, OSError):
            behind.line = None  # half of it may be there: the line ends with the answer that is on its way
        return behind

    def _known_or_whole(self, request: Request, ahead: _Ahead | None) -> object:
        try:
            return self._run(request, ahead)
        except BackendUnavailable as error:
            if not isinstance(error.__cause__, NoScriptError):
                raise
        return self._run(request, None, whole=True)

    def _run(self, request: Request, ahead: _Ahead | None, *, whole: bool = False) -> object:
        again, repeat = request.again, request.repeat
        # Also where half of it was sent: that may have been the whole of it.
        if repeat is not None and (whole or (ahead is not None and ahead.line is None)):
            request, ahead, repeat = repeat, None, None
        packed = b"".join(request.all_packed(whole=whole)) if ahead is None else ahead.packed
        with_care = None if repeat is None else _instead(repeat)
        answers = 1 if request.confirm is None else 3
        answer = self._send(packed, again=again, answers=answers, ahead=ahead, repeat=with_care)
        if request.confirm is None:
            return answer
        answer, _, replicas = cast("list[object]", answer)
        if not replicas:
            raise NotReplicated((), str(self.place), self.place.replica_timeout_s)
        return answer

    def run_packed(self, packed: bytes, repeat: Callable[[bytes], list[bytes]] | None = None) -> object | None:
        """Sends an EVALSHA that is packed already, again if need be; None when the server does not know the script.

        `repeat` makes of it what is sent instead when it is sent again: commands, of which the last answers.
        """
        try:
            answer = self._send(packed, again=True, repeat=repeat)
            return cast("list[object]", answer)[-1] if isinstance(answer, list) else answer
        except BackendUnavailable as error:
            if not isinstance(error.__cause__, NoScriptError):
                raise
            return None

    def wait(self, lists: Sequence[bytes], seconds: float, *, sharp: bool = False) -> bool:
        """Until one of these lists has something, which is taken, or the time is over.

        A server ends waits when it comes by, up to a tenth of a second late; `sharp`, it is told when, for one more
        command.
        """
        return self._wait(lists, seconds, None, sharp=sharp) is not None

    def wait_and_run(self, lists: Sequence[bytes], seconds: float, request: Request, *, sharp: bool = False) -> object:
        """The same, and then a script, which may run again should its answer be lost.

        Both are sent at once: the server runs the script in the moment in which the wait ends.
        """
        answer = self._wait(lists, seconds, request, sharp=sharp)
        return self.run(request) if answer is None else answer

    def _wait(self, lists: Sequence[bytes], seconds: float, behind: Request | None, *, sharp: bool) -> object:
        """What was taken, None when nothing; with a script `behind`, its answer, None when that is not to be had."""
        seconds = max(min(seconds, WAIT_S), 0.001)
        limit = seconds + (0.2 if sharp else 0)
        packed = pack((b"BLPOP", *lists, f"{limit:.3f}"))
        connection: Connection | None = None
        clean = False
        try:
            connection = self._waiting()
            connection.send_packed_command(
                (packed if behind is None else packed + behind.packed(),), check_health=False
            )
            if sharp and not connection.can_read(seconds):
                self._unblock(connection)
            answer = connection.read_response()
            answer = answer if behind is None else _script_answer(connection)
            clean = True
            return answer
        except (RedisError, OSError) as error:
            clean = behind is None and line_holds(error)
            at = self._thread.mine.at if connection is not None else None
            if Trouble(self.where).pause_s(error, at, again=True) is None or connection is None:
                raise self._unavailable(error) from error
            # What there was may be lost with the line, and the lists may be elsewhere now.
            return b"" if behind is None else None
        finally:
            if not clean and connection is not None:
                self._drop(connection)

    def _unblock(self, waiting: Connection) -> None:
        asking, mine, clean = self._asking(), self._thread.mine, False
        mine.asking, at = None, mine.at
        try:
            # Elsewhere that number is another's, and its own wait ends by itself.
            if mine.waiting is waiting:
                asking.send(pack((b"CLIENT", b"UNBLOCK", mine.waiting_id)))
                with suppress(NoPermissionError):  # the wait ends by itself, a little later
                    asking.read()
            clean = True
        finally:
            self._give_back(asking, at, clean=clean)

    def _send(
        self,
        packed: bytes,
        *,
        again: bool,
        answers: int = 1,
        ahead: _Ahead | None = None,
        repeat: Callable[[bytes], list[bytes]] | None = None,
    ) -> object:
        """`ahead`: it was sent already, and only the answer is to be read. `repeat` is for what the server may have."""
        trouble: Trouble | None = None
        while True:
            sent, ahead = ahead, None
            line = None if sent is None else sent.line
            mine, at = self._thread.mine, None
            # Half an answer may be left on the line, also after an interrupt: nobody must read it as his own.
            clean = False
            try:
                if line is None:
                    line = self._asking()
                    mine.asking, at = None, mine.at  # or a signal's handler that asks as well would read our answer
                    if answers == 1:
                        answer = line.ask(packed)
                        clean = True
                        return answer
                    line.send(packed)
                answer = line.read() if answers == 1 else _read(line, answers)
                clean = True
                return answer
            except (RedisError, OSError) as error:
                clean = line_holds(error) and (sent is None or sent.behind is None)
                trouble = trouble or Trouble(self.where)
                reached = self._thread.mine.at if sent is None or sent.line is None else sent.at
                pause_s = trouble.pause_s(error, None if line is None else reached, again=again)
                if pause_s is None:
                    raise self._unavailable(error) from error
                if repeat is not None and line is not None and not clean:
                    commands = repeat(packed)
                    packed, answers, repeat = b"".join(commands), len(commands), None
            finally:
                if sent is not None and line is not None and line is sent.line:
                    self._leave(sent, line, clean=clean)
                elif line is not None:
                    self._give_back(line, at, clean=clean)
            time.sleep(pause_s)

    def _leave(self, sent: _Ahead, line: Line, *, clean: bool) -> None:
        """What was sent is answered: its line is for what is behind it, or the thread's again, or cut."""
        behind = sent.behind
        if not clean or (behind is not None and behind.line is None):
            self._drop(line)
            if behind is not None:
                behind.line = None
        elif behind is None and self._thread.mine.asking is None and self._thread.mine.at is sent.at:
            self._thread.mine.asking = line  # unless the thread has found another one meanwhile

    def _give_back(self, line: Line, at: Address | None, *, clean: bool) -> None:
        """The line is the thread's again, unless it broke, or another was found meanwhile."""
        mine = self._thread.mine
        if clean and mine.asking is None and mine.at is at:
            mine.asking = line
        else:
            self._drop(line)

    def _drop(self, line: Line | Connection) -> None:
        line.disconnect()
        mine = self._thread.mine
        # The next one will have another number.
        mine.waiting = None if mine.waiting is line else mine.waiting
        mine.asking = None if mine.asking is line else mine.asking

    def _asking(self) -> Line:
        mine, where = self._thread.mine, self.where
        if mine.at is not where.at or where.restless or not self._here[0]:
            self._look_round()
        return mine.asking or self._asking_anew()

    def _asking_anew(self) -> Line:
        self._thread.mine.asking = line = line_of(self._connected(waiting=False), self.place.timeout_s)
        return line

    def _waiting(self) -> Connection:
        self._look_round()
        if self._thread.mine.waiting is None:
            self._thread.mine.waiting = self._connected(waiting=True)
        return self._thread.mine.waiting

    def _look_round(self) -> None:
        """Lines that lead where the server is no more are not ours."""
        mine, where = self._thread.mine, self.where
        if not self._here[0]:  # the connections of the process before the fork are left to it
            where.renew()
            self._mark.set()
        if where.restless and where.due():
            with suppress(OSError):  # the sentinels may be gone while the master is not
                where.seek()
        if mine.at is not where.at:
            mine.asking = mine.waiting = None
            mine.at = where.at

    def _connected(self, *, waiting: bool) -> Connection:
        mine, where = self._thread.mine, self.where
        at = where.known or where.seek()
        if mine.at is not at:
            mine.asking = mine.waiting = None
            mine.at = at
        connection = dial(self.place, at, timeout_s=self.place.timeout_s + (WAIT_S if waiting else 0))
        try:
            connection.connect()
            if where.proof:
                connection.send_command(*where.proof)
                where.prove(connection.read_response())
            if waiting:
                connection.send_command("CLIENT", "ID")
                mine.waiting_id = cast(int, connection.read_response())
        except (RedisError, OSError):
            connection.disconnect()
            raise
        with self._lock:
            self._all.add(connection)
        return connection

    def _unavailable(self, error: Exception) -> BackendUnavailable:
        return BackendUnavailable(told(error, self.where))


def _instead(request: Request) -> Callable[[bytes], list[bytes]]:
    return lambda packed: request.all_packed()


def _script_answer(connection: Connection) -> object:
    """None when the server does not know the script."""
    try:
        return connection.read_response()
    except NoScriptError:
        return None


def _read(line: Line, answers: int) -> list[object]:
    """So many answers; the first error among them, once all are read."""
    read: list[object] = []
    refused: RedisError | None = None
    for number in range(answers):
        try:
            read.append(line.read())
        except ResponseError as error:
            # Of what was asked before in the same breath, nobody may say that nothing was done.
            known = number == 0 or isinstance(error, NoScriptError)
            refused = refused or (error if known else Disconnected(str(error)))
    if refused is not None:
        raise refused
    return read
