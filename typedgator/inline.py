"""Jobs run by the caller, in the caller's thread: `is_async=False`, and popping one job off a queue.

The arguments make the whole round trip through the codec, so what fails in production fails here.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from threading import Thread
from typing import Final, TypeVar, assert_never

from typedgator.attempt import Attempt, Ending, Raised
from typedgator.backends.contract import Backend, Beat, Claimed, JobRecord, Notes, Operate, Settled, WorkerId
from typedgator.clock import Clock
from typedgator.errors import BackendUnavailable, GatorError, Unsupported
from typedgator.execution import acall, call, close_attempt, open_attempt
from typedgator.hooks import announce_end, announce_start
from typedgator.job import Job
from typedgator.leases import LeaseKeeper
from typedgator.middleware import Middleware
from typedgator.producer import Prepared
from typedgator.registry import Registry
from typedgator.wire.frame import pack_frame
from typedgator.wire.ids import JobId
from typedgator.wire.states import JobState
from typedgator.wire.verdict import Canceled, Failed, Held, Released, RetryIn, Settlement, Snoozed, Succeeded

__all__ = ["Inline"]

logger: Final = logging.getLogger("typedgator")

T = TypeVar("T")

MOST_SNOOZES: Final = 100
LEASE_MS: Final = 30_000
RETRY_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
"""The waits between the tries to write the end of an attempt."""


class Inline:
    """Runs jobs here and now, by the same steps as a worker."""

    def __init__(
        self, backend: Backend, registry: Registry, clock: Clock, middleware: Sequence[Middleware], *, hold_ms: int
    ) -> None:
        self.move(backend, clock)
        self._registry = registry
        self._middleware = tuple(middleware)
        self._hold_ms = hold_ms

    def move(self, backend: Backend, clock: Clock) -> None:
        """From now on jobs come from this backend, and the time is this clock's."""
        self._backend = backend
        self._clock = clock

    def run(self, prepared: Prepared) -> JobRecord:
        """Runs a prepared call to its final state, retrying at once. Nothing is stored."""
        frame, job_id = pack_frame(prepared.frame, self._clock.now_ms()), prepared.frame.job_id
        attempt_number, snoozes = 1, 0
        while True:
            claimed = Claimed(job_id, attempt_number, attempt_number, 0, frame)
            opened = open_attempt(claimed, self._registry, _noted)
            settlement = opened if isinstance(opened, Settlement) else self._attempt(opened)
            verdict = settlement.verdict
            match verdict:
                case Succeeded(outcome):
                    return JobRecord(job_id=job_id, state=JobState.SUCCESS, outcome=outcome, attempt=attempt_number)
                case Failed(outcome):
                    return JobRecord(job_id=job_id, state=JobState.FAILED, outcome=outcome, attempt=attempt_number)
                case Canceled(reason):
                    return JobRecord(job_id=job_id, state=JobState.CANCELED, reason=reason, attempt=attempt_number)
                case Held(reason):
                    return JobRecord(job_id=job_id, state=JobState.FAILED, reason=reason, attempt=attempt_number)
                case RetryIn():
                    attempt_number += 1
                case Snoozed():
                    snoozes += 1
                    if snoozes > MOST_SNOOZES:
                        reason = f"snoozed {MOST_SNOOZES} times in a row, which never ends with is_async=False"
                        return JobRecord(job_id=job_id, state=JobState.FAILED, reason=reason, attempt=attempt_number)
                case Released():
                    raise GatorError("an attempt that runs here cannot be released")
                case _:
                    assert_never(verdict)

    def pop(self, queues: Sequence[str], job_id: JobId | None = None) -> Job[object] | None:
        """Takes the next due job of these queues, or the one with this id, under a lease, and runs one attempt of it
        here.

        The job, or None when there was nothing to take. A crash of this process costs the job one crash, as with any
        worker.
        """
        backend = self._backend
        worker = backend.join(queues, lease_ms=LEASE_MS)
        try:
            claimed = self._take(worker, job_id)
            if claimed is None:
                return None
            self._run_claimed(worker, claimed)
        finally:
            _leave(backend, worker)
        return Job(backend, claimed.job_id, self._registry.read)

    def _take(self, worker: WorkerId, job_id: JobId | None) -> Claimed | None:
        backend = self._backend
        if job_id is None:
            return next(iter(backend.claim(worker, limit=1, wait_ms=0, seen=0)), None)
        if isinstance(backend, Operate) and backend.can.operate:
            return backend.take(worker, job_id)
        raise Unsupported("get(id) was asked for, but this backend cannot take one job; see its `can.operate`")

    def _run_claimed(self, worker: WorkerId, claimed: Claimed) -> None:
        backend = self._backend

        def note(token: int, progress: bytes) -> bool:
            return isinstance(backend, Notes) and backend.can.notes and backend.note(worker, token, progress)

        opened = open_attempt(claimed, self._registry, note, hold_ms=self._hold_ms)
        if isinstance(opened, Settlement):
            _repeated(lambda: backend.settle(worker, [opened]))
            return

        def hear(_: WorkerId, beat: Beat) -> None:
            if beat.lapsed or beat.lost or beat.cancels:
                opened.job.stop()

        keeper = LeaseKeeper(
            backend, lease_ms=LEASE_MS, identity=lambda: worker, tokens=lambda: [claimed.token], hear=hear
        )
        keeper.start()
        try:
            handle = Job[object](backend, claimed.job_id, opened.task.spec.read)
            announce_start(opened, self._registry, handle)
            ending = self._end(opened)
            settlement = close_attempt(opened, ending)
            answers = _repeated(lambda: backend.settle(worker, [settlement]))
        finally:
            keeper.stop()
        if answers == [Settled.WRITTEN]:
            announce_end(opened, ending, settlement.verdict, self._registry, handle)

    def _attempt(self, opened: Attempt) -> Settlement:
        handle = Job[object](self._backend, opened.claimed.job_id, opened.task.spec.read)
        announce_start(opened, self._registry, handle)
        ending = self._end(opened)
        settlement = close_attempt(opened, ending)
        announce_end(opened, ending, settlement.verdict, self._registry, handle)
        return settlement

    def _end(self, opened: Attempt) -> Ending:
        opened.started = time.monotonic()
        ending = _run_async(opened, self._middleware) if opened.is_async else call(opened, self._middleware)
        if isinstance(ending, Raised) and isinstance(ending.error, KeyboardInterrupt):
            raise ending.error  # Ctrl-C is meant for the caller, whose thread this is
        return ending


