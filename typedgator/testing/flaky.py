"""A backend that fails on demand: a real one inside, with faults in front of it and behind it. For tests.

backend = FlakyBackend(LocmemBackend())
gator = Gator(backend=backend)
backend.fail("claim", "settle")          # nothing is done, BackendUnavailable is raised
backend.lose_reply("settle", times=1)    # it is done, and then BackendUnavailable is raised
backend.block("beat")                    # waits for `heal`
backend.heal()

A fault of `enqueue`, `cancel`, `outcome` or `close` strikes callers on event loops likewise.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from threading import Condition
from typing import Final, Protocol, TypeVar

from msgspec import structs

from typedgator.backends.contract import (
    AsyncBackend,
    Backend,
    Beat,
    CancelAnswer,
    Capabilities,
    Claimed,
    Counts,
    Exchange,
    HeldKind,
    Holding,
    Inspect,
    JobRecord,
    Notes,
    Operate,
    Owning,
    Page,
    Receipt,
    Results,
    Settled,
    Upkeep,
    Waking,
    WorkerId,
)
from typedgator.errors import BackendUnavailable, ConfigurationError
from typedgator.wire.frame import Frame
from typedgator.wire.ids import JobId
from typedgator.wire.states import JobState
from typedgator.wire.verdict import Settlement, Token

__all__ = ["VERBS", "Complete", "Everything", "Exchanging", "FlakyBackend", "FlakyExchange", "FlakyOnLoops"]

VERBS: Final = (
    "beat",
    "cancel",
    "claim",
    "close",
    "counts",
    "enqueue",
    "exchange",
    "find",
    "held_kinds",
    "join",
    "leave",
    "maintain",
    "note",
    "open",
    "outcome",
    "owned",
    "page",
    "pause",
    "purge",
    "release_held",
    "requeue",
    "resume",
    "settle",
    "take",
    "wake",
)

T = TypeVar("T")


class _Fault(Enum):
    """What is done to a call."""

    FAIL = "fails before anything is done"
    LOSE_REPLY = "is done, and its reply is lost"
    BLOCK = "waits"


class Complete(Backend, Results, Inspect, Operate, Holding, Notes, Owning, Protocol):
    """A backend with every facet but `exchange`, `wake`, `native_async` and `series`."""


class Exchanging(Complete, Exchange, Protocol):
    """A backend with every facet but `wake`, `native_async` and `series`."""


class Everything(Exchanging, Waking, AsyncBackend, Protocol):
    """A backend with every facet but `series`."""


class FlakyBackend:
    """Keeps every promise of `inner` but `exchange`, `wake`, `native_async` and `series`, and the faults asked for.

    Thread-safe.
    """

    def __init__(self, inner: Complete) -> None:
        self.inner: Final = inner
        self.calls: Final[Counter[str]] = Counter()
        """How often each verb was called, faults included."""
        self._faults: dict[str, tuple[_Fault, int | None]] = {}
        self._changed: Final = Condition()

    def fail(self, *verbs: str, times: int | None = None) -> None:
        """The next `times` calls of these verbs (None: all, until `heal`) raise BackendUnavailable, and do nothing."""
        self._put(verbs, _Fault.FAIL, times)

    def lose_reply(self, *verbs: str, times: int | None = None) -> None:
        """Likewise, but what was asked for is done."""
        self._put(verbs, _Fault.LOSE_REPLY, times)

    def block(self, *verbs: str) -> None:
        """Calls of these verbs wait for `heal`."""
        self._put(verbs, _Fault.BLOCK, None)

    def heal(self, *verbs: str) -> None:
        """These verbs (none given: all) work again."""
        with self._changed:
            for verb in verbs or VERBS:
                self._faults.pop(verb, None)
            self._changed.notify_all()

    def wait_for_calls(self, verb: str, count: int, timeout_seconds: float = 10.0) -> None:
        """Returns once the verb was called `count` times in all. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.calls[verb] >= count, timeout_seconds):
                raise TimeoutError(f"{verb} was called {self.calls[verb]} times, not {count}, in {timeout_seconds} s")

    def _put(self, verbs: tuple[str, ...], fault: _Fault, times: int | None) -> None:
        for verb in verbs:
            if verb not in VERBS:
                raise ConfigurationError(f"{verb!r} is no verb of a backend; there are {', '.join(VERBS)}")
        with self._changed:
            self._faults.update(dict.fromkeys(verbs, (fault, times)))

    def _meet(self, verb: str) -> _Fault | None:
        """What happens to this call; one that blocks has waited when this returns."""
        with self._changed:
            self.calls[verb] += 1
            self._changed.notify_all()
            fault, times = self._faults.get(verb, (None, None))
            if fault is _Fault.BLOCK:
                self._changed.wait_for(lambda: verb not in self._faults)
                return None
            if fault is not None and times is not None:
                if times <= 1:
                    del self._faults[verb]
                else:
                    self._faults[verb] = (fault, times - 1)
            return fault

    def _do(self, verb: str, call: Callable[[], T]) -> T:
        fault = self._meet(verb)
        if fault is _Fault.FAIL:
            raise BackendUnavailable(f"{verb} fails on demand; nothing was done")
        answer = call()
        if fault is _Fault.LOSE_REPLY:
            raise BackendUnavailable(f"{verb} was done, but its reply is lost on demand")
        return answer

    async def _ado(self, verb: str, call: Callable[[], Awaitable[T]]) -> T:
        fault = await asyncio.to_thread(self._meet, verb)
        if fault is _Fault.FAIL:
            raise BackendUnavailable(f"{verb} fails on demand; nothing was done")
        answer = await call()
        if fault is _Fault.LOSE_REPLY:
            raise BackendUnavailable(f"{verb} was done, but its reply is lost on demand")
        return answer

    @property
    def can(self) -> Capabilities:
        """What the backend inside promises, but `exchange`, `wake`, `native_async` and `series`."""
        return structs.replace(self.inner.can, exchange=False, wake=False, native_async=False, series=False)

    def open(self) -> None:
        """See Backend."""
        self._do("open", self.inner.open)

    def close(self) -> None:
        """See Backend."""
        self._do("close", self.inner.close)

    def enqueue(self, frames: Sequence[Frame], /) -> list[Receipt]:
        """See Backend."""
        return self._do("enqueue", lambda: self.inner.enqueue(frames))

    def join(self, queues: Sequence[str], /, *, lease_ms: int) -> WorkerId:
        """See Backend."""
        return self._do("join", lambda: self.inner.join(queues, lease_ms=lease_ms))

    def leave(self, worker: WorkerId, /) -> None:
        """See Backend."""
        self._do("leave", lambda: self.inner.leave(worker))

    def claim(self, worker: WorkerId, /, *, limit: int, wait_ms: int, seen: Token) -> list[Claimed]:
        """See Backend."""
        return self._do("claim", lambda: self.inner.claim(worker, limit=limit, wait_ms=wait_ms, seen=seen))

    def beat(self, worker: WorkerId, tokens: Sequence[Token], /) -> Beat:
        """See Backend."""
        return self._do("beat", lambda: self.inner.beat(worker, tokens))

    def settle(self, worker: WorkerId, settlements: Sequence[Settlement], /) -> list[Settled]:
        """See Backend."""
        return self._do("settle", lambda: self.inner.settle(worker, settlements))

    def cancel(self, job_id: JobId, /) -> CancelAnswer:
        """See Backend."""
        return self._do("cancel", lambda: self.inner.cancel(job_id))

    def maintain(self, *, limit: int) -> Upkeep:
        """See Backend."""
        return self._do("maintain", lambda: self.inner.maintain(limit=limit))

    def outcome(self, job_id: JobId, /, *, wait_ms: int) -> JobRecord | None:
        """See Results."""
        return self._do("outcome", lambda: self.inner.outcome(job_id, wait_ms=wait_ms))

    def counts(self) -> Counts:
        """See Inspect."""
        return self._do("counts", self.inner.counts)

    def find(self, job_id: JobId, /) -> JobRecord | None:
        """See Inspect."""
        return self._do("find", lambda: self.inner.find(job_id))

    def page(self, state: JobState, /, *, queue: str | None = None, after: str | None = None, limit: int = 100) -> Page:
        """See Inspect."""
        return self._do("page", lambda: self.inner.page(state, queue=queue, after=after, limit=limit))

    def requeue(self, job_id: JobId, /) -> bool:
        """See Operate."""
        return self._do("requeue", lambda: self.inner.requeue(job_id))

    def purge(self, state: JobState, /, *, queue: str | None = None, limit: int) -> int:
        """See Operate."""
        return self._do("purge", lambda: self.inner.purge(state, queue=queue, limit=limit))

    def pause(self, queue: str, /) -> None:
        """See Operate."""
        self._do("pause", lambda: self.inner.pause(queue))

    def resume(self, queue: str, /) -> None:
        """See Operate."""
        self._do("resume", lambda: self.inner.resume(queue))

    def take(self, worker: WorkerId, job_id: JobId, /) -> Claimed | None:
        """See Operate."""
        return self._do("take", lambda: self.inner.take(worker, job_id))

    def held_kinds(self) -> list[HeldKind]:
        """See Holding."""
        return self._do("held_kinds", self.inner.held_kinds)

    def release_held(self, kinds: Sequence[HeldKind], /) -> int:
        """See Holding."""
        return self._do("release_held", lambda: self.inner.release_held(kinds))

    def note(self, worker: WorkerId, token: Token, progress: bytes, /) -> bool:
        """See Notes."""
        return self._do("note", lambda: self.inner.note(worker, token, progress))

    def owned(self, worker: WorkerId, /) -> list[tuple[JobId, Token]]:
        """See Owning."""
        return self._do("owned", lambda: self.inner.owned(worker))


