"""Where others put their hands on a job: on its envelope before it is sent, and around the call."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, nullcontext
from typing import Final

import msgspec

from typedgator.wire.envelope import Envelope

__all__ = ["Middleware", "with_headers"]


class Middleware:
    """Does nothing; override what you need. Given to `Gator(middleware=[…])`; the first one is the outermost."""

    def enqueue(self, envelope: Envelope) -> Envelope:
        """The envelope to send instead. An exception refuses the call, and nothing is enqueued."""
        return envelope

    def call(self, envelope: Envelope) -> AbstractContextManager[object]:
        """Entered around the task's call, where that runs. Its exceptions count as the task's own."""
        return _NOTHING

    def acall(self, envelope: Envelope) -> AbstractAsyncContextManager[object]:
        """`call` for an `async def`, entered on its event loop; unless you override it, `call` itself."""
        return _entered(self.call(envelope))


_NOTHING: Final[AbstractContextManager[object]] = nullcontext()


@asynccontextmanager
async def _entered(block: AbstractContextManager[object]) -> AsyncGenerator[None]:
    with block:
        yield


def with_headers(envelope: Envelope, headers: dict[str, str]) -> Envelope:
    """The envelope with these headers beside those it has."""
    return msgspec.structs.replace(envelope, headers={**envelope.headers, **headers})
