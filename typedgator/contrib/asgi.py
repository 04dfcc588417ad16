"""The lifespan of an ASGI application: the gator is open while it serves, and a small one has its worker inside.

Imports no framework. FastAPI, Starlette and Litestar take a function of the application that gives an async context
manager, and `lifespan` makes one; `serving` is for those who have a lifespan of their own.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from typedgator.errors import ConfigurationError
from typedgator.gator import Gator
from typedgator.worker import Worker, WorkerReport
from typedgator.worker.executors import Helpers

__all__ = ["lifespan", "serving"]

logger: Final = logging.getLogger("typedgator")


def lifespan(
    gator: Gator, *, worker: Callable[[], Worker] | None = None
) -> Callable[[object], AbstractAsyncContextManager[None]]:
    """What an application takes as its lifespan: `FastAPI(lifespan=lifespan(gator))`.

    The arguments are those of `serving`.
    """
    _check(gator, worker)

    def of_application(application: object) -> AbstractAsyncContextManager[None]:
        return serving(gator, worker=worker)

    return of_application


@asynccontextmanager
async def serving(gator: Gator, *, worker: Callable[[], Worker] | None = None) -> AsyncGenerator[None]:
    """Opens the gator, and closes it at the end: `async with serving(gator):` in a lifespan of your own.

    `worker` makes a worker, `lambda: Worker(gator, concurrency=2)`, that runs inside this process until the end: a
    fresh one, because an application may start again. It takes no signal handlers. At the end it takes no more jobs,
    and the running ones have its `grace`; where the server is told to end at once, they are given back.
    Raises ConfigurationError or BackendUnavailable at the start; at the end, what ended the worker before its time.
    """
    _check(gator, worker)
    await asyncio.to_thread(gator.backend.open)
    try:
        if worker is None:
            yield
        else:
            async with _at_work(_made(worker)):
                yield
    finally:
        await asyncio.to_thread(gator.close)


@asynccontextmanager
async def _at_work(worker: Worker) -> AsyncGenerator[None]:
    # Daemon threads: a process that is ended without a word must not wait for a worker that nobody stops.
    helper = Helpers(1)
    running = asyncio.get_running_loop().run_in_executor(helper, worker.run)
    helper.shutdown(wait=False)
    running.add_done_callback(_tell)
    try:
        yield
    except asyncio.CancelledError:
        worker.stop(now=True)
        raise
    finally:
        worker.stop()
        await _ended(worker, running)


async def _ended(worker: Worker, running: asyncio.Future[WorkerReport]) -> None:
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        worker.stop(now=True)
        await running  # the gator is closed after this: not while the worker gives jobs back
        raise


def _tell(running: asyncio.Future[WorkerReport]) -> None:
    """Says at once that the jobs of this application wait from now on; who ends it hears of it too late."""
    error = None if running.cancelled() else running.exception()
    if error is not None:
        logger.error("the embedded worker has ended, no job is run here any more: %s", error, exc_info=error)


def _made(worker: Callable[[], object]) -> Worker:
    made = worker()
    if isinstance(made, Worker):
        return made
    if isinstance(made, Coroutine):
        made.close()
    raise ConfigurationError(f"worker made {made!r:.100}, not a Worker: worker=lambda: Worker(gator)")


def _check(gator: object, worker: object) -> None:
    if not isinstance(gator, Gator):
        raise ConfigurationError(f"gator must be a Gator, got {gator!r:.100}")
    if worker is not None and not callable(worker):
        raise ConfigurationError(
            f"worker must be a function that makes a worker, got {worker!r:.100}: worker=lambda: Worker(gator)"
        )
