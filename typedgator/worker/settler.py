"""The settler: gathers settlements for two milliseconds or a full batch, writes them, and tells what was written.

On a transport error it repeats until the lease has lapsed, then drops: the jobs are no longer ours. Repeating is safe, because a
settlement spends its token.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from threading import Event, Lock, Thread
from typing import Final

from typedgator.backends.contract import Backend, Settled
from typedgator.errors import BackendUnavailable
from typedgator.wire.verdict import Settlement
from typedgator.worker.desk import Finished

__all__ = ["Settler"]

logger: Final = logging.getLogger("typedgator")

FULL: Final = 100
GATHER_SECONDS: Final = 0.002
RETRY_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0)


class Settler:
    """`add` is called by executors; the claimer may `take` a batch along instead, and reports it with `written`.

    `busy` says whether anything still runs: when nothing does, a settlement leaves at once.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        lease_ms: int,
        busy: Callable[[], bool],
        after: Callable[[Finished, Settled], None],
    ) -> None:
        self._backend = backend
        self._lease = lease_ms / 1000
        self._busy = busy
        self._after = after
        self._buffer: deque[Finished] = deque()
        self._some = Event()
        self._enough = Event()
        self._counting = Lock()
        self._stopping = Event()
        self._thread: Final = Thread(target=self._run, name="typedgator-settler", daemon=True)
        self.on_the_way = 0
        """Settlements taken from the buffer whose answer is not in yet."""

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def add(self, finished: Finished) -> None:
        """A settlement to write, soon."""
        self._buffer.append(finished)
        waiting = len(self._buffer)
        if waiting == 1 or not self._some.is_set():
            self._some.set()
        if (waiting >= FULL or not self._busy()) and not self._enough.is_set():
            self._enough.set()

    def take(self) -> list[Finished]:
        """Up to FULL settlements that the caller will write, and report with `written`."""
        batch: list[Finished] = []
        while len(batch) < FULL:
            try:
                batch.append(self._buffer.popleft())
            except IndexError:
                break
        self._count(len(batch))
        return batch

    def put_back(self, batch: Sequence[Finished]) -> None:
        """They could not be written; they are next."""
        self._buffer.extendleft(reversed(batch))
        self._count(-len(batch))
        self._some.set()

    def written(self, batch: Sequence[Finished], answers: Sequence[Settled]) -> None:
        """Tells what became of each."""
        for finished, answer in zip(batch, answers, strict=True):
            self._after(finished, answer)
        self._count(-len(batch))

    def _count(self, change: int) -> None:
        with self._counting:
            self.on_the_way += change

    @property
    def idle(self) -> bool:
        """Whether everything is written."""
        return not self._buffer and not self.on_the_way

    def tick(self) -> None:
        """Writes one batch, repeating it for as long as the lease may last."""
        batch = self.take()
        if not batch:
            return
        self.written(batch, self._answers(batch))

    def _answers(self, batch: Sequence[Finished]) -> list[Settled]:
        deadline, tries = time.monotonic() + self._lease, 0
        while True:
            try:
                return settle_each(self._backend, batch)
            except BackendUnavailable as error:
                wait = RETRY_SECONDS[min(tries, len(RETRY_SECONDS) - 1)]
                tries += 1
                if time.monotonic() + wait >= deadline:
                    logger.error(
                        "%d settlements were not written within the lease; the jobs run again: %s", len(batch), error
                    )
                    return [Settled.LOST] * len(batch)
                logger.warning("settlements could not be written, next try in %.2f s: %s", wait, error)
                self._stopping.wait(wait)
            except Exception:
                # One of them cannot be written; the others must not suffer.
                return [answer for finished in batch for answer in self._alone(finished)]

    def _alone(self, finished: Finished) -> list[Settled]:
        try:
            return settle_each(self._backend, [finished])
        except Exception:
            logger.exception(
                "a settlement could not be written; its job stays with this worker until it stops, then runs again"
            )
            return [Settled.LOST]

    def stop(self) -> None:
        """Writes what is left, then ends."""
        self._stopping.set()
        self._some.set()
        self._enough.set()
        self._thread.join()
        while self._buffer:
            self.tick()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._some.wait()
            if len(self._buffer) < FULL and self._busy():
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
