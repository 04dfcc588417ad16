"""What commands print: a table or a few lines for people, one JSON object for programs; values only when asked for.

The shapes of JSON are these Structs; docs/reference/cli.md shows them. Instants are UTC.
"""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, cast

import click
import msgspec
from msgspec import UNSET, UnsetType

from typedgator.backends.contract import JobRecord
from typedgator.errors import PayloadMismatch
from typedgator.wire.envelope import Envelope, decode_envelope
from typedgator.wire.frame import FrameHead, open_frame
from typedgator.wire.guard import too_much
from typedgator.wire.ids import shown_id
from typedgator.wire.outcome import Outcome, decode_outcome
from typedgator.wire.problems import HIDDEN

__all__ = ["ErrorShown", "JobShown", "ProgressShown", "job_shown", "print_job", "print_json", "print_rows", "say"]

_WIDEST: Final = 10_000


class ErrorShown(msgspec.Struct, frozen=True):
    """The last error of a job."""

    type: str
    message: str
    attempt: int
    traceback: str = ""


class ProgressShown(msgspec.Struct, frozen=True):
    """What a running job said of itself."""

    value: float
    total: float | None = None
    text: str = ""


class JobShown(msgspec.Struct, frozen=True, kw_only=True):
    """One job. What only its stored call knows is null once that is gone; `args` and `result`: when asked for."""

    id: str
    task: str | None
    state: str
    queue: str
    priority: int | None
    attempt: int
    crashes: int
    retries: int | None
    accepted_at: datetime | None
    due_at: datetime | None
    expires_at: datetime | None
    finished_at: datetime | None
    worker: str | None
    cancel_requested: bool
    waits_for: list[str]
    reason: str
    error: ErrorShown | None
    progress: ProgressShown | None
    headers: dict[str, str]
    args: object = UNSET
    result: object = UNSET


def job_shown(record: JobRecord, *, values: bool = False) -> JobShown:
    """A stored record as it is shown. Bytes that cannot be read are shown as missing: looking never fails."""
    head, envelope = _opened(record)
    outcome = _outcome(record)
    error = None
    if outcome is not None and outcome.error is not None:
        told = outcome.error
        error = ErrorShown(told.type, told.message, outcome.attempt, told.traceback)
    return JobShown(
        id=shown_id(record.job_id),
        task=envelope.task if envelope else (outcome.task or None) if outcome else None,
        state=record.state.value,
        queue=record.queue,
        priority=head.priority if head else None,
        attempt=record.attempt,
        crashes=record.crashes,
        retries=envelope.policy.retries if envelope else None,
        accepted_at=_instant(head.accepted_ms) if head else None,
        due_at=_instant(record.due_ms),
        expires_at=_instant(head.expires_ms or None) if head else None,
        finished_at=_instant(record.finished_ms),
        worker=record.worker,
        cancel_requested=record.cancel_requested,
        waits_for=[shown_id(parent) for parent in record.parents],
        reason=record.reason,
        error=error,
        progress=_progress(record.progress),
        headers=envelope.headers if envelope else {},
        args=(_arguments(envelope) if envelope else None) if values else UNSET,
        result=_result(outcome) if values else UNSET,
    )


def _opened(record: JobRecord) -> tuple[FrameHead | None, Envelope | None]:
    if record.frame is None:
        return None, None
    try:
        head = open_frame(record.frame)
    except PayloadMismatch:
        return None, None
    try:
        return head, decode_envelope(head.envelope)
    except PayloadMismatch:
        return head, None


def _outcome(record: JobRecord) -> Outcome | None:
    try:
        return None if record.outcome is None else decode_outcome(record.outcome)
    except PayloadMismatch:
        return None


def _arguments(envelope: Envelope) -> object:
    """The arguments, secret ones hidden as their producer said."""
    values = _plain(bytes(envelope.args))
    if not isinstance(values, dict):
        return HIDDEN if envelope.secret else values
    named = cast("dict[object, object]", values)
    return {name: HIDDEN if name in envelope.secret else value for name, value in named.items()}


