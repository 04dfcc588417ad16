"""Job: a handle on one queued call. It holds an id and asks the backend; it caches nothing but a final answer."""

import asyncio
import time
from datetime import timedelta
from typing import Final, Generic, Never, Protocol, TypeVar, cast

import msgspec

from typedgator.backends.contract import Backend, CancelAnswer, JobRecord, Results, on_loops
from typedgator.errors import GatorError, JobCanceled, JobFailed, JobUnknown, PayloadMismatch, Unsupported
from typedgator.policy.durations import to_ms
from typedgator.wire.ids import JobId, parse_id, shown_id
from typedgator.wire.outcome import Outcome, decode_outcome
from typedgator.wire.states import FINAL, JobState

__all__ = ["Job", "Progress", "ResultReader", "untyped_result"]

R_co = TypeVar("R_co", covariant=True)

_SLICE_MS: Final = 1000
"""How long one call waits in the backend before the deadline is looked at again."""


class ResultReader(Protocol[R_co]):
    """Turns a stored result back into the value that the task returned. Raises PayloadMismatch or ResultNotKept."""

    def __call__(self, job_id: str, outcome: Outcome | None, /) -> R_co: ...


class Progress(msgspec.Struct, frozen=True):
    """How far a running job says it has come: `value` of `total`, if it said that, and a `text` for people."""

    value: float
    total: float | None = None
    text: str = ""


