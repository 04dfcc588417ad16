"""What time does to jobs: it promotes, reaps, expires, fails what was held too long, forgets; each up to a limit."""

from heapq import heappop, heappush

from typedgator.backends.locmem.ledger import Ledger
from typedgator.wire.states import FINAL, JobState

__all__ = ["expire", "fail_held", "forget", "notice_lapsed", "promote", "reap", "tidy"]


def promote(ledger: Ledger, now: int, limit: int) -> int:
    """What is due gets in line, by due time, ties by id."""
    promoted = 0
    while promoted < limit and (job_id := ledger.due.pop(now)) is not None:
        ledger.line_up(ledger.jobs[job_id])
        promoted += 1
    return promoted


def notice_lapsed(ledger: Ledger, now: int) -> None:
    """Identities whose leases ended are over; what they held is to be reaped."""
    while (worker_id := ledger.leases.pop(now)) is not None:
        for token, job in ledger.workers.pop(worker_id).running.items():
            heappush(ledger.lapsed, (token, job.id))


def reap(ledger: Ledger, now: int, limit: int) -> tuple[int, int]:
    """One crash more for each job of a lapsed worker, by token: how many came back, and how many failed."""
    reclaimed = failed = 0
    while ledger.lapsed and reclaimed + failed < limit:
        token, job_id = heappop(ledger.lapsed)
        job = ledger.jobs.get(job_id)
        # Settled after its worker lapsed and before it was reaped: that was in time.
        if job is None or job.state is not JobState.RUNNING or job.token != token:
            continue
        job.crashes += 1
        ledger.was_started(job)
        if job.crashes > job.crash_budget:
            ledger.end(job, JobState.FAILED, now, reason="crashed")
            failed += 1
        else:
            ledger.come_back(job, now)
            reclaimed += 1
    return reclaimed, failed


def expire(ledger: Ledger, now: int, limit: int) -> int:
    """What was not started in time is canceled."""
    expired = 0
    while expired < limit and (job_id := ledger.expiring.pop(now)) is not None:
        ledger.end(ledger.jobs[job_id], JobState.CANCELED, now, reason="expired")
        expired += 1
    return expired


def fail_held(ledger: Ledger, now: int, limit: int) -> int:
    """What no worker could run within its bound fails, with what it was held for."""
    failed = 0
    while failed < limit and (job_id := ledger.held.pop(now)) is not None:
        job = ledger.jobs[job_id]
        ledger.end(job, JobState.FAILED, now, reason=job.held.reason if job.held else "held")
        failed += 1
    return failed


def forget(ledger: Ledger, now: int, limit: int) -> int:
    """Outcomes go when their time is over, and then what is known of the job."""
    pruned = 0
    while pruned < limit and (job_id := ledger.memory.pop(now)) is not None:
        job = ledger.jobs.get(job_id)
        # Requeued meanwhile, or finished once more and kept for longer.
        if job is None or job.state not in FINAL or job.keep_until_ms > now:
            continue
        if job.forget_ms > now:
            job.outcome = None
            continue
        if job_id in ledger.dead:
            ledger.dropped += 1
            del ledger.dead[job_id]
        if job.frame is not None or job.state is not JobState.FAILED:
            ledger.tally[job.queue][job.state] -= 1
        del ledger.jobs[job_id]
        pruned += 1
    return pruned


def tidy(ledger: Ledger) -> None:
    """Queues that were used up leave nothing behind."""
    for queue in [queue for queue, tally in ledger.tally.items() if not any(tally.values())]:
        del ledger.tally[queue]
        ledger.lines.pop(queue, None)
