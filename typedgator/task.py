"""Task: a registered function. Still callable as the plain function it was; `.task(…)` queues a call of it."""

from collections.abc import Callable, Coroutine, Mapping
from functools import update_wrapper
from typing import Final, Generic, Never, ParamSpec, Protocol, TypeVar, cast, overload

from typedgator.job import Job
from typedgator.policy.options import TaskOptions
from typedgator.producer import Producer, TaskSpec
from typedgator.refusals import or_noted
from typedgator.upgrades import Call, Upgrade, Upgrades

__all__ = ["AsyncFunction", "AsyncTask", "Hooked", "SyncFunction", "SyncTask", "Task"]

P = ParamSpec("P")
Old = ParamSpec("Old")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
H_co = TypeVar("H_co", covariant=True)


class SyncFunction(Protocol[P, R_co, H_co]):
    """A `def` as hooks see it: its parameters, its result, and its result once more, for what the hooks beside it may
    take.

    Both overloads are the same call. A function fits only when its result fits both, while `R_co` is inferred from it
    alone: a hook for `object` does not make an `object` of the result, and a hook for `str` refuses a function that
    gives an int.
    """

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> H_co: ...  # type: ignore[overload-cannot-match]  # pyright: ignore[reportOverlappingOverload]  # meant


class AsyncFunction(Protocol[P, R_co, H_co]):
    """An `async def`, likewise. `Coroutine[object, Never, R]` is every coroutine that gives an R."""

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[object, Never, R_co]: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[object, Never, H_co]: ...  # type: ignore[overload-cannot-match]  # pyright: ignore[reportOverlappingOverload]  # meant


class Hooked(Generic[P, R_co, H_co]):
    """A task as hooks see it: its parameters, its result, and its result once more, covariant, for what hooks may
    take.
    """

    def __init__(self, spec: TaskSpec, fn: Callable[..., object], producer: Producer) -> None:
        self.spec: Final = spec
        self.fn: Final = fn
        self.producer: Final = producer

    @property
    def name(self) -> str:
        """The name under which jobs of this task are stored."""
        return self.spec.name

    @property
    def aliases(self) -> tuple[str, ...]:
        """Names that it had in earlier releases: jobs stored under them are its own."""
        return self.spec.aliases

    @property
    def options(self) -> TaskOptions:
        """What the task was registered with."""
        return self.spec.options

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the arguments' schema, 16 hexadecimal digits."""
        return self.spec.arguments.fingerprint

    @property
    def signature(self) -> str:
        """The signature as people read it."""
        return self.spec.arguments.shown

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class Task(Hooked[P, R, R]):
    """What `gator.task` takes. `R` is what the function returns; for an `async def`, what awaiting it gives."""

    def __init__(self, spec: TaskSpec, fn: Callable[..., object], producer: Producer) -> None:
        super().__init__(spec, fn, producer)
        self._upgrades: Final = Upgrades(spec.arguments)
        update_wrapper(cast("Callable[..., object]", self), fn)

    @property
    def upgrades(self) -> Mapping[str, Upgrade]:
        """What `upgrade` was told, by the fingerprint of the older arguments."""
        return self._upgrades

    def __reduce__(self) -> str:
        """By its global name, as a function is: process pools find the task where they import its module."""
        return str(getattr(self, "__qualname__", self.name))

    def task(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Queues a call. Raises InvalidArguments, and then nothing was enqueued."""
        return cast("Job[R]", self.producer.send(self.spec, None, args, kwargs))

    async def atask(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """`task`, from async code."""
        return cast("Job[R]", await self.producer.asend(self.spec, None, args, kwargs))

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """A call, checked like one that is queued, and not queued: for an upgrade to return.

        Raises InvalidArguments.
        """
        arguments = self.spec.arguments
        return Call(self.name, arguments, arguments.encode(args, kwargs))

    def upgrade(self, fn: Callable[Old, Call[R]], /) -> Callable[Old, Call[R]]:
        """Carries stored jobs over that an older release enqueued: `@send_mail.upgrade`. Gives the function back.

        Its parameters are the older release's, word for word; it returns what this release calls instead, as
        `send_mail.call(…)`. It serves jobs whose arguments have exactly that fingerprint, and runs before the attempt
        starts. When it raises `Cancel`, the job is canceled; any other error, or arguments that the task would refuse,
        hold the job and spend no attempt. Raises RegistrationError for what cannot be an upgrade.
        """
        or_noted(lambda: self._upgrades.add(fn), None)
        return fn


class SyncTask(Task[P, R]):
    """A task made from a `def`. Calling it is calling the function, here and now."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return cast("R", self.fn(*args, **kwargs))


class AsyncTask(Task[P, R]):
    """A task made from an `async def`. Calling it gives the coroutine, as before."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[object, None, R]:
        return cast("Coroutine[object, None, R]", self.fn(*args, **kwargs))