def _noted(token: int, progress: bytes) -> bool:
    return True


def _run_async(opened: Attempt, middleware: tuple[Middleware, ...]) -> Ending:
    """Runs a coroutine to its end from sync code, also where a loop is already running in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run_on_own_loop(opened, middleware)
    endings: list[Ending] = []
    context = copy_context()
    thread = Thread(
        target=lambda: endings.append(context.run(_run_on_own_loop, opened, middleware)), name="typedgator-inline"
    )
    thread.start()
    thread.join()
    return endings[0]


def _run_on_own_loop(opened: Attempt, middleware: tuple[Middleware, ...]) -> Ending:
    try:
        return asyncio.run(acall(opened, middleware))
    except asyncio.CancelledError as error:  # nobody here cancels: the task did it to itself
        return Raised(error)


def _repeated(write: Callable[[], T]) -> T:
    """Tries again when the backend does not answer: the attempt has run, and unsettled it would run again."""
    for wait in RETRY_SECONDS:
        try:
            return write()
        except BackendUnavailable as error:
            logger.warning("the end of a job could not be written, next try in %.2f s: %s", wait, error)
            time.sleep(wait)
    return write()


def _leave(backend: Backend, worker: WorkerId) -> None:
    try:
        backend.leave(worker)
    except BackendUnavailable as error:
        logger.warning("worker %s could not say goodbye; its lease ends by itself: %s", worker, error)
