"""The tasks that the campaigns run: each start and end is a line in a journal that survives SIGKILL.

Events are lines too: what the worker was told about its settlements.
"""

import asyncio
import os
import time

from tests.integration.chaos.journal import Journal
from typedgator.context import current_job
from typedgator.events import JobEnded, JobRetrying, LeaseLost
from typedgator.gator import Gator
from typedgator.policy.retry import RetryPolicy

__all__ = ["gator", "later", "stumble", "work"]

gator = Gator()
_journal = Journal(os.environ["CHAOS_JOURNAL"])


def _note(what: str) -> None:
    job = current_job()
    _journal.note(what, job.id, job.attempt, job.token)


@gator.register
def work(number: int, seconds: float) -> int:
    """Says when it starts and when it has finished its work."""
    _note("start")
    time.sleep(seconds)
    _note("end")
    return number


@gator.register
async def later(number: int, seconds: float) -> int:
    """The same, on the event loop."""
    _note("start")
    await asyncio.sleep(seconds)
    _note("end")
    return number


@gator.register(retries=RetryPolicy(3, backoff=0.1))
def stumble(number: int, seconds: float) -> int:
    """Fails the first time."""
    _note("start")
    time.sleep(seconds)
    if current_job().attempt == 1:
        raise ValueError("the first time")
    _note("end")
    return number


gator.events.on(JobEnded, lambda event: _journal.note(f"written-{event.state}", event.job_id, event.attempt))
gator.events.on(JobRetrying, lambda event: _journal.note("retrying", event.job_id, event.attempt))
gator.events.on(LeaseLost, lambda event: _journal.note("lost", event.job_id, event.attempt))
