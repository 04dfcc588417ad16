"""Calls that wait for a commit: checked at once, pushed when the transaction is true, forgotten when it is not."""

from typing import Final, Generic, ParamSpec, TypeVar, cast

import msgspec
from django.db import transaction
from typing_extensions import TypeVar as TypeVarWithDefault

from typedgator.job import Job
from typedgator.options import Options, known
from typedgator.producer import CallOptions, Prepared, Producer
from typedgator.task import Hooked
from typedgator.wire.frame import Frame

__all__ = ["OnCommit", "aged"]

P = ParamSpec("P")
R = TypeVar("R")
H_contra = TypeVarWithDefault("H_contra", contravariant=True, default=object)


class OnCommit(Generic[H_contra]):
    """What `gator.on_commit(…)` gives. `H_contra` is the result that the hooks of its options take."""

    def __init__(self, producer: Producer, using: str, options: Options[H_contra] | None) -> None:
        self._producer: Final = producer
        self._using: Final = using
        self._call: Final = None if options is None else CallOptions(options.said)

    def task(self, fn: Hooked[P, R, H_contra], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Queues a call at the commit. Raises InvalidArguments at once, and then nothing will be enqueued.

        What pushing raises, such as BackendUnavailable, leaves the outermost `atomic` block, after its commit.
        """
        spec = known(fn, self._producer).spec
        prepared = self._producer.prepare_one(spec, self._call, args, kwargs)
        job = Job[object](self._producer.backend, prepared.frame.job_id, spec.read)
        transaction.on_commit(lambda: job.adopt(self._send(prepared)), using=self._using)
        return cast("Job[R]", job)

    def _send(self, prepared: Prepared) -> Job[object]:
        waited_ms = self._producer.clock.now_ms() - prepared.envelope.enqueued_at
        return self._producer.send_one(msgspec.structs.replace(prepared, frame=aged(prepared.frame, waited_ms)))


def aged(frame: Frame, waited_ms: int) -> Frame:
    """A frame that has waited so long to be pushed: its delay and expiry count from the call."""
    waited_ms = max(0, waited_ms)
    expires_in_ms = frame.expires_in_ms
    return msgspec.structs.replace(
        frame,
        delay_ms=max(0, frame.delay_ms - waited_ms),
        # Never below 1: it is pushed, and found expired, so that whoever asks is told what became of it.
        expires_in_ms=None if expires_in_ms is None else max(1, expires_in_ms - waited_ms),
    )
