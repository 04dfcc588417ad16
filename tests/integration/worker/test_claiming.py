"""How many jobs a worker takes: fast ones in batches, slow ones never more than it runs, and when it has had enough."""

from collections.abc import Callable, Sequence
from threading import Event, Semaphore

import pytest

from tests.integration.worker.conftest import Start
from tests.integration.worker.crew import PATIENCE, lay_on_desk
from typedgator import ConfigurationError, Gator, JobState, Worker, current_job
from typedgator.backends.contract import Claimed, Settled, WorkerId
from typedgator.backends.locmem import LocmemBackend
from typedgator.testing.clock import FakeClock
from typedgator.testing.flaky import FlakyBackend
from typedgator.wire.verdict import Settlement, Token
from typedgator.worker.claimer import HOARD

Burst = Callable[..., Worker]


class Watched(FlakyBackend):
    """Notes what is claimed and settled."""

    def __init__(self, clock: FakeClock | None = None) -> None:
        super().__init__(LocmemBackend(clock=clock))
        self.batches: list[int] = []
        self.limits: list[int] = []
        self.settled: list[str] = []

    def claim(self, worker: WorkerId, /, *, limit: int, wait_ms: int, seen: Token) -> list[Claimed]:
        """Notes how many were asked for, and how many were given."""
        claimed = super().claim(worker, limit=limit, wait_ms=wait_ms, seen=seen)
        if claimed:
            self.limits.append(limit)
            self.batches.append(len(claimed))
        return claimed

    def settle(self, worker: WorkerId, settlements: Sequence[Settlement], /) -> list[Settled]:
        """Notes the verdicts."""
        answers = super().settle(worker, settlements)
        self.settled += [settlement.verdict.kind for settlement in settlements]
        return answers


def running(gator: Gator) -> int:
    """How many jobs are in workers' hands."""
    return sum(counts.get(JobState.RUNNING, 0) for counts in gator.counts().queues.values())


def test_fast_jobs_are_claimed_in_batches(burst: Burst) -> None:
    """Many at once, and no more round trips than a few for each hundred jobs."""
    backend = Watched()
    gator = Gator(backend=backend)

    @gator.register(name="fast")
    def fast(number: int) -> None:
        pass

    gator.task_many(fast, [(n,) for n in range(100)])
    for start in range(0, 2_000, 100):
        gator.task_many(fast, [(n,) for n in range(start, start + 100)])
    report = burst(gator, concurrency=4).report

    assert report.succeeded == 2_100
    assert max(backend.batches) >= 50
    assert max(backend.batches) <= HOARD * 100
    assert len(backend.batches) < 300


def test_slow_jobs_are_not_hoarded_and_another_worker_gets_the_rest(gator: Gator, start: Start) -> None:
    """With four threads four are claimed; a second worker takes four others."""
    going, go_on = Semaphore(0), Event()

    @gator.register(name="slow")
    def slow(number: int) -> None:
        going.release()
        assert go_on.wait(PATIENCE)

    jobs = gator.task_many(slow, [(n,) for n in range(10)])
    start(gator, concurrency=4)
    for _ in range(4):
        assert going.acquire(timeout=PATIENCE)
    assert running(gator) == 4

    start(gator, concurrency=4)
    for _ in range(4):
        assert going.acquire(timeout=PATIENCE)
    assert running(gator) == 8

    go_on.set()
    for job in jobs:
        job.result(timeout=PATIENCE)


def test_what_waits_behind_slow_jobs_goes_back_after_a_second(start: Start) -> None:
    """Fast jobs promised a fast queue, and then slow ones came: what has not started is given back, and not hoarded
    again.
    """
    backend = Watched()
    gator = Gator(backend=backend)
    going, go_on = Semaphore(0), Event()

    @gator.register(name="fast")
    def fast(number: int) -> None:
        pass

    @gator.register(name="slow")
    def slow(number: int) -> None:
        going.release()
        assert go_on.wait(PATIENCE)

    for batch in range(10):
        gator.task_many(fast, [(n,) for n in range(batch * 100, batch * 100 + 100)])
    jobs = gator.task_many(slow, [(n,) for n in range(100)])
    shift = start(gator, concurrency=4)
    for _ in range(4):
        assert going.acquire(timeout=PATIENCE)
    while running(gator) > 4:
        backend.wait_for_calls("settle", backend.calls["settle"] + 1)
    claims = len(backend.batches)
    backend.wait_for_calls("maintain", backend.calls["maintain"] + 2)  # two rounds of the janitor later
    assert running(gator) == 4
    assert len(backend.batches) == claims, "it claimed again what it could not start"

    go_on.set()
    for job in jobs:
        job.result(timeout=PATIENCE)
    assert shift.end().released == backend.settled.count("released")


