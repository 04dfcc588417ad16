"""Every exception of typedgator. Each says what, where and the way out, and carries its facts as fields.

GatorError
├── ConfigurationError (ValueError)      a setting, DSN or option that cannot mean anything
│   └── Unsupported                      the backend in use cannot keep this promise
├── RegistrationError (TypeError)        a function that cannot be a task
│   └── UnsupportedSignature             ... because of a parameter or its result
├── NotRegistered (TypeError, LookupError)   a function or hook the gator does not know
├── InvalidArguments (TypeError)         a call that was refused; nothing was enqueued
├── EnqueueError                         a job that was not (wholly) accepted
│   ├── BatchIncomplete                  a batch whose write was interrupted; the cause is chained
│   └── UnknownDependency (LookupError)  a parent that never existed or is no longer known
├── JobError                             about one job
│   ├── JobFailed                        it failed for good
│   ├── JobCanceled                      it was canceled, or expired
│   ├── JobUnknown (LookupError)         finished longer ago than it is kept, or never existed
│   └── ResultNotKept                    it succeeded, but its result was not kept
├── TimeLimitExceeded (TimeoutError)     an attempt that ran longer than its time_limit
├── PayloadMismatch (ValueError)         bytes that are not what this task accepts
└── BackendUnavailable                   the backend did not answer; the cause is chained
    ├── NotReplicated                    it did, but no replica confirmed in time
    └── WorkerLapsed                     a worker identity whose lease is over
"""

from collections.abc import Callable, Sequence

__all__ = [
    "BackendUnavailable",
    "BatchIncomplete",
    "ConfigurationError",
    "EnqueueError",
    "GatorError",
    "InvalidArguments",
    "JobCanceled",
    "JobError",
    "JobFailed",
    "JobUnknown",
    "NotRegistered",
    "NotReplicated",
    "PayloadMismatch",
    "RegistrationError",
    "ResultNotKept",
    "TimeLimitExceeded",
    "UnknownDependency",
    "Unsupported",
    "UnsupportedSignature",
    "WorkerLapsed",
]


class GatorError(Exception):
    """The root: `except GatorError` catches all that typedgator raises on purpose, but a task's own errors."""

    def __reduce__(self) -> tuple[object, ...]:
        """With its text and fields, past `__init__`: process pools and test runners send errors to other processes."""
        return _rebuilt, (type(self), self.args, {k: v for k, v in vars(self).items() if not callable(v)})


def _rebuilt(kind: type[GatorError], args: tuple[object, ...], fields: dict[str, object]) -> GatorError:
    error = kind.__new__(kind, *args)
    vars(error).update(fields)
    return error


class ConfigurationError(GatorError, ValueError):
    """A setting, DSN or option that cannot mean anything."""


class Unsupported(ConfigurationError):
    """The backend in use cannot keep a promise that was asked for; nothing was downgraded in silence."""


class RegistrationError(GatorError, TypeError):
    """A function that cannot be a task, and why."""


class UnsupportedSignature(RegistrationError):
    """A task's parameter or result that cannot be queued.

    `task` is the task's name, `parameter` the parameter's (`"return"` for the result), `reason` one sentence with the
    way out.
    """

    def __init__(self, task: str, parameter: str, reason: str) -> None:
        what = "its result" if parameter == "return" else f"parameter {parameter!r}"
        super().__init__(f"{task} cannot be a task: {what} {reason}")
        self.task = task
        self.parameter = parameter
        self.reason = reason


class NotRegistered(GatorError, TypeError, LookupError):
    """A function, task name or hook that this gator does not know."""


class InvalidArguments(GatorError, TypeError):
    """A call that does not fit its task. Nothing was enqueued.

    `task` is the task's name, `call` the call as it was made; `problems` has one line for each bad argument: path,
    rule, what was got, and what to pass instead; `index` is the call's place in a batch, or None. `signature` is the
    task's; `task_at` and `called_at` are `file:line` of its `def` and of the call, "" where that is not known.
    """

    def __init__(
        self,
        task: str,
        call: str,
        problems: Sequence[str],
        *,
        index: int | None = None,
        signature: str = "",
        task_at: str = "",
        called_at: str = "",
    ) -> None:
        self.task = task
        self.call = call
        self.problems: tuple[str, ...] = tuple(problems)
        self.index = index
        self.signature = signature
        self.task_at = task_at
        self.called_at = called_at
        where = call if index is None else f"item {index} of the batch, {call}"
        if len(self.problems) == 1:
            text = f"{where}: {self.problems[0]}. Nothing was enqueued."
        else:
            lines = "".join(f"\n  {problem}" for problem in self.problems)
            text = f"{where}: {len(self.problems)} bad arguments. Nothing was enqueued.{lines}"
        if signature:
            text += f"\n  The task is {signature}" + (f", at {task_at}" if task_at else "")
        if called_at:
            text += f"\n  The call is at {called_at}"
        super().__init__(text)

    def at(self, index: int) -> "InvalidArguments":
        """The same refusal, naming the call's place in a batch."""
        return type(self)(
            self.task,
            self.call,
            self.problems,
            index=index,
            signature=self.signature,
            task_at=self.task_at,
            called_at=self.called_at,
        )


class EnqueueError(GatorError):
    """A job that was not, or not wholly, accepted."""


