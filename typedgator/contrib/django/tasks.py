"""A backend for Django's tasks framework: `TASKS = {"default": {"BACKEND":
"typedgator.contrib.django.tasks.TypedgatorBackend"}}`.

Each function with Django's `@task` is a task of the gator under its module path, so workers hold, list and count its
jobs like any other. Its arguments, which Django makes JSON, travel as JSON text.
"""

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from threading import Lock
from typing import Final, TypedDict, cast

from asgiref.sync import sync_to_async
from django.core.checks import CheckMessage, Error
from django.db import DEFAULT_DB_ALIAS, transaction
from django.utils import timezone

from typedgator.backends.contract import on_loops
from typedgator.contrib.django.carrier import KNOWN, SENDERS, Carried, carrier, failed, finished, result_of
from typedgator.contrib.django.current import current_gator
from typedgator.contrib.django.framework import (
    BaseTaskBackend,
    InvalidTask,
    Task,
    TaskResult,
    TaskResultDoesNotExist,
    normalize_json,
    task_enqueued,
)
from typedgator.contrib.django.gator import DjangoGator
from typedgator.contrib.django.outbox import write
from typedgator.errors import ConfigurationError
from typedgator.job import Job
from typedgator.policy.options import checked_queue
from typedgator.policy.retry import RetryPolicy
from typedgator.producer import CallOptions, Prepared
from typedgator.registry import AnyTask
from typedgator.wire.ids import JobId, parse_id, shown_id

__all__ = ["TypedgatorBackend"]

_OPTIONS: Final = ("enqueue", "keep_result", "retries", "backoff")
_WHEN: Final = ("now", "on_commit", "outbox")
_registering: Final = Lock()


class CallOptionsOfTasks(TypedDict, total=False):
    """What TASKS may say of every call."""

    keep_result: bool | timedelta | None
    retries: int | RetryPolicy
    backoff: float | timedelta


