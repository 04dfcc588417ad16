"""Any mixture of behaviours, faults and stops: every accepted job ends, once, and every run is accounted for."""

import asyncio
from collections import Counter
from typing import Literal, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.worker.crew import Heard
from typedgator import Cancel, Gator, JobState, Retry, Snooze, Worker, current_job
from typedgator.backends.contract import Backend
from typedgator.backends.locmem import LocmemBackend
from typedgator.events import JobEnded
from typedgator.testing.clock import FakeClock
from typedgator.testing.flaky import FlakyBackend
from typedgator.wire.states import FINAL

Behaviour = Literal["return", "raise", "exit", "retry", "snooze once", "cancel", "be canceled", "wrong", "cancel self"]


class Call(NamedTuple):
    """One job."""

    is_async: bool
    behaviour: Behaviour


class Fault(NamedTuple):
    """What the backend does to the first calls of a verb."""

    verb: Literal["claim", "settle", "beat", "maintain"]
    loses_reply: bool
    times: int


class Schedule(NamedTuple):
    """One test run. The first worker stops at the run that `stop_at` counts, or is spent after `max_tasks`."""

    calls: list[Call]
    faults: list[Fault]
    concurrency: int
    max_tasks: int | None
    stop_at: int | None
    stop_now: bool


schedules = st.builds(
    Schedule,
    st.lists(st.from_type(Call), min_size=1, max_size=40),
    st.lists(
        st.builds(Fault, st.sampled_from(("claim", "settle", "beat", "maintain")), st.booleans(), st.integers(1, 2)),
        max_size=2,
    ),
    st.integers(1, 4),
    st.none() | st.integers(1, 30),
    st.none() | st.integers(1, 30),
    st.booleans(),
)


class Run:
    """A gator with two tasks that behave as told, and the count of their runs."""

    def __init__(self, backend: Backend, clock: FakeClock, schedule: Schedule) -> None:
        self.gator = Gator(backend=backend, clock=clock)
        self.schedule = schedule
        self.runs: Counter[str] = Counter()
        self.worker = Worker(self.gator, concurrency=schedule.concurrency, max_tasks=schedule.max_tasks, burst=True)
        self.ends = Heard().on(self.gator.events, JobEnded)

        @self.gator.register(name="sync", retries=2, backoff=0)
        def sync(behaviour: str) -> int:
            return self.behave(behaviour)

        @self.gator.register(name="async", retries=2, backoff=0)
        async def on_loop(behaviour: str) -> int:
            try:
                return self.behave(behaviour)
            finally:
                await asyncio.sleep(0)

        self.jobs = [self.gator.task(on_loop if call.is_async else sync, call.behaviour) for call in schedule.calls]

    def behave(self, behaviour: str) -> int:
        """One run, counted before anything else."""
        job = current_job()
        self.runs[job.id] += 1
        if self.runs.total() == self.schedule.stop_at:
            self.worker.stop(now=self.schedule.stop_now)
        match behaviour:
            case "raise":
                raise ValueError
            case "exit":
                raise SystemExit
            case "retry":
                raise Retry(delay=0)
            case "snooze once" if self.runs[job.id] == 1:
                raise Snooze(0)
            case "cancel":
                raise Cancel
            case "be canceled":
                self.gator.job(job.id).cancel()
                raise ValueError
            case "wrong":
                return "no number"  # type: ignore[return-value]  # that is the behaviour
            case "cancel self":
                raise asyncio.CancelledError
            case _:
                return 1


@settings(max_examples=25)
@given(schedules)
def test_every_job_ends_once_and_every_run_is_in_a_report(schedule: Schedule) -> None:
    """Two workers one after the other; the first is stopped at any moment, the second one finishes the rest."""
    clock = FakeClock()
    backend = FlakyBackend(LocmemBackend(clock=clock))
    run = Run(backend, clock, schedule)
    for fault in schedule.faults:
        (backend.lose_reply if fault.loses_reply else backend.fail)(fault.verb, times=fault.times)

    first = run.worker.run()
    assert {job.state() for job in run.jobs} <= FINAL | {JobState.WAITING, JobState.RETRYING}
    backend.heal()
    second = Worker(run.gator, concurrency=schedule.concurrency, burst=True).run()

    assert {job.state() for job in run.jobs} <= FINAL
    ended, gone_back = first.ended + second.ended, first.released + first.lost + second.released + second.lost
    assert ended <= run.runs.total() <= ended + gone_back
    assert set(Counter(event.job_id for event in run.ends.of(JobEnded)).values()) <= {1}
    if schedule.max_tasks is not None and not schedule.faults:
        assert first.ended <= schedule.max_tasks
