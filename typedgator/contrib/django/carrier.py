"""One Django task on its way through a gator: what travels, what runs in the worker, and what can be read back.

The arguments are two texts of JSON; what else a TaskResult has to say of its call travels in one header. A success
keeps all of it beside the value, since a backend forgets the call before its result.
"""

import inspect
import json
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, cast

import msgspec

from typedgator.backends.contract import JobRecord
from typedgator.context import CurrentJob, current_job
from typedgator.contrib.django.framework import (
    Task,
    TaskContext,
    TaskError,
    TaskResult,
    TaskResultStatus,
    normalize_json,
    task_finished,
    task_started,
)
from typedgator.errors import PayloadMismatch
from typedgator.job import Job
from typedgator.wire.envelope import Envelope, decode_envelope
from typedgator.wire.frame import open_frame
from typedgator.wire.outcome import Outcome, decode_outcome
from typedgator.wire.states import JobState

__all__ = ["KNOWN", "SENDERS", "Carried", "carrier", "failed", "finished", "result_of"]

KNOWN: Final[dict[str, Task]] = {}
"""Every Django task that this process has seen, by module path. A stored path is looked up here, never imported."""
SENDERS: Final[dict[str, type]] = {}
"""The backend's class that signals about it come from."""

_STATUS: Final = {
    JobState.RUNNING: TaskResultStatus.RUNNING,
    JobState.SUCCESS: TaskResultStatus.SUCCESSFUL,
    JobState.FAILED: TaskResultStatus.FAILED,
    JobState.CANCELED: TaskResultStatus.FAILED,
}


class Carried(msgspec.Struct, frozen=True):
    """A call as it travels."""

    task: str
    args: str
    kwargs: str
    header: str

    @staticmethod
    def of(task: Task, alias: str, args: object, kwargs: object) -> "Carried":
        """A call of a task, its arguments plain JSON values."""
        run_after = None if task.run_after is None else task.run_after.isoformat()
        header = json.dumps([alias, task.queue_name, task.priority, run_after])
        return Carried(task.module_path, json.dumps(args), json.dumps(kwargs), header)

    def result(self, result_id: str, enqueued_ms: int) -> TaskResult:
        """The result of a call that has not run. Raises LookupError when its task is not known here."""
        known = KNOWN.get(self.task)
        if known is None:
            raise LookupError(f"{self.task} is not a Django task that was imported here")
        alias, queue_name, priority, run_after = cast("tuple[str, str, int, str | None]", json.loads(self.header))
        task = replace(
            known,
            backend=alias,
            queue_name=queue_name,
            priority=priority,
            run_after=None if run_after is None else datetime.fromisoformat(run_after),
        )
        return TaskResult(
            task=task,
            id=result_id,
            status=TaskResultStatus.READY,
            enqueued_at=_instant(enqueued_ms),
            started_at=None,
            finished_at=None,
            last_attempted_at=None,
            args=json.loads(self.args),
            kwargs=json.loads(self.kwargs),
            backend=alias,
            errors=[],
            worker_ids=[],
        )


class _Kept(msgspec.Struct, frozen=True):
    """What a success keeps, as JSON."""

    value: object
    call: Carried
    enqueued_at: int

    @staticmethod
    def read(text: str) -> "_Kept":
        # By `json`, as it was written: msgspec refuses NaN, and half a surrogate pair, which Django's JSON may hold.
        return msgspec.convert(json.loads(text), _Kept)


# ---- in the worker


def carrier(task: Task) -> Callable[..., object]:
    """The function that the gator runs for a Django task. It raises what the task raises."""
    name = task.module_path

    def run(args: str, kwargs: str) -> str:
        started, job = _started(name, args, kwargs), current_job()
        task_started.send(SENDERS[name], task_result=started)
        with _remembered(started):
            return _kept(started, job, KNOWN[name].func(*_arguments(started), **started.kwargs))

    async def arun(args: str, kwargs: str) -> str:
        started, job = _started(name, args, kwargs), current_job()
        await task_started.asend(SENDERS[name], task_result=started)
        with _remembered(started):
            made = KNOWN[name].func(*_arguments(started), **started.kwargs)
            return _kept(started, job, await made if inspect.isawaitable(made) else made)

    chosen: Callable[..., object] = arun if inspect.iscoroutinefunction(task.func) else run
    for name_of in ("__module__", "__name__", "__qualname__"):  # errors and logs name the function that was called
        setattr(chosen, name_of, getattr(task.func, name_of))
    vars(chosen)["django_task"] = name
    return chosen


class _remembered:  # noqa: N801 - it is used as a verb
    """An error that leaves this block knows of which attempt it is."""

    def __init__(self, result: TaskResult) -> None:
        self._result = result

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            with suppress(AttributeError, TypeError):
                vars(error)[_RESULT] = self._result


_RESULT: Final = "_typedgator_task_result"


def _started(name: str, args: str, kwargs: str) -> TaskResult:
    job = current_job()
    result = Carried(name, args, kwargs, job.headers["django"]).result(job.id, job.enqueued_at_ms)
    now = job.started_at
    _set(result, status=TaskResultStatus.RUNNING, started_at=now, last_attempted_at=now)
    result.worker_ids.extend([_WORKER] * job.attempt)
    return result


