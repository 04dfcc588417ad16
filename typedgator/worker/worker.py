"""Worker: wires the actors together, and knows in which order they start and stop.

start   lease keeper, settler, executors, janitor, claimer
stop    claimer; unstarted jobs released; running ones drain for the grace; the rest released; settler; leave; lease keeper
"""

import logging
import time
from collections.abc import Callable, Sequence
from threading import Event, Lock
from typing import Final

from typedgator.backends.contract import (
    Backend,
    Beat,
    Claimed,
    HeldKind,
    Holding as HoldsJobs,
    Notes,
    Settled,
    WorkerId,
)
from typedgator.errors import BackendUnavailable, ConfigurationError
from typedgator.events import JobEnded, JobHeld, JobRetrying, JobStarted, LeaseLost, WorkerStarted, WorkerStopped
from typedgator.execution import Attempt, Ending, announce_end, announce_start, close_attempt, open_attempt
from typedgator.gator import Gator
from typedgator.job import Job
from typedgator.leases import LeaseKeeper
from typedgator.policy.durations import to_ms
from typedgator.policy.options import DEFAULT_QUEUE, Duration, checked_queue
from typedgator.wire.ids import shown_id
from typedgator.wire.outcome import decode_outcome
from typedgator.wire.states import JobState
from typedgator.wire.verdict import (
    Canceled,
    Failed,
    Held,
    Released,
    RetryIn,
    Settlement,
    Snoozed,
    Succeeded,
)
from typedgator.worker.claimer import Claimer
from typedgator.worker.desk import Desk, Finished, Holding, WorkerReport
from typedgator.worker.executors import LoopExecutor, ThreadExecutor
from typedgator.worker.janitor import Janitor
from typedgator.worker.settler import Settler

__all__ = ["DEFAULT_COROUTINES", "DEFAULT_THREADS", "Worker"]

logger: Final = logging.getLogger("typedgator")

DEFAULT_THREADS: Final = 8
DEFAULT_COROUTINES: Final = 100
LEAST_LEASE_MS: Final = 5_000
LOOK_SECONDS: Final = 0.1
"""How often a stop is looked for."""


