"""A TCP proxy in front of one server, that cuts lines, swallows answers and goes silent when told to.

    with Proxy(server.port) as proxy:
        connect to proxy.port
        proxy.reset()           every line is cut, with RST
        proxy.hold()            nothing passes, in either direction, and nobody hears why
        proxy.release()         all of it does
        proxy.cut_replies(3)    the next three answers are dropped once the server has given them, and the line is cut

`hold(source=…)` cuts off only those that connect from one address. All bytes that pass, pass in order and unchanged.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from threading import Event, Thread
from types import TracebackType
from typing import Final, Self, TypeVar

__all__ = ["Proxy"]

T = TypeVar("T")
RST: Final = struct.pack("ii", 1, 0)
"""SO_LINGER: on, zero seconds; closing then sends RST."""
HOST: Final = "127.0.0.1"


class _End(asyncio.Protocol):
    """One side of a line."""

    def __init__(self, line: "_Line") -> None:
        self.line = line
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.line.made(self)

    def data_received(self, data: bytes) -> None:
        self.line.hear(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.line.hear(self, None)

    def abort(self) -> None:
        """Hangs up at once, with RST."""
        if self.transport is not None and not self.transport.is_closing():
            sock: socket.socket = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
            self.transport.abort()


class _Line:
    """A client, the server, and what could not pass yet; None among it is a farewell."""

    def __init__(self, proxy: "Proxy") -> None:
        self.proxy = proxy
        self.client = _End(self)
        self.server = _End(self)
        self.source = ""
        self.asked = b""
        self.kept: list[tuple[_End, bytes | None]] = []

    def made(self, end: _End) -> None:
        if end is self.client:
            assert end.transport is not None
            self.source = end.transport.get_extra_info("peername")[0]
            self.proxy.lines.add(self)
            self.proxy.begin(self)
        else:
            self.flush()

    def hear(self, end: _End, data: bytes | None) -> None:
        if self.proxy.holds(self) or self.kept or self.server.transport is None:
            self.kept.append((end, data))
        else:
            self.give(end, data)

    def flush(self) -> None:
        """Lets pass what was kept."""
        while self.kept and not self.proxy.holds(self) and self.server.transport is not None:
            self.give(*self.kept.pop(0))

    def give(self, end: _End, data: bytes | None) -> None:
        other = self.server if end is self.client else self.client
        if data is None:
            self.end()
        elif end is self.client:
            self.asked = data
        elif self.proxy.cuts(self.asked):
            self.end(reset=True)
            return
        if data is not None and other.transport is not None and not other.transport.is_closing():
            other.transport.write(data)

    def end(self, *, reset: bool = False) -> None:
        self.proxy.lines.discard(self)
        for end in (self.client, self.server):
            if reset:
                end.abort()
            elif end.transport is not None:
                end.transport.close()


class Proxy:
    """Serves from a thread of its own between `with` and its end. All methods may be called from any thread."""

    def __init__(self, target: int, *, port: int = 0) -> None:
        """`target` is the server's port; `port` is the one to listen on, any free one when it is 0."""
        self.target = target
        self.port = port
        self.lines: set[_Line] = set()
        self.reset_lines: int = 0
        """So many lines were cut by `reset`."""
        self.cut: int = 0
        """So many answers were dropped."""
        self._held: str | None = None
        self._to_cut = 0
        self._having = b""
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._run, name=f"proxy-of-{target}", daemon=True)
        self._ready = Event()
        self._over: asyncio.Event | None = None

    # ---- faults

    def reset(self) -> None:
        """Cuts every line that there is; new ones are welcome."""

        def cut() -> None:
            for line in list(self.lines):
                self.reset_lines += 1
                line.end(reset=True)

        self._do(cut)

    def hold(self, source: str = "") -> None:
        """Lets nothing pass any more; `source`: of those only that connect from this address."""
        self._do(lambda: setattr(self, "_held", source))

    def release(self) -> None:
        """Lets pass what was held, and all that follows."""

        def release() -> None:
            self._held = None
            for line in list(self.lines):
                self.begin(line)
                line.flush()

        self._do(release)

    def cut_replies(self, replies: int, having: bytes = b"") -> None:
        """Drops so many of the next answers, to requests that have these bytes in them, and cuts the line instead."""

        def cut() -> None:
            self._to_cut, self._having = replies, having

        self._do(cut)

    # ---- for the lines

    def begin(self, line: _Line) -> None:
        """Connects a line to the server, unless it is held or has been."""
        if line.server.transport is None and not self.holds(line):
            task = self._loop.create_task(self._connect(line))
            task.add_done_callback(lambda done: done.exception())

    async def _connect(self, line: _Line) -> None:
        try:
            await self._loop.create_connection(lambda: line.server, HOST, self.target)
        except OSError:
            line.end(reset=True)

    def holds(self, line: _Line) -> bool:
        """Whether nothing of this line may pass."""
        return self._held is not None and self._held in ("", line.source)

    def cuts(self, asked: bytes) -> bool:
        """Whether the answer to this request is to be dropped; counts it."""
        if self._to_cut <= 0 or not asked or self._having not in asked:
            return False
        self._to_cut -= 1
        self.cut += 1
        return True

    # ---- the thread

    def _do(self, what: Callable[[], T]) -> T:
        async def done() -> T:
            return what()

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(10)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._over = asyncio.Event()
        server = await self._loop.create_server(lambda: _Line(self).client, HOST, self.port)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._over.wait()
        server.close()
        for line in list(self.lines):
            line.end(reset=True)
        await asyncio.sleep(0)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10), "the proxy does not listen"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(lambda: self._over is not None and self._over.set())
        self._thread.join(10)