def _arguments(started: TaskResult) -> list[object]:
    context = [TaskContext(task_result=started)] if started.task.takes_context else []
    return [*context, *started.args]


def _kept(started: TaskResult, job: CurrentJob, value: object) -> str:
    call = Carried.of(started.task, started.backend, started.args, started.kwargs)
    return json.dumps(msgspec.to_builtins(_Kept(normalize_json(value), call, job.enqueued_at_ms)))


def finished(job: Job[object], result: object) -> None:
    """A hook: tells Django that a task succeeded, once that is written."""
    kept = _Kept.read(str(result))
    found = kept.call.result(job.id, kept.enqueued_at)
    now = datetime.now(UTC)
    _set(found, status=TaskResultStatus.SUCCESSFUL, started_at=now, last_attempted_at=now, finished_at=now)
    with suppress(LookupError):
        found = result_of(job.id, job.record())
    _set(found, _return_value=kept.value)
    task_finished.send(SENDERS[found.task.module_path], task_result=found)


def failed(job: Job[object], error: BaseException) -> None:
    """A hook: tells Django that a task failed for good, once that is written."""
    found = vars(error).get(_RESULT)
    if not isinstance(found, TaskResult):  # it never started
        found = result_of(job.id, job.record())
    kind = type(error)
    _set(found, status=TaskResultStatus.FAILED, finished_at=datetime.now(UTC))
    path = f"{kind.__module__}.{kind.__qualname__}"
    found.errors.append(TaskError(exception_class_path=path, traceback="".join(traceback.format_exception(error))))
    try:
        raise error
    except BaseException:  # Django's log line looks for the error that is being handled
        task_finished.send(SENDERS[found.task.module_path], task_result=found)


# ---- read back


def result_of(result_id: str, record: JobRecord, sent: Envelope | None = None) -> TaskResult:
    """A job as Django sees it. `sent` is what was enqueued, where the storage does not have it.

    Raises LookupError when it is no Django task's, or too little is left of it.
    """
    outcome = None if record.outcome is None else decode_outcome(record.outcome)
    value: object = None
    try:
        if record.state is JobState.SUCCESS and outcome is not None:
            kept = _Kept.read(msgspec.msgpack.decode(outcome.result, type=str))
            result, value = kept.call.result(result_id, kept.enqueued_at), kept.value
        else:
            result = _call_of(record, sent).result(result_id, _envelope(record, sent).enqueued_at)
    except (msgspec.MsgspecError, PayloadMismatch, KeyError, ValueError) as error:
        raise LookupError(f"job {result_id} is not a call of a Django task") from error
    started = None if outcome is None or not outcome.started_at else _instant(outcome.started_at)
    is_final = record.state in (JobState.SUCCESS, JobState.FAILED, JobState.CANCELED)
    _set(
        result,
        status=_STATUS.get(record.state, TaskResultStatus.READY),
        started_at=started,
        last_attempted_at=started,
        finished_at=_finished(record) if is_final else None,
        _return_value=value,
    )
    result.errors.extend(_errors(record, outcome))
    attempts = max(record.attempt, 0 if outcome is None else outcome.attempt)
    result.worker_ids.extend([record.worker or _WORKER] * attempts)
    return result


def _envelope(record: JobRecord, sent: Envelope | None) -> Envelope:
    if sent is not None:
        return sent
    if record.frame is None:
        raise LookupError("what was called is forgotten")
    return decode_envelope(open_frame(record.frame).envelope)


def _call_of(record: JobRecord, sent: Envelope | None) -> Carried:
    envelope = _envelope(record, sent)
    texts = msgspec.msgpack.decode(envelope.args, type=dict[str, str])
    return Carried(envelope.task, texts["args"], texts["kwargs"], envelope.headers["django"])


def _errors(record: JobRecord, outcome: Outcome | None) -> list[TaskError]:
    if outcome is not None and outcome.error is not None:
        kept = outcome.error
        path = kept.type if "." in kept.type else f"builtins.{kept.type}"
        last = kept.type.rpartition(".")[2] if path.startswith("builtins.") else kept.type
        text = f"Traceback (most recent call last):\n{kept.traceback}{last}: {kept.message}\n"
        return [TaskError(exception_class_path=path, traceback=text)]
    if record.state is JobState.FAILED:
        return [TaskError(exception_class_path="typedgator.errors.JobFailed", traceback=f"{record.reason}\n")]
    if record.state is JobState.CANCELED:
        return [TaskError(exception_class_path="typedgator.errors.JobCanceled", traceback=f"{record.reason}\n")]
    return []


_WORKER: Final = "typedgator"
"""Stands for each attempt in `worker_ids`: which worker it was is known only while it runs."""


def _finished(record: JobRecord) -> datetime:
    return datetime.now(UTC) if record.finished_ms is None else _instant(record.finished_ms)


def _instant(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _set(result: TaskResult, **fields: object) -> None:
    """A TaskResult is frozen; Django's own backends set its fields so."""
    for name, value in fields.items():
        object.__setattr__(result, name, value)
