"""Callers on an event loop: the same scripts and steps, all callers of a loop on one line, pipelined.

What several coroutines send in one turn of the loop leaves in one write, and their plain jobs in one script. Answers
come in the order of the questions: a cancelled caller's answer is read in its place and dropped. Who waits for outcomes
shares a second line and a mailbox, into which the ids of jobs are put that ended.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeAlias, TypeVar, cast

import hiredis

from typedgator.backends.contract import ATOMIC_BATCH, CancelAnswer, JobRecord, Receipt, ReceiptStatus
from typedgator.backends.redis.accepting import accepting, is_plain, packed_plain
from typedgator.backends.redis.caller import Caller, Steps
from typedgator.backends.redis.canceling import canceling
from typedgator.backends.redis.keeping import Keeping
from typedgator.backends.redis.link import WAIT_S
from typedgator.backends.redis.reading import recalling
from typedgator.backends.redis.request import Request
from typedgator.backends.redis.road import Line, Road
from typedgator.backends.redis.trouble import Trouble, told
from typedgator.errors import BackendUnavailable
from typedgator.wire.frame import Frame
from typedgator.wire.ids import JobId, new_id
from typedgator.wire.states import FINAL

__all__ = ["AsyncRedis"]

T = TypeVar("T")
_Caller: TypeAlias = "tuple[Frame, asyncio.Future[Receipt]]"


class AsyncRedis:
    """The verbs of callers, for any number of event loops; each loop has lines of its own."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._desks: dict[asyncio.AbstractEventLoop, _Desk] = {}
        self._pid = os.getpid()

    async def aenqueue(self, frames: Sequence[Frame], /) -> list[Receipt]:
        """Accepts all of the frames or none, as `enqueue` does. Cancelled, it may have been accepted: repeat it."""
        desk = self._desks.get(asyncio.get_running_loop())
        if desk is None or self._pid != os.getpid():
            desk = await self._desk()
        if not self._caller.trusted:
            await desk.trust()
        if len(frames) == 1 and is_plain(frames[0]):
            self._caller.tell_the_time()
            return [await (desk.together if desk.keeping is None else desk.keeping).put(frames[0])]
        return await desk.do(accepting(self._caller, frames)) if frames else []

    async def acancel(self, job_id: JobId, /) -> CancelAnswer:
        """Ends a job that is not running; asks a running one to stop."""
        return await (await self._desk()).do(canceling(self._caller, job_id))

    async def aoutcome(self, job_id: JobId, /, *, wait_ms: int) -> JobRecord | None:
        """The record once the state is final, or as it stands after `wait_ms`; None: not known."""
        desk = await self._desk()
        loop = desk.loop
        ends = loop.time() + wait_ms / 1000
        while True:
            record = (await desk.do(recalling(self._caller, [job_id])))[0]
            left = ends - loop.time()
            if record is None or record.state in FINAL or left <= 0:
                return record
            await desk.post.wait(job_id, min(left, WAIT_S))

    async def aclose(self) -> None:
        """Hangs up this loop's lines."""
        desk = self._desks.pop(asyncio.get_running_loop(), None)
        if desk is not None and self._pid == os.getpid():
            await desk.until_the_end.aclose()

    def close(self) -> None:
        """Hangs up the lines of all loops, from any thread."""
        self._drop_strangers()
        for loop, desk in list(self._desks.items()):
            with suppress(RuntimeError):  # it was closed just now
                loop.call_soon_threadsafe(desk.close)
        self._desks.clear()

    async def _desk(self) -> "_Desk":
        loop = asyncio.get_running_loop()
        desk = self._desks.get(loop)
        if desk is not None and self._pid == os.getpid():
            return desk
        self._drop_strangers()
        desk = self._desks[loop] = _Desk(self._caller, loop)
        desk.until_the_end = self._attend(desk)
        await anext(desk.until_the_end)
        return desk

    async def _attend(self, desk: "_Desk") -> AsyncGenerator[None, None]:
        """Whoever ends a loop ends its asynchronous generators first: the only moment to hang up that a loop tells."""
        try:
            yield
        finally:
            if self._desks.get(desk.loop) is desk:
                del self._desks[desk.loop]
            desk.close()
            await asyncio.sleep(0)

    def _drop_strangers(self) -> None:
        """Loops that were closed without a word, and, after a fork, those of the other process: not ours to hang up."""
        if self._pid != os.getpid():
            self._pid, self._desks = os.getpid(), {}
        for loop in [loop for loop in list(self._desks) if loop.is_closed()]:
            self._desks.pop(loop, None)


