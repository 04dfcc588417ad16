"""A door to a server that knows one question from the next, and does to each what a test says.

    with Door(server) as door:
        connect to door.port
        door.expect(b"word", Fate(), Fate(cut=Cut.ANSWER))     of the questions that have this word, the second is cut
        …
        assert door.met                                        all of these came

What is not expected passes. A question is carried, answered and given back before the next one of its line is.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from enum import Enum, auto
from types import TracebackType
from typing import Final, Self

import hiredis
import msgspec

from tests.integration.redis.servers import Server

__all__ = ["Cut", "Door", "Fate"]

AT_ONCE: Final = 1 << 20


class Cut(Enum):
    """Where a line ends."""

    QUESTION = auto()
    """The server never hears it."""
    HALF_QUESTION = auto()
    """It hears the first half."""
    ANSWER = auto()
    """It does what it was asked, and nobody hears so."""
    HALF_ANSWER = auto()
    """Whoever asked hears the first half."""
    TWO_ANSWERS = auto()
    """It does this and what is asked next, and nobody hears so."""


class Fate(msgspec.Struct, frozen=True):
    """What becomes of one question."""

    cut: Cut | None = None
    before: Callable[[], object] = lambda: None
    """Done before the server hears it."""
    after: Callable[[], object] = lambda: None
    """Done when it has answered, and nobody knows it yet."""
    with_next: bool = False
    """The answer is given back when the next question has left: so that this is under way already."""


class _Stream:
    """What comes from one side, whole."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._reader = hiredis.Reader()

    def question(self) -> list[bytes] | None:
        """The next one's words; None: nobody asks any more."""
        while (words := self._reader.gets()) is False:
            said = self._end.recv(AT_ONCE)
            if not said:
                return None
            self._reader.feed(said)
        assert isinstance(words, list)
        return words

    def answer(self) -> bytes:
        """The next one, as it came."""
        came = b""
        while self._reader.gets() is False:
            said = self._end.recv(AT_ONCE)
            if not said:
                raise ConnectionResetError("the server hung up")
            self._reader.feed(said)
            came += said
        return came


class Door:
    """Between `with` and its end, a port that leads to a server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        self._word = b""
        self._fates: Iterator[Fate] = iter(())
        self._left = 0
        self.heard: list[list[bytes]] = []
        """The questions whose fate was told."""
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def dsn(self) -> str:
        """By which it is entered."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def met(self) -> bool:
        """Every fate came true: else a test has tested nothing."""
        return self._left == 0

    def expect(self, word: bytes, *fates: Fate) -> None:
        """Of the questions that have this word, the next ones: these fates."""
        with self._lock:
            self._word, self._fates, self._left = word, iter(fates), len(fates)

    def _fate_of(self, question: list[bytes]) -> Fate | None:
        with self._lock:
            if self._word not in question or (fate := next(self._fates, None)) is None:
                return None
            self._left -= 1
            self.heard.append(question)
            return fate

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._door.accept()
            except OSError:
                return
            threading.Thread(target=self._lead, args=(near,), daemon=True).start()

    def _lead(self, near: socket.socket) -> None:
        with ExitStack() as stack, suppress(OSError):
            stack.enter_context(near)
            far = stack.enter_context(socket.create_connection(("127.0.0.1", self._server.port)))
            asked, answered = _Stream(near), _Stream(far)
            question = asked.question()
            while question is not None:
                fate = self._fate_of(question) or Fate()
                fate.before()
                packed = hiredis.pack_command(tuple(question))
                if fate.cut is Cut.QUESTION:
                    return
                if fate.cut is Cut.HALF_QUESTION:
                    far.sendall(packed[: len(packed) // 2])
                    return
                far.sendall(packed)
                answer = answered.answer()
                question = asked.question() if fate.with_next or fate.cut is Cut.TWO_ANSWERS else None
                if fate.cut is Cut.TWO_ANSWERS and question is not None:
                    far.sendall(hiredis.pack_command(tuple(question)))
                    answered.answer()
                fate.after()
                if fate.cut is Cut.HALF_ANSWER:
                    near.sendall(answer[: len(answer) // 2])
                if fate.cut is not None:
                    return
                near.sendall(answer)
                question = question or asked.question()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
