"""typedgator: call a typed function now, let a worker run it later, and hear of every mistake before it is queued."""

from typedgator.backends.contract import Backend
from typedgator.clock import Clock, SystemClock
from typedgator.context import CurrentJob, current_job
from typedgator.errors import (
    BackendUnavailable,
    BatchIncomplete,
    ConfigurationError,
    EnqueueError,
    GatorError,
    InvalidArguments,
    JobCanceled,
    JobError,
    JobFailed,
    JobUnknown,
    NotRegistered,
    NotReplicated,
    PayloadMismatch,
    RegistrationError,
    ResultNotKept,
    TimeLimitExceeded,
    UnknownDependency,
    Unsupported,
    UnsupportedSignature,
    WorkerLapsed,
)
from typedgator.gator import Gator
from typedgator.job import Job, Progress
from typedgator.middleware import Middleware
from typedgator.options import Batch, Options
from typedgator.policy.control import Cancel, Retry, Snooze
from typedgator.policy.options import TaskOptions
from typedgator.policy.retry import RetryPolicy
from typedgator.queues import Queue
from typedgator.task import AsyncTask, SyncTask, Task
from typedgator.upgrades import Call
from typedgator.wire.states import JobState
from typedgator.wire.terms import Secret
from typedgator.worker import Worker, WorkerReport

__version__ = "0.1.0"

__all__ = [
    "AsyncTask",
    "Backend",
    "BackendUnavailable",
    "Batch",
    "BatchIncomplete",
    "Call",
    "Cancel",
    "Clock",
    "ConfigurationError",
    "CurrentJob",
    "EnqueueError",
    "Gator",
    "GatorError",
    "InvalidArguments",
    "Job",
    "JobCanceled",
    "JobError",
    "JobFailed",
    "JobState",
    "JobUnknown",
    "Middleware",
    "NotRegistered",
    "Options",
    "PayloadMismatch",
    "NotReplicated",
    "Progress",
    "Queue",
    "RegistrationError",
    "ResultNotKept",
    "Retry",
    "RetryPolicy",
    "Secret",
    "Snooze",
    "SyncTask",
    "SystemClock",
    "Task",
    "TaskOptions",
    "TimeLimitExceeded",
    "UnknownDependency",
    "Unsupported",
    "UnsupportedSignature",
    "Worker",
    "WorkerLapsed",
    "WorkerReport",
    "__version__",
    "current_job",
]
