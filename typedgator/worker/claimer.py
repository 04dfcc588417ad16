"""The claimer: asks for as many jobs as there is room for, in one round trip, and hands them to the dispatcher.

How many: the free slots, and what about 50 ms can run at the recent pace, so that fast jobs come in large batches and
slow ones are never hoarded. A batch of settlements travels along where the backend can exchange.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Final

from typedgator.backends.contract import Backend, Claimed, Exchange, Waking, WorkerId
from typedgator.errors import BackendUnavailable, WorkerLapsed
from typedgator.wire.verdict import Token
from typedgator.worker.desk import Desk, Holding
from typedgator.worker.dispatcher import Dispatcher
from typedgator.worker.settler import RIDE_FROM, RIDE_FULL, Settler

__all__ = ["HOARD", "Claimer", "Pace"]

logger: Final = logging.getLogger("typedgator")

WAIT_MS: Final = 500
"""How long one claim waits in the backend when there is nothing to do; also how late a stop may be noticed there."""
WOKEN_MS: Final = 5000
"""The same where a stop wakes the claim: each wait costs the server a command or two."""
HOARD_SECONDS: Final = 0.05
HOARD: Final = 5
"""At most so many times the concurrency, or times 100: then a claim costs each of many fast jobs little."""
WINDOW_SECONDS: Final = 0.2
"""What ended in a moment may have begun together, and says little about the pace."""
TURNS: Final = 4
"""Unless each slot took so many, one after the other."""
STALE_SECONDS: Final = 1.0
LOOK_MS: Final = 250
"""While something waits here for a slot, no claim waits longer: it may have to go back."""
PAUSE_SECONDS: Final = 0.01
BURST_SECONDS: Final = 0.02
YIELD_SECONDS: Final = 1e-6
"""After a lone job is handed over: its thread has the interpreter at once, not when the next claim has been packed and
sent. An eighth of the time from the caller to the task."""
ERROR_SECONDS: Final = (0.1, 0.25, 0.5, 1.0, 2.0)


class Pace:
    """How many attempts end per second, lately."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ended = 0
        self._since = clock()
        self.per_second: float = 0.0

    def note(self, ended: int, slots: int) -> None:
        """`ended` is how many have ended since the start, `slots` how many run at once."""
        now = self._clock()
        span, more = now - self._since, ended - self._ended
        if span >= WINDOW_SECONDS or (span > 0 and more >= TURNS * slots):
            rate = more / span
            # Believe a rise at once and a fall slowly: an empty moment between two batches says nothing about the jobs.
            self.per_second = rate if rate > self.per_second else self.per_second * 0.3 + rate * 0.7
            self._ended, self._since = ended, now
        else:
            self.per_second = max(self.per_second, more / max(span, WINDOW_SECONDS / 2))

    def forget(self) -> None:
        """The jobs are slow now, whatever they were."""
        self.per_second = 0.0