class TypedgatorBackend(BaseTaskBackend):
    """OPTIONS: `keep_result`, `retries`, `backoff` as in `gator.options`; and `enqueue`: "now" (as Django has it),
    "on_commit", or "outbox".
    """

    supports_defer: bool = True
    supports_async_task: bool = True
    supports_get_result: bool = True
    supports_priority: bool = True

    def __init__(self, alias: str, params: Mapping[str, object]) -> None:
        super().__init__(alias, params)
        self._gator: DjangoGator | None = None
        try:
            can = self.gator.backend.can
        except ConfigurationError:  # `check` reports it, and whoever enqueues hears of it
            return
        self.supports_defer = can.max_delay_ms is None or can.max_delay_ms > 0
        self.supports_get_result = can.results
        self.supports_priority = can.priorities

    @property
    def gator(self) -> DjangoGator:
        """That of TYPEDGATOR, whose worker runs these tasks. Raises ConfigurationError when there is none."""
        if self._gator is None:
            self._gator = current_gator()
        return self._gator

    def check(self, **kwargs: object) -> list[CheckMessage]:
        """E004: an option that cannot mean anything."""
        where = f'TASKS["{self.alias}"]["OPTIONS"]'
        found = [
            f"{where} has an unknown key {key!r}: the keys are {', '.join(_OPTIONS)}"
            for key in self.options
            if key not in _OPTIONS
        ]
        if self._when not in _WHEN:
            found.append(f'{where}["enqueue"] is {self._when!r}: write one of {", ".join(_WHEN)}')
        try:
            self._said(None)
        except ConfigurationError as error:
            found.append(f"{where}: {error}")
        return [Error(problem, id="typedgator.E004") for problem in found]

    def validate_task(self, task: Task) -> None:
        """Raises InvalidTask. Makes the function known to the gator, and so to workers that import it."""
        super().validate_task(task)
        try:
            checked_queue(task.queue_name)
            self._task(task)
        except (ConfigurationError, TypeError) as error:
            raise InvalidTask(str(error)) from error

    def enqueue(self, task: Task, args: Sequence[object], kwargs: Mapping[str, object]) -> TaskResult:
        """Enqueues a call. Raises InvalidTask; TypeError for what is no JSON; InvalidArguments for what is too long."""
        prepared, result = self._prepare(task, args, kwargs)
        if not prepared.is_async:
            return self._run_here(prepared, result)
        if self._when == "now":
            self._send(prepared, result)
        elif self._when == "on_commit":
            transaction.on_commit(lambda: self._send(prepared, result), using=DEFAULT_DB_ALIAS)
        else:
            job = Job[object](self.gator.backend, prepared.frame.job_id, prepared.spec.read)
            write(prepared, self.gator, self._task(task).producer, DEFAULT_DB_ALIAS, job)
            task_enqueued.send(type(self), task_result=result)
        return result

    async def aenqueue(self, task: Task, args: Sequence[object], kwargs: Mapping[str, object]) -> TaskResult:
        """`enqueue`, from async code: where the gator's backend can, without a thread."""
        runs_here = self.gator.defaults.is_async is False
        if runs_here and inspect.iscoroutinefunction(task.func):
            # Its loop must not stand in the thread that its own database calls need.
            return await asyncio.to_thread(self.enqueue, task, args, kwargs)
        if self._when != "now" or on_loops(self.gator.backend) is None or runs_here:
            return await sync_to_async(self.enqueue, thread_sensitive=True)(task, args, kwargs)
        prepared, result = self._prepare(task, args, kwargs)
        await self._task(task).producer.asend_one(prepared)
        await task_enqueued.asend(type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> TaskResult:
        """What is known of a call. Raises TaskResultDoesNotExist, also once it is forgotten."""
        found = _job_id(result_id)
        if not self.supports_get_result:
            return super().get_result(result_id)
        job = Job[object](self.gator.backend, found, _unread)
        try:
            return result_of(result_id, job.record())
        except LookupError as error:
            raise TaskResultDoesNotExist(result_id) from error

    async def aget_result(self, result_id: str) -> TaskResult:
        """`get_result`, from async code."""
        loops = on_loops(self.gator.backend)
        if loops is None:
            return await sync_to_async(self.get_result, thread_sensitive=True)(result_id)
        record = await loops.aoutcome(_job_id(result_id), wait_ms=0)
        try:
            if record is None:
                raise LookupError
            return result_of(result_id, record)
        except LookupError as error:
            raise TaskResultDoesNotExist(result_id) from error

    # ---- on the way in

    @property
    def _when(self) -> object:
        return self.options.get("enqueue", "now")

    def _task(self, task: Task) -> AnyTask:
        """The gator's task that carries this one; the same for all that `using()` makes of it."""
        name = task.module_path
        with _registering:
            SENDERS[name] = type(self)
            known = self.gator.registry.find(name)
            if known is None or not isinstance(getattr(known.fn, "django_task", None), str):
                KNOWN[name] = task
                register = self.gator.register(name=name, on_success=finished, on_error=failed)
                known = cast("AnyTask", register(cast("Callable[..., str]", carrier(task))))
            elif KNOWN[name].func is not task.func:  # its module was imported anew
                KNOWN[name] = task
        return known

    def _prepare(self, task: Task, args: Sequence[object], kwargs: Mapping[str, object]) -> tuple[Prepared, TaskResult]:
        self.validate_task(task)
        carried = Carried.of(task, self.alias, normalize_json(args), normalize_json(kwargs))
        found = self._task(task)
        prepared = found.producer.prepare_one(
            found.spec, self._said(task, carried.header), (carried.args, carried.kwargs), {}
        )
        return prepared, carried.result(shown_id(prepared.frame.job_id), prepared.envelope.enqueued_at)

    def _said(self, task: Task | None, header: str = "") -> CallOptions:
        options = cast(
            "CallOptionsOfTasks",
            {key: self.options[key] for key in CallOptionsOfTasks.__annotations__ if key in self.options},
        )
        if task is None:
            return CallOptions(self.gator.options(**options).said)
        said = self.gator.options(
            queue=task.queue_name,
            priority=task.priority + 100,
            delay_until=None if task.run_after is None else _aware(task.run_after),
            headers={"django": header},
            **options,
        )
        return CallOptions(said.said)

    def _send(self, prepared: Prepared, result: TaskResult) -> None:
        self._task(result.task).producer.send_one(prepared)
        task_enqueued.send(type(self), task_result=result)

    def _run_here(self, prepared: Prepared, result: TaskResult) -> TaskResult:
        task_enqueued.send(type(self), task_result=result)
        record = self._task(result.task).producer.send_one(prepared).record()
        return result_of(result.id, record, prepared.envelope)


def _job_id(result_id: object) -> JobId:
    try:
        return parse_id(result_id)
    except ConfigurationError:
        raise TaskResultDoesNotExist(result_id) from None


def _aware(run_after: datetime) -> datetime:
    return run_after if timezone.is_aware(run_after) else timezone.make_aware(run_after)


def _unread(job_id: str, outcome: object) -> object:
    return None
