"""The tasks that the kill campaign runs. Each effect is one line, appended to a journal that survives SIGKILL.

A line: what, job id, attempt, token, seconds of the machine's monotonic clock, process id.
"""

import os
import time

from typedgator.context import current_job
from typedgator.events import JobEnded
from typedgator.gator import Gator

gator = Gator()
_journal = os.open(os.environ["KILL_JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def note(what: str, job_id: str, attempt: int, token: int) -> None:
    """One line, in one write, so that lines of many processes never mix."""
    line = f"{what} {job_id} {attempt} {token} {time.clock_gettime(time.CLOCK_MONOTONIC):.6f} {os.getpid()}\n"
    os.write(_journal, line.encode())


@gator.register
def work(number: int, seconds: float) -> int:
    """Says when it starts and when it has finished its work."""
    job = current_job()
    note("start", job.id, job.attempt, job.token)
    time.sleep(seconds)
    note("end", job.id, job.attempt, job.token)
    return number


def written(event: JobEnded) -> None:
    """An outcome was written, as the worker that wrote it sees it."""
    note(f"written-{event.state}", event.job_id, event.attempt, 0)


gator.events.on(JobEnded, written)
