"""One attempt, from a claimed frame to a settlement: opened, called, closed. Nothing here waits, stores or retries.

open_attempt   frame -> envelope -> task -> arguments, upgraded if they are an older release's; or at once a settlement:
               held, or failed or canceled with its reason
call / acall   the only `try` around user code; whatever it does becomes an Ending
close_attempt  Ending -> Verdict by the job's own policy; a result that cannot be stored is a failure, not a re-run

Neither opening nor closing ever raises: a claimed job that is not settled would stay with its worker for ever.
"""

import asyncio
import logging
import random
import traceback
from collections.abc import Callable, Coroutine
from functools import partial
from threading import current_thread, main_thread
from typing import Final, TypeAlias, assert_never, cast

import msgspec

from typedgator.backends.contract import Claimed
from typedgator.context import CurrentJob, running
from typedgator.errors import InvalidArguments, NotRegistered, PayloadMismatch, TimeLimitExceeded
from typedgator.job import Job
from typedgator.middleware import Middleware
from typedgator.policy.control import Cancel, Snooze
from typedgator.policy.retry import class_name, retry_delay_ms
from typedgator.producer import TaskSpec
from typedgator.registry import AnyTask, Registry
from typedgator.task import AsyncTask
from typedgator.upgrades import Call, Upgrade
from typedgator.wire.envelope import Envelope, JobPolicy, decode_envelope
from typedgator.wire.frame import FrameHead, open_frame
from typedgator.wire.outcome import MAX_TRACEBACK_BYTES, ErrorRecord, Outcome, encode_outcome
from typedgator.wire.schema import RefusedByCode
from typedgator.wire.verdict import (
    HELD_MS,
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
    Verdict,
)

__all__ = [
    "Attempt",
    "Ending",
    "Raised",
    "Returned",
    "Stopped",
    "acall",
    "announce_end",
    "announce_start",
    "call",
    "close_attempt",
    "open_attempt",
    "stored_task",
    "unwritable",
]

logger: Final = logging.getLogger("typedgator")

_TEXT_LIMIT: Final = MAX_TRACEBACK_BYTES
MAX_REASON: Final = 500
"""So many characters of why a job is held are kept."""
_FRAMES: Final = 40
"""The last frames of a traceback, more than fit into its bytes: a RecursionError has a thousand."""


class Attempt:
    """An attempt that can be called: its task, its arguments, and what `current_job()` will say.

    Where `late` is there, it cannot be called yet: first the user's upgrade is to be run, off the actors' threads.
    `late` does so, and gives the attempt that can be called, or a settlement.
    """

    __slots__ = ("args", "claimed", "envelope", "job", "kwargs", "late", "started", "task")

    def __init__(
        self,
        claimed: Claimed,
        envelope: Envelope,
        task: AnyTask,
        args: tuple[object, ...],
        kwargs: dict[str, object],
        job: CurrentJob,
        late: "Callable[[], Attempt | Settlement] | None" = None,
    ) -> None:
        self.claimed: Final = claimed
        self.envelope: Final = envelope
        self.task: Final = task
        self.args: Final = args
        self.kwargs: Final = kwargs
        self.job: Final = job
        self.late: Final = late
        self.started: float = 0.0

    @property
    def policy(self) -> JobPolicy:
        """What was promised for this job at enqueue."""
        return self.envelope.policy

    @property
    def is_async(self) -> bool:
        """Whether the task is an `async def`."""
        return isinstance(self.task, AsyncTask)


class Returned(msgspec.Struct, frozen=True, gc=False):
    """The task returned this."""

    value: object


class Raised(msgspec.Struct, frozen=True, gc=False):
    """The task raised this: an error, or a signal (Retry, Snooze, Cancel)."""

    error: BaseException


class Stopped(msgspec.Struct, frozen=True, gc=False):
    """The task was stopped from outside: somebody `canceled` it, or the worker ends and gives the job back."""

    canceled: bool


Ending: TypeAlias = Returned | Raised | Stopped


