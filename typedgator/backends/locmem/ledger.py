"""Every change a job can go through, as the contract says it. Called under the backend's lock, told the time; never
waits.

A job is in one index at a time: in its queue's line (waiting), the agenda of what falls due (scheduled, retrying), the
agenda of what is held, its parents' children (blocked), its worker's hands (running), the dead letters (failed) or
nothing but memory.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, assert_never

from typedgator.backends.contract import (
    DEAD_LETTERS,
    EVERY_QUEUE,
    Claimed,
    Receipt,
    ReceiptStatus,
    Settled,
    WorkerId,
)
from typedgator.backends.locmem.job import Job, Worker
from typedgator.backends.locmem.order import Agenda, Line, Memory
from typedgator.errors import UnknownDependency
from typedgator.wire.frame import Frame, FrameFlags, pack_frame
from typedgator.wire.ids import JobId, shown_id
from typedgator.wire.states import FINAL, JobState
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

__all__ = ["Ledger"]

CALLERS_ID_MS: Final = 24 * 3_600_000
_CALLERS_ID: Final = int(FrameFlags.CALLERS_ID)
_RESULT_WANTED: Final = int(FrameFlags.RESULT_WANTED)
# Looked up once: reading a member of an enum costs more than the step that asks for it.
_WAITING: Final = JobState.WAITING
_RUNNING: Final = JobState.RUNNING
_SUCCESS: Final = JobState.SUCCESS
_FAILED: Final = JobState.FAILED
_CANCELED: Final = JobState.CANCELED
_DELAYED: Final = (JobState.SCHEDULED, JobState.RETRYING)
_UNSUCCESSFUL: Final = (_FAILED, _CANCELED)


class Ledger:
    """The jobs and workers of one namespace."""

    def __init__(self) -> None:
        self.jobs: dict[JobId, Job] = {}
        self.lines: dict[str, Line] = {}
        self.due: Agenda[JobId] = Agenda()
        self.expiring: Agenda[JobId] = Agenda()
        self.held: Agenda[JobId] = Agenda()
        self.leases: Agenda[WorkerId] = Agenda()
        self.workers: dict[WorkerId, Worker] = {}
        self.lapsed: list[tuple[Token, JobId]] = []
        """What workers held whose leases ended, until it is reaped: a heap by token."""
        self.unique: dict[bytes, JobId] = {}
        self.dead: OrderedDict[JobId, None] = OrderedDict()
        self.memory: Memory = Memory()
        self.tally: defaultdict[str, dict[JobState, int]] = defaultdict(lambda: dict.fromkeys(JobState, 0))
        self.paused: set[str] = set()
        self.dropped: int = 0
        self.last_token: Token = 0
        self.news: bool = False
        """Something became waiting or is due sooner: whoever waits should look again."""
        self.awaited: dict[JobId, int] = {}
        self.ended: bool = False
        """An awaited job ended."""

    # Accepting

    def accept(self, frames: Sequence[Frame], now: int) -> list[Receipt]:
        """One after the other; when a parent is unknown, none of them."""
        receipts: list[Receipt] = []
        new: dict[JobId, Job] = {}
        doomed: set[JobId] = set()
        keys: dict[bytes, JobId] = {}
        stands_for: dict[JobId, JobId] = {}
        for frame in frames:
            holder = self._holder(frame, new, keys)
            if holder is not None:
                stands_for[frame.job_id] = holder
                receipts.append(Receipt(ReceiptStatus.DUPLICATE, holder))
                continue
            job = _new(frame, now)
            if frame.parents:
                parents = [stands_for.get(parent, parent) for parent in frame.parents]
                job.parents = set(parents)
                for parent in parents:
                    known = new.get(parent) or self.jobs.get(parent)
                    if known is None:
                        raise UnknownDependency(shown_id(parent))
                    if parent in doomed or known.state in _UNSUCCESSFUL:
                        doomed.add(job.id)
            if frame.unique is not None and job.id not in doomed:
                keys[frame.unique] = job.id
            new[job.id] = job
            stands_for[job.id] = job.id
            receipts.append(Receipt(ReceiptStatus.NEW, job.id))
        for job in new.values():
            self._enter(job, now)
        return receipts

    def _holder(self, frame: Frame, new: dict[JobId, Job], keys: dict[bytes, JobId]) -> JobId | None:
        """Who stands for this call already."""
        if frame.job_id in self.jobs or frame.job_id in new:
            return frame.job_id
        if frame.unique is None:
            return None
        return self.unique.get(frame.unique) or keys.get(frame.unique)

    def _enter(self, job: Job, now: int) -> None:
        self.jobs[job.id] = job
        self.tally[job.queue][job.state] += 1
        if job.unique is not None:
            self.unique[job.unique] = job.id
        self._may_expire(job)
        for parent_id in list(job.parents or ()):
            parent = self.jobs[parent_id]
            if parent.state is _SUCCESS:
                assert job.parents is not None
                job.parents.discard(parent_id)
            elif parent.state in FINAL:
                return self.end(job, _CANCELED, now, reason="dependency")
            elif parent.children is None:
                parent.children = [job.id]
            else:
                parent.children.append(job.id)
        if not job.parents:
            self._admit(job, now)
        return None

    def _admit(self, job: Job, now: int) -> None:
        """Blocked by nothing: it waits for its time, or in line."""
        if job.due_ms is not None and job.due_ms > now:
            self._delay(job, JobState.SCHEDULED, job.due_ms)
        else:
            self.line_up(job)

    # Moving between states

    def _move(self, job: Job, state: JobState) -> None:
        tally = self.tally[job.queue]
        tally[job.state] -= 1
        tally[state] += 1
        job.state = state

    def line_up(self, job: Job, *, returned: bool = False) -> None:
        """The last place in its queue, or among those that came back."""
        self._move(job, _WAITING)
        job.due_ms = None
        line = self.lines.get(job.queue)
        if line is None:
            line = self.lines[job.queue] = Line()
        line.add(job, returned=returned)
        self.news = True

    def _delay(self, job: Job, state: JobState, due_ms: int) -> None:
        self._move(job, state)
        job.due_ms = due_ms
        self.due.put(due_ms, job.id)
        self.news = True

    def _take_out(self, job: Job) -> None:
        """Out of the one index that its state has it in."""
        state = job.state
        if state is _RUNNING:
            worker = self.workers.get(job.worker) if job.worker is not None else None
            if worker is not None:
                del worker.running[job.token]
                if job.crashes:
                    worker.suspects.discard(job.token)
                    self.news = True
            job.worker = job.progress = None
        elif state is _WAITING:
            self.lines[job.queue].drop(job)
        elif state in _DELAYED:
            self.due.drop(job.id)
        elif state is JobState.HELD:
            self.held.drop(job.id)
        elif state is _FAILED:
            self.dead.pop(job.id, None)

    def end(self, job: Job, state: JobState, now: int, *, reason: str = "", keep_ms: int = KEPT_ID_MS) -> None:
        """A final state: the unique key is free, the children are free or canceled, and theirs, the memory begins."""
        self._close(job, state, now, reason, keep_ms)
        children, job.children = job.children, None
        if not children:
            return
        if state is _SUCCESS:
            for child in self._blocked(job.id, children):
                assert child.parents is not None
                child.parents.discard(job.id)
                if not child.parents:
                    self._admit(child, now)
            return
        # A list and not recursion: a chain of dependents may be longer than the stack.
        doomed = [(job.id, children)]
        while doomed:
            for child in self._blocked(*doomed.pop()):
                self._close(child, _CANCELED, now, "dependency", KEPT_ID_MS)
                if child.children:
                    doomed.append((child.id, child.children))
                    child.children = None

    def _blocked(self, parent: JobId, children: list[JobId]) -> Iterator[Job]:
        for child_id in sorted(children):
            child = self.jobs.get(child_id)
            # It may have been canceled meanwhile, even forgotten and made anew with other parents.
            if child is not None and child.state is JobState.BLOCKED and child.parents and parent in child.parents:
                yield child

    def _close(self, job: Job, state: JobState, now: int, reason: str, keep_ms: int) -> None:
        self._take_out(job)
        self._move(job, state)
        job.finished_ms, job.reason, job.due_ms = now, reason, None
        job.parents = job.held = None
        job.cancel_requested = False
        if job.expires_ms is not None:
            self.expiring.drop(job.id)
        if job.unique is not None and self.unique.get(job.unique) == job.id:
            del self.unique[job.unique]
        if state is _FAILED:
            self.dead[job.id] = None
            if len(self.dead) > DEAD_LETTERS:
                self.dropped += 1
                self.bury(self.jobs[next(iter(self.dead))], now)
            keep_ms = KEPT_FAILURE_MS
        else:
            job.frame = None
        self.remember(job, now, keep_ms)
        if job.id in self.awaited:
            self.ended = True

    def remember(self, job: Job, now: int, keep_ms: int) -> None:
        """Its outcome goes after `keep_ms`, its id perhaps later."""
        job.keep_until_ms = now + max(keep_ms, KEPT_ID_MS)
        job.forget_ms = now + max(keep_ms, job.least_ms)
        self.memory.put(job.keep_until_ms, job.id)
        if job.forget_ms != job.keep_until_ms:
            self.memory.put(job.forget_ms, job.id)

    def bury(self, job: Job, now: int) -> None:
        """A dead letter is dropped or purged: only its id is known, for as long as any end is."""
        del self.dead[job.id]
        self.tally[job.queue][job.state] -= 1
        job.frame = job.outcome = None
        self.remember(job, now, KEPT_ID_MS)

    # Attempts

    def start(self, job: Job, worker: Worker, now: int) -> Claimed:
        """The job is the worker's, under a token greater than every one before, also those of an earlier process."""
        self._take_out(job)
        self._move(job, _RUNNING)
        job.due_ms = None
        if job.expires_ms is not None:
            self.expiring.drop(job.id)
        self.last_token = token = max(self.last_token + 1, now * 1000)
        job.grant(token, worker.id, now)
        worker.running[token] = job
        worker.newest = token
        if job.crashes:
            worker.suspects.add(token)
        return job.claimed()

    def hand_out(self, worker: Worker, limit: int, now: int) -> list[Claimed]:
        """From the first queue that has something: a suspect alone, or all up to the next suspect."""
        claimed: list[Claimed] = []
        for line in self._lines_for(worker):
            while len(claimed) < limit:
                job = line.first()
                if job is None:
                    break
                if job.expires_ms is not None and job.expires_ms <= now:
                    self.end(job, _CANCELED, now, reason="expired")
                    continue
                if job.crashes and claimed:
                    return claimed
                claimed.append(self.start(job, worker, now))
                if job.crashes:
                    return claimed
        return claimed

    def _lines_for(self, worker: Worker) -> list[Line]:
        names: list[str] = []
        for queue in worker.queues:
            if queue == EVERY_QUEUE:
                names += sorted(self.lines.keys() - names)
                break
            names.append(queue)
        return [line for name in names if name not in self.paused and (line := self.lines.get(name))]

    def come_back(self, job: Job, now: int) -> None:
        """Unfinished, from a worker's hands to the front of its queue."""
        if job.cancel_requested:
            return self.end(job, _CANCELED, now, reason="canceled")
        self._take_out(job)
        self._may_expire(job)
        return self.line_up(job, returned=True)

    def settle(self, worker: WorkerId, settlement: Settlement, now: int) -> Settled:
        """One attempt ends, and its token is spent; a settlement that is not of a live attempt writes nothing."""
        job = self.jobs.get(settlement.job_id)
        verdict = settlement.verdict
        if job is None:
            return Settled.LOST
        if job.state is not _RUNNING or job.token != settlement.token or job.worker != worker:
            return Settled.WRITTEN if job.spent_as(settlement.token) == verdict.kind else Settled.LOST
        job.kind, job.settled_ms = verdict.kind, now
        match verdict:
            case Succeeded():
                job.outcome = verdict.outcome
                self.end(job, _SUCCESS, now, keep_ms=verdict.keep_ms)
            case Failed():
                job.outcome = verdict.outcome
                self.end(job, _FAILED, now)
            case Canceled():
                self.end(job, _CANCELED, now, reason=verdict.reason)
            case _ if job.cancel_requested:
                self.end(job, _CANCELED, now, reason="canceled")
            case RetryIn():
                job.outcome = verdict.outcome
                self._again(job, now + verdict.delay_ms)
            case Snoozed():
                job.attempt -= 1
                self._again(job, now + verdict.delay_ms)
            case Released():
                job.attempt -= 1
                self.come_back(job, now)
            case Held():
                job.attempt -= 1
                self._hold(job, verdict, now)
            case _:
                assert_never(verdict)
        return Settled.WRITTEN

    def _again(self, job: Job, due_ms: int) -> None:
        self._take_out(job)
        self.was_started(job)
        self._delay(job, JobState.RETRYING, due_ms)

    def _hold(self, job: Job, held: Held, now: int) -> None:
        self._take_out(job)
        self._may_expire(job)
        self._move(job, JobState.HELD)
        if job.held_since_ms is None:
            job.held_since_ms = now
        job.held = held
        self.held.put(job.held_since_ms + held.bound_ms, job.id)

    def _may_expire(self, job: Job) -> None:
        if job.expires_ms is not None:
            self.expiring.put(job.expires_ms, job.id)

    def was_started(self, job: Job) -> None:
        """From now on it cannot expire, and some worker could run it."""
        if job.expires_ms is not None:
            self.expiring.drop(job.id)
        job.expires_ms = job.held_since_ms = None

    def release(self, job: Job) -> None:
        """A held job is in line again."""
        self._take_out(job)
        job.held = None
        self.line_up(job)

    def renew(self, job: Job) -> None:
        """A failed or held job begins again, and takes its unique key again when that is free."""
        self._take_out(job)
        self.was_started(job)
        job.attempt = job.crashes = 0
        job.finished_ms = job.held = None
        job.reason = ""
        if job.unique is not None:
            self.unique.setdefault(job.unique, job.id)
        self.line_up(job)


def _new(frame: Frame, now: int) -> Job:
    return Job(
        id=frame.job_id,
        frame=pack_frame(frame, now),
        queue=frame.queue,
        priority=frame.priority,
        crash_budget=frame.crash_budget,
        least_ms=_least_ms(int(frame.flags)),
        unique=frame.unique,
        due_ms=now + frame.delay_ms if frame.delay_ms else None,
        expires_ms=None if frame.expires_in_ms is None else now + frame.expires_in_ms,
    )


def _least_ms(flags: int) -> int:
    """How long the end of a job with these flags is known at least."""
    # Plain integers: an enum's own `&` would cost more than all else that accepting a job does here.
    if flags & _CALLERS_ID:
        return CALLERS_ID_MS
    return KEPT_RESULT_MS if flags & _RESULT_WANTED else KEPT_ID_MS
