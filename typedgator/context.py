"""What a running task may know and say about its own job, without a parameter for it."""

import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from threading import Event
from typing import Final

import msgspec

from typedgator.errors import ConfigurationError, GatorError
from typedgator.wire.ids import JobId, shown_id

__all__ = ["MAX_PROGRESS_BYTES", "CurrentJob", "current_job", "running"]

MAX_PROGRESS_BYTES: Final = 1024


class CurrentJob:
    """The job whose attempt is running here.

    Coroutines and `asyncio.to_thread` calls that the task starts see it too; a `Thread` of its own does so when it is
    started with `contextvars.copy_context().run`.
    """

    __slots__ = (
        "_id",
        "_note",
        "_stop",
        "attempt",
        "enqueued_at_ms",
        "headers",
        "queue",
        "started_at_ms",
        "task",
        "token",
    )

    def __init__(
        self,
        job_id: JobId,
        task: str,
        queue: str,
        attempt: int,
        token: int,
        headers: Mapping[str, str],
        enqueued_at_ms: int,
        note: Callable[[int, bytes], bool] | None = None,
    ) -> None:
        self._id = job_id
        self.task: Final = task
        """The name under which the job is stored."""
        self.queue: Final = queue
        """The queue that it came from."""
        self.attempt: Final = attempt
        """Which run of the job this is, from 1."""
        self.token: Final = token
        """The fencing token: greater than that of every attempt before. `UPDATE … WHERE token < ?` makes a write safe
        from a stale attempt."""
        self.headers: Final = headers
        """What was enqueued with it, and what middleware added."""
        self.enqueued_at_ms: Final = enqueued_at_ms
        """`enqueued_at`, as ms since the epoch."""
        self.started_at_ms: int = 0
        """`started_at`, as ms since the epoch."""
        self._note = note
        self._stop: Event | None = None

    @property
    def id(self) -> str:
        """The job's id."""
        return shown_id(self._id)

    @property
    def enqueued_at(self) -> datetime:
        """When the producer says it enqueued the job, UTC."""
        return datetime.fromtimestamp(self.enqueued_at_ms / 1000, UTC)

    @property
    def started_at(self) -> datetime:
        """When this attempt started, on this machine's clock, UTC."""
        return datetime.fromtimestamp(self.started_at_ms / 1000, UTC)

    @property
    def should_stop(self) -> bool:
        """Whether someone asked this job to stop, or its lease is lost: nothing it returns will be kept."""
        return self._stop is not None and self._stop.is_set()

    def stop(self) -> None:
        """Makes `should_stop` true. The worker calls it."""
        if self._stop is None:
            self._stop = Event()
        self._stop.set()

    def progress(self, value: float, total: float | None = None, text: str = "") -> bool:
        """Keeps how far the job has come, for whoever looks at it. False when the lease is lost.

        At most 1 KiB. Raises ConfigurationError for what is no number or no text, and where the backend keeps no notes.
        """
        said = {
            "value": _number(value, "value"),
            "total": None if total is None else _number(total, "total"),
            "text": _text(text),
        }
        if self._note is None:
            raise ConfigurationError("this backend keeps no progress: see its `can.notes`")
        note = msgspec.msgpack.encode(said)
        if len(note) > MAX_PROGRESS_BYTES:
            raise ConfigurationError(
                f"progress of {len(note)} bytes; at most {MAX_PROGRESS_BYTES} are kept: shorten the text"
            )
        return self._note(self.token, note)


def _number(value: object, name: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            pass
    raise ConfigurationError(f"progress: {name} must be a number, got {value!r:.200}")


def _text(text: object) -> str:
    if isinstance(text, str):
        try:
            text.encode()
        except UnicodeEncodeError:
            pass
        else:
            return text
    raise ConfigurationError(f"progress: text must be text, got {text!r:.200}")


_current: ContextVar[CurrentJob | None] = ContextVar("typedgator_current_job", default=None)


def current_job() -> CurrentJob:
    """The job that runs here. Raises GatorError outside of one, so call it in the task, not at import."""
    job = _current.get()
    if job is None:
        raise GatorError(
            "no job is running here: current_job() works inside a task that a worker (or is_async=False) runs; "
            "a thread that the task starts itself needs contextvars.copy_context().run"
        )
    return job


class running:  # noqa: N801 - it is used as a verb; a generator would cost each attempt half a microsecond
    """Inside, `current_job()` answers `job`."""

    __slots__ = ("_job", "_reset")

    def __init__(self, job: CurrentJob) -> None:
        self._job = job

    def __enter__(self) -> None:
        self._job.started_at_ms = time.time_ns() // 1_000_000
        self._reset = _current.set(self._job)

    def __exit__(self, *error: object) -> None:
        _current.reset(self._reset)
