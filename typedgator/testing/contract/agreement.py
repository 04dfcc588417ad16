"""What can be seen of a backend, against what the model knows: every job, every line, every count."""

from collections.abc import Sequence

from typedgator.backends.contract import Backend, Holding, Inspect, JobRecord, Results
from typedgator.testing.contract.model import Model, ModelJob
from typedgator.wire.frame import pack_frame
from typedgator.wire.ids import JobId
from typedgator.wire.states import PENDING, JobState

__all__ = ["compare", "forget_dead_letters", "same"]


def same(got: object, due: object, what: object = "") -> None:
    """Raises AssertionError when they differ."""
    assert got == due, f"{what!r}: the backend says {got!r}, the contract {due!r}"


def compare(model: Model, backend: Backend, names: Sequence[JobId], now: int) -> None:
    """Everything that the backend shows is as the model has it; what may be forgotten may be."""
    assert isinstance(backend, Inspect)
    forget_dead_letters(model, backend, now)
    for name in names:
        _see(model, name, backend.find(name), now)
    if isinstance(backend, Results):
        name = names[now % len(names)]
        same(backend.outcome(name, wait_ms=0), backend.find(name), name)
    _see_lines(model, backend, now)
    _see_counts(model, backend)
    if isinstance(backend, Holding):
        kinds = sorted((kind.task, kind.schema) for kind in backend.held_kinds() for _ in range(kind.jobs))
        held = [each.held for each in model.in_state(JobState.HELD) if each.held]
        same(kinds, sorted((each.task, each.schema) for each in held))


def forget_dead_letters(model: Model, backend: Inspect, now: int) -> None:
    """Those that are too old may be gone, and are counted then; all others are listed, newest first."""
    listed = [record.job_id for record in backend.page(JobState.FAILED).records]
    dead = [each for each in model.in_state(JobState.FAILED) if each.dead]
    for each in dead:
        if each.id not in listed and each.known_until_ms <= now:
            model.dropped += 1
            each.dead = False
    dead = sorted((each for each in dead if each.dead), key=lambda each: (-each.finished_ms, each.id))
    same(listed, [each.id for each in dead])


def _see(model: Model, name: JobId, found: JobRecord | None, now: int) -> None:
    each = model.jobs.get(name)
    if each is None or found is None:
        assert found is None, f"{name!r} should not be known: {found}"
        assert each is None or model.forget(name, now), f"{name!r} is forgotten too early: {each}"
        return
    same(found.state, each.state, name)
    if each.state in PENDING:
        _see_pending(each, found)
    else:
        same(found.finished_ms, each.finished_ms, name)
    if each.state in (JobState.CANCELED, JobState.FAILED):
        assert found.reason in each.reasons, f"{name!r}: {found.reason!r}, not {each.reasons}"
    if each.state in PENDING or each.dead:
        same((found.queue, found.frame), (each.frame.queue, pack_frame(each.frame, each.accepted_ms)), name)
        same((found.attempt, found.crashes), (each.attempt, each.crashes), name)
    kept = each.state is JobState.SUCCESS and now < each.keep_until_ms
    if each.dead or each.state is JobState.RETRYING or kept:
        same(found.outcome, each.outcome, name)


def _see_pending(each: ModelJob, found: JobRecord) -> None:
    if each.state in (JobState.RETRYING, JobState.SCHEDULED):
        same(found.due_ms, each.due_ms, each.id)
    if each.state is JobState.HELD:
        since_ms = each.held_since_ms or 0
        due = None if each.held is None else (each.held.reason, since_ms, since_ms + each.held.bound_ms)
        same((found.reason, found.held_ms, found.due_ms), due, each.id)
    else:
        same(found.held_ms, None, each.id)
    if each.state is JobState.BLOCKED:
        same(set(found.parents), each.parents, each.id)
    if each.state is JobState.RUNNING:
        shown = (found.token, found.worker, found.cancel_requested, found.progress)
        same(shown, (each.token, each.worker, each.cancel_requested, each.progress), each.id)
    else:
        same(found.worker, None, each.id)


def _see_lines(model: Model, backend: Inspect, now: int) -> None:
    for queue in sorted({each.frame.queue for each in model.jobs.values()}):
        listed = [record.job_id for record in backend.page(JobState.WAITING, queue=queue).records]
        # What expired in line is handed out to nobody; where it stands says nothing.
        gone = {each.id for each in model.line(queue) if each.expired(now)}
        line = [each.id for each in model.line(queue) if each.id not in gone]
        same([job_id for job_id in listed if job_id not in gone], line, queue)


def _see_counts(model: Model, backend: Inspect) -> None:
    counts = backend.counts()
    shown = {
        (queue, state): n
        for queue, states in counts.queues.items()
        for state, n in states.items()
        if n and state not in (JobState.SUCCESS, JobState.CANCELED)
    }
    must: dict[tuple[str, JobState], int] = {}
    for each in model.jobs.values():
        if each.state in PENDING or each.dead:
            at = each.frame.queue, each.state
            must[at] = must.get(at, 0) + 1
    same(shown, must)
    same((counts.dropped, counts.paused), (model.dropped, model.paused))
