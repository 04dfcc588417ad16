"""Callers on an event loop: the same scripts and steps, all callers of a loop on one line, pipelined.

What several coroutines send in one turn of the loop leaves in one write, and their plain jobs in one script. Answers
come in the order of the questions: a cancelled caller's answer is read in its place and dropped. Who waits for outcomes
shares a second line and a mailbox, into which the ids of jobs are put that ended.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, TypeAlias, TypeVar, cast

import hiredis

from typedgator.backends.contract import ATOMIC_BATCH, CancelAnswer, JobRecord, Receipt, ReceiptStatus
from typedgator.backends.redis.accepting import accepting
from typedgator.backends.redis.caller import Caller, Steps
from typedgator.backends.redis.canceling import canceling
from typedgator.backends.redis.keeping import Keeping
from typedgator.backends.redis.link import WAIT_S
from typedgator.backends.redis.pressing import (
    ASK_WITH_CARE,
    WITH_CARE,
    command_of_many,
    command_of_new,
    command_of_one,
    is_plain,
    load_of_one,
    note_of_repeat,
    piece_of,
    pieces_of,
)
from typedgator.backends.redis.reading import recalling
from typedgator.backends.redis.request import Request
from typedgator.backends.redis.road import Line, Road
from typedgator.backends.redis.trouble import Trouble, did_nothing, told
from typedgator.errors import BackendUnavailable
from typedgator.forks import Mark
from typedgator.wire.frame import Frame
from typedgator.wire.ids import JobId, new_id
from typedgator.wire.mould import Shape
from typedgator.wire.states import FINAL

__all__ = ["AsyncRedis"]

T = TypeVar("T")
_FEW: Final = 16
"""Not worth two writes."""
_ENOUGH: Final = 2
"""So many writes on their way: one that the server works on, and one for when that is done."""
_Asked: TypeAlias = "tuple[str, bytes, asyncio.Future[bool], bool]"
"""A queue, a piece for it, whether the job was known, and whether its id was made for it."""


class AsyncRedis:
    """The verbs of callers, for any number of event loops; each loop has lines of its own."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._desks: dict[asyncio.AbstractEventLoop, _Desk] = {}
        self._mark = Mark()
        self._here = self._mark.here

    async def aenqueue(self, frames: Sequence[Frame], /) -> list[Receipt]:
        """Accepts all of the frames or none, as `enqueue` does. Cancelled, it may have been accepted: repeat it."""
        desk = self._ready_desk() or await self._trusted_desk()
        if len(frames) != 1 or not is_plain(frames[0]):
            return await desk.do(accepting(self._caller, frames)) if frames else []
        self._caller.tell_the_time()
        if desk.keeping is not None:
            return [await desk.keeping.put(frames[0])]
        known = await desk.together.put(frames[0].queue, piece_of(frames[0]))
        return [Receipt(ReceiptStatus.DUPLICATE if known else ReceiptStatus.NEW, frames[0].job_id)]

    def press(self, shape: Shape) -> Callable[[bytes], Awaitable[JobId]]:
        """What accepts one job of this shape after the other, on any loop."""
        made, queue = pieces_of(shape), shape.queue

        async def pressed(payload: bytes) -> JobId:
            desk = self._ready_desk() or await self._trusted_desk()
            job_id, piece = made(payload)
            # Should it be known, a line broke behind it: this was it, sent again.
            await desk.together.put(queue, piece, is_new=True)
            return job_id

        return pressed

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
        if desk is not None and self._here[0]:
            await desk.until_the_end.aclose()

    def close(self) -> None:
        """Hangs up the lines of all loops, from any thread."""
        self._drop_strangers()
        for loop, desk in list(self._desks.items()):
            with suppress(RuntimeError):  # it was closed just now
                loop.call_soon_threadsafe(desk.close)
        self._desks.clear()

    def _ready_desk(self) -> "_Desk | None":
        """This loop's, where nothing has to be asked before it is used."""
        desk = self._desks.get(asyncio.get_running_loop())
        return desk if desk is not None and self._caller.trusted and self._here[0] else None

    async def _trusted_desk(self) -> "_Desk":
        desk = await self._desk()
        if not self._caller.trusted:
            await desk.trust()
        return desk

    async def _desk(self) -> "_Desk":
        loop = asyncio.get_running_loop()
        desk = self._desks.get(loop)
        if desk is not None and self._here[0]:
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
        if not self._here[0]:
            self._desks = {}
            self._mark.set()
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
    """Plain jobs of several callers in one script: each has its own answer, and a quarter of its own cost.

    Where many ask, half of them are on their way while the other half is made ready, so that server and loop work at
    the same time.
    """

    def __init__(self, desk: "_Desk") -> None:
        self._desk = desk
        self._waiting: list[_Asked] = []
        self._unanswered = 0
        self._writes = 0  # on their way, with the unanswered in them
        self._will_send = False
        self._careful: set[asyncio.Task[None]] = set()

    def put(self, queue: str, piece: bytes, *, is_new: bool = False) -> "asyncio.Future[bool]":
        """Accepts a job: whether it was known."""
        known: asyncio.Future[bool] = self._desk.loop.create_future()
        caller = self._desk.caller
        if is_new and caller.careful > 0:
            caller.careful -= 1
            is_new = False
        self._waiting.append((queue, piece, known, is_new))
        # Who is alone need not wait for company; who comes first on a loop has no line yet, and others may follow.
        if self._unanswered == 0 and len(self._waiting) == 1 and not self._careful:
            self._send(1)
        elif not self._will_send:
            self._will_send = True
            self._desk.loop.call_soon(self._send_fair_share)
        return known

    def _send_fair_share(self) -> None:
        self._will_send = False
        if self._writes < _ENOUGH or self._unanswered <= _FEW:
            self._send(self._fair_share(self._unanswered or len(self._waiting)))
        # Else the server has much to do, and an answer brings us here again.

    def _fair_share(self, others: int) -> int:
        """All that wait; of many more than the others, so many that both are as many."""
        waiting = len(self._waiting)
        return waiting if waiting <= max(others, _FEW) else (waiting + others + 1) // 2

    def _send(self, number: int) -> None:
        some, self._waiting = self._waiting[:number], self._waiting[number:]
        for start in range(0, number, ATOMIC_BATCH):
            self._write(some[start : start + ATOMIC_BATCH])

    def _write(self, some: list[_Asked]) -> None:
        line = self._desk.asking.open_line
        if line is None:
            self._with_care(some)
        else:
            self._unanswered += len(some)
            self._writes += 1
            line.put(self._packed(some), partial(self._answered, some))
            line.flush()

    def _packed(self, some: list[_Asked]) -> bytes:
        if len(some) == 1:
            queue, piece, _, is_new = some[0]
            command = command_of_new if is_new else command_of_one
            return command(self._desk.caller, queue, piece)
        return _many(self._desk.caller, some, are_new=all(is_new for _, _, _, is_new in some))

    def _answered(self, some: list[_Asked], answer: object) -> None:
        self._unanswered -= len(some)
        self._writes -= 1
        if self._waiting and not self._unanswered:
            self._send(self._fair_share(len(some)))  # the server would have nothing to do while callers go on
        if answer == 0 or answer == []:
            for _, _, known, _ in some:
                if not known.done():
                    known.set_result(False)
        elif answer == ASK_WITH_CARE:
            self._desk.caller.careful = WITH_CARE
            self._with_care(some)
        elif isinstance(answer, list | int):
            _tell(some, cast("list[int] | int", answer))
        elif isinstance(answer, hiredis.ReplyError) and did_nothing(answer):
            # Of any other refusal nobody knows how far the script came: sent again, what it wrote would be known.
            self._with_care(some, forgotten=str(answer).startswith("NOSCRIPT"))
        elif isinstance(answer, ConnectionError):
            self._with_care(some, repeated=True)
        else:
            _refuse(some, self._desk.unavailable(cast(Exception, answer)))
        if self._waiting and not self._will_send:
            self._will_send = True
            self._desk.loop.call_soon(self._send_fair_share)

    def _with_care(self, some: list[_Asked], *, forgotten: bool = False, repeated: bool = False) -> None:
        """With all care: the line is made anew, the script is sent whole. `repeated`: they may be there already."""
        task = self._desk.loop.create_task(self._accept(some, forgotten=forgotten, repeated=repeated))
        self._careful.add(task)
        task.add_done_callback(partial(self._done, some))

    def _done(self, some: list[_Asked], task: asyncio.Task[None]) -> None:
        """Whatever stopped it, nobody waits for ever."""
        self._careful.discard(task)
        for _, _, known, _ in some:
            if task.cancelled():
                known.cancel()
            elif not known.done() and (error := task.exception()) is not None:
                known.set_exception(error)

    async def _accept(self, some: list[_Asked], *, forgotten: bool, repeated: bool) -> None:
        try:
            if forgotten and len(some) == 1:  # or each that comes alone would have to be sent twice from now on
                is_new = some[0][3]
                await self._desk.ask(load_of_one(self._desk.caller, is_new=is_new))
            if repeated and len(some) == 1:
                await self._desk.ask(note_of_repeat(self._desk.caller))
            answer = await self._desk.ask(_many(self._desk.caller, some))
            if isinstance(answer, hiredis.ReplyError):
                answer = await self._desk.ask(_many(self._desk.caller, some, whole=True))
        except BackendUnavailable as error:
            _refuse(some, error)
        else:
            _tell(some, cast("list[int]", answer))


def _many(caller: Caller, some: list[_Asked], *, are_new: bool = False, whole: bool = False) -> bytes:
    """`are_new` is for the first copy: behind one each is looked for, as the first job may be forgotten by then."""
    queues = {queue for queue, _, _, _ in some}
    return command_of_many(caller, queues, [piece for _, piece, _, _ in some], are_new=are_new, whole=whole)


def _tell(some: list[_Asked], answer: list[int] | int) -> None:
    """The numbers, from 1, of those that were known."""
    numbers = {answer} if isinstance(answer, int) else set(answer)
    for number, (_, _, known, _) in enumerate(some, 1):
        if not known.done():
            known.set_result(number in numbers)


def _refuse(some: list[_Asked], error: BackendUnavailable) -> None:
    """Each has an error of its own: what one adds to it, or a traceback, is not the others'."""
    for _, _, known, _ in some:
        if not known.done():
            own = BackendUnavailable(*error.args)
            own.__cause__ = error.__cause__
            known.set_exception(own)


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
