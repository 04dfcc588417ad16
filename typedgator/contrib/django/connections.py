"""Database connections around a job as Django has them around a request: none broken, none past CONN_MAX_AGE."""

from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import close_old_connections, connections

from typedgator.middleware import Middleware
from typedgator.wire.envelope import Envelope

__all__ = ["Connections"]


class Connections(Middleware):
    """For workers alone: where a job runs in a request's thread, the connections are that request's."""

    def call(self, envelope: Envelope) -> AbstractContextManager[object]:
        """The thread keeps its connections for the next job, when they are fit."""
        return _in_thread()

    def acall(self, envelope: Envelope) -> AbstractAsyncContextManager[object]:
        """Each async job has a thread for its database calls, and so its own connections, like an ASGI request."""
        return _on_loop()


@contextmanager
def _in_thread() -> Generator[None]:
    close_old_connections()
    try:
        yield
    finally:
        close_old_connections()


@asynccontextmanager
async def _on_loop() -> AsyncGenerator[None]:
    async with ThreadSensitiveContext():
        try:
            yield
        finally:
            # The thread ends with the job, and nobody could use its connections any more.
            await sync_to_async(connections.close_all)()
