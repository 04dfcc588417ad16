"""Jobs that run under a worker's name without its knowledge: they run again; what it does know of is left alone."""

import logging
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from threading import Event

import pytest
from msgspec import structs

from tests.integration.worker.conftest import Start
from tests.integration.worker.crew import PATIENCE, until
from tests.integration.worker.test_failing_backend import WRITES, Poisoned
from typedgator import Gator, JobState, current_job
from typedgator.backends.contract import Beat, Capabilities, Claimed, Settled, WorkerId
from typedgator.backends.locmem import LocmemBackend
from typedgator.backends.sqlite import SqliteBackend
from typedgator.testing.clock import FakeClock
from typedgator.testing.flaky import FlakyBackend, FlakyExchange
from typedgator.wire.ids import JobId, parse_id
from typedgator.wire.verdict import Failed, Released, Settlement, Succeeded, Token


class Forgetful:
    """Says that a success was written, and has forgotten it: what a failover looks like that comes right after."""

    forgets: int = 0
    loses: bool = False
    """The next beat says that every token is lost, though none is."""

    def forgotten(self, settlements: Sequence[Settlement]) -> bool:
        """Whether this write is one of those."""
        ours = self.forgets > 0 and all(isinstance(each.verdict, Succeeded) for each in settlements)
        self.forgets -= ours
        return ours


class ForgetfulBackend(Forgetful, FlakyBackend):
    """One that settles and claims in two calls."""

    def settle(self, worker: WorkerId, settlements: Sequence[Settlement], /) -> list[Settled]:
        """Perhaps forgotten."""
        if self.forgotten(settlements):
            return [Settled.WRITTEN] * len(settlements)
        return super().settle(worker, settlements)

    def beat(self, worker: WorkerId, tokens: Sequence[Token], /) -> Beat:
        """Perhaps by a server that has not heard of the claims."""
        answer = super().beat(worker, tokens)
        if self.loses and tokens:
            self.loses = False
            return Beat(list(tokens))
        return answer


class ForgetfulExchange(ForgetfulBackend, FlakyExchange):
    """One that can exchange."""

    def exchange(
        self, worker: WorkerId, settlements: Sequence[Settlement], /, *, limit: int, seen: Token
    ) -> tuple[list[Settled], list[Claimed]]:
        """Perhaps forgotten."""
        if self.forgotten(settlements):
            return [Settled.WRITTEN] * len(settlements), []
        return super().exchange(worker, settlements, limit=limit, seen=seen)


