"""The teller: says what happened to an attempt, once it is true: in the report, in a log line, as an event, by a hook.

Users' hooks and listeners run in here. Whatever they raise is logged and ends there: no actor's thread may end by it.
"""

import logging
import time
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Final, assert_never

from typedgator.attempt import Attempt, Ending
from typedgator.backends.contract import Backend, Settled, WorkerId
from typedgator.events import (
    Event,
    Events,
    JobEnded,
    JobHeld,
    JobRetrying,
    JobStarted,
    LeaseLost,
    WorkerStarted,
    WorkerStopped,
)
from typedgator.hooks import announce_end, announce_start
from typedgator.job import Job
from typedgator.registry import Registry
from typedgator.wire.ids import shown_id
from typedgator.wire.outcome import decode_outcome
from typedgator.wire.states import JobState
from typedgator.wire.verdict import Canceled, Failed, Held, Released, RetryIn, Snoozed, Succeeded, Verdict
from typedgator.worker.alarm import Alarm
from typedgator.worker.desk import Finished, Holding, WorkerReport
from typedgator.worker.executors import Errand

__all__ = ["Teller"]

logger: Final = logging.getLogger("typedgator")


class Teller:
    """Nothing in here raises. `submit` takes the hooks of an end, to be run off the actors' threads."""

    def __init__(
        self, backend: Backend, registry: Registry, events: Events, *, submit: Callable[[Sequence[Errand]], None]
    ) -> None:
        self._backend = backend
        self._registry = registry
        self._events = events
        self._submit = submit
        self.alarm: Final = Alarm(events)
        self._wants_start = self._wants_end = False
        self.report: Final = WorkerReport()
        self._counting: Final = Lock()
        """Settler, claimer, lease keeper and the worker's own thread count."""

    # ---- the worker

    def joined(self, identity: WorkerId, queues: Sequence[str]) -> None:
        """The worker has an identity. From now on, those are told who listen now."""
        self._wants_end = any(self._events.wants(kind) for kind in (JobEnded, JobRetrying, JobHeld))
        self._wants_start = self._wants_end or self._events.wants(JobStarted)
        logger.info("worker %s serves %s", identity, ", ".join(queues))
        self._tell(WorkerStarted(identity, tuple(queues)))

    def left(self, identity: WorkerId) -> None:
        """The worker is over."""
        _unhurt(lambda: self.alarm.say(all_of_it=True))
        self._tell(WorkerStopped(identity, self.report.ended))

    # ---- an attempt

    def starting(self, attempt: Attempt) -> None:
        """It is about to run: in the thread where it will."""
        if self._wants_start:
            attempt.started = time.monotonic()
            job_id = shown_id(attempt.claimed.job_id)
            self._tell(JobStarted(job_id, attempt.envelope.task, attempt.claimed.attempt))
        if attempt.policy.on_start is not None:
            _unhurt(lambda: announce_start(attempt, self._registry, self._handle(attempt)))

    def after(self, batch: Sequence[Finished], answers: Sequence[Settled]) -> None:
        """The backend answered these settlements."""
        well = 0
        for finished, answer in zip(batch, answers, strict=True):
            if answer is Settled.WRITTEN and not self._wants_end and _is_well(finished):
                well += 1  # of most there is nothing to say but how many they are
            else:
                self._after(finished, answer)
        with self._counting:
            self.report.succeeded += well

    def _after(self, finished: Finished, answer: Settled) -> None:
        if answer is Settled.LOST:
            self.lost(1)
            if finished.holding is not None:
                self.dropped(finished.holding)
            return
        verdict = finished.settlement.verdict
        with self._counting:
            self._count(verdict)
        if isinstance(verdict, Held):
            job_id = shown_id(finished.settlement.job_id)
            _unhurt(lambda: self.alarm.held(job_id, verdict))
        elif not isinstance(verdict, Succeeded):
            _unhurt(lambda: _log(finished))
        if self._wants_end:
            _unhurt(lambda: self._tell_end(finished))
        holding, ending = finished.holding, finished.ending
        if holding is not None and ending is not None:
            policy = holding.attempt.envelope.policy
            if policy.on_success is not None or policy.on_error is not None:
                self._send_hook(holding.attempt, ending, verdict)

    def lost(self, attempts: int) -> None:
        """So many ended too late, or are not ours any more."""
        with self._counting:
            self.report.lost += attempts

    def dropped(self, holding: Holding) -> None:
        """It ended, but its lease was over."""
        claimed, task = holding.attempt.claimed, holding.attempt.envelope.task
        job_id = shown_id(claimed.job_id)
        extra = {"job": job_id, "task": task}
        logger.warning("job %s ended, but its lease was no longer ours: nothing was written", job_id, extra=extra)
        self._tell(LeaseLost(job_id, task, claimed.attempt))

    def _count(self, verdict: Verdict) -> None:
        report = self.report
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
            case _:
                assert_never(verdict)

    def _send_hook(self, attempt: Attempt, ending: Ending, verdict: Verdict) -> None:
        policy = attempt.policy
        match verdict:
            case Succeeded():
                hook = policy.on_success
            case Failed():
                hook = policy.on_error
            case _:
                hook = None
        if hook is not None:
            handle = self._handle(attempt)
            self._submit([lambda: _unhurt(lambda: announce_end(attempt, ending, verdict, self._registry, handle))])

    def _handle(self, attempt: Attempt) -> Job[object]:
        return Job(self._backend, attempt.claimed.job_id, attempt.task.spec.read)

    # ---- events

    def _tell(self, event: Event) -> None:
        _unhurt(lambda: self._events.tell(event))

    def _tell_end(self, finished: Finished) -> None:
        verdict, job_id = finished.settlement.verdict, shown_id(finished.settlement.job_id)
        if isinstance(verdict, Held):
            self._events.tell(JobHeld(job_id, verdict.task, verdict.reason))
        task, number, seconds = finished.task, 0, 0.0
        if finished.holding is not None:
            attempt = finished.holding.attempt
            task, number = attempt.envelope.task, attempt.claimed.attempt
            seconds = time.monotonic() - attempt.started if attempt.started else 0.0
        match verdict:
            case Succeeded():
                self._events.tell(JobEnded(job_id, task, JobState.SUCCESS, number, seconds))
            case Failed(outcome):
                self._events.tell(JobEnded(job_id, task, JobState.FAILED, number, seconds, _error_of(outcome)))
            case Canceled(reason):
                self._events.tell(JobEnded(job_id, task, JobState.CANCELED, number, seconds, reason))
            case RetryIn(delay_ms, outcome):
                self._events.tell(JobRetrying(job_id, task, number, delay_ms / 1000, _error_of(outcome)))
            case Held() | Released() | Snoozed():
                pass
            case _:
                assert_never(verdict)