class _Repeatable:
    """An error whose call may be made again, by whoever still has what it was made of."""

    _again: Callable[[], Sequence[str]] | None = None
    _answer: list[str] | None = None

    def retry(self) -> list[str]:
        """Sends again what is not known to be kept, under the same ids: where the backend knows jobs by their ids, that
        never doubles one.

        The ids of the jobs that stand for it. Raises as the call did. Once it succeeded, it only repeats its answer.
        """
        if self._answer is None:
            if self._again is None:
                raise GatorError("a call can only be made again by the process that made it")
            self._answer = list(self._again())
        return list(self._answer)


class BatchIncomplete(_Repeatable, EnqueueError):
    """A batch whose write was interrupted: what is `written` stays, the `rest` may be written or not.

    Both are job ids, in the batch's order. Up to 250 jobs are one write, so of them all are in `rest`, and all or none
    are written; where the backend has no such writes (SQS), `written` are those that it confirmed, and `retry()` may
    double one of the `rest`. The cause is chained.
    """

    def __init__(
        self,
        written: Sequence[str],
        rest: Sequence[str],
        again: Callable[[], Sequence[str]],
        *,
        may_double: bool = False,
    ) -> None:
        what = "may double one that was enqueued after all" if may_double else "never doubles a job"
        super().__init__(
            f"{len(written)} jobs of the batch are enqueued, {len(rest)} are not known to be; "
            f"calling retry() on this error sends the rest again under the same ids, which {what}"
        )
        self.written: tuple[str, ...] = tuple(written)
        self.rest: tuple[str, ...] = tuple(rest)
        self._again = again


class UnknownDependency(EnqueueError, LookupError):
    """A parent in `depends_on`, the job `parent`, that never existed, or finished longer ago than it is kept."""

    def __init__(self, parent: str) -> None:
        super().__init__(
            f"depends_on names job {parent}, which never existed or finished longer ago than it is kept; "
            "enqueue the dependent sooner, or give the parent keep_result=True. Nothing was enqueued."
        )
        self.parent = parent


class JobError(GatorError):
    """About one job; `job_id` is its id as text."""

    def __init__(self, message: str, job_id: str) -> None:
        super().__init__(message)
        self.job_id = job_id


class JobFailed(JobError):
    """A job that failed for good.

    `error_type` and `error_message` are the last error's, of attempt `attempt`; `traceback` is its text, at most 4 KiB,
    without locals.
    """

    def __init__(self, job_id: str, error_type: str, error_message: str, traceback: str = "", attempt: int = 0) -> None:
        super().__init__(f"job {job_id} failed at attempt {attempt}: {error_type}: {error_message}", job_id)
        self.error_type = error_type
        self.error_message = error_message
        self.traceback = traceback
        self.attempt = attempt


class JobCanceled(JobError):
    """A job that was canceled; `reason` says by what (`canceled`, `expired`, `dependency`, or the task's own words)."""

    def __init__(self, job_id: str, reason: str) -> None:
        super().__init__(f"job {job_id} was canceled: {reason}", job_id)
        self.reason = reason


class JobUnknown(JobError, LookupError):
    """A job that finished longer ago than it is kept, or never existed."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id} is not known: it finished longer ago than it is kept, or never existed", job_id)


class ResultNotKept(JobError):
    """A job that succeeded, but whose result was not kept (`keep_result=False`)."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id} succeeded, but its result was not kept: enqueue with keep_result=True", job_id)


class TimeLimitExceeded(GatorError, TimeoutError):
    """An attempt that ran longer than its `time_limit`; it counts as a failure of the task."""


class PayloadMismatch(GatorError, ValueError):
    """Stored bytes that are not what is expected of them: the one class every decoder raises."""


class BackendUnavailable(GatorError):
    """The backend did not answer as it should; the driver's error is chained as the cause.

    After an enqueue this means "unknown": calling again with the same job id is safe, where the backend knows jobs by
    their ids (`can.memory`). `kept` are the ids of jobs that were enqueued all the same: only where several are not
    written all or none.
    """

    kept: tuple[str, ...] = ()


class NotReplicated(_Repeatable, BackendUnavailable):
    """No replica confirmed in time that it has what was written; asked for by `durability="replicated"`.

    It means "unknown": the server has it, a failover may lose it. The same call again under the same id never doubles a
    job, and succeeds once a replica has it: `retry()` does that, also for an id that typedgator made. `job_ids` are the
    jobs that it is about, `job_id` the first; none when it is about a queue. `place` is the server, `waited_s` the
    seconds that no replica confirmed in.
    """

    def __init__(
        self, job_ids: Sequence[str], place: str, waited_s: float, again: Callable[[], Sequence[str]] | None = None
    ) -> None:
        what = f"job {job_ids[0]}" if len(job_ids) == 1 else f"{len(job_ids)} jobs" if job_ids else "it"
        super().__init__(
            f"{place} has written {what}, but no replica confirmed within {waited_s:g} s that it has that too, so a "
            "failover may lose it; the same again under the same id, as by retry() on this error, never doubles a job"
        )
        self.job_ids: tuple[str, ...] = tuple(job_ids)
        self.place = place
        self.waited_s = waited_s
        self._again = again

    @property
    def job_id(self) -> str:
        """The first of them, or an empty text."""
        return self.job_ids[0] if self.job_ids else ""

    def about(self, job_ids: Sequence[str], again: Callable[[], Sequence[str]] | None = None) -> "NotReplicated":
        """The same of these jobs, which `again` would send once more."""
        return NotReplicated(job_ids, self.place, self.waited_s, again)


class WorkerLapsed(BackendUnavailable):
    """A worker identity whose lease is over: it drops what it held and joins again under a new one."""
