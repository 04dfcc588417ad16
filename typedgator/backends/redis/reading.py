"""What may be seen: records, pages, counts. Nothing is written here.

Pages of waiting and of failed jobs follow their index; others go by id, and since no index does, a page reads the ids
of all jobs in that state. Nothing on a hot path asks for one.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import nsmallest
from typing import Final, TypeAlias, cast

from typedgator.backends.contract import Counts, HeldKind, JobRecord, Page, WorkerId
from typedgator.backends.redis.belongings import belongings
from typedgator.backends.redis.caller import Caller, Steps
from typedgator.errors import ConfigurationError
from typedgator.wire.frame import open_frame
from typedgator.wire.ids import JobId
from typedgator.wire.states import JobState

__all__ = ["counts", "held_kinds", "page", "recalling", "records"]

_Found: TypeAlias = tuple[
    bytes, bytes, int, int, bytes | int, bytes, bytes, bytes, int, list[bytes], bytes, bytes | None, bytes | None, bytes
]
"""One record as find.lua answers it."""
_AT_ONCE: Final = 64
_CHUNK: Final = 1000


def records(caller: Caller, job_ids: Sequence[JobId]) -> list[JobRecord | None]:
    """What is known of each."""
    return caller.do(recalling(caller, job_ids))


def recalling(caller: Caller, job_ids: Sequence[JobId]) -> Steps[list[JobRecord | None]]:
    """The same in steps."""
    found: list[JobRecord | None] = []
    for start in range(0, len(job_ids), _AT_ONCE):
        some = job_ids[start : start + _AT_ONCE]
        answer = yield from caller.whole("find", (), list(some), crew=True)
        found += [_record(job_id, cast(list[object], each)) for job_id, each in zip(some, answer, strict=True)]
    return found


def _record(job_id: JobId, found: list[object]) -> JobRecord | None:
    if not found:
        return None
    state, frame, attempt, crashes, token, worker, due, finished, asked, parents, reason, *rest = cast(
        _Found, tuple(found)
    )
    outcome, progress, held = rest
    return JobRecord(
        job_id=job_id,
        state=JobState(state.decode()),
        frame=frame or None,
        queue=open_frame(frame).queue if frame else "",
        attempt=int(attempt),
        crashes=int(crashes),
        token=int(token),
        worker=WorkerId(worker.decode()) if worker else None,
        due_ms=int(due) if due else None,
        held_ms=int(held) if held else None,
        finished_ms=int(finished) if finished else None,
        cancel_requested=bool(asked),
        parents=tuple(JobId(parent) for parent in sorted(parents)),
        reason=reason.decode(),
        outcome=outcome,
        progress=progress,
    )


def counts(caller: Caller) -> Counts:
    """By queue and state: what is finished is not counted, but for dead letters."""
    answer = caller.run_whole("counts", (), lambda roster: list(roster.queues), crew=True)
    pairs, dropped, paused = cast("tuple[list[bytes | int], bytes | int, list[bytes]]", tuple(answer))
    queues: dict[str, dict[JobState, int]] = {}
    for field, jobs in zip(pairs[::2], pairs[1::2], strict=True):
        state, _, queue = cast(bytes, field).decode().partition(":")
        if int(jobs):
            queues.setdefault(queue, {})[JobState(state)] = int(jobs)
    return Counts(queues, int(dropped), frozenset(queue.decode() for queue in paused))


def held_kinds(caller: Caller) -> list[HeldKind]:
    """What held jobs wait for."""
    found = cast(list[bytes], caller.link.ask("HGETALL", caller.keys.named("kinds")))
    kinds: list[HeldKind] = []
    for kind, jobs in zip(found[::2], found[1::2], strict=True):
        task, _, schema = kind.decode().partition("\0")
        kinds.append(HeldKind(task, schema, int(jobs)))
    return kinds


def page(caller: Caller, state: JobState, queue: str | None, after: str | None, limit: int) -> Page:
    """Up to `limit` records; a cursor says where the last one stands."""
    try:
        if state is JobState.WAITING:
            return _waiting(caller, queue, after, limit)
        if state is JobState.FAILED:
            return _failed(caller, queue, after, limit)
        return _by_id(caller, state, queue, bytes.fromhex(after or ""), limit)
    except ValueError as error:
        raise ConfigurationError(f"after={after!r} is no page's end: pass what the page before said") from error


def _page(records: list[JobRecord], cursors: list[str], limit: int) -> Page:
    return Page(records, cursors[-1] if len(records) == limit and cursors else None)


def _waiting(caller: Caller, queue: str | None, after: str | None, limit: int) -> Page:
    caller.run_whole("find", (), (), crew=True)  # so that the list of queues is fresh
    start, _, score = (after or "/").partition("/")
    found: list[JobRecord] = []
    cursors: list[str] = []
    for name in caller.roster.queues if queue is None else (queue,):
        if name < start or len(found) >= limit:
            continue
        low = f"({int(score)}" if name == start else "-inf"
        line = _scored(caller, caller.keys.ready(name), low, limit - len(found))
        for (_, place), record in zip(line, records(caller, [job_id for job_id, _ in line]), strict=True):
            if record is not None:
                found.append(record)
                cursors.append(f"{name}/{place}")
    return _page(found, cursors, limit)


def _failed(caller: Caller, queue: str | None, after: str | None, limit: int) -> Page:
    score, _, last = (after or "/").partition("/")
    index = caller.keys.named("dead")
    rank = 0
    if after is not None:
        place = cast("int | None", caller.link.ask("ZRANK", index, bytes.fromhex(last)))
        rank = cast(int, caller.link.ask("ZCOUNT", index, "-inf", f"({int(score)}")) if place is None else place + 1
    found: list[JobRecord] = []
    cursors: list[str] = []
    while len(found) < limit:
        answer = cast(list[bytes], caller.link.ask("ZRANGE", index, rank, rank + _AT_ONCE - 1))
        if not answer:
            break
        rank += len(answer)
        for record in records(caller, [JobId(job_id) for job_id in answer]):
            if record is None or record.state is not JobState.FAILED or record.frame is None:
                continue
            if queue in (None, record.queue) and len(found) < limit:
                found.append(record)
                cursors.append(f"{-(record.finished_ms or 0)}/{record.job_id.hex()}")
    return _page(found, cursors, limit)


def _by_id(caller: Caller, state: JobState, queue: str | None, after: bytes, limit: int) -> Page:
    found: list[JobRecord] = []
    while len(found) < limit:
        some = nsmallest(limit + _AT_ONCE, {job_id for job_id in _ids(caller, state) if job_id > after})
        for record in records(caller, [JobId(job_id) for job_id in some]):
            fits = record is not None and record.state is state and queue in (None, record.queue)
            if record is not None and fits and len(found) < limit:
                found.append(record)
        if len(some) < limit + _AT_ONCE:
            break
        after = some[-1]
    return _page(found, [record.job_id.hex() for record in found], limit)


def _scored(caller: Caller, key: bytes, low: str, limit: int) -> list[tuple[JobId, int]]:
    answer = cast(list[bytes], caller.link.ask("ZRANGE", key, low, "+inf", "BYSCORE", "LIMIT", 0, limit, "WITHSCORES"))
    return [(JobId(job_id), int(float(score))) for job_id, score in zip(answer[::2], answer[1::2], strict=True)]


def _members(caller: Caller, name: str) -> Iterator[bytes]:
    start = 0
    while some := cast(list[bytes], caller.link.ask("ZRANGE", caller.keys.named(name), start, start + _CHUNK - 1)):
        yield from some
        start += _CHUNK


def _fields(caller: Caller, key: bytes) -> Iterator[bytes]:
    cursor = b"0"
    while True:
        cursor, pairs = cast("tuple[bytes, list[bytes]]", caller.link.ask("HSCAN", key, cursor, "COUNT", _CHUNK))
        yield from pairs[::2]
        if cursor == b"0":
            return


def _running(caller: Caller) -> Iterator[bytes]:
    for index in ("beats", "over"):
        for worker in list(_members(caller, index)):
            words = cast("list[bytes]", caller.link.ask("HGETALL", caller.keys.own(worker.decode())))
            yield from (job_id for job_id, _ in belongings(words))


def _finished(caller: Caller) -> Iterator[bytes]:
    for name in ("done0", "done1", "late0", "late1", "kept"):
        # '#' begins the note of a spent token.
        fields = _fields(caller, caller.keys.named(name))
        yield from (job_id for job_id in fields if not (job_id.startswith(b"#") and len(job_id) == 17))


def _blocked(caller: Caller) -> Iterator[bytes]:
    for member in _members(caller, "blocked"):
        yield member[1 : 1 + member[0]]


_SOURCES: Final[dict[JobState, Callable[[Caller], Iterable[bytes]]]] = {
    JobState.SCHEDULED: lambda caller: _members(caller, "delayed"),
    JobState.RETRYING: lambda caller: _members(caller, "delayed"),
    JobState.HELD: lambda caller: _members(caller, "held"),
    JobState.BLOCKED: _blocked,
    JobState.RUNNING: _running,
    JobState.SUCCESS: _finished,
    JobState.CANCELED: _finished,
}


def _ids(caller: Caller, state: JobState) -> Iterable[bytes]:
    return _SOURCES[state](caller)