def _result(outcome: Outcome | None) -> object:
    if outcome is not None and outcome.secret:
        return HIDDEN
    return _plain(bytes(outcome.result)) if outcome is not None and outcome.kind == "result" else None


def _plain(payload: bytes) -> object:
    """Stored values without their types: JSON has bytes in base64, dates are text, an Enum is its value."""
    reason = too_much(payload, typed=False)
    if reason:
        return f"(not shown: {reason})"
    try:
        values = msgspec.msgpack.decode(payload)
        msgspec.to_builtins(values, str_keys=True, enc_hook=repr)  # that JSON can have them
        return values
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError, ValueError) as error:
        return f"(not readable: {error})"


def _progress(noted: bytes | None) -> ProgressShown | None:
    try:
        return None if noted is None else msgspec.msgpack.decode(noted, type=ProgressShown)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _instant(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)


def print_json(shape: object) -> None:
    """One JSON object, indented, never coloured."""
    plain = msgspec.to_builtins(shape, str_keys=True, enc_hook=repr)
    click.echo(msgspec.json.format(msgspec.json.encode(plain), indent=2).decode())


def say(text: str) -> None:
    """One plain line on standard output; a few, where the text has some."""
    click.echo(_harmless(text))


def print_rows(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, numbers: frozenset[str] = frozenset()
) -> None:
    """A table. Where standard output is no terminal, nothing is shortened, so that `grep` and `cut` find all of it."""
    from rich import box  # here, so that a worker's process, which prints no table, is without it
    from rich.console import Console
    from rich.table import Table

    is_terminal = sys.stdout.isatty()
    table = Table(box=box.SIMPLE_HEAD if is_terminal else None, pad_edge=False)
    for place, name in enumerate(columns):
        table.add_column(
            name,
            justify="right" if name in numbers else "left",
            no_wrap=place == 0 or name in numbers,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    Console(markup=False, highlight=False, width=None if is_terminal else _WIDEST).print(table)


def print_job(job: JobShown) -> None:
    """One job, line by line; what is empty is left out."""
    lines: dict[str, object] = {
        "id": job.id,
        "task": job.task or "(not kept)",
        "state": f"{job.state}: {job.reason}" if job.reason else job.state,
        "queue": job.queue,
        "priority": job.priority,
        "attempt": f"{job.attempt} of {job.retries + 1}" if job.retries is not None else job.attempt,
        "crashes": job.crashes or None,
        "accepted": job.accepted_at,
        "due": job.due_at,
        "expires": job.expires_at,
        "finished": job.finished_at,
        "worker": job.worker,
        "waits for": ", ".join(job.waits_for),
        "asked to stop": "yes" if job.cancel_requested else None,
        "progress": _progress_line(job.progress),
        **{f"header {name}": value for name, value in job.headers.items()},
        "error": f"{job.error.type}: {job.error.message} (attempt {job.error.attempt})" if job.error else None,
    }
    if not isinstance(job.args, UnsetType):
        lines["arguments"] = repr(job.args)
    if not isinstance(job.result, UnsetType):
        lines["result"] = repr(job.result)
    width = max(map(len, lines)) + 2
    for name, value in lines.items():
        if value not in (None, ""):
            say(f"{name + ':':<{width}}{_cell(value)}")
    if job.error is not None and job.error.traceback:
        say("traceback:")
        say(job.error.traceback.rstrip())


def _progress_line(progress: ProgressShown | None) -> str:
    if progress is None:
        return ""
    total = "" if progress.total is None else f" of {progress.total:g}"
    return f"{progress.value:g}{total} {progress.text}".rstrip()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value.astimezone():%Y-%m-%d %H:%M:%S}"
    return _harmless(str(value))


def _harmless(text: str) -> str:
    """The text with what would steer a terminal spelled out: what is stored may be anybody's."""
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)
