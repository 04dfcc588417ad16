"""Where attempts run: sync tasks in a pool of threads, async tasks on one event loop in a thread of its own.

An executor knows nothing of backends: it is given holdings and says how each ended.
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Final, ParamSpec, Protocol, TypeAlias, TypeVar

from typedgator.attempt import Ending, Raised, Stopped
from typedgator.execution import acall, call
from typedgator.middleware import Middleware
from typedgator.threads import has_ended
from typedgator.worker.desk import Holding

__all__ = ["Errand", "Helpers", "LoopExecutor", "ThreadExecutor", "Told"]

LAST_SECONDS: Final = 1.0
"""How long what is left on the loop may take to hear that it was cancelled."""
MOST_HELPERS: Final = min(32, (os.cpu_count() or 1) + 4)
"""As many as asyncio's own executor has."""

MOMENT_SECONDS: Final = 0.2
"""How long a thread that has nothing left to claim may take to end."""

P = ParamSpec("P")
T = TypeVar("T")

Errand: TypeAlias = Callable[[], None]
"""Something else to run in a thread of the pool, such as a hook. It never raises."""


class Told(Protocol):
    """Whom an executor tells what happens. Both are called in the thread that runs the attempt, and never raise."""

    def starting(self, holding: Holding, /) -> bool:
        """The attempt is about to run. False: it is not ours any more, so it must not."""
        ...

    def ended(self, holding: Holding, ending: Ending, /) -> None:
        """The attempt ended."""
        ...


def _nothing() -> None:
    """What there is to claim for before anybody says how."""


class _Seat:
    """A thread of the pool, and what wakes it."""

    __slots__ = ("thread", "wake")

    def __init__(self, run: Callable[["_Seat"], None], number: int) -> None:
        self.thread: Final = Thread(target=run, args=(self,), name=f"typedgator-task-{number}", daemon=True)
        self.wake: Final = Lock()
        self.wake.acquire()


