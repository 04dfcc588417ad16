"""Gator: the composition root. It builds the others, holds the defaults, and hands every call to the one who knows."""

import asyncio
import inspect
import logging
import os
from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final, Generic, Literal, Never, ParamSpec, cast, overload

import msgspec
from msgspec import UNSET, UnsetType
from typing_extensions import TypeVar

from typedgator.backends.connect import connect, masked
from typedgator.backends.contract import EVERY_QUEUE, Backend, Counts
from typedgator.clock import Clock, SystemClock
from typedgator.errors import ConfigurationError, GatorError, JobError, RegistrationError
from typedgator.events import Events
from typedgator.inline import Inline
from typedgator.job import Job
from typedgator.middleware import Middleware
from typedgator.options import Batch, Options, known
from typedgator.policy.durations import MAX_DELAY_MS, to_ms
from typedgator.policy.options import DEFAULT_QUEUE, Duration, TaskOptions, checked_queue
from typedgator.policy.retry import RetryPolicy
from typedgator.producer import TIME_LIMIT_NEEDS_ASYNC, Producer, TaskSpec
from typedgator.queues import Queue, inspecting
from typedgator.refusals import or_noted, stand_in, stands
from typedgator.registry import AnyTask, Hook, Registry, Retirement, checked_aliases, checked_name, task_name
from typedgator.remote import Remote
from typedgator.task import AsyncFunction, AsyncTask, Hooked, SyncFunction, SyncTask, Task
from typedgator.wire.guard import LARGEST_PAYLOAD_BYTES
from typedgator.wire.ids import parse_id
from typedgator.wire.schema import ArgumentSchema, ResultSchema
from typedgator.wire.verdict import HELD_MS

__all__ = ["Gator", "Registrar"]

logger: Final = logging.getLogger("typedgator")

P = ParamSpec("P")
R = TypeVar("R")
H = TypeVar("H", default=object)
H_contra = TypeVar("H_contra", contravariant=True, default=object)
F = TypeVar("F", bound=Callable[..., object])

DEFAULT_DSN: Final = "sqlite:///typedgator.db"
NOTHING_SAID: Final = TaskOptions()
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
_CALLS: Final[frozenset[type]] = frozenset({tuple, dict})

Parents = Job[object] | str | Sequence[Job[object] | str]

Durability = Literal["memory", "replicated", "process", "power"]
"""What must be true before a call returns; each backend knows some of these."""


class Registrar(Generic[H_contra]):
    """What `@gator.register(…)` gives: makes a task of the function that it is called with.

    `H_contra` is the result that its hooks take: a function with another result is refused.
    """

    def __init__(self, add: Callable[[Callable[..., object]], AnyTask]) -> None:
        self._add = add

    @overload
    def __call__(self, fn: AsyncFunction[P, R, H_contra], /) -> AsyncTask[P, R]: ...  # type: ignore[overload-overlap]  # an async def is also a callable; the first wins
    @overload
    def __call__(self, fn: SyncFunction[P, R, H_contra], /) -> SyncTask[P, R]: ...
    def __call__(self, fn: Callable[..., object], /) -> object:
        return self._add(fn)