class Job(Generic[R_co]):
    """One queued call whose result is an `R_co`. Two handles on the same job are equal.

    Every method asks the backend, and raises JobUnknown once the job is forgotten and BackendUnavailable when there is
    no answer. Each has an async twin with an `a` before its name.
    """

    __slots__ = ("_backend", "_final", "_id", "_read", "duplicate")

    def __init__(
        self,
        backend: Backend,
        job_id: JobId | str,
        read: ResultReader[R_co],
        *,
        duplicate: bool = False,
        final: JobRecord | None = None,
    ) -> None:
        self._backend = backend
        self._id = job_id if isinstance(job_id, bytes) else parse_id(job_id)
        self._read = read
        self._final = final
        self.duplicate: bool = duplicate
        """Whether the call that gave this handle found the job already there (same id, or same unique key)."""

    @property
    def id(self) -> str:
        """The id as text: keep it, and `gator.job(id)` finds the job again."""
        return shown_id(self._id)

    def state(self) -> JobState:
        """Where the job is now."""
        return self._known(0).state

    def result(self, timeout: float | timedelta | None = None) -> R_co:
        """What the task returned; waits for it, up to `timeout` (seconds or timedelta; None: for ever).

        Raises TimeoutError when it is not finished by then, JobFailed, JobCanceled, or ResultNotKept.
        """
        patience = _Patience(timeout)
        while (record := self._known(patience.slice_ms())).state not in FINAL:
            patience.check(self.id, record.state)
        return self._value(record)

    def record(self) -> JobRecord:
        """All that the storage knows of the job, as it is stored; of one that ran where it was enqueued, its end."""
        return self._known(0)

    def cancel(self) -> bool:
        """Asks that the job does not run, or stops. True: it is canceled, or its worker will be told; False: it already
        ended.

        A running `async def` task is cancelled at its next await, a running sync task sees `current_job().should_stop`.
        """
        if self._final is not None:
            return self._final.state is JobState.CANCELED
        return self._canceled(self._backend.cancel(self._id))

    def progress(self) -> Progress | None:
        """What the running task last said of its progress, or None. Raises PayloadMismatch when it cannot be read."""
        return _progress(self._known(0))

    async def astate(self) -> JobState:
        """`state`, from async code."""
        return (await self._aknown(0)).state

    async def aresult(self, timeout: float | timedelta | None = None) -> R_co:  # noqa: ASYNC109 - the twin of result
        """`result`, from async code."""
        patience = _Patience(timeout)
        # Slice by slice: a thread cannot be cancelled, and whoever stopped waiting would wait for it at the loop's end.
        while (record := await self._aknown(patience.slice_ms())).state not in FINAL:
            patience.check(self.id, record.state)
        return self._value(record)

    async def acancel(self) -> bool:
        """`cancel`, from async code."""
        loops = on_loops(self._backend)
        if loops is None or self._final is not None:
            return await asyncio.to_thread(self.cancel)
        return self._canceled(await loops.acancel(self._id))

    async def aprogress(self) -> Progress | None:
        """`progress`, from async code."""
        return _progress(await self._aknown(0))

    def adopt(self, answer: "Job[object]") -> None:
        """Becomes a handle on the job that stands for this call: the handles of a batch exist before its jobs do."""
        self._id, self.duplicate, self._final = answer._id, answer.duplicate, answer._final

    def _known(self, wait_ms: int) -> JobRecord:
        if self._final is not None:
            return self._final
        if not isinstance(self._backend, Results):
            raise Unsupported("this backend keeps no states and results: see its `can.results`")
        return self._seen(self._backend.outcome(self._id, wait_ms=wait_ms))

    async def _aknown(self, wait_ms: int) -> JobRecord:
        if self._final is not None:
            return self._final
        loops = on_loops(self._backend)
        if loops is None:
            return await asyncio.to_thread(self._known, wait_ms)
        return self._seen(await loops.aoutcome(self._id, wait_ms=wait_ms))

    def _seen(self, record: JobRecord | None) -> JobRecord:
        if record is None:
            raise JobUnknown(self.id)
        if record.state in FINAL and record.state is not JobState.FAILED:  # a failed job may be requeued
            self._final = record
        return record

    def _canceled(self, answer: CancelAnswer) -> bool:
        if answer is CancelAnswer.UNKNOWN:
            raise JobUnknown(self.id)
        return answer is not CancelAnswer.TOO_LATE

    def _value(self, record: JobRecord) -> R_co:
        outcome = None if record.outcome is None else decode_outcome(record.outcome)
        if record.state is JobState.CANCELED:
            raise JobCanceled(self.id, record.reason or "canceled")
        if record.state is JobState.FAILED:
            error = None if outcome is None else outcome.error
            if record.reason or error is None:
                raise JobFailed(self.id, "typedgator", record.reason or "the reason was not kept", "", record.attempt)
            raise JobFailed(self.id, error.type, error.message, error.traceback, record.attempt)
        return self._read(self.id, outcome)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and cast("Job[object]", other)._id == self._id

    def __hash__(self) -> int:
        return hash(self._id)

    def __reduce__(self) -> Never:
        raise GatorError(
            "a Job cannot be pickled or copied, it holds a connection: send job.id, and gator.job(id) there"
        )

    def __repr__(self) -> str:
        return f"<Job {self.id}>"


def _progress(record: JobRecord) -> Progress | None:
    noted = record.progress
    if noted is None:
        return None
    try:
        return msgspec.msgpack.decode(noted, type=Progress)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PayloadMismatch(f"progress of {len(noted)} bytes cannot be read: {error}") from error


class _Patience:
    """How long someone still waits for a result. Raises ConfigurationError for a timeout that cannot mean anything."""

    def __init__(self, timeout: float | timedelta | None) -> None:
        self._ms = None if timeout is None else to_ms(timeout, "timeout")
        self._since = time.monotonic()

    def slice_ms(self) -> int:
        """How long to wait at once."""
        return _SLICE_MS if self._ms is None else min(_SLICE_MS, max(0, self._ms - self._waited_ms()))

    def check(self, job_id: str, state: JobState) -> None:
        """Raises TimeoutError when the time is over."""
        if self._ms is not None and self._waited_ms() >= self._ms:
            raise TimeoutError(f"job {job_id} is {state}, not finished, after {self._ms / 1000:g} s; it goes on")

    def _waited_ms(self) -> int:
        return int((time.monotonic() - self._since) * 1000)


def untyped_result(job_id: str, outcome: Outcome | None) -> object:
    """Reads a result whose task is not known here: plain msgpack values."""
    if outcome is None:
        return None
    return msgspec.msgpack.decode(outcome.result)
