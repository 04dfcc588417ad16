"""Worker: wires the actors together, and knows in which order they start and stop.

start   lease keeper, settler, threads, janitor, claimer
stop    claimer; unstarted jobs released; running ones drain for the grace; the rest released; settler; hooks; leave;
        lease keeper
"""

import logging
import time
from collections.abc import Callable, Sequence
from threading import Event, Lock
from typing import Final

from typedgator.backends.contract import Beat, HeldKind, Notes, WorkerId
from typedgator.errors import BackendUnavailable, ConfigurationError
from typedgator.gator import Gator
from typedgator.leases import LeaseKeeper
from typedgator.policy.durations import to_ms
from typedgator.policy.options import DEFAULT_QUEUE, Duration, checked_queue
from typedgator.worker.claimer import HOARD, Claimer
from typedgator.worker.desk import Desk, WorkerReport
from typedgator.worker.dispatcher import Dispatcher
from typedgator.worker.janitor import Janitor
from typedgator.worker.settler import Settler
from typedgator.worker.strays import Strays
from typedgator.worker.teller import Teller

__all__ = ["DEFAULT_COROUTINES", "DEFAULT_THREADS", "Worker"]

logger: Final = logging.getLogger("typedgator")

DEFAULT_THREADS: Final = 8
DEFAULT_COROUTINES: Final = 100
LEAST_LEASE_MS: Final = 5_000
LOOK_SECONDS: Final = 0.1
"""How often a stop is looked for."""
SHORT_SECONDS: Final = 0.005
"""How often the last settlements are looked for."""
MOST_SLOTS: Final = 10_000
"""More are a mistake: hardly a process may have so many threads, and one loop gains nothing by so many coroutines."""
STUCK_SECONDS: Final = 2.0
"""So long after the grace an actor that hangs in the backend is left behind."""
SHORTLY_SECONDS: Final = 0.2
"""How long each is waited for once that is over."""
LAST_SECONDS: Final = 1.0
"""What cancelled tasks, last settlements and hooks may take, however little is left of the grace."""