class Worker:
    """Runs the jobs of a gator: sync tasks in threads, async tasks on one event loop.

    `queues` are served in this order; `"*"` is every queue. `concurrency` sets threads and coroutines alike; None: 8 and 100. `lease`
    (seconds or timedelta, at least 5 s) is how long a job of a killed worker waits before it runs again; it says nothing about how
    long a job may run. `grace` is how long `stop` lets running jobs finish. `max_tasks`: stop after so many. `burst`: stop when
    nothing is due. One worker runs once.
    """

    def __init__(
        self,
        gator: Gator,
        *,
        queues: Sequence[str] = (DEFAULT_QUEUE,),
        concurrency: int | None = None,
        lease: Duration = 30,
        grace: Duration = 10,
        max_tasks: int | None = None,
        burst: bool = False,
    ) -> None:
        if isinstance(queues, str) or not queues:
            raise ConfigurationError(f"queues must be a list of names, got {queues!r}")
        self.queues: Final = tuple(queue if queue == "*" else checked_queue(queue) for queue in queues)
        for name, number in (("concurrency", concurrency), ("max_tasks", max_tasks)):
            if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 1):
                raise ConfigurationError(f"{name} must be a whole number from 1, got {number!r}")
        self._gator = gator
        self._backend: Backend = gator.backend
        self._lease_ms = to_ms(lease, "lease", least=LEAST_LEASE_MS)
        self._grace = to_ms(grace, "grace") / 1000
        self.report: Final = WorkerReport()
        """What was written so far; live while the worker runs."""
        self._ended = 0
        self._only_async = len(gator.registry) > 0 and all(task.spec.is_coroutine for task in gator.registry)
        self._stop = False
        self._now = False
        self._over = Event()
        self._once = Lock()
        self._notes = self._backend if isinstance(self._backend, Notes) and self._backend.can.notes else None
        events = gator.events
        self._tells_start = events.wants(JobStarted)
        self._tells_end = any(events.wants(kind) for kind in (JobEnded, JobRetrying, JobHeld, LeaseLost))

        self._desk = Desk()
        threads = concurrency or DEFAULT_THREADS
        coroutines = concurrency or DEFAULT_COROUTINES
        self._threads = ThreadExecutor(threads, self, gator.middleware)
        self._loop = LoopExecutor(coroutines, self, gator.middleware)
        self._settler = Settler(self._backend, lease_ms=self._lease_ms, busy=self._busy, after=self._settled)
        self._claimer = Claimer(
            self._backend,
            self._desk,
            self._settler,
            join=self._join,
            lapsed=self._lapsed,
            dispatch=self._dispatch,
            slots=self._slots,
            most=2 * max(threads, coroutines, 100),
            ended=lambda: self._ended,
            burst=burst,
            max_tasks=max_tasks,
            give_back=self._give_back_stale,
            finished=self._over.set,
        )
        self._keeper = LeaseKeeper(
            self._backend,
            lease_ms=self._lease_ms,
            identity=lambda: self._claimer.identity,
            tokens=lambda: list(self._desk.holdings),
            hear=self._hear,
        )
        self._janitor = Janitor(self._backend)

    # ---- for whoever runs it

    def run(self) -> WorkerReport:
        """Works until `stop`, the end of a burst, or `max_tasks`. Raises ConfigurationError or BackendUnavailable at the start."""
        if not self._once.acquire(blocking=False):
            raise ConfigurationError("this worker has run already: make another one")
        self._backend.open()
        self._release_fitting()
        for actor in (self._keeper, self._settler, self._threads, self._loop, self._janitor, self._claimer):
            actor.start()
        try:
            while not (self._stop or self._over.wait(LOOK_SECONDS)):
                pass
        finally:
            self._end()
        return self.report

    def stop(self, *, now: bool = False) -> None:
        """Asks it to stop, from any thread or a signal handler; `now` skips the grace. Returns at once: `run` returns when it is over."""
        # Plain flags: an Event's lock could be held by the very thread that a signal handler interrupts.
        if now:
            self._now = True
        self._stop = True

    @property
    def last_good(self) -> float:
        """When the backend last answered both claimer and lease keeper, seconds of the monotonic clock: for a health check."""
        return min(self._claimer.last_good, self._keeper.last_good)

    # ---- what the actors ask for

    def _join(self) -> WorkerId:
        identity = self._backend.join(self.queues, lease_ms=self._lease_ms)
        logger.info("worker %s serves %s", identity, ", ".join(self.queues))
        if self._gator.events.wants(WorkerStarted):
            self._gator.events.tell(WorkerStarted(identity, self.queues))
        return identity

    def _lapsed(self, identity: WorkerId) -> None:
        dropped = self._desk.drop(lambda holding: holding.identity == identity)
        for holding in dropped:
            self._stop_one(holding)
        logger.error(
            "worker %s was not heard of for longer than its lease: its %d jobs are given to others, it joins anew",
            identity,
            len(dropped),
        )

    def _slots(self) -> tuple[int, int]:
        where = self._loop if self._only_async else self._threads
        return max(0, where.size - where.load), where.size

    def _busy(self) -> bool:
        return len(self._desk) > 0

    def _dispatch(self, identity: WorkerId, claimed: Sequence[Claimed]) -> None:
        if any(one.crashes for one in claimed):  # a suspect: what has not started must not go down with it
            self._give_back(self._threads.withdraw() + self._loop.withdraw())
        now = time.monotonic()
        sync: list[Holding | Callable[[], None]] = []
        coroutines: list[Holding] = []
        for one in claimed:
            opened = open_attempt(one, self._gator.registry, self._note)
            if isinstance(opened, Settlement):
                self._settler.add(Finished(identity, opened))
                continue
            holding = Holding(identity, opened, now)
            self._desk.put(holding)
            (coroutines if opened.is_async else sync).append(holding)
        self._only_async = not sync and bool(coroutines)
        if coroutines:
            self._loop.submit(coroutines)
        if sync:
            self._threads.submit(sync)

    def _note(self, token: int, progress: bytes) -> bool:
        holding = self._desk.holdings.get(token)
        if holding is None or self._notes is None:
            return False
        return self._notes.note(holding.identity, token, progress)

    def _give_back_stale(self, seconds: float) -> None:
        """A slow job blocks those behind it: others may run them."""
        limit = time.monotonic() - seconds

        def stale(holding: Holding) -> bool:
            return holding.since < limit

        self._give_back(self._threads.withdraw(stale) + self._loop.withdraw(stale))

    def _give_back(self, holdings: Sequence[Holding]) -> None:
        for holding in holdings:
            if self._desk.take(holding):
                self._settler.add(Finished(holding.identity, _settlement(holding, Released()), holding))

    # ---- what the executors tell

    def starting(self, holding: Holding, /) -> None:
        """An attempt is about to run."""
        attempt = holding.attempt
        if self._tells_start or self._tells_end:
            attempt.started = time.monotonic()
            job_id = shown_id(attempt.claimed.job_id)
            self._gator.events.tell(JobStarted(job_id, attempt.envelope.task, attempt.claimed.attempt))
        if attempt.policy.on_start is not None:
            announce_start(attempt, self._gator.registry, self._handle(attempt))

    def ended(self, holding: Holding, ending: Ending, /) -> None:
        """An attempt ended: it leaves the desk, and its settlement is on its way."""
        if not self._desk.take(holding):
            self._drop(holding)
            return
        self._ended += 1
        settlement = close_attempt(holding.attempt, ending)
        self._settler.add(Finished(holding.identity, settlement, holding, ending))

    # ---- what the lease keeper hears

    def _hear(self, identity: WorkerId, beat: Beat) -> None:
        if beat.lapsed:
            self._claimer.lapse(identity)
            self._lapsed(identity)
            return
        lost = frozenset(beat.lost)
        for holding in self._desk.drop(lambda held: held.token in lost) if lost else ():
            logger.warning(
                "job %s is no longer ours; its end will be dropped", shown_id(holding.attempt.claimed.job_id)
            )
            self._stop_one(holding)
        for token in beat.cancels:
            canceled = self._desk.holdings.get(token)
            if canceled is not None and not canceled.canceled:
                canceled.canceled = True
                self._cancel(canceled)

    def _cancel(self, holding: Holding) -> None:
        unstarted = self._threads.withdraw(holding.__eq__) + self._loop.withdraw(holding.__eq__)
        if unstarted:
            if self._desk.take(holding):
                self._settler.add(Finished(holding.identity, _settlement(holding, Canceled()), holding))
        else:
            self._stop_one(holding)

    def _stop_one(self, holding: Holding) -> None:
        (self._loop if holding.attempt.is_async else self._threads).stop_one(holding)

    # ---- after the write

    def _settled(self, finished: Finished, answer: Settled) -> None:
        holding = finished.holding
        if answer is Settled.LOST:
            if holding is not None:
                self._drop(holding)
            return
        verdict, report = finished.settlement.verdict, self.report
        match verdict:
            case Succeeded():
                report.succeeded += 1
            case Failed():
                report.failed += 1
            case RetryIn():
                report.retried += 1
            case Snoozed():
                report.snoozed += 1
            case Canceled():
                report.canceled += 1
            case Held():
                report.held += 1
            case Released():
                report.released += 1
        if not isinstance(verdict, Succeeded):
            self._log(finished)
        if self._tells_end:
            self._tell_end(finished)
        if holding is None or finished.ending is None:
            return
        policy = holding.attempt.policy
        if (policy.on_success if isinstance(verdict, Succeeded) else policy.on_error) is not None:
            attempt, ending = holding.attempt, finished.ending
            self._threads.submit(
                [lambda: announce_end(attempt, ending, verdict, self._gator.registry, self._handle(attempt))]
            )

    def _drop(self, holding: Holding) -> None:
        self.report.lost += 1
        claimed = holding.attempt.claimed
        job_id, task = shown_id(claimed.job_id), holding.attempt.envelope.task
        logger.warning(
            "job %s ended, but its lease was no longer ours: nothing was written",
            job_id,
            extra={"job": job_id, "task": task},
        )
        if self._tells_end:
            self._gator.events.tell(LeaseLost(job_id, task, claimed.attempt))

    def _log(self, finished: Finished) -> None:
        """What is not a success is said in one line."""
        job_id = shown_id(finished.settlement.job_id)
        task = finished.holding.attempt.envelope.task if finished.holding else ""
        extra = {"job": job_id, "task": task}
        match finished.settlement.verdict:
            case Failed(outcome):
                logger.error("job %s of %s failed for good: %s", job_id, task or "?", _error_of(outcome), extra=extra)
            case RetryIn(delay_ms, outcome):
                logger.warning(
                    "job %s of %s failed and is tried again in %.1f s: %s",
                    job_id,
                    task,
                    delay_ms / 1000,
                    _error_of(outcome),
                    extra=extra,
                )
            case Held(reason):
                logger.error("job %s is held for a worker that can run it: %s", job_id, reason, extra=extra)
            case Canceled(reason):
                logger.info("job %s of %s was canceled: %s", job_id, task, reason, extra=extra)
            case verdict:
                logger.debug("job %s of %s was %s", job_id, task, verdict.kind, extra=extra)

    def _tell_end(self, finished: Finished) -> None:
        events, verdict = self._gator.events, finished.settlement.verdict
        job_id = shown_id(finished.settlement.job_id)
        if isinstance(verdict, Held):
            events.tell(JobHeld(job_id, verdict.task, verdict.reason))
        if finished.holding is None:
            return
        attempt = finished.holding.attempt
        task, number = attempt.envelope.task, attempt.claimed.attempt
        seconds = time.monotonic() - attempt.started if attempt.started else 0.0
        match verdict:
            case Succeeded():
                events.tell(JobEnded(job_id, task, JobState.SUCCESS, number, seconds))
            case Failed(outcome):
                events.tell(JobEnded(job_id, task, JobState.FAILED, number, seconds, _error_of(outcome)))
            case Canceled(reason):
                events.tell(JobEnded(job_id, task, JobState.CANCELED, number, seconds, reason))
            case RetryIn(delay_ms, outcome):
                events.tell(JobRetrying(job_id, task, number, delay_ms / 1000, _error_of(outcome)))
            case _:
                pass

    def _handle(self, attempt: Attempt) -> Job[object]:
        return Job(self._backend, attempt.claimed.job_id, attempt.task.spec.read)

    # ---- start and end

    def _release_fitting(self) -> None:
        """Held jobs that this worker may be able to run are given another chance: the tasks it knows."""
        if not isinstance(self._backend, HoldsJobs):
            return
        registry = self._gator.registry
        fitting: list[HeldKind] = [kind for kind in self._backend.held_kinds() if registry.find(kind.task) is not None]
        if fitting:
            released = self._backend.release_held(fitting)
            logger.info("%d held jobs are given to this worker to try", released)

    def _end(self) -> None:
        self._janitor.stop()
        self._claimer.stop()
        self._give_back(self._threads.withdraw() + self._loop.withdraw())
        self._drain()
        for holding in list(self._desk.holdings.values()):  # the grace is over
            self._stop_one(holding)
        self._wait_for(lambda: not any(held.attempt.is_async for held in list(self._desk.holdings.values())), 1.0)
        self._give_back(list(self._desk.holdings.values()))
        self._settler.stop()
        self._threads.stop(1.0)  # runs the hooks that are still due
        self._loop.stop(1.0)
        identity = self._claimer.identity
        if identity is not None:
            try:
                self._backend.leave(identity)
            except BackendUnavailable as error:
                logger.warning("worker %s could not say goodbye; its lease ends by itself: %s", identity, error)
            if self._gator.events.wants(WorkerStopped):
                self._gator.events.tell(WorkerStopped(identity, self.report.ended))
        self._keeper.stop()

    def _drain(self) -> None:
        if len(self._desk):
            logger.info("stopping: %d jobs may finish within %.0f s", len(self._desk), self._grace)
        self._wait_for(lambda: not len(self._desk) or self._now, self._grace)

    def _wait_for(self, done: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        self._desk.wake_at = 0
        while not done() and time.monotonic() < deadline:
            self._desk.room.clear()
            if not done():
                self._desk.room.wait(LOOK_SECONDS)


def _settlement(holding: Holding, verdict: Released | Canceled) -> Settlement:
    claimed = holding.attempt.claimed
    return Settlement(claimed.job_id, claimed.token, verdict)


def _error_of(outcome: bytes | None) -> str:
    error = None if outcome is None else decode_outcome(outcome).error
    return "" if error is None else f"{error.type}: {error.message}"
