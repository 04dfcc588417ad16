"""Reading only: counts and pages over the ledger."""

from collections.abc import Iterator
from heapq import nsmallest
from itertools import islice

from typedgator.backends.contract import Counts, HeldKind, Page
from typedgator.backends.locmem.job import Job
from typedgator.backends.locmem.ledger import Ledger
from typedgator.errors import ConfigurationError
from typedgator.wire.states import JobState

__all__ = ["counts", "held_kinds", "page", "pick"]


def counts(ledger: Ledger) -> Counts:
    """Queues with jobs, and in each the states that have any."""
    queues = {queue: {state: n for state, n in tally.items() if n} for queue, tally in ledger.tally.items()}
    return Counts({queue: found for queue, found in queues.items() if found}, ledger.dropped, frozenset(ledger.paused))


def page(ledger: Ledger, state: JobState, queue: str | None, after: str | None, limit: int) -> Page:
    """Up to `limit` records; the cursor of a page is where its last job stands."""
    try:
        if state is JobState.WAITING:
            found = list(islice(_waiting(ledger, queue, after), limit))
        elif state is JobState.FAILED:
            found = _failed(ledger, queue, after, limit)
        else:
            start = None if after is None else bytes.fromhex(after)
            ids = (job.id for job in pick(ledger, state, queue) if start is None or job.id > start)
            found = [ledger.jobs[job_id] for job_id in nsmallest(limit, ids)]
    except ValueError as error:
        raise ConfigurationError(f"after={after!r} is no page's end: pass what the page before said") from error
    return Page([job.record() for job in found], _cursor(found[-1]) if len(found) == limit else None)


def pick(ledger: Ledger, state: JobState, queue: str | None) -> Iterator[Job]:
    """All jobs in a state, in no order; failed ones only while they are dead letters."""
    if state is JobState.FAILED:
        found: Iterator[Job] = (ledger.jobs[job_id] for job_id in ledger.dead)
    elif state is JobState.WAITING:
        found = _waiting(ledger, queue, None)
    else:
        found = (job for job in ledger.jobs.values() if job.state is state)
    return (job for job in found if queue is None or job.queue == queue)


def held_kinds(ledger: Ledger) -> list[HeldKind]:
    """What held jobs wait for."""
    jobs: dict[tuple[str, str], int] = {}
    for job_id in ledger.held:
        held = ledger.jobs[job_id].held
        assert held is not None
        jobs[held.task, held.schema] = jobs.get((held.task, held.schema), 0) + 1
    return [HeldKind(task, schema, n) for (task, schema), n in sorted(jobs.items())]


def _waiting(ledger: Ledger, queue: str | None, after: str | None) -> Iterator[Job]:
    name, lane, place = after.split("/") if after is not None else ("", "-1", "-1")
    for each in sorted(ledger.lines) if queue is None else [queue]:
        line = ledger.lines.get(each)
        if line is not None and each >= name:
            yield from line.after(*(int(lane), int(place)) if each == name else (-1, -1))


def _failed(ledger: Ledger, queue: str | None, after: str | None, limit: int) -> list[Job]:
    start = None
    if after is not None:
        finished, _, job_id = after.partition("/")
        start = (int(finished), bytes.fromhex(job_id))
    places = ((-(job.finished_ms or 0), job.id) for job in pick(ledger, JobState.FAILED, queue))
    return [
        ledger.jobs[job_id]
        for _, job_id in nsmallest(limit, (place for place in places if start is None or place > start))
    ]


def _cursor(job: Job) -> str:
    match job.state:
        case JobState.WAITING:
            return f"{job.queue}/{job.lane}/{job.place}"
        case JobState.FAILED:
            return f"{-(job.finished_ms or 0)}/{job.id.hex()}"
        case _:
            return job.id.hex()