def open_attempt(
    claimed: Claimed,
    registry: Registry,
    note: Callable[[int, bytes], bool] | None = None,
    *,
    hold_ms: int = HELD_MS,
    upgrade_late: bool = False,
) -> Attempt | Settlement:
    """Makes a claimed frame callable, or settles it at once: nothing that a job's bytes say can hurt the worker.

    A job that this worker cannot run is held for `hold_ms` at most. `upgrade_late`: see `Attempt`; no upgrade is run.
    """
    task = ""
    try:
        head = open_frame(claimed.frame)
        envelope = decode_envelope(head.envelope)
        task = envelope.task
        opened = _opened(claimed, head, envelope, registry, note, hold_ms if upgrade_late else None)
    except Exception as error:  # PayloadMismatch; and whatever a user's validator raises in there
        return Settlement(claimed.job_id, claimed.token, Failed(_error_outcome(claimed, task, error)))
    if isinstance(opened, _Misfit):
        held = Held(_storable(opened.reason)[:MAX_REASON], envelope.task, envelope.schema, hold_ms)
        return Settlement(claimed.job_id, claimed.token, held)
    return opened


def stored_task(claimed: Claimed) -> str:
    """The name that a frame says its task has; "" when it cannot be read."""
    try:
        return decode_envelope(open_frame(claimed.frame).envelope).task
    except PayloadMismatch:
        return ""


class _Misfit(msgspec.Struct, frozen=True, gc=False):
    """Why this worker cannot run a job that another one may be able to run."""

    reason: str


def _opened(
    claimed: Claimed,
    head: FrameHead,
    envelope: Envelope,
    registry: Registry,
    note: Callable[[int, bytes], bool] | None,
    late_hold_ms: int | None,
) -> Attempt | Settlement | _Misfit:
    task = registry.find(envelope.task)
    if task is None:
        return _without_task(claimed, envelope.task, registry)
    schema = task.spec.arguments
    job = CurrentJob(
        claimed.job_id,
        task=task.name,
        queue=head.queue,
        attempt=claimed.attempt,
        token=claimed.token,
        headers=envelope.headers,
        enqueued_at_ms=envelope.enqueued_at,
        note=note,
    )
    if envelope.schema != schema.fingerprint and (upgrade := task.upgrades.get(envelope.schema)) is not None:
        if late_hold_ms is not None:
            late = partial(open_attempt, claimed, registry, note, hold_ms=late_hold_ms)
            return Attempt(claimed, msgspec.structs.replace(envelope, task=task.name), task, (), {}, job, late)
        upgraded = _upgraded(claimed, envelope, task, upgrade)
        if not isinstance(upgraded, Envelope):
            return upgraded
        present = upgraded
    elif envelope.task != task.name:
        present = msgspec.structs.replace(envelope, task=task.name)
    else:
        present = envelope
    try:
        args, kwargs = schema.decode(bytes(present.args), fingerprint=present.schema)
    except PayloadMismatch as error:
        # Under its own schema a rule cannot be broken by a producer; code of one name may say more than it did there.
        if envelope.schema == schema.fingerprint and not isinstance(error, RefusedByCode):
            raise
        return _Misfit(str(error))
    return Attempt(claimed, present, task, args, kwargs, job)


def _without_task(claimed: Claimed, name: str, registry: Registry) -> Settlement | _Misfit:
    """What becomes of a job whose task is not here: its release is to come, or to come back; or its task is over."""
    then = registry.retired.get(name)
    if then is None:
        return _Misfit(f"task {name} is not known to the worker that took it")
    if then == "cancel":
        return Settlement(claimed.job_id, claimed.token, Canceled("retired"))
    error = NotRegistered(f"task {name} is retired: its jobs are not run any more")
    return Settlement(claimed.job_id, claimed.token, Failed(_error_outcome(claimed, name, error)))


def _upgraded(claimed: Claimed, envelope: Envelope, task: AnyTask, upgrade: Upgrade) -> Envelope | Settlement | _Misfit:
    """The envelope as this release would have written it, by the user's function."""
    made_by = f"{task.name}: its upgrade from {upgrade.arguments.shown}"
    try:
        made = upgrade.carry(bytes(envelope.args))
    except Cancel as signal:
        return Settlement(claimed.job_id, claimed.token, Canceled(_storable(signal.reason)))
    except BaseException as error:  # as in call
        if isinstance(error, KeyboardInterrupt) and current_thread() is main_thread():
            raise  # Ctrl-C, which only that thread hears: meant for whoever runs a job there
        told = class_name(type(error)).removeprefix("builtins.")
        if upgrade.arguments.may_be_shown and task.spec.arguments.may_be_shown:
            told += f": {_refused_call(error) if isinstance(error, InvalidArguments) else _text_of(error)}"
        return _Misfit(f"{made_by} raised {told}")
    what, must = type(made).__name__, f"and must return a call of {task.name}"
    if not isinstance(made, Call):
        return _Misfit(f"{made_by} returned {what}, {must}")
    present = cast("Call[object]", made)
    if present.task != task.name:
        return _Misfit(f"{made_by} returned a call of {present.task}, {must}")
    return msgspec.structs.replace(
        envelope, task=task.name, schema=present.arguments.fingerprint, args=msgspec.Raw(present.payload)
    )


