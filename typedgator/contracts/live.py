"""The deploy gate: what this release would do with every job that is stored now.

Each job is opened exactly as a worker opens it, upgrades, aliases and retired names included, and then let go: nothing
is claimed, settled or written, and no task runs. A queue that moves meanwhile is read in the order that jobs go, so
that a job is rather read twice than missed; what is enqueued later by an old producer is for `schema check` to judge.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from typedgator.attempt import Attempt
from typedgator.backends.contract import Claimed, Inspect, JobRecord
from typedgator.errors import PayloadMismatch
from typedgator.execution import open_attempt
from typedgator.registry import Registry
from typedgator.wire.envelope import decode_envelope
from typedgator.wire.frame import open_frame
from typedgator.wire.ids import JobId, shown_id
from typedgator.wire.outcome import decode_outcome
from typedgator.wire.states import JobState
from typedgator.wire.verdict import Canceled, Failed, Held, Settlement

__all__ = ["READ_STATES", "Live", "Stranded", "look"]

READ_STATES: Final = (
    JobState.BLOCKED,
    JobState.SCHEDULED,
    JobState.RETRYING,
    JobState.WAITING,
    JobState.RUNNING,
    JobState.HELD,
    JobState.FAILED,
)
"""Where there are jobs that may still run: a failed one when somebody requeues it."""

_NOT_STARTED: Final = (JobState.BLOCKED, JobState.SCHEDULED, JobState.WAITING)
_PAGE: Final = 250
_IDS: Final = 5


class Stranded(msgspec.Struct, frozen=True):
    """Jobs of one task, written under one schema, that this release could not run, and why."""

    task: str
    schema: str
    jobs: int
    reason: str
    states: dict[str, int]
    ids: list[str]


class Live(msgspec.Struct, frozen=True):
    """What was found: so many jobs read, those that fit, those that end unrun because a release says so."""

    read: int
    fit: int
    ended: int
    stranded: list[Stranded]


class _Kind:
    """What is gathered of one task and schema."""

    def __init__(self) -> None:
        self.jobs: set[JobId] = set()
        self.reasons: Counter[str] = Counter()
        self.states: Counter[str] = Counter()

    def stranded(self, task: str, schema: str) -> Stranded:
        [(reason, times), *others] = self.reasons.most_common()
        if others:
            rest = sum(times for _, times in others)
            reason = f"{reason} ({times} jobs; {rest} more for other reasons)"
        return Stranded(
            task,
            schema,
            len(self.jobs),
            reason,
            dict(self.states),
            [shown_id(each) for each in sorted(self.jobs)[:_IDS]],
        )


def look(
    backend: Inspect, registry: Registry, states: Sequence[JobState] = READ_STATES, *, now_ms: int | None = None
) -> Live:
    """Opens every stored job in these states with the tasks of this release.

    `now_ms` is for expiries, else this machine's clock is asked: what is past its own will not run under any release.
    """
    now = round(time.time() * 1000) if now_ms is None else now_ms
    seen = fit = ended = 0
    kinds: dict[tuple[str, str], _Kind] = {}
    for state in states:
        for record in _records(backend, state):
            seen += 1
            why = "" if _is_expired(record, now) else _fate(record, registry)
            if why is None:
                fit += 1
            elif why == "":
                ended += 1
            else:
                kind = kinds.setdefault(_written(record), _Kind())
                if record.job_id not in kind.jobs:
                    kind.jobs.add(record.job_id)
                    kind.reasons[why] += 1
                    kind.states[str(state)] += 1
    found = [kind.stranded(task, schema) for (task, schema), kind in sorted(kinds.items())]
    return Live(seen, fit, ended, found)


def _records(backend: Inspect, state: JobState) -> Iterator[JobRecord]:
    after: str | None = None
    while True:
        page = backend.page(state, after=after, limit=_PAGE)
        yield from page.records
        after = page.after
        if after is None:
            return


def _is_expired(record: JobRecord, now: int) -> bool:
    """Whether it is canceled as soon as anybody looks: one that was never started, and is too late to be."""
    if record.frame is None or record.state not in _NOT_STARTED or record.attempt:
        return False
    try:
        expires = open_frame(record.frame).expires_ms
    except PayloadMismatch:
        return False
    return 0 < expires <= now


def _fate(record: JobRecord, registry: Registry) -> str | None:
    """None: it would run. "": this release ends it on purpose. Else why it could not be run."""
    if record.frame is None:
        return None  # it ended meanwhile: only its memory is left
    opened = open_attempt(Claimed(record.job_id, 0, record.attempt + 1, record.crashes, record.frame), registry)
    if isinstance(opened, Attempt):
        return None
    return _why(opened, _written(record)[0] in registry.retired)


def _why(settled: Settlement, is_retired: bool) -> str:
    match settled.verdict:
        case Canceled():
            return ""
        case Held(reason):
            return reason
        case Failed(outcome) if not is_retired:
            error = decode_outcome(outcome).error
            return f"{error.type}: {error.message}" if error is not None else "it would fail"
        case _:
            return ""


def _written(record: JobRecord) -> tuple[str, str]:
    """Task and fingerprint as the job's producer wrote them; "" where the bytes cannot be read."""
    try:
        envelope = decode_envelope(open_frame(record.frame or b"").envelope)
    except PayloadMismatch:
        return "", ""
    return envelope.task, envelope.schema