class ThreadExecutor:
    """`size` threads that pop one shared deque, and one more that claims.

    Two of them take turns at claiming, so that a lone attempt runs in the thread that claimed it, and waits for no
    other to wake. No more than two: each thread that claims may have connections of its own.
    """

    def __init__(self, size: int, told: Told, middleware: Sequence[Middleware]) -> None:
        self.size: Final = size
        self._told = told
        self._middleware = tuple(middleware)
        self._ready: deque[Holding | Errand] = deque()
        self._running: set[Holding | Errand] = set()
        self._seats = [_Seat(self._run, number) for number in range(size + 1)]
        self._deputy, *_, self._claiming = self._seats
        self._claim: Callable[[], Holding | None] = _nothing
        self._idle: deque[_Seat] = deque()
        """Whoever takes a seat out of here wakes it. The deputy is at the left end, where it is asked last."""
        self._is_over = False

    def start(self) -> None:
        """Starts the threads."""
        for seat in self._seats[:-1]:
            seat.thread.start()

    def start_claiming(self, claim: Callable[[], Holding | None]) -> None:
        """Starts the thread that claims, which is what `claim` does: until all is over, which is None, or it returns
        the attempt that was given to `pass_on`.
        """
        self._claim = claim
        self._claiming.thread.start()

    def pass_on(self, holding: Holding) -> bool:
        """The thread that claims is to run this attempt itself, and another one claims from now on. False: that one
        is at work, or there is one slot, whose attempts all run in one thread, one after the other as they came.
        """
        deputy = self._deputy
        if self.size == 1:  # what tasks keep may belong to that thread, as a connection of sqlite3 does
            return False
        try:
            self._idle.remove(deputy)
        except ValueError:
            return False
        self._running.add(holding)  # before anybody asks for the load
        self._deputy, self._claiming = self._claiming, deputy
        deputy.wake.release()
        return True

    def submit(self, work: Sequence[Holding | Errand]) -> None:
        """Attempts to run, and errands that belong off the actors' threads.

        One thread is woken, and that one wakes the next: whoever submits has better things to do.
        """
        self._ready.extend(work)
        self._woke_one()

    def _woke_one(self) -> bool:
        try:
            seat = self._idle.pop()
        except IndexError:
            return False
        seat.wake.release()
        return True

    def withdraw(self, which: Callable[[Holding], bool]) -> list[Holding]:
        """Takes back attempts that have not started."""
        return [
            work for work in list(self._ready) if isinstance(work, Holding) and which(work) and self._took_back(work)
        ]

    def _took_back(self, holding: Holding) -> bool:
        try:
            self._ready.remove(holding)
        except ValueError:  # it has started meanwhile
            return False
        return True

    def stop_one(self, holding: Holding) -> None:
        """A thread cannot be stopped: the task sees `current_job().should_stop`."""
        holding.stopped = True
        holding.attempt.job.stop()

    @property
    def waiting(self) -> int:
        """What has not started."""
        return len(self._ready)

    @property
    def load(self) -> int:
        """What is running or waiting here."""
        return len(self._running) + len(self._ready)

    def stop(self, wait_seconds: float) -> int:
        """Lets the threads finish their errands and end. How many errands were left undone.

        A thread that still runs a task after `wait_seconds` is left behind; it is a daemon and ends with the process.
        One that still claims hangs in the backend: it is hardly waited for, since the claimer's `stop` did that.
        """
        self._is_over = True
        while self._woke_one():
            pass
        deadline = time.monotonic() + wait_seconds
        for seat in self._seats:
            if seat is not self._claiming:
                has_ended(seat.thread, max(0.0, deadline - time.monotonic()))
        has_ended(self._claiming.thread, MOMENT_SECONDS)
        return len(self._ready)

    def _run(self, seat: _Seat) -> None:
        ready, running, told, middleware = self._ready, self._running, self._told, self._middleware
        apart = copy_context()  # what tasks leave in their thread, such as a log's fields, is none of the claimer's
        while True:
            if seat is self._claiming:
                mine = apart.run(self._claim)
                if mine is None:
                    return  # as many threads are left as may run attempts at once
                work: Holding | Errand = mine
                del mine
            else:
                is_over = self._is_over  # before the look: what was submitted before the end is run
                try:
                    work = ready.popleft()
                except IndexError:
                    if is_over:
                        return
                    self._rest(seat)
                    continue
                running.add(work)
            if not isinstance(work, Holding):
                work()
                running.discard(work)
            elif told.starting(work):
                ending = call(work.attempt, middleware)
                running.discard(work)  # before it is told: the claimer asks for the load at once
                told.ended(work, ending)
                del ending
            else:
                running.discard(work)
            del work  # an idle thread must not keep a task's result alive

    def _rest(self, seat: _Seat) -> None:
        """Until there may be something to do."""
        idle = self._idle
        (idle.appendleft if seat is self._deputy else idle.append)(seat)
        if self._ready or self._is_over:  # what came earlier; what comes later finds the seat
            with suppress(ValueError):  # somebody has taken it, and wakes it
                idle.remove(seat)
                return
        seat.wake.acquire()
        if len(self._ready) > 1:  # one is for this thread
            self._woke_one()