def _refused_call(error: InvalidArguments) -> str:
    """In one line and without the values, which a held reason and a log keep."""
    return "; ".join(problem.partition(", got ")[0] for problem in error.problems)


def call(attempt: Attempt, middleware: tuple[Middleware, ...] = ()) -> Ending:
    """Runs a sync task in this thread. Never raises."""
    try:
        with running(attempt.job):
            if not middleware:
                return Returned(attempt.task.fn(*attempt.args, **attempt.kwargs))
            return Returned(_inside(attempt, middleware, lambda: attempt.task.fn(*attempt.args, **attempt.kwargs)))
    except BaseException as error:  # user code may raise anything, SystemExit and KeyboardInterrupt included
        return Raised(error)


async def acall(attempt: Attempt, middleware: tuple[Middleware, ...] = ()) -> Ending:
    """Runs an async task on this loop. Raises CancelledError when it was cancelled, by whomever, else nothing."""
    limit_ms = attempt.policy.time_limit_ms
    deadline = None if limit_ms is None else asyncio.timeout(limit_ms / 1000)
    try:
        with running(attempt.job):
            if deadline is not None:
                async with deadline:
                    return Returned(await _ainside(attempt, middleware))
            return Returned(await (_ainside(attempt, middleware) if middleware else _coroutine(attempt)))
    except TimeoutError as error:
        if limit_ms is not None and deadline is not None and deadline.expired():
            return Raised(
                TimeLimitExceeded(f"{attempt.envelope.task} ran longer than its time_limit of {limit_ms / 1000:g} s")
            )
        return Raised(error)
    except asyncio.CancelledError:
        raise  # only the caller knows whether it was the one who asked
    except BaseException as error:  # as in call
        return Raised(error)


def announce_start(attempt: Attempt, registry: Registry, handle: Job[object]) -> None:
    """Runs the job's `on_start` hook. Never raises: a hook's error is logged, and the job goes on."""
    if attempt.policy.on_start is not None:
        _call_hook(registry, attempt.policy.on_start, handle)


def announce_end(attempt: Attempt, ending: Ending, verdict: Verdict, registry: Registry, handle: Job[object]) -> None:
    """Runs the hook of an end that was written: `on_success`, or `on_error` at the final failure. Never raises."""
    match verdict, ending:
        case Succeeded(), Returned(value):
            if attempt.policy.on_success is not None:
                _call_hook(registry, attempt.policy.on_success, handle, value)
        case Failed(), Raised(error):
            if attempt.policy.on_error is not None:
                _call_hook(registry, attempt.policy.on_error, handle, error)
        case Failed(), Returned():
            if attempt.policy.on_error is not None:
                reason = PayloadMismatch(f"what {attempt.envelope.task} returned could not be stored")
                _call_hook(registry, attempt.policy.on_error, handle, reason)
        case _:
            pass


def _call_hook(registry: Registry, name: str, *args: object) -> None:
    hook = registry.hook(name)
    if hook is None:
        logger.error("hook %s is not known to this worker, so it was not called; the job is not affected", name)
        return
    try:
        hook(*args)
    except Exception:
        logger.exception("hook %s failed; the job is not affected", name)


def close_attempt(attempt: Attempt, ending: Ending) -> Settlement:
    """What an attempt ended as, by the policy that the job was promised."""
    claimed = attempt.claimed
    try:
        verdict = _verdict(attempt, ending)
    except Exception as error:  # a user's exception may be anything, such as a Snooze without a delay
        verdict = Failed(_error_outcome(claimed, attempt.envelope.task, error))
    return Settlement(claimed.job_id, claimed.token, verdict)


def unwritable(settlement: Settlement, error: Exception) -> Settlement:
    """What is written instead of a settlement that the backend cannot write: it ran, so it is not run again."""
    text = _storable(f"what it ended as ({settlement.verdict.kind}) could not be written: {_text_of(error)}")
    record = ErrorRecord(type=_storable(class_name(type(error))), message=text)
    outcome = Outcome(kind="error", error=record, token=settlement.token)
    return Settlement(settlement.job_id, settlement.token, Failed(encode_outcome(outcome)))


