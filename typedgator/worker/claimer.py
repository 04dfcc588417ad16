"""The claimer: asks for as many jobs as there is room for, in one round trip, and puts them on the desk.

How many: at least the free slots, and what about 50 ms can run at the recent pace, so that fast jobs come in large batches and
slow ones are never hoarded. A finished batch of settlements travels along where the backend can exchange.
"""

import logging
import time
from collections.abc import Callable, Sequence
from threading import Event, Thread
from typing import Final

from typedgator.backends.contract import Backend, Claimed, Exchange, WorkerId
from typedgator.errors import BackendUnavailable, WorkerLapsed
from typedgator.wire.verdict import Token
from typedgator.worker.desk import Desk
from typedgator.worker.settler import Settler

__all__ = ["Claimer", "Pace"]

logger: Final = logging.getLogger("typedgator")

WAIT_MS: Final = 500
"""How long one claim waits in the backend when there is nothing to do; also how late a stop may be noticed there."""
HOARD_SECONDS: Final = 0.05
STALE_SECONDS: Final = 1.0
BURST_SECONDS: Final = 0.02
ERROR_SECONDS: Final = (0.1, 0.25, 0.5, 1.0, 2.0)


class Pace:
    """How many attempts end per second, lately."""

    def __init__(self) -> None:
        self._ended = 0
        self._since = time.monotonic()
        self.per_second = 0.0

    def note(self, ended: int) -> None:
        """`ended` is how many have ended since the start."""
        now = time.monotonic()
        span = now - self._since
        if span >= 0.02:
            rate = (ended - self._ended) / span
            # Believe a rise at once and a fall slowly: an empty moment between two batches says nothing about the jobs.
            self.per_second = rate if rate > self.per_second else self.per_second * 0.7 + rate * 0.3
            self._ended, self._since = ended, now


class Claimer:
    """One thread. `identity` joins where needed; `dispatch` puts claimed jobs on the desk; `slots` says how
    many are free, and how many there are."""

    def __init__(
        self,
        backend: Backend,
        desk: Desk,
        settler: Settler,
        *,
        join: Callable[[], WorkerId],
        lapsed: Callable[[WorkerId], None],
        dispatch: Callable[[WorkerId, Sequence[Claimed]], None],
        slots: Callable[[], tuple[int, int]],
        most: int,
        ended: Callable[[], int],
        burst: bool,
        max_tasks: int | None,
        give_back: Callable[[float], None],
        finished: Callable[[], None],
    ) -> None:
        self._backend = backend
        self._desk = desk
        self._settler = settler
        self._join = join
        self._lapsed = lapsed
        self._dispatch = dispatch
        self._slots = slots
        self._most = most
        self._ended = ended
        self._burst = burst
        self._left = max_tasks
        self._give_back = give_back
        self._finished = finished
        self._pace = Pace()
        self._identity: WorkerId | None = None
        self._seen: Token = 0
        self._stopping = Event()
        self._errors = 0
        self._exchange = backend if isinstance(backend, Exchange) and backend.can.exchange else None
        self._thread: Final = Thread(target=self._run, name="typedgator-claimer", daemon=True)
        self.last_good = time.monotonic()
        """When the backend last answered, seconds of the monotonic clock."""

    @property
    def identity(self) -> WorkerId | None:
        """The identity now in use."""
        return self._identity

    def start(self) -> None:
        """Starts claiming."""
        self._thread.start()

    def stop(self) -> None:
        """Claims nothing more. Returns once the thread has ended, at most WAIT_MS later."""
        self._stopping.set()
        self._desk.room.set()
        self._thread.join()

    def lapse(self, identity: WorkerId) -> None:
        """This identity is over: the next tick joins under a new one."""
        if self._identity == identity:
            self._identity = None
            self._desk.room.set()

    def tick(self) -> bool:
        """One claim, or one wait for room. False when there is nothing more to do in a burst."""
        want = self._want()
        if want <= 0:
            if len(self._desk) > self._desk.wake_at:
                self._desk.room.wait(STALE_SECONDS)
            self._give_back(STALE_SECONDS)
            return True
        identity = self._identity
        if identity is None:
            identity = self._identity = self._join()
        quiet = self._settler.idle and not len(self._desk)
        try:
            claimed = self._claim(identity, want, 0 if self._burst else WAIT_MS)
        except WorkerLapsed:
            self.lapse(identity)
            self._lapsed(identity)
            return True
        self.last_good = time.monotonic()
        if claimed:
            self._seen = max(self._seen, *(one.token for one in claimed))
            if self._left is not None:
                self._left -= len(claimed)
            self._dispatch(identity, claimed)
        elif self._burst:
            if quiet:
                return False
            self._desk.wake_at = max(0, len(self._desk) - 1)
            self._desk.room.wait(BURST_SECONDS)
        return True

    def _claim(self, identity: WorkerId, want: int, wait_ms: int) -> Sequence[Claimed]:
        batch = self._settler.take() if self._exchange is not None else []
        if self._exchange is None or not batch or any(finished.identity != identity for finished in batch):
            if batch:
                self._settler.put_back(batch)
            return self._backend.claim(identity, limit=want, wait_ms=wait_ms, seen=self._seen)
        settlements = [finished.settlement for finished in batch]
        try:
            answers, claimed = self._exchange.exchange(identity, settlements, limit=want, seen=self._seen)
        except BaseException:
            self._settler.put_back(batch)
            raise
        self._settler.written(batch, answers)
        return claimed

    def _want(self) -> int:
        """How many to ask for; 0: wait until at most `desk.wake_at` are in hand."""
        if self._left is not None and self._left <= 0:
            if not len(self._desk) and self._settler.idle:
                self._stopping.set()
            self._desk.wake_at = 0
            return 0
        desk = self._desk
        self._pace.note(self._ended())
        desk.room.clear()
        free, slots = self._slots()
        in_hand = len(desk)
        target = min(self._most, int(self._pace.per_second * HOARD_SECONDS))
        if target > slots:  # fast jobs: let half of them finish, then ask for many at once
            desk.wake_at = target // 2
            want = target - in_hand if in_hand <= desk.wake_at else 0
        else:
            desk.wake_at = max(in_hand - 1, 0)
            want = free
        return max(0, want) if self._left is None else max(0, min(want, self._left))

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    if not self.tick():
                        break
                    self._errors = 0
                except BackendUnavailable as error:
                    self._pause("nothing could be claimed: %s", error)
                except Exception as error:
                    logger.exception("the claimer stumbled and goes on")
                    self._pause("claiming again after %s", error)
        finally:
            self._finished()

    def _pause(self, text: str, error: Exception) -> None:
        wait = ERROR_SECONDS[min(self._errors, len(ERROR_SECONDS) - 1)]
        self._errors += 1
        logger.warning(text, error)
        self._stopping.wait(wait)