class _Desk:
    """What one event loop has: a line to ask on, and a mailbox."""

    def __init__(self, caller: Caller, loop: asyncio.AbstractEventLoop) -> None:
        self.caller = caller
        self.loop = loop
        self.asking: Road = Road(caller.link.where, loop, caller.link.place.timeout_s)
        self.post: _Post = _Post(self)
        self.together: _Together = _Together(self)
        self.keeping: Keeping | None = None if caller.confirm is None else Keeping(caller, loop, self.do)
        self.until_the_end: AsyncGenerator[None, None]
        self._trusting: asyncio.Future[None] | None = None

    async def trust(self) -> None:
        """Looks once at what the server keeps, as `open` does, for all who wait for it."""
        from typedgator.backends.redis.opening import check

        if self._trusting is None or self._trusting.done():
            self._trusting = self.loop.run_in_executor(None, check, self.caller)
        await asyncio.shield(self._trusting)

    def close(self) -> None:
        self.asking.close()
        self.post.close()
        if self.keeping is not None:
            self.keeping.close()

    async def do(self, steps: Steps[T]) -> T:
        """Takes steps one after the other."""
        self.caller.tell_the_time()
        try:
            request = next(steps)
            while True:
                try:
                    answer = await self.run(request)
                except BackendUnavailable as error:
                    request = steps.throw(error)
                else:
                    request = steps.send(answer)
        except StopIteration as end:
            return cast(T, end.value)

    async def run(self, request: Request) -> object:
        """A script, whole if the server does not know it."""
        if self.keeping is not None and request.confirm is not None:
            return await self.keeping.run(request)
        answer = await self.ask(request.packed(), again=request.again)
        if isinstance(answer, hiredis.ReplyError):
            answer = await self.ask(request.packed(whole=True), again=request.again)
        return answer

    async def ask(self, packed: bytes, *, again: bool = True) -> object:
        """An answer; a ReplyError only when it says that the script is not known."""
        return (await self.asking.ask(packed, again=again))[0]

    def unavailable(self, error: Exception) -> BackendUnavailable:
        return BackendUnavailable(told(error, self.caller.link.where))