def _verdict(attempt: Attempt, ending: Ending) -> Verdict:
    match ending:
        case Returned(value):
            return _succeeded(attempt, value)
        case Raised(Snooze() as signal):
            return Snoozed(signal.delay_ms)
        case Raised(Cancel() as signal):
            return Canceled(_storable(signal.reason))
        case Raised(error):
            failures = attempt.claimed.attempt - attempt.claimed.crashes
            outcome = _error_outcome(attempt.claimed, attempt.envelope.task, error, attempt.job.started_at_ms)
            delay_ms = retry_delay_ms(attempt.policy, error, failures, random.random())
            return Failed(outcome) if delay_ms is None else RetryIn(delay_ms, outcome)
        case Stopped(canceled):
            return Canceled() if canceled else Released()
        case _:
            assert_never(ending)


def _succeeded(attempt: Attempt, value: object) -> Verdict:
    spec, keep_ms = attempt.task.spec, attempt.policy.keep_result_ms
    if spec.returns_nothing and value is None:
        return _SUCCEEDED if keep_ms is None else Succeeded(None, max(keep_ms, KEPT_ID_MS))
    try:
        payload = spec.results.encode(value)
    except PayloadMismatch as error:  # it ran, so running it again would be wrong
        return Failed(_error_outcome(attempt.claimed, spec.name, error, attempt.job.started_at_ms))
    if keep_ms is not None and keep_ms < 0:
        return _SUCCEEDED
    return Succeeded(
        _result_outcome(attempt, spec, payload), KEPT_RESULT_MS if keep_ms is None else max(keep_ms, KEPT_ID_MS)
    )


_SUCCEEDED: Final = Succeeded()


def _result_outcome(attempt: Attempt, spec: TaskSpec, payload: bytes) -> bytes:
    return encode_outcome(
        Outcome(
            kind="result",
            result=msgspec.Raw(payload),
            task=spec.name,
            attempt=attempt.claimed.attempt,
            token=attempt.claimed.token,
            schema=spec.results.fingerprint,
            secret=spec.results.is_secret,
            started_at=attempt.job.started_at_ms,
        )
    )


def _error_outcome(claimed: Claimed, task: str, error: BaseException, started_at: int = 0) -> bytes:
    record = ErrorRecord(
        type=_storable(class_name(type(error)).removeprefix("builtins.")),
        message=_text_of(error),
        traceback=_traceback_of(error),
    )
    return encode_outcome(
        Outcome(
            kind="error",
            error=record,
            task=task,
            attempt=claimed.attempt,
            token=claimed.token,
            started_at=started_at,
        )
    )


def _text_of(error: BaseException) -> str:
    try:
        return _storable(str(error))
    except BaseException:  # a user's __str__
        return "(its __str__ failed)"


def _traceback_of(error: BaseException) -> str:
    if isinstance(error, PayloadMismatch):
        return ""
    frames = traceback.extract_tb(error.__traceback__, limit=-_FRAMES)
    own = next((n for n, frame in enumerate(frames) if frame.filename != __file__), 0)
    return _storable("".join(traceback.format_list(frames[own:])), keep_end=True)


def _storable(text: str, *, keep_end: bool = False) -> str:
    """At most 4 KiB of UTF-8, whatever a user's error says."""
    raw = str.encode(text, "utf-8", "replace")
    if len(raw) > _TEXT_LIMIT:
        raw = raw[-_TEXT_LIMIT:] if keep_end else raw[:_TEXT_LIMIT]
    return raw.decode("utf-8", "ignore")


def _coroutine(attempt: Attempt) -> Coroutine[object, None, object]:
    return cast("Coroutine[object, None, object]", attempt.task.fn(*attempt.args, **attempt.kwargs))


def _inside(attempt: Attempt, layers: tuple[Middleware, ...], fn: Callable[[], object]) -> object:
    if not layers:
        return fn()
    with layers[0].call(attempt.envelope):
        return _inside(attempt, layers[1:], fn)


async def _ainside(attempt: Attempt, layers: tuple[Middleware, ...]) -> object:
    if not layers:
        return await _coroutine(attempt)
    async with layers[0].acall(attempt.envelope):
        return await _ainside(attempt, layers[1:])
