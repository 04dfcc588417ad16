"""Cancel, in steps that threads and event loops share."""

from typing import cast

from typedgator.backends.contract import CancelAnswer
from typedgator.backends.redis.caller import Caller, Steps
from typedgator.errors import NotReplicated
from typedgator.wire.ids import JobId, shown_id

__all__ = ["canceling"]


def canceling(caller: Caller, job_id: JobId) -> Steps[CancelAnswer]:
    """Ends a job that is not running; asks a running one to stop."""
    try:
        answer, told = yield from caller.whole("cancel", (), (job_id,))
    except NotReplicated as error:
        raise error.about([shown_id(job_id)]) from None
    yield from caller.telling(told)
    return CancelAnswer(cast(bytes, answer).decode())