class Worker:
    """Runs the jobs of a gator: sync tasks in threads, async tasks on one event loop.

    `queues` are served in this order; `"*"` is every queue. `concurrency` sets threads and coroutines alike; None: 8
    and 100. `lease` (seconds or timedelta, at least 5 s) is how long a job of a killed worker waits before it runs
    again; it says nothing about how long a job may run. `grace` is how long `stop` lets running jobs finish.
    `max_tasks`: stop after so many attempts. `burst`: stop when nothing is due. One worker runs once.
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
        if not isinstance(gator, Gator):
            raise ConfigurationError(f"gator must be a Gator, got {gator!r:.100}: Worker(gator, …)")
        if isinstance(queues, str) or not queues:
            raise ConfigurationError(f"queues must be a list of names, got {queues!r}")
        checked = (queue if queue == "*" else checked_queue(queue) for queue in queues)
        self.queues: Final = tuple(dict.fromkeys(checked))
        for name, number in (("concurrency", concurrency), ("max_tasks", max_tasks)):
            if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 1):
                raise ConfigurationError(f"{name} must be a whole number from 1, got {number!r}")
        if concurrency is not None and concurrency > MOST_SLOTS:
            raise ConfigurationError(
                f"concurrency must be at most {MOST_SLOTS}, got {concurrency}: start more processes"
            )
        if not isinstance(burst, bool):
            raise ConfigurationError(f"burst must be True or False, got {burst!r}")
        lease_ms = to_ms(lease, "lease", least=LEAST_LEASE_MS)
        self._grace = to_ms(grace, "grace") / 1000
        self._stop = False
        self._now = False
        self._left_behind: list[str] = []
        self._over: Final = Event()
        self._once: Final = Lock()

        backend, registry = gator.backend, gator.registry
        threads, coroutines = concurrency or DEFAULT_THREADS, concurrency or DEFAULT_COROUTINES
        self._backend = backend
        self._registry = registry
        self._desk = Desk()
        self._teller = Teller(
            backend,
            registry,
            gator.events,
            submit=lambda hooks: self._dispatcher.threads.submit(hooks),  # noqa: PLW0108 - it does not exist yet
        )
        self.report: Final = self._teller.report
        """What was written so far; live while the worker runs."""
        self._settler = Settler(backend, busy=lambda: len(self._desk) > 0, after=self._teller.after)
        self._dispatcher = Dispatcher(
            self._desk,
            self._settler,
            self._teller,
            registry,
            (*gator.worker_middleware, *gator.middleware),
            backend if isinstance(backend, Notes) and backend.can.notes else None,
            threads=threads,
            coroutines=coroutines,
            hold_ms=gator.hold_ms,
        )
        self._claimer = Claimer(
            backend,
            self._desk,
            self._settler,
            self._dispatcher,
            queues=self.queues,
            lease_ms=lease_ms,
            most=HOARD * max(threads, coroutines, 100),
            burst=burst,
            max_tasks=max_tasks,
            joined=lambda identity: self._teller.joined(identity, self.queues),
            finished=self._over.set,
        )
        self._keeper = LeaseKeeper(
            backend,
            lease_ms=lease_ms,
            identity=lambda: self._claimer.identity,
            tokens=lambda: list(self._desk.holdings),
            hear=self._hear,
        )
        strays = Strays(
            backend,
            self._settler,
            identity=lambda: self._claimer.identity,
            seen=lambda: self._claimer.seen,
        )
        self._janitor = Janitor(backend, fits=self._fits, alarm=self._teller.alarm, strays=strays)

    def run(self) -> WorkerReport:
        """Works until `stop`, the end of a burst, or `max_tasks`.

        Raises ConfigurationError when it ran before, and what opening the backend raises.
        """
        if not self._once.acquire(blocking=False):
            raise ConfigurationError("this worker has run already: make another one")
        self._backend.open()
        self._janitor.release_held()
        try:
            for actor in (self._keeper, self._settler, self._dispatcher.threads, self._janitor, self._claimer):
                actor.start()  # where the machine has no thread left, those that did start are ended again
            while not (self._stop or self._over.wait(LOOK_SECONDS)):
                pass
        finally:
            try:
                self._end()
            finally:
                patience = SHORTLY_SECONDS if self._left_behind else STUCK_SECONDS
                self._expect("lease keeper", self._keeper.stop(patience))
        return self.report

    def stop(self, *, now: bool = False) -> None:
        """Asks it to stop, from any thread or a signal handler; `now` skips the grace.

        Returns at once: `run` returns when it is over.
        """
        # Plain flags: an Event's lock could be held by the very thread that a signal handler interrupts.
        if now:
            self._now = True
        self._claimer.is_halted = self._stop = True

    @property
    def last_good(self) -> float:
        """When the backend last answered both claimer and lease keeper, seconds of the monotonic clock: for a health
        check.
        """
        return min(self._claimer.last_good, self._keeper.last_good)

    def _hear(self, identity: WorkerId, beat: Beat) -> None:
        if not beat.lapsed:
            self._dispatcher.hear(beat)
        elif self._claimer.lapse(identity):
            self._dispatcher.lapsed(identity)

    def _fits(self, kind: HeldKind) -> bool:
        """Whether jobs of this kind may be run here, or are over: by name, by alias, or retired."""
        if kind.task in self._registry.retired:
            return True
        return self._registry.find(kind.task) is not None and (kind.task, kind.schema) not in self._dispatcher.misfits

    # ---- the end

    def _end(self) -> None:
        deadline = time.monotonic() + self._grace
        self._janitor.stop(0)  # waited for at the end: what it is at may take its time
        self._expect("claimer", self._claimer.stop(self._patience(deadline)))
        self._dispatcher.give_back_unstarted()
        if len(self._desk):
            logger.info("stopping: %d jobs may finish within %.0f s", len(self._desk), self._grace)
        self._wait_for(lambda: not len(self._desk) or self._now, deadline)
        self._dispatcher.stop_all()
        self._wait_for(lambda: not self._dispatcher.has_async, time.monotonic() + LAST_SECONDS)
        self._dispatcher.give_back_all()
        # The desk is empty, but what was taken off it last may still be on its way to the settler.
        self._wait_for(lambda: self._claimer.is_quiet, time.monotonic() + self._rest(deadline), SHORT_SECONDS)
        self._expect("settler", self._settler.stop(0, self._patience(deadline)))
        undone = self._dispatcher.threads.stop(self._rest(deadline))
        if undone:
            logger.error("%d hooks were not run: all threads were busy until the end", undone)
        self._dispatcher.loop.stop()
        self._expect("janitor", self._janitor.stop(self._patience(deadline)))
        self._leave()

    def _patience(self, deadline: float) -> float:
        """How long an actor is waited for that may hang in the backend."""
        rest = 0.0 if self._now else deadline - time.monotonic()
        return max(SHORTLY_SECONDS, rest + STUCK_SECONDS)

    def _expect(self, actor: str, ended: bool) -> None:
        if not ended:
            self._left_behind.append(actor)
            logger.error("the %s did not end: the backend does not answer it; it is left behind", actor)

    def _rest(self, deadline: float) -> float:
        return LAST_SECONDS if self._now else max(LAST_SECONDS, deadline - time.monotonic())

    def _wait_for(self, done: Callable[[], bool], deadline: float, look: float = LOOK_SECONDS) -> None:
        self._desk.wake_at = 0
        while not done() and time.monotonic() < deadline:
            self._desk.room.clear()
            if not done():
                self._desk.room.wait(look)

    def _leave(self) -> None:
        identity = self._claimer.identity
        if identity is None:
            return
        self._claimer.lapse(identity)  # a beat that comes after the good-bye is no news
        try:
            if stuck := [actor for actor in self._left_behind if actor in ("claimer", "settler")]:
                raise BackendUnavailable(f"the backend does not answer the {stuck[0]} either")
            self._backend.leave(identity)
        except BackendUnavailable as error:
            logger.warning("worker %s could not say goodbye; its lease ends by itself: %s", identity, error)
        self._teller.left(identity)
