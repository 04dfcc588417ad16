"""Where attempts run: sync tasks in a pool of threads, async tasks on one event loop in a thread of its own.

An executor knows nothing of backends: it is given holdings and says how each ended.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Thread
from typing import Final, Protocol

from typedgator.execution import Ending, Stopped, acall, call
from typedgator.middleware import Middleware
from typedgator.worker.desk import Holding

__all__ = ["LoopExecutor", "ThreadExecutor", "Told"]

logger: Final = logging.getLogger("typedgator")


class Told(Protocol):
    """Whom an executor tells what happens. Both are called in the thread that runs the attempt, and never raise."""

    def starting(self, holding: Holding, /) -> None:
        """The attempt is about to run."""
        ...

    def ended(self, holding: Holding, ending: Ending, /) -> None:
        """The attempt ended."""
        ...


class ThreadExecutor:
    """`size` threads that pop one shared deque; a wake-up token for each of them, not for each job."""

    def __init__(self, size: int, told: Told, middleware: Sequence[Middleware]) -> None:
        self.size: Final = size
        self._told = told
        self._middleware = tuple(middleware)
        self._ready: deque[Holding | Callable[[], None]] = deque()
        self._wake: SimpleQueue[bool] = SimpleQueue()
        self._threads = [
            Thread(target=self._run, name=f"typedgator-task-{number}", daemon=True) for number in range(size)
        ]
        self._running: set[Holding] = set()

    def start(self) -> None:
        """Starts the threads."""
        for thread in self._threads:
            thread.start()

    def submit(self, work: Sequence[Holding | Callable[[], None]]) -> None:
        """Attempts to run, or other calls that belong off the actors' threads, such as hooks."""
        self._ready.extend(work)
        for _ in range(min(len(work), self.size - self._wake.qsize())):
            self._wake.put(True)

    def withdraw(self, which: Callable[[Holding], bool] = lambda holding: True) -> list[Holding]:
        """Takes back attempts that have not started."""
        return _withdraw(self._ready, which)

    def stop_one(self, holding: Holding) -> None:
        """A thread cannot be stopped: the task sees `current_job().should_stop`."""
        holding.attempt.job.stop()

    @property
    def load(self) -> int:
        """Attempts running or waiting here."""
        return len(self._running) + len(self._ready)

    def stop(self, wait_seconds: float) -> None:
        """Lets idle threads end. One that still runs a task is left behind; it is a daemon and ends with the process."""
        for _ in self._threads:
            self._wake.put(False)
        for thread in self._threads:
            thread.join(wait_seconds)

    def _run(self) -> None:
        ready, running, told, middleware = self._ready, self._running, self._told, self._middleware
        while True:
            try:
                work = ready.popleft()
            except IndexError:
                if not self._wake.get():
                    return
                continue
            if not isinstance(work, Holding):
                work()
                continue
            running.add(work)
            told.starting(work)
            ending = call(work.attempt, middleware)
            running.discard(work)
            told.ended(work, ending)
            del work, ending  # an idle thread must not keep a task's result alive


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

    def start(self) -> None:
        """Nothing yet: the loop starts with the first attempt, so that a worker of sync tasks never pays for it."""

    def submit(self, work: Sequence[Holding]) -> None:
        """Attempts to run, in order."""
        self._ready.extend(work)
        self._started().call_soon_threadsafe(self._fill)

    def withdraw(self, which: Callable[[Holding], bool] = lambda holding: True) -> list[Holding]:
        """Takes back attempts that have not started."""
        return _withdraw(self._ready, which)

    def stop_one(self, holding: Holding) -> None:
        """Cancels the attempt at its next await."""
        holding.attempt.job.stop()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cancel, holding.token)

    @property
    def load(self) -> int:
        """Attempts running or waiting here."""
        return len(self._tasks) + len(self._ready)

    def stop(self, wait_seconds: float) -> None:
        """Ends the loop; what still runs on it is left where it stands."""
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(wait_seconds)

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = _new_loop()
            self._thread = Thread(target=self._run, args=(self._loop,), name="typedgator-loop", daemon=True)
            self._thread.start()
        return self._loop

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    def _fill(self) -> None:
        while self._ready and len(self._tasks) < self.size:
            try:
                holding = self._ready.popleft()
            except IndexError:  # withdrawn meanwhile
                return
            self._tasks[holding.token] = asyncio.get_running_loop().create_task(self._attempt(holding))

    def _cancel(self, token: int) -> None:
        task = self._tasks.get(token)
        if task is not None:
            task.cancel()

    async def _attempt(self, holding: Holding) -> None:
        ending: Ending
        try:
            if holding.attempt.policy.on_start is None:
                self._told.starting(holding)
            else:  # a hook may block
                await asyncio.to_thread(self._told.starting, holding)
            ending = await acall(holding.attempt, self._middleware)
        except asyncio.CancelledError:
            ending = Stopped(canceled=holding.canceled)
        self._tasks.pop(holding.token, None)
        self._told.ended(holding, ending)
        if self._ready:
            self._fill()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _withdraw(
    ready: "deque[Holding] | deque[Holding | Callable[[], None]]", which: Callable[[Holding], bool]
) -> list[Holding]:
    found: list[Holding] = []
    for work in list(ready):
        if isinstance(work, Holding) and which(work):
            try:
                ready.remove(work)
            except ValueError:  # it has started meanwhile
                continue
            found.append(work)
    return found