class Claimer:
    """A role that two threads of the pool take turns at, and the worker's identity: it joins where it has none.

    `most` is the most to have in hand. `max_tasks`: so many attempts and no more; `burst`: until nothing is due.
    `joined` is told each new identity; `finished`, that there is nothing more to do.
    """

    def __init__(
        self,
        backend: Backend,
        desk: Desk,
        settler: Settler,
        dispatcher: Dispatcher,
        *,
        queues: Sequence[str],
        lease_ms: int,
        most: int,
        burst: bool,
        max_tasks: int | None,
        joined: Callable[[WorkerId], None],
        finished: Callable[[], None],
    ) -> None:
        self._backend = backend
        self._exchange = backend if isinstance(backend, Exchange) and backend.can.exchange else None
        self._waking = backend if isinstance(backend, Waking) and backend.can.wake else None
        self._desk = desk
        self._settler = settler
        self._dispatcher = dispatcher
        self._queues = tuple(queues)
        self._lease_ms = lease_ms
        self._most = most
        self._burst = burst
        self._max_tasks = max_tasks
        self._joined = joined
        self._finished = finished
        self._pace = Pace()
        self._identity: WorkerId | None = None
        self._changing: Final = Lock()
        self.seen: Token = 0
        """The greatest token that was received; what came with it is in the settler's `owed` before it is here."""
        self._claimed = 0
        self._looks_at = 0.0
        self._errors = 0
        self._stopping = Event()
        self.is_halted: bool = False
        """Set by whoever wants no more claims, also where no lock may be taken; `stop` wakes and waits as well."""
        self._is_over = False
        self._has_begun = False
        self._ended: Final = Event()
        self.last_good: float = time.monotonic()
        """When the backend last answered, or needed not be asked, seconds of the monotonic clock."""

    @property
    def identity(self) -> WorkerId | None:
        """The identity now in use."""
        return self._identity

    def start(self) -> None:
        """Starts claiming."""
        self._dispatcher.threads.start_claiming(self.run)
        self._has_begun = True

    def stop(self, wait_seconds: float | None = None) -> bool:
        """Claims nothing more. Returns once claiming has ended: at once, or up to WAIT_MS later where the backend
        cannot wake a claim.

        False: a claim still hangs after `wait_seconds`.
        """
        self.is_halted = True
        self._stopping.set()
        self._desk.room.set()
        self._wake()
        return not self._has_begun or self._ended.wait(wait_seconds)

    @property
    def is_quiet(self) -> bool:
        """Whether all that was ever claimed is settled or lost. An empty desk says less: an end may be on its way."""
        return self._claimed == self._settler.settled + self._desk.dropped

    def lapse(self, identity: WorkerId) -> bool:
        """This identity is over: the next tick joins under a new one. False when it was over already."""
        with self._changing:
            if self._identity != identity:
                return False
            self._identity = None
        self._desk.room.set()
        return True

    def tick(self) -> Holding | None:
        """One claim, or one wait for room; `_is_over` once there is nothing more to do.

        What comes back is for the calling thread to run: another one claims by now, and all that is here is its own.
        """
        # Before the rest: what is asked afterwards can only have become more.
        quiet = self.is_quiet
        left = self._left()
        if quiet and left <= 0:
            self._is_over = True
            return None
        self._let_go()
        want = min(self._want(), left)
        if want <= 0:
            self._wait_for_room()
            return None
        identity = self._identity or self._join()
        try:
            claimed = self._claim(identity, want, self._wait_ms())
        except WorkerLapsed:
            if self.lapse(identity):
                self._dispatcher.lapsed(identity)
            return None
        self.last_good = time.monotonic()
        if claimed:
            return self._hand_over(identity, claimed)
        if self._burst:
            if quiet:
                self._is_over = True
                return None
            self._desk.wake_at = max(0, len(self._desk) - 1)
            self._desk.room.wait(BURST_SECONDS)
        return None

    def _wait_ms(self) -> int:
        if self._burst:
            return 0
        longest = WAIT_MS if self._waking is None else WOKEN_MS
        return min(longest, LOOK_MS) if self._dispatcher.unstarted else longest

    def _wake(self) -> None:
        """Ends a wait in the backend, from a thread of its own: it may be the backend that hangs."""
        if self._waking is not None and self._identity is not None and not self._ended.is_set():
            with suppress(RuntimeError):  # the machine has no thread left: then the wait ends by itself
                Thread(target=self._do_wake, args=(self._identity,), name="typedgator-waker", daemon=True).start()

    def _do_wake(self, identity: WorkerId) -> None:
        try:
            if self._waking is not None:
                self._waking.wake(identity)
        except BackendUnavailable as error:
            logger.debug("a claim could not be woken, and ends by itself: %s", error)

    def _left(self) -> int:
        """How many more may be claimed; those that never ran are not counted against `max_tasks`."""
        if self._max_tasks is None:
            return self._most
        return self._max_tasks - self._claimed + self._settler.unstarted

    def _want(self) -> int:
        """How many to ask for; 0: wait until at most `desk.wake_at` are in hand."""
        desk = self._desk
        desk.room.clear()
        free, slots = self._dispatcher.slots()
        self._pace.note(self._settler.settled - self._settler.unstarted, slots)
        in_hand = len(desk)
        ahead = min(self._most - slots, int(self._pace.per_second * HOARD_SECONDS))
        self._settler.ride(self._exchange is not None and ahead >= RIDE_FROM)
        if ahead <= 0:
            desk.wake_at = max(in_hand - 1, 0)
            return free
        desk.wake_at = slots + ahead // 2  # let half of them start, then ask for many at once
        return slots + ahead - in_hand if in_hand <= desk.wake_at else 0

    def _wait_for_room(self) -> None:
        desk = self._desk
        # With little in hand and still no room, a thread runs a hook or a job that is not ours any more: nobody will
        # tell when it ends.
        desk.room.wait(STALE_SECONDS if len(desk) > desk.wake_at else PAUSE_SECONDS)
        self.last_good = time.monotonic()

    def _let_go(self) -> None:
        """What has waited here for a second goes back, for others to run: slow jobs are in its way."""
        now = time.monotonic()
        if now >= self._looks_at and self._dispatcher.unstarted:
            self._looks_at = now + LOOK_MS / 1000
            if self._dispatcher.give_back_stale(STALE_SECONDS):
                self._pace.forget()

    def _join(self) -> WorkerId:
        identity = self._identity = self._backend.join(self._queues, lease_ms=self._lease_ms)
        self._joined(identity)
        return identity

    def _claim(self, identity: WorkerId, want: int, wait_ms: int) -> Sequence[Claimed]:
        batch = self._settler.take(RIDE_FULL) if self._exchange is not None else []
        if self._exchange is None or not batch or any(finished.identity != identity for finished in batch):
            if batch:
                self._settler.put_back(batch)
            self._settler.ride(False)  # it may wait for long
            return self._backend.claim(identity, limit=want, wait_ms=wait_ms, seen=self.seen)
        settlements = [finished.settlement for finished in batch]
        try:
            answers, claimed = self._exchange.exchange(identity, settlements, limit=want, seen=self.seen)
        except BaseException:
            self._settler.put_back(batch)
            raise
        # Before they are handed over: one of them may be the next attempt of what is told here.
        self._settler.written(batch, answers)
        return claimed

    def _hand_over(self, identity: WorkerId, claimed: Sequence[Claimed]) -> Holding | None:
        new = [one for one in claimed if one.token > self.seen]  # what was delivered twice is dropped
        if not new:
            return None
        tokens = [one.token for one in new]
        ours = self._identity == identity
        if ours:
            self._settler.owed.update(tokens)
        self.seen = max(tokens)
        if not ours:
            return None  # it lapsed meanwhile: they are others' jobs already
        self._claimed += len(new)
        if self.is_halted:
            self._dispatcher.send_back(identity, new)
            return None
        mine = self._dispatcher.dispatch(identity, new, may_pass_on=True)
        if mine is None and len(new) == 1:
            time.sleep(YIELD_SECONDS)
        return mine

    def run(self) -> Holding | None:
        """Claims until there is nothing more to do: None; or until another thread does, and then the attempt that the
        calling one is to run.
        """
        mine: Holding | None = None
        self._errors = 0  # the claim that was passed on was answered
        try:
            while mine is None and not (self.is_halted or self._is_over):
                try:
                    mine = self.tick()
                    if mine is None:
                        self._errors = 0
                except BackendUnavailable as error:
                    self._pause("nothing could be claimed: %s", error)
                except Exception as error:
                    logger.exception("the claimer stumbled and goes on")
                    self._pause("claiming again after %s", error)
        finally:
            if mine is None:
                self._settler.ride(False)
                self._finished()
                self._ended.set()
        return mine

    def _pause(self, text: str, error: Exception) -> None:
        wait = ERROR_SECONDS[min(self._errors, len(ERROR_SECONDS) - 1)]
        self._errors += 1
        logger.warning(text, error)
        self._stopping.wait(wait)
