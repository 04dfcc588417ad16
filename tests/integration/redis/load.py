"""Callers and workers that go on while a test does something to their servers."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from itertools import count
from types import TracebackType
from typing import Self

from tests.integration.redis.servers import until
from typedgator.backends.redis import RedisBackend
from typedgator.errors import BackendUnavailable, WorkerLapsed
from typedgator.testing.contract import Hand, job
from typedgator.wire.ids import JobId

__all__ = ["Load"]


class Load:
    """Two threads and four coroutines that enqueue, two threads that work; what is unavailable is asked for again.

    `accepted` are ids that `enqueue` answered for, `written` how often an end of each was written.
    """

    def __init__(self, backend: RedisBackend, *, workers: int = 2) -> None:
        self.backend = backend
        self.accepted: list[JobId] = []
        self.written: Counter[JobId] = Counter()
        self.unavailable = 0
        self.errors: list[BaseException] = []
        self._numbers = count(1000)
        self._over = threading.Event()
        self._threads = [
            *(threading.Thread(target=self._guarded, args=(self._enqueue,)) for _ in range(2)),
            threading.Thread(target=self._guarded, args=(self._enqueue_on_a_loop,)),
            *(threading.Thread(target=self._guarded, args=(self._work,)) for _ in range(workers)),
        ]

    def more(self, jobs: int) -> None:
        """Returns when so many more were accepted, and, with workers, ended."""
        accepted, ended = len(self.accepted) + jobs, len(self.written) + jobs
        workers = len(self._threads) > 3
        until(
            lambda: self.errors or (len(self.accepted) >= accepted and (not workers or len(self.written) >= ended)),
            "jobs are not accepted, or not worked off",
        )
        assert not self.errors

    def _guarded(self, what: Callable[[], None]) -> None:
        try:
            what()
        except BaseException as error:  # the test tells
            self.errors.append(error)
            raise

    def _enqueue(self) -> None:
        while not self._over.is_set():
            frame = job(next(self._numbers))
            while True:
                try:
                    self.backend.enqueue([frame])
                except BackendUnavailable:
                    self.unavailable += 1
                else:
                    self.accepted.append(frame.job_id)
                    break

    def _enqueue_on_a_loop(self) -> None:
        async def one() -> None:
            while not self._over.is_set():
                frame = job(next(self._numbers))
                while True:
                    try:
                        await self.backend.aenqueue([frame])
                    except BackendUnavailable:
                        self.unavailable += 1
                    else:
                        self.accepted.append(frame.job_id)
                        break

        async def main() -> None:
            await asyncio.gather(*(one() for _ in range(4)))
            await self.backend.aclose()

        asyncio.run(main())

    def _work(self) -> None:
        hand: Hand | None = None
        while not self._over.is_set():
            try:
                hand = hand or Hand(self.backend, ["all"], 60_000)
                for each in hand.claim(20, wait_ms=200):
                    if hand.succeed(each).value == "written":
                        self.written[each.job_id] += 1
            except WorkerLapsed:
                hand = None
            except BackendUnavailable:
                self.unavailable += 1
        if hand is not None:
            hand.leave()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