def _is_well(finished: Finished) -> bool:
    """Whether it succeeded, and no hook is to hear of it."""
    if not isinstance(finished.settlement.verdict, Succeeded):
        return False
    return finished.holding is None or finished.holding.attempt.envelope.policy.on_success is None


def _log(finished: Finished) -> None:
    """What is not a success is said in one line."""
    job_id = shown_id(finished.settlement.job_id)
    task = finished.holding.attempt.envelope.task if finished.holding else finished.task
    extra = {"job": job_id, "task": task}
    match finished.settlement.verdict:
        case Failed(outcome):
            logger.error("job %s of %s failed for good: %s", job_id, task or "?", _error_of(outcome), extra=extra)
        case RetryIn(delay_ms, outcome):
            said = "job %s of %s failed and is tried again in %.1f s: %s"
            logger.warning(said, job_id, task, delay_ms / 1000, _error_of(outcome), extra=extra)
        case Canceled(reason):
            logger.info("job %s of %s was canceled: %s", job_id, task, reason, extra=extra)
        case verdict:
            logger.debug("job %s of %s was %s", job_id, task, verdict.kind, extra=extra)


def _error_of(outcome: bytes | None) -> str:
    error = None if outcome is None else decode_outcome(outcome).error
    return "" if error is None else f"{error.type}: {error.message}"


def _unhurt(call: Callable[[], None]) -> None:
    try:
        call()
    except BaseException:  # users' code: a SystemExit would end an actor's thread, and the worker would be deaf
        logger.exception("a hook or listener failed; the job is not affected")