def test_a_suspect_runs_alone(start: Start) -> None:
    """A job with a crash behind it is claimed, and what has not started goes back: it must not go down with it."""
    clock = FakeClock()
    backend = Watched(clock)
    gator = Gator(backend=backend, clock=clock)
    going, go_on = Semaphore(0), Event()

    @gator.register(name="slow")
    def slow(number: int) -> int:
        going.release()
        assert go_on.wait(PATIENCE)
        return current_job().attempt

    suspect = gator.task(slow, 0)
    dying = backend.join(("all",), lease_ms=5_000)
    assert len(backend.claim(dying, limit=1, wait_ms=0, seen=0)) == 1
    clock.advance(5_000)
    backend.maintain(limit=10)
    others = gator.task_many(slow, [(n,) for n in range(1, 10)])

    start(gator, concurrency=4)
    assert going.acquire(timeout=PATIENCE)
    assert running(gator) == 1
    assert not going.acquire(timeout=0.7), "something ran beside the suspect"

    go_on.set()
    assert suspect.result(timeout=PATIENCE) == 2
    for job in others:
        assert job.result(timeout=PATIENCE) == 1


def test_what_has_not_started_does_not_wait_beside_a_suspect(start: Start) -> None:
    """It lay on the desk when the suspect came: it goes back, so that the suspect cannot take it down."""
    clock = FakeClock()
    backend = Watched(clock)
    gator = Gator(backend=backend, clock=clock)
    going, go_on = Semaphore(0), Event()

    @gator.register(name="slow")
    def slow(number: int) -> int:
        going.release()
        assert go_on.wait(PATIENCE)
        return current_job().attempt

    first, *others = gator.task_many(slow, [(n,) for n in range(3)])
    shift = start(gator, concurrency=1)
    assert going.acquire(timeout=PATIENCE)
    lay_on_desk(shift.worker, 2)
    with gator.options(queue="other") as opts:
        suspect = opts.task(slow, 9)
    dying = backend.join(("other",), lease_ms=1_000)
    assert len(backend.claim(dying, limit=1, wait_ms=0, seen=0)) == 1
    clock.advance(1_000)
    backend.maintain(limit=10)
    identity = shift.worker._claimer.identity
    assert identity is not None
    claimed = backend.inner.take(identity, suspect._id)
    assert claimed is not None
    assert claimed.crashes == 1
    shift.worker._claimer._claimed += 1
    shift.worker._dispatcher.dispatch(identity, [claimed])

    assert len(shift.worker._desk) == 2  # the running one, and the suspect
    go_on.set()
    assert [job.result(timeout=PATIENCE) for job in (first, *others, suspect)] == [1, 1, 1, 2]
    assert shift.end().released == 2


def test_a_claimer_without_room_does_not_spin(start: Start) -> None:
    """The only thread runs a hook, and nothing is in hand: it waits, and looks again."""
    gator = Gator(backend=Watched())
    hook_runs, go_on = Event(), Event()

    @gator.register(name="quick")
    def quick() -> None:
        pass

    def hook() -> None:
        hook_runs.set()
        assert go_on.wait(PATIENCE)

    shift = start(gator, concurrency=1)
    ticks: list[None] = []
    pace = shift.worker._claimer._pace
    note = pace.note
    pace.note = lambda ended, slots: (ticks.append(None), note(ended, slots))[1]  # type: ignore[method-assign]  # counts rounds
    shift.worker._dispatcher.threads.submit([hook])
    assert hook_runs.wait(PATIENCE)
    backend = gator.backend
    assert isinstance(backend, Watched)
    backend.wait_for_calls("maintain", backend.calls["maintain"] + 1)
    ticks.clear()
    backend.wait_for_calls("maintain", backend.calls["maintain"] + 1)  # one to three seconds
    assert len(ticks) < 600
    go_on.set()
    gator.task(quick).result(timeout=PATIENCE)


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("most", [1, 7, 150])
def test_max_tasks_is_exact(gator: Gator, burst: Burst, start: Start, most: int, concurrency: int) -> None:
    """Not one more, not one less; the others stay as they were."""
    ran: list[int] = []

    @gator.register(name="count")
    def count(number: int) -> None:
        ran.append(number)

    for at in range(0, 200, 100):
        gator.task_many(count, [(n,) for n in range(at, at + 100)])
    report = start(gator, concurrency=concurrency, max_tasks=most).wait()

    assert len(ran) == len(set(ran)) == most
    assert report.succeeded == report.ended == most
    assert len(gator.queue()) == 200 - most