class FlakyExchange(FlakyBackend):
    """The same for a backend that can exchange."""

    def __init__(self, inner: Exchanging) -> None:
        super().__init__(inner)
        self._exchanging = inner

    @property
    def can(self) -> Capabilities:
        """What the backend inside promises, but `wake`, `native_async` and `series`."""
        return structs.replace(self.inner.can, wake=False, native_async=False, series=False)

    def exchange(
        self, worker: WorkerId, settlements: Sequence[Settlement], /, *, limit: int, seen: Token
    ) -> tuple[list[Settled], list[Claimed]]:
        """See Exchange."""
        return self._do("exchange", lambda: self._exchanging.exchange(worker, settlements, limit=limit, seen=seen))


class FlakyOnLoops(FlakyExchange):
    """The same for a backend that also wakes claims, and serves callers on event loops."""

    def __init__(self, inner: Everything) -> None:
        super().__init__(inner)
        self._everything = inner

    @property
    def can(self) -> Capabilities:
        """What the backend inside promises, but `series`."""
        return structs.replace(self.inner.can, series=False)

    def wake(self, worker: WorkerId, /) -> None:
        """See Waking."""
        self._do("wake", lambda: self._everything.wake(worker))

    async def aenqueue(self, frames: Sequence[Frame], /) -> list[Receipt]:
        """See AsyncBackend."""
        return await self._ado("enqueue", lambda: self._everything.aenqueue(frames))

    async def acancel(self, job_id: JobId, /) -> CancelAnswer:
        """See AsyncBackend."""
        return await self._ado("cancel", lambda: self._everything.acancel(job_id))

    async def aoutcome(self, job_id: JobId, /, *, wait_ms: int) -> JobRecord | None:
        """See AsyncBackend."""
        return await self._ado("outcome", lambda: self._everything.aoutcome(job_id, wait_ms=wait_ms))

    async def aclose(self) -> None:
        """See AsyncBackend."""
        await self._ado("close", self._everything.aclose)
