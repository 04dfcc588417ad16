"""The states of a job. Stored and shown: a change here is a compatibility decision."""

from enum import StrEnum

__all__ = ["FINAL", "PENDING", "JobState"]


class JobState(StrEnum):
    """Where a job is. `success`, `failed` and `canceled` are final."""

    BLOCKED = "blocked"
    """Waits for the jobs it depends on."""
    SCHEDULED = "scheduled"
    """Accepted, not due yet."""
    WAITING = "waiting"
    """Due; the next free worker takes it."""
    HELD = "held"
    """No worker that asked could run it; kept for one that can."""
    RUNNING = "running"
    """A worker has it, under a lease."""
    RETRYING = "retrying"
    """Failed or snoozed, and not due again yet."""
    SUCCESS = "success"
    """Its task returned, and that was written."""
    FAILED = "failed"
    """Failed for good and kept: a dead letter."""
    CANCELED = "canceled"
    """Somebody canceled it, its task did, it expired, or a job that it depends on did not succeed."""


FINAL = frozenset({JobState.SUCCESS, JobState.FAILED, JobState.CANCELED})
PENDING = frozenset(JobState) - FINAL