class Gator:
    """One gator serves callers and workers: import the same object in both.

    `dsn` names the backend; without it, TYPEDGATOR_CONN does, and without that, the file `typedgator.db` in the working
    folder. `namespace` (or TYPEDGATOR_NAMESPACE, or `?namespace=` in the DSN) separates tenants of one server or file.
    `durability`, or `?durability=` in the DSN, is what must be true before a call returns: of Redis `"memory"` or
    `"replicated"`, of SQLite `"power"` or `"process"`, each one's default first.
    `backend` replaces all of these. The other keywords are defaults for every task; see `options`. `is_async=False`, or
    TYPEDGATOR_ASYNC=false, runs every job where it is enqueued. `max_items` bounds collections among arguments,
    `max_payload` all arguments together, in bytes. `show_values=False` keeps argument values out of error messages.
    `hold_for` is how long a job that a worker cannot run waits for one that can, before it fails.
    Nothing is connected until it is needed. Raises ConfigurationError for whatever cannot mean anything.
    """

    worker_middleware: Sequence[Middleware] = ()
    """For subclasses: entered around each call in a worker, outside of `middleware`, and never where a job is enqueued
    or run in place."""

    def __init__(
        self,
        dsn: str | None = None,
        /,
        *,
        namespace: str | None = None,
        backend: Backend | None = None,
        queue: str | UnsetType = UNSET,
        durability: Durability | None = None,
        retries: int | RetryPolicy | UnsetType = UNSET,
        backoff: Duration | UnsetType = UNSET,
        is_async: bool | UnsetType = UNSET,
        on_start: Callable[[Job[object]], object] | UnsetType | None = UNSET,
        on_success: Callable[[Job[object], object], object] | UnsetType | None = UNSET,
        on_error: Callable[[Job[object], BaseException], object] | UnsetType | None = UNSET,
        expires: Duration | UnsetType | None = UNSET,
        priority: int | UnsetType = UNSET,
        keep_result: bool | timedelta | UnsetType | None = UNSET,
        headers: Mapping[str, str] | UnsetType = UNSET,
        max_items: int = 100,
        max_payload: int = 16_384,
        show_values: bool = True,
        hold_for: Duration = timedelta(milliseconds=HELD_MS),
        middleware: Sequence[Middleware] = (),
        clock: Clock | None = None,
    ) -> None:
        if backend is not None and (dsn, namespace, durability) != (None, None, None):
            raise ConfigurationError(
                "give a DSN (and namespace=, durability=) or backend=, not both: a backend has its own"
            )
        _check_arguments(backend, max_items, max_payload, show_values, middleware, clock)
        self.registry: Final = Registry()
        """Its tasks and hooks, and the names that are retired."""
        self.events: Final = Events()
        """Listeners: `gator.events.on(JobEnded, listener)`."""
        self.middleware: Final[tuple[Middleware, ...]] = tuple(middleware)
        """Entered around each call, the first one outermost."""
        self.clock: Clock = clock or SystemClock()
        """What tells the time to who enqueues; the backend has its own."""
        self.dsn: str | None = None
        """Where the jobs are kept; None when a backend was given."""
        if backend is None:
            self.dsn, backend = _connected(dsn, namespace, durability, self.clock)
        self.backend: Backend = backend
        """The storage."""
        self._max_items = max_items
        self._max_payload = max_payload
        self._show_values = show_values
        self.hold_ms: Final[int] = to_ms(hold_for, "hold_for", least=1000, most=MAX_DELAY_MS)
        """How long a job that a worker cannot run is held."""
        self.defaults: Final = TaskOptions(
            queue=queue,
            retries=retries,
            backoff=backoff,
            is_async=_is_async() if isinstance(is_async, UnsetType) else is_async,
            on_start=self._own_hook(on_start, "on_start"),
            on_success=self._own_hook(on_success, "on_success"),
            on_error=self._own_hook(on_error, "on_error"),
            expires=expires,
            priority=priority,
            keep_result=keep_result,
            headers=headers,
        )
        self._inline = Inline(self.backend, self.registry, self.clock, self.middleware, hold_ms=self.hold_ms)
        self._producer = Producer(
            self.backend,
            defaults=self.defaults,
            clock=self.clock,
            middleware=self.middleware,
            events=self.events,
            here=self._inline.run,
        )

    # ---- tasks and hooks

    @overload
    def register(self, fn: Callable[P, Coroutine[object, Never, R]], /) -> AsyncTask[P, R]: ...  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]  # as in Registrar
    @overload
    def register(self, fn: Callable[P, R], /) -> SyncTask[P, R]: ...
    @overload
    def register(
        self,
        /,
        *,
        name: str | None = None,
        aliases: tuple[str, ...] | list[str] = (),
        queue: str | UnsetType = UNSET,
        retries: int | RetryPolicy | UnsetType = UNSET,
        backoff: Duration | UnsetType = UNSET,
        is_async: bool | UnsetType = UNSET,
        on_start: Callable[[Job[H]], object] | UnsetType | None = UNSET,
        on_success: Callable[[Job[H], H], object] | UnsetType | None = UNSET,
        on_error: Callable[[Job[H], BaseException], object] | UnsetType | None = UNSET,
        expires: Duration | UnsetType | None = UNSET,
        time_limit: Duration | UnsetType | None = UNSET,
        unique: bool | str | UnsetType = UNSET,
        priority: int | UnsetType = UNSET,
        keep_result: bool | timedelta | UnsetType | None = UNSET,
        headers: Mapping[str, str] | UnsetType = UNSET,
    ) -> Registrar[H]: ...
    def register(
        self,
        fn: Callable[..., object] | None = None,
        /,
        *,
        name: str | None = None,
        aliases: tuple[str, ...] | list[str] = (),
        queue: str | UnsetType = UNSET,
        retries: int | RetryPolicy | UnsetType = UNSET,
        backoff: Duration | UnsetType = UNSET,
        is_async: bool | UnsetType = UNSET,
        on_start: Callable[..., object] | UnsetType | None = UNSET,
        on_success: Callable[..., object] | UnsetType | None = UNSET,
        on_error: Callable[..., object] | UnsetType | None = UNSET,
        expires: Duration | UnsetType | None = UNSET,
        time_limit: Duration | UnsetType | None = UNSET,
        unique: bool | str | UnsetType = UNSET,
        priority: int | UnsetType = UNSET,
        keep_result: bool | timedelta | UnsetType | None = UNSET,
        headers: Mapping[str, str] | UnsetType = UNSET,
    ) -> object:
        """Makes a task of a function: `@gator.register`, or `@gator.register(queue="images", retries=3)`.

        The argument schema is derived from the signature. `name` replaces `module.qualname`; it is stored with every
        job. `aliases` are names that the task had before: jobs stored under them are its own. A hook given here is
        registered with the task. `time_limit` needs an `async def`: a thread cannot be stopped. The other options are
        those of `options`. Raises UnsupportedSignature or RegistrationError at the `def`, naming the parameter and the
        way out.
        """
        said = or_noted(
            lambda: TaskOptions(
                queue=queue,
                retries=retries,
                backoff=backoff,
                is_async=is_async,
                on_start=self._own_hook(on_start, "on_start"),
                on_success=self._own_hook(on_success, "on_success"),
                on_error=self._own_hook(on_error, "on_error"),
                expires=expires,
                time_limit=time_limit,
                unique=unique,
                priority=priority,
                keep_result=keep_result,
                headers=headers,
            ),
            TaskOptions(),
        )

        def add(found: Callable[..., object]) -> AnyTask:
            return self._add(found, name, said, aliases)

        return Registrar[object](add) if fn is None else add(fn)

    def hook(self, fn: F, /) -> F:
        """Registers a function as a hook, for `options(on_error=fn)` and the like: `@gator.hook`. Gives it back."""
        or_noted(lambda: self.registry.add_hook(fn), "")
        return fn

    def retired(self, name: str, /, *, then: Retirement = "fail") -> None:
        """Says that a task of this name was removed: its jobs are not held for another release, but end unrun.

        `then="fail"`: each is kept as a dead letter with that reason, and can be requeued after a rollback.
        `then="cancel"`: canceled with reason `retired`, and soon forgotten. Raises RegistrationError when a task has
        the name.
        """
        or_noted(lambda: self.registry.retire(checked_name(name), then), None)

    def remote(self, name: str, /, *, arguments: str, result: str, options: TaskOptions = NOTHING_SAID) -> Remote:
        """Declares a task that another service runs, by a stub: `@gator.remote("shop.send", arguments=…, result=…)`.

        `arguments` and `result` are the fingerprints of its contract: RegistrationError where the stub has others.
        What it gives is enqueued like every task, and cannot be called. `typedgator schema stubs` writes it.
        """

        def schema(fn: Callable[..., object], task: str) -> ArgumentSchema:
            return ArgumentSchema.of(
                fn,
                task=task,
                named=True,
                max_items=self._max_items,
                max_payload=self._max_payload,
                show_values=self._show_values,
            )

        return Remote(self._producer, checked_name(name), (arguments, result), options, schema)

    def _add(self, fn: Callable[..., object], name: str | None, said: TaskOptions, aliases: object) -> AnyTask:
        try:
            return self._registered(fn, name, said, aliases)
        except RegistrationError as refusal:
            if isinstance(fn, Hooked):
                return stands(refusal, cast("AnyTask", fn))
            spec = stand_in(refusal, fn, name, said)
            return (AsyncTask if spec.is_coroutine else SyncTask)(spec, fn, self._producer)

    def _registered(self, fn: Callable[..., object], name: str | None, said: TaskOptions, aliases: object) -> AnyTask:
        if isinstance(fn, Hooked):
            raise RegistrationError(f"{fn!r} is a task already: register the plain function")
        task = task_name(fn, name)
        is_coroutine = inspect.iscoroutinefunction(fn)
        spec = TaskSpec(
            task,
            ArgumentSchema.of(
                fn,
                task=task,
                named=name is not None,
                max_items=self._max_items,
                max_payload=self._max_payload,
                show_values=self._show_values,
            ),
            ResultSchema.of(fn, task=task),
            said,
            is_coroutine=is_coroutine,
            aliases=checked_aliases(task, aliases),
        )
        if not is_coroutine and said.time_limit not in (UNSET, None):
            raise RegistrationError(TIME_LIMIT_NEEDS_ASYNC.format(task))
        found: AnyTask = (AsyncTask if is_coroutine else SyncTask)(spec, fn, self._producer)
        self.registry.add(found)
        return found

    def _own_hook(self, hook: Hook | UnsetType | None, option: str) -> str | UnsetType | None:
        return hook if hook is None or isinstance(hook, UnsetType) else self.registry.add_hook(hook, option)

    # ---- enqueueing

    def task(self, fn: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Queues a call of a task: `gator.task(send, 1, 2)`. Raises InvalidArguments, and then nothing was enqueued."""
        task = known(fn, self._producer)
        return cast("Job[R]", self._producer.send(task.spec, None, args, kwargs))

    async def atask(self, fn: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """`task`, from async code."""
        task = known(fn, self._producer)
        return cast("Job[R]", await self._producer.asend(task.spec, None, args, kwargs))

    def task_many(self, fn: Task[P, R], calls: Iterable[tuple[object, ...] | Mapping[str, object]], /) -> list[Job[R]]:
        """Queues many calls of one task, each a tuple of positional arguments or a mapping of keywords.

        Nothing is sent unless all are valid; an error names the index. Up to 250 are one atomic write.
        """
        task = known(fn, self._producer)
        return cast("list[Job[R]]", self._producer.send_many(task.spec, _checked(calls)))

    async def atask_many(
        self, fn: Task[P, R], calls: Iterable[tuple[object, ...] | Mapping[str, object]], /
    ) -> list[Job[R]]:
        """`task_many`, from async code."""
        task = known(fn, self._producer)
        prepared = self._producer.prepare_each(task.spec, _checked(calls))
        return cast("list[Job[R]]", await self._producer.asend_all(prepared))

    def options(
        self,
        *,
        job_id: str | UnsetType = UNSET,
        queue: str | UnsetType = UNSET,
        retries: int | RetryPolicy | UnsetType = UNSET,
        backoff: Duration | UnsetType = UNSET,
        is_async: bool | UnsetType = UNSET,
        on_start: Callable[[Job[H]], object] | UnsetType | None = UNSET,
        on_success: Callable[[Job[H], H], object] | UnsetType | None = UNSET,
        on_error: Callable[[Job[H], BaseException], object] | UnsetType | None = UNSET,
        depends_on: Parents | UnsetType = UNSET,
        delay_by: Duration | UnsetType | None = UNSET,
        delay_until: datetime | UnsetType | None = UNSET,
        expires: Duration | UnsetType | None = UNSET,
        time_limit: Duration | UnsetType | None = UNSET,
        unique: bool | str | UnsetType = UNSET,
        priority: int | UnsetType = UNSET,
        keep_result: bool | timedelta | UnsetType | None = UNSET,
        headers: Mapping[str, str] | UnsetType = UNSET,
    ) -> Options[H]:
        """A block of options for the calls inside: `with gator.options(retries=3) as opts: opts.task(send, 1, 2)`.

        What is not said comes from the task, then from the gator. Durations are seconds or timedelta.

        `job_id`: your own id; the same id again is the same job. `queue`: which queue.
        `retries`: how many, or a RetryPolicy. `backoff`: before the first retry. `is_async=False`: run here and now.
        `on_start(job)`, `on_success(job, result)`, `on_error(job, error)`: registered hooks, run in the worker.
        `depends_on`: jobs that must succeed first. `delay_by` or `delay_until` (an aware datetime): not before.
        `expires`: canceled when not started in time. `time_limit`: an async attempt is stopped then.
        `unique`: True: one unfinished job of the same task and arguments; or a key of your own.
        `priority`: 0 to 255, higher first, default 100. `keep_result`: True, False, or how long.
        `headers`: text that travels along. Raises ConfigurationError here, not at the first call.
        """
        return Options(
            or_noted(
                lambda: TaskOptions(
                    job_id=job_id,
                    queue=queue,
                    retries=retries,
                    backoff=backoff,
                    is_async=is_async,
                    on_start=self._known_hook(on_start, "on_start"),
                    on_success=self._known_hook(on_success, "on_success"),
                    on_error=self._known_hook(on_error, "on_error"),
                    depends_on=_parent_ids(depends_on),
                    delay_by=delay_by,
                    delay_until=delay_until,
                    expires=expires,
                    time_limit=time_limit,
                    unique=unique,
                    priority=priority,
                    keep_result=keep_result,
                    headers=headers,
                ),
                TaskOptions(),
            ),
            self._producer,
        )

    def _known_hook(self, hook: Hook | UnsetType | None, option: str) -> str | UnsetType | None:
        return hook if hook is None or isinstance(hook, UnsetType) else self.registry.hook_name(hook, option)

    def batch(self, options: Options[H] | None = None, /) -> Batch[H]:
        """A block that collects calls of any tasks and sends them together when it ends.

        `with gator.batch() as batch: batch.task(send, 1, 2)`. `options` are what `gator.options(…)` gave, for every
        call inside. Nothing is sent unless all calls are valid.
        """
        if options is not None and not isinstance(options, Options):
            raise ConfigurationError(f"batch() takes what gator.options(…) gave, got {options!r:.200}")
        return Batch(TaskOptions() if options is None else options.said, self._producer)

    # ---- jobs and queues

    @overload
    def job(self, job_id: str, /) -> Job[object]: ...
    @overload
    def job(self, job_id: str, task: Task[P, R], /) -> Job[R]: ...
    def job(self, job_id: str, task: Task[P, R] | None = None, /) -> Job[object] | Job[R]:
        """A handle on a job by its id; with its task, a typed one. Asks nothing yet, so any id gives one."""
        found = parse_id(job_id)
        if task is None:
            return Job(self.backend, found, self.registry.read)
        return cast("Job[R]", Job(self.backend, found, known(task, self._producer).spec.read))

    def queue(self, name: str = DEFAULT_QUEUE, /) -> Queue:
        """A queue by name: `len(gator.queue("images"))`."""
        return Queue(self.backend, checked_queue(name))

    def counts(self) -> Counts:
        """Jobs by queue and state."""
        return inspecting(self.backend).counts()

    def pop(self, *queues: str) -> Job[object] | None:
        """Takes the next due job of these queues (none given: of all) and runs one attempt of it here.

        None when nothing is due.
        """
        return self._inline.pop(tuple(map(checked_queue, queues)) or (EVERY_QUEUE,))

    def get(self, job_id: str, /) -> Job[object]:
        """Takes this one job, due or not, and runs one attempt of it here.

        Raises JobError when it is blocked, held, running or finished, JobUnknown when nothing is known of it.
        """
        job = self._inline.pop((EVERY_QUEUE,), parse_id(job_id))
        if job is None:
            state = self.job(job_id).state()
            raise JobError(f"job {job_id} is {state}: only a scheduled, waiting or retrying one can be taken", job_id)
        return job

    async def apop(self, *queues: str) -> Job[object] | None:
        """`pop`, from async code: the job runs in a thread."""
        return await asyncio.to_thread(self.pop, *queues)

    @contextmanager
    def elsewhere(self, backend: Backend, clock: Clock) -> Generator[None]:
        """A block, for tests, in which this gator keeps its jobs in another backend, under another clock.

        In it, what TYPEDGATOR_ASYNC or `Gator(is_async=False)` would run at once is queued. It holds for the whole
        process: no place for a test beside which other threads enqueue. `typedgator.testing.trial` is made of it.
        """
        before = self.dsn, self.backend, self.clock
        self._move(None, backend, clock, msgspec.structs.replace(self.defaults, is_async=UNSET))
        try:
            yield
        finally:
            self._move(*before, self.defaults)

    def _move(self, dsn: str | None, backend: Backend, clock: Clock, defaults: TaskOptions) -> None:
        self.dsn, self.backend, self.clock = dsn, backend, clock
        self._producer.move(backend, clock, defaults)
        self._inline.move(backend, clock)

    def close(self) -> None:
        """Lets go of connections; a later call opens them again."""
        self.backend.close()

    def __reduce__(self) -> Never:
        raise GatorError("a Gator cannot be pickled or copied, it holds connections: import it where it is needed")

    def __repr__(self) -> str:
        return f"<Gator {masked(self.dsn) if self.dsn else type(self.backend).__name__}, {len(self.registry)} tasks>"


def _check_arguments(
    backend: object, max_items: object, max_payload: object, show_values: object, middleware: object, clock: object
) -> None:
    """Raises ConfigurationError naming the argument of a Gator that cannot mean anything."""
    if isinstance(max_items, bool) or not isinstance(max_items, int) or max_items < 1:
        raise ConfigurationError(f"max_items must be a whole number from 1, got {max_items!r:.200}")
    if (
        isinstance(max_payload, bool)
        or not isinstance(max_payload, int)
        or not 1 <= max_payload <= LARGEST_PAYLOAD_BYTES
    ):
        raise ConfigurationError(f"max_payload must be 1 to {LARGEST_PAYLOAD_BYTES} bytes, got {max_payload!r:.200}")
    if not isinstance(show_values, bool):
        raise ConfigurationError(f"show_values must be True or False, got {show_values!r:.200}")
    layers = list(cast("Sequence[object]", middleware)) if isinstance(middleware, Sequence) else [middleware]
    if not isinstance(middleware, Sequence) or not all(isinstance(layer, Middleware) for layer in layers):
        raise ConfigurationError(f"middleware must be a list of Middleware instances, got {middleware!r:.200}")
    if clock is not None and _lacks(clock, Clock):
        raise ConfigurationError(f"clock must be a Clock, with now_ms() and monotonic(), got {clock!r:.200}")
    if backend is not None and (missing := _lacks(backend, Backend)):
        raise ConfigurationError(f"backend must be a Backend, but {backend!r:.200} has no {', '.join(missing)}")


def _lacks(found: object, protocol: type) -> list[str]:
    """What a protocol has and this does not; a class in the place of an instance lacks all of it."""
    wanted = [name for name in vars(protocol) if not name.startswith("_")]
    return [name for name in wanted if isinstance(found, type) or not hasattr(found, name)]


def _connected(given: str | None, namespace: str | None, durability: str | None, clock: Clock) -> tuple[str, Backend]:
    for name, said in (("the DSN", given), ("namespace", namespace), ("durability", durability)):
        if said is not None and (not isinstance(said, str) or said != said.strip()):
            shown = masked(said) if isinstance(said, str) else said
            raise ConfigurationError(f"{name} must be text without blanks around it, got {shown!r:.200}")
    dsn = given if given is not None else os.environ.get("TYPEDGATOR_CONN") or ""
    if not dsn:
        if given is not None:
            raise ConfigurationError("the DSN is empty: leave it out, and TYPEDGATOR_CONN names the backend")
        logger.info("TYPEDGATOR_CONN is not set: jobs are kept in %s, in the working folder", DEFAULT_DSN)
        dsn = DEFAULT_DSN
    if namespace is None:
        namespace = os.environ.get("TYPEDGATOR_NAMESPACE") or "default"
    return dsn, connect(dsn, namespace=namespace, durability=durability, clock=clock)


def _is_async() -> bool | UnsetType:
    """TYPEDGATOR_ASYNC as a boolean. Raises ConfigurationError for what is neither."""
    said = os.environ.get("TYPEDGATOR_ASYNC", "").strip().lower()
    if not said:
        return UNSET
    if said not in _TRUE | _FALSE:
        raise ConfigurationError(f"TYPEDGATOR_ASYNC must be true or false (1/0, yes/no, on/off), got {said!r}")
    return said in _TRUE


def _parent_ids(parents: Parents | UnsetType) -> tuple[str, ...] | UnsetType:
    if isinstance(parents, UnsetType):
        return parents
    if isinstance(parents, (Job, str)):
        parents = (parents,)
    if not isinstance(parents, Sequence):
        raise ConfigurationError(f"depends_on takes a job, a job id, or a sequence of them, got {parents!r:.200}")
    return tuple(parent.id if isinstance(parent, Job) else parent for parent in parents)


def _checked(
    calls: Iterable[tuple[object, ...] | Mapping[str, object]],
) -> Sequence[tuple[object, ...] | Mapping[str, object]]:
    """All of them, each something that can be a call. Raises ConfigurationError naming the index."""
    if not isinstance(calls, Iterable) or isinstance(calls, (str, bytes, Mapping)):
        raise ConfigurationError(
            f"task_many takes calls, each a tuple or a mapping, got {calls!r:.200}. Nothing was enqueued."
        )
    found = list(calls)
    if set(map(type, found)) <= _CALLS:
        return found
    for index, call in enumerate(found):
        if not isinstance(call, (tuple, Mapping)):
            raise ConfigurationError(
                f"item {index}: a call is a tuple of positional arguments or a mapping of keywords, got {call!r:.100}; "
                "for one argument write (value,). Nothing was enqueued."
            )
    return found
