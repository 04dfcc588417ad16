"""Writes on an event loop under `durability=replicated`: a line of their own, one at a time.

A WAIT holds up all that is behind it on its line. So what comes while one is on its way leaves together with the next,
and who asks for states or results is on another line.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

import hiredis

from typedgator.backends.contract import ATOMIC_BATCH, Receipt
from typedgator.backends.redis.accepting import accepting
from typedgator.backends.redis.caller import Caller, Steps
from typedgator.backends.redis.request import Request
from typedgator.backends.redis.road import Road
from typedgator.errors import BackendUnavailable, NotReplicated
from typedgator.wire.frame import Frame
from typedgator.wire.ids import shown_id

__all__ = ["Keeping"]

_Caller: TypeAlias = "tuple[Frame, asyncio.Future[Receipt]]"
_Doing: TypeAlias = "Callable[[Steps[list[Receipt]]], Awaitable[list[Receipt]]]"


class Keeping:
    """The writes of one loop. `do` takes steps, and brings the requests among them that want a replica here."""

    def __init__(self, caller: Caller, loop: asyncio.AbstractEventLoop, do: _Doing) -> None:
        self._caller = caller
        self._loop = loop
        self._do = do
        self._road = Road(caller.link.where, loop, caller.link.place.timeout_s)
        self._turn = asyncio.Lock()
        self._waiting: list[_Caller] = []
        self._sending: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Hangs up."""
        self._road.close()

    async def run(self, request: Request) -> object:
        """A script's answer, once a replica has what it wrote. Raises NotReplicated or BackendUnavailable."""
        async with self._turn:
            answers = await self._ask(request, whole=False)
            if any(isinstance(each, hiredis.ReplyError) and str(each).startswith("NOSCRIPT") for each in answers):
                answers = await self._ask(request, whole=True)
        for each in answers:
            if isinstance(each, hiredis.ReplyError):
                # Whatever it was, whom to ask may have changed.
                self._road.close()
                raise self._unavailable(each) from each
        answer, _, replicas = answers
        if not replicas:
            place = self._caller.link.place
            raise NotReplicated((), str(place), place.replica_timeout_s)
        return answer

    async def _ask(self, request: Request, *, whole: bool) -> list[object]:
        """All answers come by one line, or the question is asked again: a WAIT elsewhere would wait for nothing."""
        return await self._road.ask(*request.all_packed(whole=whole), again=request.again)

    def put(self, frame: Frame) -> "asyncio.Future[Receipt]":
        """What becomes of a plain frame."""
        receipt: asyncio.Future[Receipt] = self._loop.create_future()
        self._waiting.append((frame, receipt))
        if self._sending is None:
            unanswered: list[_Caller] = []
            self._sending = self._loop.create_task(self._send(unanswered))
            self._sending.add_done_callback(partial(_leave_nobody, unanswered))
        return receipt

    async def _send(self, unanswered: "list[_Caller]") -> None:
        try:
            await self._send_all(unanswered)
        finally:
            self._sending = None
            unanswered += self._waiting
            self._waiting = []

    async def _send_all(self, unanswered: "list[_Caller]") -> None:
        while self._waiting:
            some, self._waiting = self._waiting[:ATOMIC_BATCH], self._waiting[ATOMIC_BATCH:]
            unanswered[:] = some
            try:
                receipts = await self._do(accepting(self._caller, [frame for frame, _ in some]))
            except BackendUnavailable as error:
                for frame, receipt in some:
                    if not receipt.done():
                        receipt.set_exception(_own(error, frame))
            else:
                for (_, receipt), answer in zip(some, receipts, strict=True):
                    if not receipt.done():
                        receipt.set_result(answer)

    def _unavailable(self, error: Exception) -> BackendUnavailable:
        return BackendUnavailable(f"{self._caller.link.place} did not do what it was asked: {error}")


def _leave_nobody(unanswered: "list[_Caller]", sending: asyncio.Task[None]) -> None:
    """Whatever stopped it, nobody waits for ever."""
    for _, receipt in unanswered:
        if sending.cancelled():
            receipt.cancel()
        elif not receipt.done() and (error := sending.exception()) is not None:
            receipt.set_exception(error)


def _own(error: BackendUnavailable, frame: Frame) -> BackendUnavailable:
    return error.about([shown_id(frame.job_id)]) if isinstance(error, NotReplicated) else error