class Helpers(ThreadPoolExecutor):
    """Where the loop runs `asyncio.to_thread` and `run_in_executor(None, …)`: daemon threads, made when needed.

    asyncio's own executor has threads that the interpreter waits for at its exit: a process whose jobs are given back
    already would stay until the last of them returns. A ThreadPoolExecutor by name only, for a loop takes nothing else.
    """

    def __init__(self, size: int = MOST_HELPERS) -> None:
        super().__init__(size)
        self._most = size
        self._todo: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._helpers: list[Thread] = []
        self._free = 0
        self._is_over = False
        self._changing = Lock()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Calls it in one of the threads. Raises RuntimeError after `shutdown`."""
        future: Future[T] = Future()
        with self._changing:
            if self._is_over:
                raise RuntimeError("the worker has stopped: its event loop takes no more calls for threads")
            if self._free:
                self._free -= 1
            elif len(self._helpers) < self._most:
                helper = Thread(target=self._help, name=f"typedgator-helper-{len(self._helpers)}", daemon=True)
                helper.start()
                self._helpers.append(helper)
            self._todo.put(partial(_fulfil, future, partial(fn, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """The threads end after what they do; `wait` waits for that. A loop that closes does not."""
        with self._changing:
            self._is_over = True
            for _ in self._helpers:
                self._todo.put(None)
        if wait:
            for helper in self._helpers:
                helper.join()

    def _help(self) -> None:
        while (work := self._todo.get()) is not None:
            work()
            del work  # an idle thread must not keep a call's arguments alive
            with self._changing:
                self._free += 1


def _fulfil(future: Future[T], call: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        value = call()
    except BaseException as error:  # whoever awaits it gets it
        future.set_exception(error)
    else:
        future.set_result(value)


class LoopExecutor:
    """One event loop in one thread; at most `size` attempts at a time, each an asyncio task of its own."""

    def __init__(self, size: int, told: Told, middleware: Sequence[Middleware]) -> None:
        self.size: Final = size
        self._told = told
        self._middleware = tuple(middleware)
        self._ready: deque[Holding] = deque()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None

    def submit(self, work: Sequence[Holding]) -> None:
        """Attempts to run, in order. The first ones start the loop: a worker of sync tasks never pays for it."""
        self._ready.extend(work)
        self._started().call_soon_threadsafe(self._fill)

    def withdraw(self, which: Callable[[Holding], bool]) -> list[Holding]:
        """Takes back attempts that have not started."""
        return [holding for holding in list(self._ready) if which(holding) and self._took_back(holding)]

    def _took_back(self, holding: Holding) -> bool:
        try:
            self._ready.remove(holding)
        except ValueError:  # it has started meanwhile
            return False
        return True

    def stop_one(self, holding: Holding) -> None:
        """Cancels the attempt at its next await; once, so that it can clean up in peace."""
        if holding.stopped:
            return
        holding.stopped = True
        holding.attempt.job.stop()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cancel, holding.token)

    @property
    def waiting(self) -> int:
        """Attempts that have not started."""
        return len(self._ready)

    @property
    def load(self) -> int:
        """Attempts running or waiting here."""
        return len(self._tasks) + len(self._ready)

    def stop(self) -> None:
        """Ends the loop. What still runs on it is cancelled; one that does not listen is left where it stands."""
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(2 * LAST_SECONDS)

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            loop = _new_loop()
            thread = Thread(target=self._run, args=(loop,), name="typedgator-loop", daemon=True)
            thread.start()  # it may fail: then the next attempts try again
            self._loop, self._thread = loop, thread
        return self._loop

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        loop.set_default_executor(Helpers())
        try:
            loop.run_forever()
        finally:
            loop.run_until_complete(_wind_up())
            loop.close()

    def _fill(self) -> None:
        loop = asyncio.get_running_loop()
        while self._ready and len(self._tasks) < self.size:
            try:
                holding = self._ready.popleft()
            except IndexError:  # withdrawn meanwhile
                return
            # Its own name: the one that asyncio would make up costs a tenth of the job.
            task = asyncio.Task(self._attempt(holding), loop=loop, name=holding.attempt.envelope.task)
            self._tasks[holding.token] = task

    def _cancel(self, token: int) -> None:
        task = self._tasks.get(token)
        if task is not None:
            # Soon, not now: a task that is cancelled before its first step never runs, and would never tell its end.
            asyncio.get_running_loop().call_soon(task.cancel)

    async def _attempt(self, holding: Holding) -> None:
        ending: Ending | None = None
        try:
            if holding.attempt.policy.on_start is None and not holding.attempt.late:
                ours = self._told.starting(holding)
            else:  # a hook may block, an upgrade too
                ours = await asyncio.to_thread(self._told.starting, holding)
            if ours:
                ending = (
                    Stopped(holding.canceled) if holding.stopped else await acall(holding.attempt, self._middleware)
                )
        except asyncio.CancelledError as error:
            # A task that cancels itself has ended by its own doing. Released, it would run again for ever.
            ending = Stopped(holding.canceled) if holding.stopped else Raised(error)
        self._tasks.pop(holding.token, None)
        if ending is not None:
            self._told.ended(holding, ending)
        if self._ready:
            self._fill()


async def _wind_up() -> None:
    """What tasks left on the loop is cancelled, heard out and let go of."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=LAST_SECONDS)
    await asyncio.get_running_loop().shutdown_asyncgens()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
