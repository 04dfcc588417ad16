"""The workbench of the suite: jobs called by number, hands that work as a worker does, and what a test may see.

Nothing here knows any backend; what it cannot see through a facet that the backend has, it skips.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Final, TypeAlias, TypeVar, cast

import pytest

from typedgator.backends.contract import (
    AsyncBackend,
    Backend,
    Beat,
    CancelAnswer,
    Claimed,
    Exchange,
    Holding,
    InSeries,
    Inspect,
    JobRecord,
    Notes,
    Operate,
    Owning,
    Receipt,
    ReceiptStatus,
    Results,
    Settled,
    Waking,
    WorkerId,
)
from typedgator.clock import Clock, SystemClock
from typedgator.errors import Unsupported
from typedgator.testing.clock import FakeClock
from typedgator.wire.frame import Frame, FrameFlags
from typedgator.wire.ids import JobId
from typedgator.wire.states import JobState
from typedgator.wire.verdict import Settlement, Succeeded, Token, Verdict

__all__ = ["KEY", "LEASE_MS", "Bench", "Given", "Hand", "Named", "job", "named", "numbers", "refuses", "requires"]

LEASE_MS: Final = 30_000
KEY: Final = b"a digest of args"
"""A unique key: 16 bytes."""

Named: TypeAlias = int | JobId
"""A job in a test: its number, or its id."""

_F = TypeVar("_F", bound=Callable[..., None])
PROMISED: Final = "`can` promises this facet, but its methods are not there"
_FACETS: Final[dict[str, type[object]]] = {
    "results": Results,
    "inspect": Inspect,
    "operate": Operate,
    "holding": Holding,
    "notes": Notes,
    "exchange": Exchange,
    "owned": Owning,
    "wake": Waking,
    "native_async": AsyncBackend,
    "series": InSeries,
}


def named(name: Named) -> JobId:
    """The id of a job with a number: as we make them, in the order of the numbers."""
    if isinstance(name, int):
        return JobId(name.to_bytes(6, "big") + b"\x70\x00\x80" + bytes(7))
    return name


def numbers(jobs: Sequence[Claimed] | Sequence[JobRecord]) -> list[int]:
    """The numbers of jobs, in their order."""
    return [int.from_bytes(each.job_id[:6], "big") for each in jobs]


def job(
    name: Named,
    queue: str = "all",
    *,
    priority: int = 100,
    delay_ms: int = 0,
    expires_in_ms: int | None = None,
    unique: bytes | None = None,
    after: Sequence[Named] = (),
    crash_budget: int = 3,
    flags: int = 0,
    envelope: bytes | None = None,
) -> Frame:
    """A frame as a producer makes it: the flags follow from the rest."""
    if unique is not None:
        flags |= FrameFlags.UNIQUE
    if expires_in_ms is not None:
        flags |= FrameFlags.EXPIRES
    if not isinstance(name, int):
        flags |= FrameFlags.CALLERS_ID
    return Frame(
        job_id=named(name),
        queue=queue,
        envelope=b"envelope of " + named(name) if envelope is None else envelope,
        priority=priority,
        delay_ms=delay_ms,
        expires_in_ms=expires_in_ms,
        unique=unique,
        parents=tuple(named(each) for each in after),
        crash_budget=crash_budget,
        flags=FrameFlags(flags),
    )


class Hand:
    """A worker as the contract sees it: an identity that claims, settles and remembers the greatest token it saw."""

    def __init__(self, backend: Backend, queues: Sequence[str], lease_ms: int) -> None:
        self.backend = backend
        self.id: WorkerId = backend.join(queues, lease_ms=lease_ms)
        self.seen: Token = 0

    def claim(self, limit: int = 10, *, wait_ms: int = 0) -> list[Claimed]:
        """A claim whose reply arrives."""
        claimed = self.backend.claim(self.id, limit=limit, wait_ms=wait_ms, seen=self.seen)
        self.seen = max([self.seen, *(each.token for each in claimed)])
        return claimed

    def claim_one(self) -> Claimed:
        """The next job; there must be one."""
        claimed = self.claim(1)
        assert len(claimed) == 1, "nothing was handed out"
        return claimed[0]

    def claim_and_lose_the_reply(self, limit: int = 10) -> list[Claimed]:
        """What the backend did; the worker does not know of it."""
        return self.backend.claim(self.id, limit=limit, wait_ms=0, seen=self.seen)

    def settle(self, claimed: Claimed, verdict: Verdict) -> Settled:
        """One settlement."""
        return self.settle_all([claimed], verdict)[0]

    def settle_all(self, claimed: Sequence[Claimed], verdict: Verdict) -> list[Settled]:
        """The same verdict for all, in one call."""
        return self.backend.settle(self.id, [Settlement(each.job_id, each.token, verdict) for each in claimed])

    def succeed(self, claimed: Claimed) -> Settled:
        """The task returned None."""
        return self.settle(claimed, Succeeded())

    def beat(self, *claimed: Claimed) -> Beat:
        """A heartbeat that asks about these attempts."""
        return self.backend.beat(self.id, [each.token for each in claimed])

    def leave(self) -> None:
        """Ends this identity."""
        self.backend.leave(self.id)


class Bench:
    """A backend, its clock, and questions to ask of them."""

    def __init__(self, backend: Backend, clock: FakeClock) -> None:
        self.backend = backend
        self.clock = clock

    def add(self, *frames: Frame) -> list[Receipt]:
        """One enqueue call."""
        return self.backend.enqueue(frames)

    def accept(self, *frames: Frame) -> None:
        """One enqueue call; all of it must be new."""
        receipts = self.add(*frames)
        assert receipts == [Receipt(ReceiptStatus.NEW, frame.job_id) for frame in frames]

    def hand(self, *queues: str, lease_ms: int = LEASE_MS) -> Hand:
        """A worker of these queues; of `all` when none is named."""
        return Hand(self.backend, queues or ("all",), lease_ms)

    def run(self, name: Named, verdict: Verdict, *, queue: str = "all") -> Claimed:
        """A worker comes, takes one job, which must be this one, ends it with this verdict, and leaves."""
        hand = self.hand(queue)
        claimed = hand.claim_one()
        assert claimed.job_id == named(name)
        assert hand.settle(claimed, verdict) is Settled.WRITTEN
        hand.leave()
        return claimed

    def crash(self, queue: str = "all", *, limit: int = 10) -> list[Claimed]:
        """A worker comes, claims, and dies without a word; time passes and it is reaped."""
        claimed = self.hand(queue).claim(limit)
        self.clock.advance(LEASE_MS)
        self.maintain()
        return claimed

    def maintain(self, *, limit: int = 1000) -> None:
        """Until there is nothing more to do."""
        while self.backend.maintain(limit=limit).more:
            pass

    def cancel(self, name: Named) -> CancelAnswer:
        """Asks that a job be canceled."""
        return self.backend.cancel(named(name))

    def find(self, name: Named) -> JobRecord | None:
        """What the backend lets one see of a job."""
        if self.backend.can.inspect:
            return self.inspect.find(named(name))
        if self.backend.can.results:
            return self.results.outcome(named(name), wait_ms=0)
        pytest.skip("without inspect or results nothing can be seen here")

    def record(self, name: Named) -> JobRecord:
        """The record of a job that must be known."""
        found = self.find(name)
        assert found is not None, f"job {name!r} is not known"
        return found

    def state(self, name: Named) -> JobState:
        """The state of a job that must be known."""
        return self.record(name).state

    def states(self, *names: Named) -> list[JobState]:
        """The states of jobs that must be known."""
        return [self.state(name) for name in names]

    def waiting(self, queue: str = "all") -> list[int]:
        """The waiting jobs of a queue, in the order of handing out."""
        return numbers(self.inspect.page(JobState.WAITING, queue=queue).records)

    @property
    def results(self) -> Results:
        """The facet; there because `can` says so."""
        assert isinstance(self.backend, Results), PROMISED
        return self.backend

    @property
    def inspect(self) -> Inspect:
        """The facet; there because `can` says so."""
        assert isinstance(self.backend, Inspect), PROMISED
        return self.backend

    @property
    def operate(self) -> Operate:
        """The facet; there because `can` says so."""
        assert isinstance(self.backend, Operate), PROMISED
        return self.backend

    @property
    def holding(self) -> Holding:
        """The facet; there because `can` says so."""
        assert isinstance(self.backend, Holding), PROMISED
        return self.backend

    @property
    def notes(self) -> Notes:
        """The facet; there because `can` says so."""
        assert isinstance(self.backend, Notes), PROMISED
        return self.backend

    @property
    def exchange(self) -> Exchange:
        """The facet; there because `can` says so."""
        assert isinstance(self.backend, Exchange), PROMISED
        return self.backend

    @property
    def owning(self) -> Owning:
        """The facet; there because `can` says so."""
        assert isinstance(self.backend, Owning), PROMISED
        return self.backend

    @property
    def on_loops(self) -> AsyncBackend:
        """The facet; there because `can` says so."""
        assert isinstance(self.backend, AsyncBackend), PROMISED
        return self.backend


class Given:
    """What a backend's test class says about itself. Only `make` must be written."""

    def make(self, clock: Clock) -> Backend:
        """A fresh, empty, closed backend on this clock."""
        raise NotImplementedError("write make(self, clock): a fresh, empty, closed backend on this clock")

    def reopen(self, backend: Backend) -> Backend | None:
        """Another closed backend over the same storage; None when there is no such thing."""
        return None

    def audit(self, backend: Backend) -> None:
        """Looks into the storage after each test: one index per job, no lease without expiry, no key without owner."""

    @pytest.fixture
    def clock(self) -> FakeClock:
        """The backend's clock."""
        return FakeClock()

    @pytest.fixture
    def bench(self, clock: FakeClock, request: pytest.FixtureRequest) -> Generator[Bench]:
        """An open backend; a test that requires what it cannot do sees it refuse, and is skipped."""
        backend = self.make(clock)
        backend.open()
        try:
            _skip_what_it_refuses(backend, request)
            yield Bench(backend, clock)
            self.audit(backend)
        finally:
            backend.close()

    @pytest.fixture
    def live(self, request: pytest.FixtureRequest) -> Generator[Backend]:
        """An open backend on the machine's own clock, for tests with threads."""
        backend = self.make(SystemClock())
        backend.open()
        try:
            _skip_what_it_refuses(backend, request)
            yield backend
            self.audit(backend)
        finally:
            backend.close()


