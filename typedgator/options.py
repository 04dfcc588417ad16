"""Options: a reusable block of options, under which tasks of many signatures may be queued."""

import sys
from threading import Lock
from typing import Final, Generic, ParamSpec, Self, cast

from typing_extensions import TypeVar

from typedgator.errors import GatorError, NotRegistered
from typedgator.job import Job
from typedgator.policy.options import TaskOptions
from typedgator.producer import CallOptions, Prepared, Producer
from typedgator.task import Hooked

__all__ = ["Batch", "Options", "known"]

P = ParamSpec("P")
R = TypeVar("R")
H_co = TypeVar("H_co", covariant=True)
H_contra = TypeVar("H_contra", contravariant=True, default=object)


class Options(Generic[H_contra]):
    """What `gator.options(…)` gives.

    `H_contra` is the result that its hooks take: a task with another result is refused.

    In a `with` block it works until the block (the outermost of them) ends; enqueueing afterwards raises. Without
    `with`, it works for good.
    """

    def __init__(self, said: TaskOptions, producer: Producer) -> None:
        self.said: Final = said
        self._call = CallOptions(said)
        self._producer = producer
        self._open = True
        self._depth = 0
        self._entering = Lock()

    def __enter__(self) -> Self:
        with self._entering:
            self._depth += 1
            self._open = True
        return self

    def __exit__(self, *exc: object) -> None:
        with self._entering:
            self._depth -= 1
            self._open = self._depth > 0

    def task(self, fn: Hooked[P, R, H_contra], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Queues a call with these options. Raises InvalidArguments, and then nothing was enqueued."""
        task = self._usable(fn)
        return cast("Job[R]", task.producer.send(task.spec, self._call, args, kwargs))

    async def atask(self, fn: Hooked[P, R, H_contra], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """`task`, from async code."""
        task = self._usable(fn)
        return cast("Job[R]", await task.producer.asend(task.spec, self._call, args, kwargs))

    def _usable(self, fn: Hooked[P, R, H_contra]) -> Hooked[P, R, H_contra]:
        if not self._open:
            raise GatorError(
                "this options() block has ended; enqueue inside it, or open another one. Nothing was enqueued."
            )
        return known(fn, self._producer)


class Batch(Generic[H_contra]):
    """What `gator.batch(…)` gives: calls collected in a `with` block and sent together when it ends.

    Every call is checked when it is made; one that is refused names its index, and nothing of the batch is sent, also
    when the block catches the refusal: then its end raises GatorError. An exception in the block sends nothing either.
    Up to 250 jobs are one atomic write; an interrupted write raises BatchIncomplete, whose `retry()` is safe. The
    handles are good once the block has ended.
    """

    def __init__(self, said: TaskOptions, producer: Producer) -> None:
        self.said: Final = said
        self._call = CallOptions(said)
        self._producer = producer
        self._open = False
        self._calls = 0
        self._refused: tuple[int, BaseException | None] | None = None
        self._prepared: list[Prepared] = []
        self._jobs: list[Job[object]] = []

    @property
    def jobs(self) -> list[Job[object]]:
        """The handles, in the order of the calls."""
        return list(self._jobs)

    def __len__(self) -> int:
        """How many calls were collected."""
        return len(self._prepared)

    def __enter__(self) -> Self:
        if self._calls:
            raise GatorError("this batch has ended or was already sent; open another one with gator.batch()")
        self._open = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if self._closed(kind):
            self._adopt(self._producer.send_all(self._prepared))

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if self._closed(kind):
            self._adopt(await self._producer.asend_all(self._prepared))

    def task(self, fn: Hooked[P, R, H_contra], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Adds a call. Raises InvalidArguments naming its index, and then nothing of the batch is sent."""
        if not self._open:
            raise GatorError("this batch() block is not open; enqueue inside `with gator.batch() as batch:`")
        index, self._calls = self._calls, self._calls + 1
        accepted = False
        try:
            task = known(fn, self._producer)
            prepared = self._producer.prepare_at(index, task.spec, self._call, args, kwargs)
            accepted = True
        finally:
            # Whatever it was: a block that catches it must not send the rest as if this call had never been meant.
            if not accepted and self._refused is None:
                self._refused = index, sys.exception()
        job = Job[object](self._producer.backend, prepared.frame.job_id, task.spec.read)
        self._prepared.append(prepared)
        self._jobs.append(job)
        return cast("Job[R]", job)

    def _closed(self, kind: type[BaseException] | None) -> bool:
        """Ends the block: whether there is something to send. Raises GatorError when one of its calls was refused."""
        self._open = False
        if kind is not None:
            return False
        if self._refused is not None:
            index, error = self._refused
            why = str(error).removeprefix(f"item {index} of the batch, ")
            raise GatorError(f"nothing of the batch was sent, because item {index} was refused: {why}") from error
        return bool(self._prepared)

    def _adopt(self, sent: list[Job[object]]) -> None:
        for handle, answer in zip(self._jobs, sent, strict=True):
            handle.adopt(answer)


def known(fn: Hooked[P, R, H_co], producer: Producer) -> Hooked[P, R, H_co]:
    """The task itself. Raises NotRegistered, with the way out, for what this producer's gator did not register."""
    if not isinstance(fn, Hooked):
        name = getattr(fn, "__qualname__", repr(fn))
        raise NotRegistered(f"{name} is not a registered task: decorate it with @gator.register. Nothing was enqueued.")
    if fn.producer is not producer:
        raise NotRegistered(f"{fn.name} is registered with another gator; enqueue it there. Nothing was enqueued.")
    return fn
