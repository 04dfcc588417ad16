"""The contract once more, as plainly as it can be said: dicts, lists, sorting, no thought of speed.

A backend is compared with this, answer by answer. Where the contract leaves a choice (what is expired but not yet
swept, what may be forgotten), the model asks what the backend chose, and says whether it might.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from typedgator.backends.contract import EVERY_QUEUE, CancelAnswer, JobRecord, ReceiptStatus, Settled, WorkerId
from typedgator.errors import UnknownDependency, WorkerLapsed
from typedgator.wire.frame import Frame, FrameFlags
from typedgator.wire.ids import JobId, shown_id
from typedgator.wire.states import FINAL, PENDING, JobState
from typedgator.wire.verdict import (
    KEPT_FAILURE_MS,
    KEPT_ID_MS,
    KEPT_RESULT_MS,
    Canceled,
    Failed,
    Held,
    Released,
    RetryIn,
    Settlement,
    Snoozed,
    Succeeded,
    Token,
)

__all__ = ["Model", "ModelJob", "ModelWorker"]

_DELAYED = (JobState.SCHEDULED, JobState.RETRYING)


@dataclass
class ModelJob:
    """All that there is to know of a job."""

    frame: Frame
    accepted_ms: int
    due_ms: int
    expires_ms: int | None
    parents: set[JobId]
    unique: bytes | None
    state: JobState = JobState.BLOCKED
    place: tuple[int, int] = (0, 0)
    attempt: int = 0
    crashes: int = 0
    token: Token = 0
    worker: WorkerId | None = None
    cancel_requested: bool = False
    held: Held | None = None
    held_since_ms: int | None = None
    spent: dict[Token, tuple[str, int]] = field(default_factory=dict[Token, tuple[str, int]])
    finished_ms: int = 0
    keep_until_ms: int = 0
    known_until_ms: int = 0
    dead: bool = False
    reasons: frozenset[str] = frozenset()
    """One of these; two when it was a matter of who came first."""
    outcome: bytes | None = None
    progress: bytes | None = None

    @property
    def id(self) -> JobId:
        return self.frame.job_id

    def order(self) -> tuple[int, tuple[int, int]]:
        """Where it stands in its queue."""
        return -self.frame.priority, self.place

    def expired(self, now: int) -> bool:
        """Not started in time, whether anybody noticed or not."""
        return self.state in PENDING and self.expires_ms is not None and self.expires_ms <= now

    def started(self) -> None:
        """It ran."""
        self.expires_ms = self.held_since_ms = None


@dataclass
class ModelWorker:
    """An identity and its lease."""

    queues: Sequence[str]
    lease_ms: int
    ends_ms: int


class Model:
    """What every backend must do."""

    def __init__(self) -> None:
        self.jobs: dict[JobId, ModelJob] = {}
        self.workers: dict[WorkerId, ModelWorker] = {}
        self.paused: set[str] = set()
        self.dropped: int = 0
        self.last_token: Token = 0
        self._places = 0

    def in_state(self, *states: JobState) -> list[ModelJob]:
        """All jobs in these states, by id."""
        return sorted((job for job in self.jobs.values() if job.state in states), key=lambda job: job.id)

    def held_by(self, worker: WorkerId) -> list[ModelJob]:
        """What a worker has, by token."""
        running = (job for job in self.in_state(JobState.RUNNING) if job.worker == worker)
        return sorted(running, key=lambda job: job.token)

    def line(self, queue: str) -> list[ModelJob]:
        """The waiting jobs of a queue, in order."""
        return sorted((j for j in self.in_state(JobState.WAITING) if j.frame.queue == queue), key=ModelJob.order)

    # Changes that are part of others

    def wait(self, job: ModelJob, *, returned: bool = False) -> None:
        self._places += 1
        job.state, job.place = JobState.WAITING, (0 if returned else 1, self._places)

    def admit(self, job: ModelJob, now: int) -> None:
        if job.due_ms > now:
            job.state = JobState.SCHEDULED
        else:
            self.wait(job)

    def end(
        self, jobs: Iterable[ModelJob], state: JobState, now: int, reason: str = "", keep_ms: int = KEPT_ID_MS
    ) -> None:
        """All of these end, and then what depends on them."""
        ended = list(jobs)
        for job in ended:
            reasons = {reason, "expired"} if reason == "dependency" and job.expired(now) else {reason}
            job.state, job.reasons, job.finished_ms = state, frozenset(reasons), now
            job.dead = state is JobState.FAILED
            job.keep_until_ms = now + (KEPT_FAILURE_MS if job.dead else max(keep_ms, KEPT_ID_MS))
            job.known_until_ms = max(job.keep_until_ms, now + _least_ms(job))
            job.progress = job.held = None
            job.cancel_requested = False
        for job in ended:
            children = [child for child in self.in_state(JobState.BLOCKED) if job.id in child.parents]
            for child in children:
                child.parents.discard(job.id)
                if state is JobState.SUCCESS and not child.parents:
                    self.admit(child, now)
                elif state is not JobState.SUCCESS and child.state is JobState.BLOCKED:
                    self.end([child], JobState.CANCELED, now, "dependency")

    def come_back(self, job: ModelJob, now: int) -> None:
        job.progress = None
        if job.cancel_requested:
            self.end([job], JobState.CANCELED, now, "canceled")
        else:
            self.wait(job, returned=True)

    def promote(self, now: int) -> None:
        due = [job for job in self.in_state(*_DELAYED) if job.due_ms <= now and not job.expired(now)]
        for job in sorted(due, key=lambda job: (job.due_ms, job.id)):
            self.wait(job)

    def reap(self, now: int) -> None:
        lapsed = [each for each, worker in self.workers.items() if worker.ends_ms <= now]
        for worker in lapsed:
            del self.workers[worker]
        crashed = [job for job in self.in_state(JobState.RUNNING) if job.worker in lapsed]
        for job in sorted(crashed, key=lambda job: job.token):
            job.crashes += 1
            job.started()
            if job.crashes > job.frame.crash_budget:
                self.end([job], JobState.FAILED, now, "crashed")
            else:
                self.come_back(job, now)

    def forget(self, job_id: JobId, now: int) -> bool:
        """Nothing is known of it any more; whether that may be."""
        job = self.jobs[job_id]
        if job.state not in FINAL or job.known_until_ms > now:
            return False
        self.dropped += job.dead
        del self.jobs[job_id]
        return True

    # Verbs

    def enqueue(self, frames: Sequence[Frame], now: int) -> list[tuple[ReceiptStatus, JobId]]:
        before = dict(self.jobs)
        answers: list[tuple[ReceiptStatus, JobId]] = []
        stands_for: dict[JobId, JobId] = {}
        for frame in frames:
            holders = [job.id for job in self.jobs.values() if job.unique == frame.unique and job.state in PENDING]
            if frame.job_id in self.jobs:
                holder = frame.job_id
            elif frame.unique is not None and holders:
                holder = holders[0]
            else:
                parents = {stands_for.get(parent, parent) for parent in frame.parents}
                for parent in parents - self.jobs.keys():
                    self.jobs = before
                    raise UnknownDependency(shown_id(parent))
                job = ModelJob(
                    frame,
                    now,
                    now + frame.delay_ms,
                    None if frame.expires_in_ms is None else now + frame.expires_in_ms,
                    parents,
                    frame.unique,
                )
                self.jobs[frame.job_id] = job
                stands_for[frame.job_id] = frame.job_id
                self._enter(job, now)
                answers.append((ReceiptStatus.NEW, frame.job_id))
                continue
            stands_for[frame.job_id] = holder
            answers.append((ReceiptStatus.DUPLICATE, holder))
        return answers

    def _enter(self, job: ModelJob, now: int) -> None:
        ends = {parent: self.jobs[parent].state for parent in job.parents}
        if {JobState.FAILED, JobState.CANCELED} & set(ends.values()):
            return self.end([job], JobState.CANCELED, now, "dependency")
        job.parents = {parent for parent, state in ends.items() if state is not JobState.SUCCESS}
        return None if job.parents else self.admit(job, now)

    def join(self, worker: WorkerId, queues: Sequence[str], lease_ms: int, now: int) -> None:
        self.workers[worker] = ModelWorker(tuple(dict.fromkeys(queues)), lease_ms, now + lease_ms)

    def leave(self, worker: WorkerId, now: int) -> None:
        if self.workers.pop(worker, None):
            for job in self.held_by(worker):
                job.attempt -= 1
                self.come_back(job, now)

    def claim(self, worker: WorkerId, limit: int, seen: Token, now: int) -> list[ModelJob]:
        """Who must be handed out; `grant` does it, once the tokens are known."""
        self.reap(now)
        self.promote(now)
        if worker not in self.workers:
            raise WorkerLapsed("over")
        mine = self.held_by(worker)
        if lost := [job for job in mine if job.token > seen]:
            return lost[:limit]
        if any(job.crashes for job in mine):
            return []
        queues = list(self.workers[worker].queues)
        if EVERY_QUEUE in queues:
            queues = queues[: queues.index(EVERY_QUEUE)]
            queues += sorted({job.frame.queue for job in self.jobs.values()} - set(queues))
        line = [job for q in queues if q not in self.paused for job in self.line(q) if not job.expired(now)][:limit]
        for place, job in enumerate(line):
            if job.crashes:
                return line[: max(place, 1)]
        return line

    def grant(self, job: ModelJob, worker: WorkerId, token: Token) -> None:
        self.last_token = job.token = token
        job.state, job.worker = JobState.RUNNING, worker
        job.attempt += 1

    def beat(self, worker: WorkerId, tokens: Sequence[Token], now: int) -> tuple[list[Token], list[Token], bool]:
        if worker not in self.workers:
            return list(tokens), [], True
        self.workers[worker].ends_ms = now + self.workers[worker].lease_ms
        mine = {job.token: job for job in self.held_by(worker)}
        cancels = [token for token in tokens if token in mine and mine[token].cancel_requested]
        return [token for token in tokens if token not in mine], cancels, False

    def owned(self, worker: WorkerId) -> list[tuple[JobId, Token]]:
        return [(job.id, job.token) for job in self.held_by(worker)] if worker in self.workers else []

    def settle(self, worker: WorkerId, settlement: Settlement, now: int) -> set[Settled]:
        """What may be answered."""
        job, token, verdict = self.jobs.get(settlement.job_id), settlement.token, settlement.verdict
        if job is None:
            return {Settled.LOST}
        if job.state is not JobState.RUNNING or job.token != token or job.worker != worker:
            kind, at_ms = job.spent.get(token, ("", 0))
            if kind != verdict.kind:
                return {Settled.LOST}
            return {Settled.WRITTEN} if now < at_ms + KEPT_ID_MS else {Settled.WRITTEN, Settled.LOST}
        job.spent[token] = verdict.kind, now
        job.progress = None
        if isinstance(verdict, Succeeded | Failed | RetryIn) and not (
            job.cancel_requested and isinstance(verdict, RetryIn)
        ):
            job.outcome = verdict.outcome
        match verdict:
            case Succeeded():
                self.end([job], JobState.SUCCESS, now, keep_ms=verdict.keep_ms)
            case Failed():
                self.end([job], JobState.FAILED, now)
            case Canceled():
                self.end([job], JobState.CANCELED, now, verdict.reason)
            case _ if job.cancel_requested:
                self.end([job], JobState.CANCELED, now, "canceled")
            case RetryIn() | Snoozed():
                job.attempt -= isinstance(verdict, Snoozed)
                job.state, job.due_ms = JobState.RETRYING, now + verdict.delay_ms
                job.started()
            case Released():
                job.attempt -= 1
                self.come_back(job, now)
            case Held():
                job.attempt -= 1
                job.state, job.held = JobState.HELD, verdict
                job.held_since_ms = now if job.held_since_ms is None else job.held_since_ms
        return {Settled.WRITTEN}

    def cancel(self, job_id: JobId, now: int) -> CancelAnswer:
        job = self.jobs.get(job_id)
        if job is None:
            return CancelAnswer.UNKNOWN
        if job.state in FINAL:
            return CancelAnswer.DONE if job.state is JobState.CANCELED else CancelAnswer.TOO_LATE
        if job.state is JobState.RUNNING:
            job.cancel_requested = True
            return CancelAnswer.REQUESTED
        self.end([job], JobState.CANCELED, now, "canceled")
        return CancelAnswer.DONE

    def sweep(self, find: Callable[[JobId], JobRecord | None], now: int, *, must: bool) -> None:
        """What is expired or held too long may be noticed by a claim, and must be by `maintain`."""
        for job in self.in_state(*PENDING - {JobState.RUNNING}):
            if job.state in FINAL:
                continue  # ended with one before
            held_too_long = job.held is not None and (job.held_since_ms or 0) + job.held.bound_ms <= now
            found = find(job.id)
            shown = (found.state, found.reason) if found else (None, "")
            if job.expired(now):
                if shown == (JobState.CANCELED, "expired") or (must and not held_too_long and shown[1] != "dependency"):
                    self.end([job], JobState.CANCELED, now, "expired")
                elif job.state in _DELAYED and job.due_ms <= now and shown[0] is JobState.WAITING:
                    self.wait(job)
            if must and held_too_long and job.held is not None and job.state is JobState.HELD:
                self.end([job], JobState.FAILED, now, job.held.reason)

    def requeue(self, job_id: JobId) -> bool:
        job = self.jobs.get(job_id)
        if job is None or not (job.dead or job.state is JobState.HELD):
            return False
        keys = {other.unique for other in self.jobs.values() if other is not job and other.state in PENDING}
        job.unique = job.frame.unique if job.frame.unique not in keys else None
        job.started()
        job.attempt = job.crashes = 0
        job.dead, job.held = False, None
        self.wait(job)
        return True

    def bury(self, job: ModelJob) -> None:
        """A purged dead letter."""
        job.dead = False
        job.known_until_ms = job.finished_ms + _least_ms(job)

    def take(self, worker: WorkerId, job_id: JobId, now: int) -> ModelJob | None:
        if worker not in self.workers:
            raise WorkerLapsed("over")
        job = self.jobs.get(job_id)
        if job is None or job.state not in (*_DELAYED, JobState.WAITING):
            return None
        if job.expired(now):
            self.end([job], JobState.CANCELED, now, "expired")
            return None
        return job

    def release_held(self, kinds: Sequence[tuple[str, str]]) -> int:
        held = [j for j in self.in_state(JobState.HELD) if j.held and (j.held.task, j.held.schema) in kinds]
        for job in held:
            job.held = None
            self.wait(job)
        return len(held)

    def note(self, worker: WorkerId, token: Token, progress: bytes) -> bool:
        mine = [job for job in self.held_by(worker) if job.token == token and worker in self.workers]
        for job in mine:
            job.progress = progress
        return bool(mine)


def _least_ms(job: ModelJob) -> int:
    """How long its end is known at least, whatever else."""
    if job.frame.flags & FrameFlags.CALLERS_ID:
        return 24 * 3_600_000
    return KEPT_RESULT_MS if job.frame.flags & FrameFlags.RESULT_WANTED else KEPT_ID_MS
