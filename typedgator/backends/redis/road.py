"""The way of an event loop to the server: one line, questions and answers in one order, made anew when it broke."""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import cast

import hiredis

from typedgator.backends.redis.place import Address, Place
from typedgator.backends.redis.request import pack
from typedgator.backends.redis.trouble import Trouble, line_holds, told
from typedgator.backends.redis.whereabouts import Nowhere, Whereabouts
from typedgator.errors import BackendUnavailable

__all__ = ["Line", "Road"]


class Road:
    """The way to the server: one line, made when it is first needed and again when it broke."""

    def __init__(self, where: Whereabouts, loop: asyncio.AbstractEventLoop, timeout_s: float) -> None:
        self._where = where
        self._loop = loop
        self._timeout_s = timeout_s
        self._line: Line | None = None
        self._making: asyncio.Task[Line] | None = None

    @property
    def open_line(self) -> "Line | None":
        """The line, if there is one that holds and leads to where it should."""
        return None if self._where.restless and self._where.due() else self._right_line

    @property
    def _right_line(self) -> "Line | None":
        line = self._line
        return line if line is not None and line.open and line.at is self._where.at else None

    async def line(self) -> "Line":
        """Raises OSError."""
        if (line := self.open_line) is not None:
            return line
        if self._making is None:
            self._making = self._loop.create_task(self._make())
            self._making.add_done_callback(self._made)
        # Shielded: the first caller may give up, and the others still want the line.
        return await asyncio.shield(self._making)

    async def ask(self, *packed: bytes, again: bool) -> list[object]:
        """The answers, all by one line; a ReplyError among them says that a script is not known.

        `again`: may be asked once more when the line broke. Raises BackendUnavailable.
        """
        trouble: Trouble | None = None
        while True:
            line: Line | None = None
            try:
                line = await self.line()
                answers = await asyncio.gather(*[line.send(each) for each in packed])
                error = _refused(answers)
                if error is None:
                    return answers
            except OSError as broken:
                error = broken
            trouble = trouble or Trouble(self._where)
            pause_s = trouble.pause_s(error, None if line is None else line.at, again=again)
            if line is not None and not line_holds(error):
                self.drop(line)
            if pause_s is None:
                raise BackendUnavailable(told(error, self._where)) from error
            await asyncio.sleep(pause_s)

    def _made(self, making: "asyncio.Task[Line]") -> None:
        self._making = None
        if not making.cancelled() and making.exception() is None and self._line is not making.result():
            self.close()
            self._line = making.result()

    async def _make(self) -> "Line":
        at = await self._address()
        if (line := self._right_line) is not None:
            return line
        async with asyncio.timeout(self._where.place.connect_timeout_s):
            line = await self._connected(at)
            greeted = False
            try:
                await self._greet(line)
                greeted = True
            finally:
                if not greeted:
                    line.close()
        return line

    async def _address(self) -> Address:
        where = self._where
        if where.known is not None:
            return where.known
        try:
            return await self._loop.run_in_executor(None, where.seek)
        except OSError:
            if (line := self._right_line) is not None:
                return line.at  # who would know where may be gone while the server is not
            raise

    async def _connected(self, at: Address) -> "Line":
        place = self._where.place

        def protocol() -> Line:
            return Line(self._loop, self._timeout_s, at)

        if at.path is not None:
            _, line = await self._loop.create_unix_connection(protocol, at.path)
        else:
            _, line = await self._loop.create_connection(protocol, at.host, at.port, ssl=_context(place))
        return line

    async def _greet(self, line: "Line") -> None:
        """Says who we are, and hears whether it is the one."""
        where, place = self._where, self._where.place
        hello: list[tuple[bytes | str | int, ...]] = []
        if place.username is not None:
            hello.append(("AUTH", place.username, place.password or ""))
        elif place.password is not None:
            hello.append(("AUTH", place.password))
        if place.db:
            hello.append(("SELECT", place.db))
        if where.proof:
            hello.append(where.proof)
        for words in hello:
            answer = await line.send(pack(words))
            if isinstance(answer, hiredis.ReplyError):
                lasting = words[0] == "AUTH" or str(answer).startswith(("NOAUTH", "NOPERM"))
                raise Nowhere(f"{words[0]!r} was refused: {answer}", lasting=lasting)
            if words is where.proof:
                where.prove(answer)

    def close(self) -> None:
        """Hangs up."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def drop(self, line: "Line") -> None:
        """Hangs up this one, if there is no other yet."""
        line.close()
        if self._line is line:
            self._line = None


def _context(place: Place) -> ssl.SSLContext | None:
    if not place.tls:
        return None
    context = ssl.create_default_context(cafile=place.ca_certs)
    if place.certfile is not None:
        context.load_cert_chain(place.certfile, place.keyfile)
    return context


def _refused(answers: list[object]) -> Exception | None:
    for answer in answers:
        if isinstance(answer, hiredis.ReplyError) and not str(answer).startswith("NOSCRIPT"):
            # Of what was asked before in the same breath, nobody may say that nothing was done.
            return answer if answer is answers[0] else ConnectionResetError(str(answer))
    return None


class Line(asyncio.Protocol):
    """Questions and answers, in one order."""

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout_s: float, at: Address) -> None:
        self.open: bool = False
        self.at = at
        self._loop = loop
        self._timeout_s = timeout_s
        self._reader = hiredis.Reader()
        self._asked: deque[tuple[Callable[[object], None], float]] = deque()
        self._unsent: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast(asyncio.Transport, transport)
        self.open = True

    def send(self, packed: bytes) -> asyncio.Future[object]:
        """The answer, some day; OSError when the line breaks before."""
        answer: asyncio.Future[object] = self._loop.create_future()

        def hear(said: object) -> None:
            # Nobody waits any more, but this was his: the next answer is another's.
            if answer.done():
                return
            if isinstance(said, OSError):
                answer.set_exception(said)
            else:
                answer.set_result(said)

        if not self._unsent:
            self._loop.call_soon(self.flush)
        self.put(packed, hear)
        return answer

    def put(self, packed: bytes, hear: Callable[[object], None]) -> None:
        """Asks with the next flush; `hear` is told the answer, or the OSError that came instead."""
        if not self.open:
            hear(ConnectionResetError("the line is cut"))
            return
        self._unsent.append(packed)
        self._asked.append((hear, self._loop.time()))
        if self._watch is None:
            self._watch = self._loop.call_later(self._timeout_s, self._look)

    def flush(self) -> None:
        """Writes what was asked."""
        if not self._unsent:
            return
        packed, self._unsent = b"".join(self._unsent), []
        if self._transport is not None and self.open:
            self._transport.write(packed)

    def _look(self) -> None:
        """One timer for all questions: the oldest is the one that waits longest."""
        self._watch = None
        if not self._asked:
            return
        late_s = self._asked[0][1] + self._timeout_s - self._loop.time()
        if late_s > 0:
            self._watch = self._loop.call_later(late_s, self._look)
        else:
            self._break(TimeoutError(f"no answer within {self._timeout_s:g} s"))

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._reader.feed(data)
        while (answer := self._reader.gets()) is not False:
            hear, _ = self._asked.popleft()
            hear(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self._break(exc if isinstance(exc, OSError) else ConnectionResetError("the server hung up"))

    def close(self) -> None:
        """Hangs up."""
        self._break(ConnectionAbortedError("the line was closed"))

    def _break(self, error: OSError) -> None:
        self.open = False
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        asked, self._asked = self._asked, deque()
        for hear, _ in asked:
            hear(error)
