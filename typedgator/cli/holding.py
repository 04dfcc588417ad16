"""What held jobs wait for, by task and arguments: how many, why, since when, and when the first of them will fail."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Final

import msgspec

from typedgator.backends.contract import Holding, Inspect, JobRecord
from typedgator.errors import PayloadMismatch
from typedgator.gator import Gator
from typedgator.registry import Registry
from typedgator.wire.envelope import decode_envelope
from typedgator.wire.frame import open_frame
from typedgator.wire.states import JobState

__all__ = ["HeldShown", "held_shown", "names_of", "task_shown"]

_LOOKED_AT: Final = 10_000
"""Reasons and times are those of so many held jobs at most; how many there are is always told."""
_PAGE: Final = 250


class HeldShown(msgspec.Struct, frozen=True):
    """Held jobs of one task with arguments of one fingerprint. `reason` is that of the one that will fail first."""

    task: str
    schema: str
    jobs: int
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def held_shown(gator: Gator) -> list[HeldShown]:
    """What there is, the kind that has least time left first."""
    backend = gator.backend
    if not isinstance(backend, Holding) or not backend.can.holding:
        return []
    kinds = backend.held_kinds()
    if not kinds:
        return []
    first: dict[tuple[str, str], JobRecord] = {}
    since: dict[tuple[str, str], int] = {}
    for kind, record in islice(_held(backend), _LOOKED_AT):
        if kind not in first or (record.due_ms or 0) < (first[kind].due_ms or 0):
            first[kind] = record
        if record.held_ms is not None:
            since[kind] = min(record.held_ms, since.get(kind, record.held_ms))
    shown = [_shown(kind.task, kind.schema, kind.jobs, first, since) for kind in kinds]
    return sorted(shown, key=lambda each: (each.until is None, each.until, each.task, each.schema))


def names_of(registry: Registry, task: str) -> set[str]:
    """The names that jobs of a task are stored under, as far as this gator knows: its own and its aliases."""
    known = registry.find(task)
    return {task} if known is None else {known.name, *known.aliases}


def task_shown(registry: Registry, stored: str | None) -> str | None:
    """A stored name; of a task that has another one now, both."""
    if stored is None:
        return None
    known = registry.find(stored)
    if known is not None and known.name != stored:
        return f"{stored} (now {known.name})"
    return f"{stored} (retired)" if stored in registry.retired else stored


def _shown(
    task: str, schema: str, jobs: int, first: dict[tuple[str, str], JobRecord], since: dict[tuple[str, str], int]
) -> HeldShown:
    record = first.get((task, schema))
    if record is None:
        return HeldShown(task, schema, jobs)
    return HeldShown(task, schema, jobs, record.reason, _instant(since.get((task, schema))), _instant(record.due_ms))


def _held(backend: object) -> Iterator[tuple[tuple[str, str], JobRecord]]:
    """Held jobs, each with what it waits for."""
    if not isinstance(backend, Inspect):
        return
    after: str | None = None
    while True:
        page = backend.page(JobState.HELD, after=after, limit=_PAGE)
        for record in page.records:
            try:
                envelope = decode_envelope(open_frame(record.frame or b"").envelope)
            except PayloadMismatch:
                continue
            yield (envelope.task, envelope.schema), record
        after = page.after
        if after is None:
            return


def _instant(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)