def test_max_tasks_counts_what_ran(gator: Gator, start: Start) -> None:
    """A job that could not even be opened is no task done."""

    @gator.register(name="known")
    def known(number: int) -> None:
        pass

    elsewhere = Gator(backend=gator.backend)

    @elsewhere.register(name="unknown")
    def unknown() -> None:
        pass

    elsewhere.task(unknown)
    gator.task_many(known, [(1,), (2,), (3,)])
    report = start(gator, max_tasks=2).wait()
    assert (report.succeeded, report.held) == (2, 1)


def test_a_burst_ends_after_dependents_and_retries(gator: Gator, burst: Burst) -> None:
    """What becomes due through what it ran is run as well, however long the chain."""
    ran: list[int] = []

    @gator.register(name="link", retries=1, backoff=0)
    def link(number: int) -> None:
        if current_job().attempt == 1:
            raise ValueError("try again")
        ran.append(number)

    job = gator.task(link, 0)
    for number in range(1, 30):
        with gator.options(depends_on=job) as opts:
            job = opts.task(link, number)
    burst(gator)

    assert ran == list(range(30))


def test_a_burst_with_nothing_to_do_ends_at_once(gator: Gator, burst: Burst) -> None:
    """Its report is empty."""
    report = burst(gator).report
    assert (report.ended, report.lost, report.released, report.held) == (0, 0, 0, 0)


def test_queues_are_served_in_their_order(gator: Gator, burst: Burst) -> None:
    """The first queue first; other queues not at all; `*` is every queue."""
    ran: list[str] = []

    @gator.register(name="say")
    def say(what: str) -> None:
        ran.append(what)

    for queue in ("third", "second", "first"):
        with gator.options(queue=queue) as opts:
            opts.task(say, queue)
    burst(gator, queues=["first", "second"], concurrency=1)
    assert ran == ["first", "second"]
    burst(gator, queues=["*"])
    assert ran == ["first", "second", "third"]


def test_a_queue_that_is_named_twice_is_served_once(gator: Gator, burst: Burst) -> None:
    """Its jobs run once, and the worker says its name once."""
    ran: list[int] = []

    @gator.register(name="note")
    def note(number: int) -> None:
        ran.append(number)

    gator.task_many(note, [(number,) for number in range(5)])
    worker = burst(gator, queues=["all", "all"])

    assert worker.queues == ("all",)
    assert sorted(ran) == [0, 1, 2, 3, 4]
    assert (worker.report.succeeded, worker.report.lost) == (5, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"queues": "all"},
        {"queues": []},
        {"queues": ["no spaces"]},
        {"queues": [1]},
        {"concurrency": 0},
        {"concurrency": True},
        {"concurrency": 2.0},
        {"concurrency": 10_001},
        {"burst": "yes"},
        {"burst": 1},
        {"max_tasks": 0},
        {"max_tasks": "3"},
        {"lease": 1},
        {"lease": "30"},
        {"grace": -1},
        {"grace": float("nan")},
    ],
    ids=str,
)
def test_wrong_arguments_are_refused(wrong: dict[str, object]) -> None:
    """Before anything starts, by name."""
    with pytest.raises(ConfigurationError, match="queue" if "queues" in wrong else next(iter(wrong))):
        Worker(Gator("locmem://"), **wrong)  # type: ignore[arg-type]  # that is what is tested


def test_a_worker_of_something_else_is_refused() -> None:
    """Such as a DSN, or a module that has a gator."""
    with pytest.raises(ConfigurationError, match="gator must be a Gator, got 'locmem://'"):
        Worker("locmem://")  # type: ignore[arg-type]  # that is what is tested


def test_a_worker_runs_once(gator: Gator, burst: Burst) -> None:
    """Its actors are used up."""
    worker = burst(gator)
    with pytest.raises(ConfigurationError, match="has run already"):
        worker.run()
    with pytest.raises(ConfigurationError, match="has run already"):
        worker.run()


def test_two_workers_in_one_process_share_the_work(gator: Gator, start: Start) -> None:
    """Each job is run by one of them; together their reports have all."""
    ran: list[int] = []

    @gator.register(name="count")
    def count(number: int) -> None:
        ran.append(number)

    for at in range(0, 400, 100):
        gator.task_many(count, [(n,) for n in range(at, at + 100)])
    shifts = [start(gator, burst=True), start(gator, burst=True)]
    reports = [shift.wait() for shift in shifts]

    assert sorted(ran) == list(range(400))
    assert sum(report.succeeded for report in reports) == 400
