"""Commit and enqueue together: the job is a row of the user's own transaction, under the id that it will have.

written    in the transaction: rolled back with it, kept with it
pushed     right after the commit by the same process; by a relay, when that process died or the backend was away
deleted    after it was pushed; whoever dies in between leaves it to be pushed again, and a known id is DUPLICATE

The backend remembers an id while the job is unfinished and for 24 h after (FrameFlags.CALLERS_ID, for every job that
comes this way), so one that was pushed twice within that time ran once.
"""

import logging
from typing import TYPE_CHECKING, Final, Generic, ParamSpec, TypeVar, cast

from django.apps import apps
from django.db import Error as DatabaseError
from django.db import transaction
from typing_extensions import TypeVar as TypeVarWithDefault

from typedgator.contrib.django.rows import packed
from typedgator.errors import BackendUnavailable, ConfigurationError, Unsupported
from typedgator.gator import Gator
from typedgator.job import Job
from typedgator.options import Options, known
from typedgator.producer import CallOptions, Prepared, Producer
from typedgator.task import Hooked
from typedgator.wire.ids import shown_id

if TYPE_CHECKING:  # importing a model needs loaded apps; importing this must not
    from typedgator.contrib.django.models import OutboxJob

__all__ = ["Outbox", "write"]

logger: Final = logging.getLogger("typedgator")
APP: Final = "typedgator.contrib.django"

P = ParamSpec("P")
R = TypeVar("R")
H_contra = TypeVarWithDefault("H_contra", contravariant=True, default=object)


class Outbox(Generic[H_contra]):
    """What `gator.outbox(…)` gives. `H_contra` is the result that the hooks of its options take."""

    def __init__(self, gator: Gator, producer: Producer, using: str, options: Options[H_contra] | None) -> None:
        self._gator: Final = gator
        self._producer: Final = producer
        self._using: Final = using
        self._call: Final = None if options is None else CallOptions(options.said)

    def task(self, fn: Hooked[P, R, H_contra], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Writes a call into the running transaction; without one, into a transaction of its own.

        Raises InvalidArguments, and then nothing was written; Unsupported by a backend that forgets ids at once. A
        backend that is away raises nothing: the job waits in its row. With `is_async=False` nothing is written, and it
        runs at the commit.
        """
        spec = known(fn, self._producer).spec
        prepared = self._producer.prepare_one(spec, self._call, args, kwargs)
        job = Job[object](self._producer.backend, prepared.frame.job_id, spec.read)
        write(prepared, self._gator, self._producer, self._using, job)
        return cast("Job[R]", job)


def write(prepared: Prepared, gator: Gator, producer: Producer, using: str, job: Job[object]) -> None:
    """Writes a prepared call, to be pushed after the commit."""
    if not prepared.is_async:
        transaction.on_commit(lambda: job.adopt(producer.send_one(prepared)), using=using)
        return
    if not gator.backend.can.caller_ids:
        raise Unsupported("the outbox needs a backend that remembers ids; see its `can.caller_ids`")
    if not apps.is_installed(APP):
        raise ConfigurationError(
            f"the outbox is a table of {APP}: add it to INSTALLED_APPS, and run `manage.py migrate`"
        )
    from typedgator.contrib.django.models import OutboxJob

    row = OutboxJob(
        job_id=shown_id(prepared.frame.job_id),
        task=prepared.spec.name,
        frame=packed(prepared.frame),
        created_ms=prepared.envelope.enqueued_at,
    )
    row.save(using=using, force_insert=True)
    # Robust: whatever else goes wrong is logged by Django; the job is in its row, and the request is not to blame.
    transaction.on_commit(lambda: _push_soon(gator, using, row), using=using, robust=True)


def _push_soon(gator: Gator, using: str, row: "OutboxJob") -> None:
    """Pushes it now; what fails is left to the relay: the user's transaction is committed, and the job is in it."""
    from typedgator.contrib.django.pushing import push

    try:
        push(gator, using, [row])
    except (BackendUnavailable, DatabaseError) as error:
        logger.warning("job %s stays in the outbox for a relay: %s", row.job_id, error, extra={"job": row.job_id})