def _skip_what_it_refuses(backend: Backend, request: pytest.FixtureRequest) -> None:
    function = cast(Callable[..., None], request.function)
    for ability in getattr(function, "requires", ()):
        if not getattr(backend.can, ability):
            refuses(backend, ability)
            pytest.skip(f"it cannot do {ability}, and says so")


def requires(*abilities: str) -> Callable[[_F], _F]:
    """The test needs these fields of Capabilities to be true."""

    def marked(test: _F) -> _F:
        vars(test)["requires"] = abilities
        return test

    return marked


def refuses(backend: Backend, ability: str) -> None:
    """What a backend cannot do, it refuses aloud: a facet is not there, a frame or a verb raises Unsupported."""
    frames = {
        "priorities": [job(1, priority=200)],
        "unique": [job(1, unique=KEY)],
        "dependencies": [job(1), job(2, after=[1])],
        "expiry": [job(1, expires_in_ms=1000)],
        "caller_ids": [job(JobId(b"mine"))],
    }
    if ability in frames:
        with pytest.raises(Unsupported):
            backend.enqueue(frames[ability])
    elif ability == "cancel":
        with pytest.raises(Unsupported):
            backend.cancel(named(1))
    elif ability in _FACETS:
        assert not isinstance(backend, _FACETS[ability]), f"`can` denies {ability}, but its methods are there"