class _Together:
    """Plain jobs of several callers in one script: each has its own answer, and a quarter of its own cost."""

    def __init__(self, desk: "_Desk") -> None:
        self._desk = desk
        self._waiting: list[_Caller] = []
        self._unanswered = 0
        self._careful: set[asyncio.Task[None]] = set()

    def put(self, frame: Frame) -> "asyncio.Future[Receipt]":
        """What becomes of a plain frame."""
        receipt: asyncio.Future[Receipt] = self._desk.loop.create_future()
        self._waiting.append((frame, receipt))
        if self._unanswered == 0:  # who is alone need not wait for company
            self._send()
        elif len(self._waiting) == 1:
            self._desk.loop.call_soon(self._send)
        return receipt

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), ATOMIC_BATCH):
            some = waiting[start : start + ATOMIC_BATCH]
            line = self._desk.asking.open_line
            if line is None:
                self._again(some)
            else:
                self._unanswered += 1
                line.put(self._packed(some), partial(self._answered, some))
                line.flush()

    def _packed(self, some: "list[_Caller]") -> bytes:
        if len(some) == 1:
            return packed_plain(self._desk.caller, some[0][0])
        return next(accepting(self._desk.caller, [frame for frame, _ in some])).packed()

    def _answered(self, some: "list[_Caller]", answer: object) -> None:
        self._unanswered -= 1
        if isinstance(answer, list | int):
            known = {answer} if isinstance(answer, int) else set(cast(list[int], answer))
            for number, (frame, receipt) in enumerate(some, 1):
                status = ReceiptStatus.DUPLICATE if number in known else ReceiptStatus.NEW
                if not receipt.done():
                    receipt.set_result(Receipt(status, frame.job_id))
        elif isinstance(answer, hiredis.ReplyError | ConnectionError):
            self._again(some)
        else:
            self._refuse(some, self._desk.unavailable(cast(Exception, answer)))

    def _again(self, some: "list[_Caller]") -> None:
        """With all care: the line is made anew, the script is sent whole."""
        task = self._desk.loop.create_task(self._accept(some))
        self._careful.add(task)
        task.add_done_callback(partial(self._done, some))

    def _done(self, some: "list[_Caller]", task: asyncio.Task[None]) -> None:
        """Whatever stopped it, nobody waits for ever."""
        self._careful.discard(task)
        for _, receipt in some:
            if task.cancelled():
                receipt.cancel()
            elif not receipt.done() and (error := task.exception()) is not None:
                receipt.set_exception(error)

    async def _accept(self, some: "list[_Caller]") -> None:
        try:
            receipts = await self._desk.do(accepting(self._desk.caller, [frame for frame, _ in some]))
        except BackendUnavailable as error:
            self._refuse(some, error)
        else:
            for (_, waiting), receipt in zip(some, receipts, strict=True):
                if not waiting.done():
                    waiting.set_result(receipt)

    def _refuse(self, some: "list[_Caller]", error: BackendUnavailable) -> None:
        for _, receipt in some:
            if not receipt.done():
                receipt.set_exception(error)


class _Post:
    """A mailbox for all who wait for outcomes on one loop, emptied by one task while somebody waits."""

    def __init__(self, desk: _Desk) -> None:
        self._desk = desk
        self._box = new_id().hex().encode()
        self._road = Road(desk.caller.link.where, desk.loop, desk.caller.link.place.timeout_s + WAIT_S)
        self._waiting: dict[bytes, set[asyncio.Future[None]]] = {}
        self._listening: asyncio.Task[None] | None = None

    async def wait(self, job_id: JobId, seconds: float) -> None:
        """Until the job ended, or the time is over; may return early."""
        ended: asyncio.Future[None] = self._desk.loop.create_future()
        self._waiting.setdefault(job_id, set()).add(ended)
        if self._listening is None:
            self._listening = self._desk.loop.create_task(self._listen())
        try:
            if await self._desk.run(self._desk.caller.request("watch", (), (job_id, self._box))):
                await asyncio.wait([ended], timeout=seconds)
        finally:
            others = self._waiting.get(job_id, set())
            others.discard(ended)
            if not others:
                self._waiting.pop(job_id, None)
        if not ended.done() and not others:
            await self._desk.run(self._desk.caller.request("unwatch", (), (job_id, self._box)))

    async def _listen(self) -> None:
        command = hiredis.pack_command((b"BLPOP", self._desk.caller.keys.told(self._box), b"%d" % int(WAIT_S)))
        line: Line | None = None
        try:
            while self._waiting:
                line = await self._road.line()
                answer = await line.send(command)
                if isinstance(answer, hiredis.ReplyError):
                    self._lost(answer, line)
                    return
                if isinstance(answer, list):
                    self._ended(cast(list[bytes], answer)[1])
        except OSError as error:
            self._lost(error, line)
        finally:
            self._listening = None

    def _ended(self, job_id: bytes) -> None:
        for ended in self._waiting.get(job_id, ()):
            if not ended.done():
                ended.set_result(None)

    def _lost(self, error: Exception, line: Line | None) -> None:
        """The mailbox may be elsewhere now: those who wait look again, and find out what is wrong."""
        self._road.close()
        trouble = Trouble(self._desk.caller.link.where)
        if trouble.pause_s(error, None if line is None else line.at, again=True) is not None:
            for job_id in list(self._waiting):
                self._ended(job_id)

    def close(self) -> None:
        """Nobody is told any more."""
        if self._listening is not None:
            self._listening.cancel()
        self._road.close()
