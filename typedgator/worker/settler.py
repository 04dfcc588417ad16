"""The settler: gathers settlements for two milliseconds or a full batch, writes them, and tells what was written.

On a transport error it tries again until there is an answer: repeating is safe, because a settlement spends its token,
and giving up would not be, because the jobs stay ours for as long as the lease is kept.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from threading import Event, Lock, Thread
from typing import Final

import msgspec

from typedgator.backends.contract import Backend, Settled
from typedgator.errors import BackendUnavailable
from typedgator.outcomes import unwritable
from typedgator.threads import has_ended
from typedgator.wire.verdict import Released, Settlement, Token
from typedgator.worker.desk import Finished

__all__ = ["RIDE_FROM", "RIDE_FULL", "Settler"]

logger: Final = logging.getLogger("typedgator")

FULL: Final = 100
RIDE_FROM: Final = FULL
"""A claimer that asks for so many at once comes by soon enough."""
RIDE_FULL: Final = 500
"""So many at most a claimer takes along."""
GATHER_SECONDS: Final = 0.002
RIDE_SECONDS: Final = 0.02
"""How long a claimer that takes settlements along may stay away: one transaction less for both, and no thread woken."""
RETRY_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0)


class Settler:
    """`add` is called by executors; the claimer may `take` a batch along instead, and reports it with `written`.

    `busy` says whether anything still runs: when nothing does, a settlement leaves at once. `after` is told the
    answers, and never raises.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        busy: Callable[[], bool],
        after: Callable[[Sequence[Finished], Sequence[Settled]], None],
    ) -> None:
        self._backend = backend
        self._busy = busy
        self._after = after
        self._buffer: deque[Finished] = deque()
        self._some = Event()
        self._enough = Event()
        self._counting = Lock()
        self._stopping = Event()
        self._size = FULL
        self._failures = 0
        self._thread: Final = Thread(target=self._run, name="typedgator-settler", daemon=True)
        self._rides = False
        self._rounds = 0
        """How often the claimer came by."""
        self.settled: int = 0
        """Settlements that were answered."""
        self.unstarted: int = 0
        """Those among them whose attempt did not run to an end."""
        self.owed: Final[set[Token]] = set()
        """Attempts that were claimed, and whose settlement the backend has not answered: they are ours, or being given
        up. The claimer adds, the dispatcher takes away what is lost; single operations, which CPython makes atomic."""

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def add(self, finished: Finished) -> None:
        """A settlement to write, soon."""
        self._buffer.append(finished)
        if self._rides:
            return
        if not self._some.is_set():
            self._some.set()
        if (len(self._buffer) >= FULL or not self._busy()) and not self._enough.is_set():
            self._enough.set()

    def ride(self, rides: bool) -> None:
        """Whether the claimer comes by soon and takes settlements along; the claimer says so, each time it does."""
        self._rounds += 1
        if self._rides != rides:
            self._rides = rides
            self._some.set()  # the settler looks: by the clock from now on, or for what was left to the claimer

    def take(self, limit: int = FULL) -> list[Finished]:
        """Up to `limit` settlements that the caller will write, and report with `written` or `put_back`."""
        batch: list[Finished] = []
        while len(batch) < limit:
            try:
                batch.append(self._buffer.popleft())
            except IndexError:
                break
        return batch

    def put_back(self, batch: Sequence[Finished]) -> None:
        """The caller could not write them: they are next."""
        self._buffer.extendleft(reversed(batch))
        self._some.set()

    def written(self, batch: Sequence[Finished], answers: Sequence[Settled]) -> None:
        """The backend has answered: tells what became of each."""
        self.owed.difference_update([finished.settlement.token for finished in batch])
        self._tell(batch, answers)

    def _tell(self, batch: Sequence[Finished], answers: Sequence[Settled]) -> None:
        self._after(batch, answers)
        with self._counting:  # last: whoever sees them counted may rely on all that follows from them
            self.unstarted += sum([finished.ending is None for finished in batch])
            self.settled += len(batch)

    def tick(self) -> None:
        """Writes one batch, or waits a little before the next try."""
        batch = self.take(self._size)
        if not batch:
            return
        try:
            answers = settle_each(self._backend, batch)
        except BackendUnavailable as error:
            self._put_off(batch, error)
        except Exception:
            # One of them cannot be written; the others must not suffer.
            for finished in batch:
                self._write_alone(finished)
        else:
            self._size, self._failures = min(FULL, 2 * self._size), 0
            self.written(batch, answers)

    def _put_off(self, batch: Sequence[Finished], error: BackendUnavailable) -> None:
        # To the end of the line, and fewer next time: should one of them be the trouble, the others pass it by.
        self._buffer.extend(batch)
        self._size = max(1, len(batch) // 2)
        wait = RETRY_SECONDS[min(self._failures, len(RETRY_SECONDS) - 1)]
        self._failures += 1
        logger.warning("%d settlements could not be written, next try in %.2f s: %s", len(batch), wait, error)
        if self._stopping.is_set():
            time.sleep(wait)
        else:
            self._stopping.wait(wait)

    def _write_alone(self, finished: Finished) -> None:
        try:
            answers = settle_each(self._backend, [finished])
        except BackendUnavailable as error:
            self._put_off([finished], error)
        except Exception as error:
            if finished.is_second or isinstance(finished.settlement.verdict, Released):
                logger.exception("a settlement could not be written: its job is ours until this worker stops")
                self._tell([finished], [Settled.LOST])  # and still owed: given back, it would run again and again
            else:
                logger.exception("what an attempt ended as could not be written; it is written as failed")
                second = unwritable(finished.settlement, error)
                self._buffer.append(msgspec.structs.replace(finished, settlement=second, is_second=True))
        else:
            self.written([finished], answers)

    def stop(self, patience_seconds: float, wait_seconds: float | None = None) -> bool:
        """Writes what is left, for at most `patience_seconds` where the backend does not answer, then ends.

        False: a write still hangs after `wait_seconds`.
        """
        self._stopping.set()
        self._some.set()
        self._enough.set()
        ended = has_ended(self._thread, wait_seconds)
        deadline = time.monotonic() + patience_seconds
        while self._buffer and time.monotonic() < deadline:
            self.tick()
        if self._buffer:
            logger.error("%d settlements were not written before the end: their jobs run again", len(self._buffer))
            left = self.take(len(self._buffer))
            self._tell(left, [Settled.LOST] * len(left))
        return ended

    def _run(self) -> None:
        while not self._stopping.is_set():
            rounds = self._rounds
            self._some.wait(RIDE_SECONDS if self._rides else None)
            self._some.clear()
            if self._rides:
                if self._rounds != rounds:
                    continue  # whoever came by has taken them, or will
            elif len(self._buffer) < FULL and self._busy():
                self._enough.wait(GATHER_SECONDS)
            self._enough.clear()
            self._some.clear()
            try:
                while self._buffer and not self._stopping.is_set():
                    self.tick()
            except Exception:
                logger.exception("the settler stumbled and goes on")


def settle_each(backend: Backend, batch: Sequence[Finished]) -> list[Settled]:
    """Settles a batch, by identity; answers in the batch's order."""
    identities = dict.fromkeys(finished.identity for finished in batch)
    if len(identities) == 1:
        return backend.settle(batch[0].identity, [finished.settlement for finished in batch])
    answers: dict[int, Settled] = {}
    for identity in identities:
        places = [place for place, finished in enumerate(batch) if finished.identity == identity]
        mine: list[Settlement] = [batch[place].settlement for place in places]
        answers.update(zip(places, backend.settle(identity, mine), strict=True))
    return [answers[place] for place in range(len(batch))]