@pytest.fixture(params=["locmem", "sqlite, exchanging"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> ForgetfulBackend:
    """With and without `exchange`."""
    if request.param == "locmem":
        return ForgetfulBackend(LocmemBackend())
    return ForgetfulExchange(SqliteBackend(tmp_path / "jobs.db"))


@pytest.fixture
def gator(backend: ForgetfulBackend) -> Gator:
    """On that backend."""
    return Gator(backend=backend)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The janitor does not take its time."""
    monkeypatch.setattr("typedgator.worker.janitor.EVERY_SECONDS", 0.01)


def looks(backend: FlakyBackend, more: int = 6) -> None:
    """The worker looks so often again, and so has decided what to do about what was there before."""
    backend.wait_for_calls("owned", backend.calls["owned"] + more, PATIENCE)


def test_a_job_whose_settlement_was_forgotten_runs_again_while_its_worker_lives(
    gator: Gator, backend: ForgetfulBackend, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """In the attempt that it was in, under a greater token; and that is said."""
    ran: list[tuple[int, int]] = []

    @gator.register(name="work")
    def work() -> None:
        ran.append((current_job().attempt, current_job().token))

    backend.forgets = 1
    with caplog.at_level(logging.WARNING, "typedgator"):
        job = work.task()
        shift = start(gator)
        until(lambda: job.state() is JobState.SUCCESS, "a second end")
        report = shift.end()

    assert [attempt for attempt, _ in ran] == [1, 1]
    assert ran[0][1] < ran[1][1]
    assert (report.succeeded, report.released, report.lost) == (2, 0, 0)
    assert "1 jobs are given back: the backend has forgotten that they were settled" in caplog.text


def test_a_forgotten_suspect_does_not_stop_its_worker(start: Start) -> None:
    """A job with a crash behind it runs alone; forgotten, it would keep its worker from all others."""
    clock = FakeClock()
    backend = ForgetfulBackend(LocmemBackend(clock=clock))
    gator, ran = Gator(backend=backend), list[int]()

    @gator.register(name="work")
    def work(number: int) -> None:
        ran.append(number)

    work.task(1)
    backend.claim(backend.join(["all"], lease_ms=1), limit=1, wait_ms=0, seen=0)
    clock.advance(1)
    backend.maintain(limit=10)
    other = work.task(2)
    backend.forgets = 1
    start(gator)

    until(lambda: other.state() is JobState.SUCCESS, "the other job")

    assert ran == [1, 1, 2]


def test_what_runs_is_left_alone_for_as_long_as_it_runs(gator: Gator, backend: ForgetfulBackend, start: Start) -> None:
    """Running or waiting for a thread: it is on the desk."""
    ran, go_on = list[int](), Event()

    @gator.register(name="slow")
    def slow(number: int) -> None:
        ran.append(number)
        assert go_on.wait(PATIENCE)

    jobs = [slow.task(number) for number in range(2)]
    shift = start(gator, concurrency=2)
    until(lambda: len(ran) == 2, "the start")
    looks(backend)
    go_on.set()
    until(lambda: all(job.state() is JobState.SUCCESS for job in jobs), "the end")

    report = shift.end()
    assert sorted(ran) == [0, 1]
    assert (report.succeeded, report.lost) == (2, 0)


def test_what_was_said_to_be_lost_and_is_ours_again_is_given_back(
    gator: Gator, backend: ForgetfulBackend, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """We have dropped it, so nobody would ever settle it."""
    monkeypatch.setattr("typedgator.leases.BEATS_PER_LEASE", 500)
    ran: list[int] = []

    @gator.register(name="work")
    def work() -> None:
        ran.append(1)
        if len(ran) == 1:
            backend.loses = True
            until(lambda: current_job().should_stop, "a beat")

    job = work.task()
    shift = start(gator)
    until(lambda: job.state() is JobState.SUCCESS, "the end")

    report = shift.end()
    assert len(ran) == 2
    assert (report.succeeded, report.lost) == (1, 1)


@pytest.mark.parametrize("fault", ["fail", "block"])
def test_a_settlement_on_its_way_is_waited_for(
    gator: Gator, backend: ForgetfulBackend, start: Start, fault: str
) -> None:
    """The backend does not answer it, or hangs: the job has ended, and is neither given back nor run again."""
    ran: list[int] = []

    @gator.register(name="work")
    def work() -> None:
        ran.append(1)

    getattr(backend, fault)(*WRITES)
    job = work.task()
    shift = start(gator)
    until(lambda: backend.calls["settle"] + backend.calls["exchange"] > 0, "a first try")
    looks(backend)
    assert job.state() is JobState.RUNNING
    backend.heal()
    until(lambda: job.state() is JobState.SUCCESS, "the end")

    report = shift.end()
    assert ran == [1]
    assert (report.succeeded, report.lost) == (1, 0)


def test_a_claim_whose_reply_is_on_its_way_is_waited_for(gator: Gator, backend: ForgetfulBackend, start: Start) -> None:
    """Its jobs are ours, and we do not know of them yet: they are not given back, but sent again."""
    tokens: list[int] = []

    @gator.register(name="work")
    def work() -> None:
        tokens.append(current_job().token)

    backend.lose_reply("claim", "exchange")
    job = work.task()
    shift = start(gator)
    until(lambda: job.state() is JobState.RUNNING, "the claim")
    token = backend.inner.find(parse_id(job.id)).token  # type: ignore[union-attr]  # it is there
    looks(backend)
    backend.heal()
    until(lambda: job.state() is JobState.SUCCESS, "the end")

    shift.end()
    assert tokens == [token]


def test_what_cannot_be_settled_at_all_is_not_run_again_and_again(start: Start) -> None:
    """It ran, and nothing that it ended as can be written: it stays where it is until the worker leaves."""
    backend = Poisoned(LocmemBackend())
    backend.poison = (Succeeded, Failed)
    gator, ran = Gator(backend=backend), list[int]()

    @gator.register(name="work")
    def work() -> None:
        ran.append(1)

    job = work.task()
    backend.bad = parse_id(job.id)
    shift = start(gator)
    until(lambda: shift.worker.report.lost == 1, "giving up")
    looks(backend)

    assert job.state() is JobState.RUNNING
    shift.end()
    assert job.state() is JobState.WAITING
    assert ran == [1]


def test_what_was_found_once_may_have_been_old_news(
    gator: Gator, backend: ForgetfulBackend, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what two looks in a row find is given back: in a failover one connection may still ask the old server."""
    given_back: list[Settlement] = []
    asked = count(1)
    real, settle = backend.inner.owned, backend.inner.settle

    def old_news(worker: WorkerId, /) -> list[tuple[JobId, Token]]:
        return [(parse_id(job.id), 1), *real(worker)] if next(asked) % 2 else real(worker)

    def settled(worker: WorkerId, settlements: Sequence[Settlement], /) -> list[Settled]:
        given_back.extend(each for each in settlements if isinstance(each.verdict, Released))
        return settle(worker, settlements)

    @gator.register(name="work")
    def work() -> None: ...

    job = work.task()
    monkeypatch.setattr(backend.inner, "owned", old_news)
    monkeypatch.setattr(backend.inner, "settle", settled)
    shift = start(gator)
    until(lambda: job.state() is JobState.SUCCESS, "the end")
    looks(backend)

    shift.end()
    assert given_back == []


class Silent(FlakyBackend):
    """Does not say what a worker has."""

    @property
    def can(self) -> Capabilities:
        """All but that."""
        return structs.replace(super().can, owned=False)


def test_a_backend_that_cannot_say_what_a_worker_has_is_not_asked(start: Start) -> None:
    """`can.owned` is False: all else goes on."""
    backend = Silent(LocmemBackend())
    gator = Gator(backend=backend)

    @gator.register(name="work")
    def work() -> None: ...

    job = work.task()
    start(gator)
    until(lambda: job.state() is JobState.SUCCESS, "the end")
    backend.wait_for_calls("maintain", 6)

    assert backend.calls["owned"] == 0
