"""The only road into a backend.

`prepare` is pure and serves sync and async callers alike, as does all that follows an answer; `_push` and `_apush` are
the I/O.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from typing import Final

import msgspec

from typedgator.backends.contract import (
    ATOMIC_BATCH,
    Backend,
    Inspect,
    JobRecord,
    Receipt,
    ReceiptStatus,
    in_series,
    on_loops,
)
from typedgator.bulk import send_series
from typedgator.clock import Clock, SystemClock
from typedgator.errors import (
    BackendUnavailable,
    BatchIncomplete,
    ConfigurationError,
    InvalidArguments,
    NotReplicated,
    PayloadMismatch,
    ResultNotKept,
    UnknownDependency,
    Unsupported,
)
from typedgator.events import Events, JobEnqueued
from typedgator.job import Job
from typedgator.middleware import Middleware
from typedgator.policy.durations import MAX_DELAY_MS
from typedgator.policy.options import JobOptions, TaskOptions, merge, resolve
from typedgator.wire.envelope import Envelope, decode_envelope, encode_envelope
from typedgator.wire.frame import Frame, FrameFlags, open_frame
from typedgator.wire.ids import ID_BYTES, JobId, new_id, new_ids, shown_id
from typedgator.wire.mould import Mould, Series, Shape
from typedgator.wire.outcome import Outcome
from typedgator.wire.schema import ArgumentSchema, ResultSchema

__all__ = ["TIME_LIMIT_NEEDS_ASYNC", "CallOptions", "Prepared", "Producer", "TaskSpec"]

TIME_LIMIT_NEEDS_ASYNC: Final = (
    "{}: time_limit needs an `async def`: a `def` runs in a thread, and a thread cannot be stopped"
)


class TaskSpec:
    """What a task is, apart from its function: its name and earlier names, its two schemas, and the options it was
    registered with.
    """

    __slots__ = ("aliases", "arguments", "is_coroutine", "name", "options", "results", "returns_nothing")

    def __init__(
        self,
        name: str,
        arguments: ArgumentSchema,
        results: ResultSchema,
        options: TaskOptions,
        *,
        is_coroutine: bool,
        aliases: tuple[str, ...] = (),
    ) -> None:
        self.name: Final = name
        self.aliases: Final = aliases
        self.arguments: Final = arguments
        self.results: Final = results
        self.options: Final = options
        self.is_coroutine: Final = is_coroutine
        self.returns_nothing: Final = results.document == {"type": "null"}

    def read(self, job_id: str, outcome: Outcome | None) -> object:
        """A stored result as the task returned it. Raises ResultNotKept, or PayloadMismatch: its type was changed."""
        if outcome is not None:
            return self.results.decode(bytes(outcome.result))
        if self.returns_nothing:
            return None
        raise ResultNotKept(job_id)


class Way(msgspec.Struct, frozen=True, gc=False):
    """How calls of one task go: with these options, their envelopes out of this mould."""

    options: JobOptions
    mould: Mould
    is_plain: bool
    """Due at once, after nothing, beside nothing, without expiry, under ids of ours."""


class CallOptions:
    """What one `options()` block says, and what that makes for each task that was called in it.

    `named` is the task that its `job_id` stands for, once a call of one was accepted.
    """

    __slots__ = ("named", "said", "ways")

    def __init__(self, said: TaskOptions) -> None:
        self.said: Final = said
        self.ways: Final[dict[TaskSpec, Way]] = {}
        self.named: str | None = None


class Prepared(msgspec.Struct, frozen=True, gc=False):
    """One call, checked and encoded; nothing was sent yet."""

    spec: TaskSpec
    frame: Frame
    is_async: bool

    @property
    def envelope(self) -> Envelope:
        """What the frame's says, read back."""
        return decode_envelope(self.frame.envelope)


class Producer:
    """Turns calls into jobs: options merged, arguments checked and encoded, the envelope mapped, the frame pushed.

    `here` runs a prepared call in this thread, for `is_async=False`.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        defaults: TaskOptions,
        clock: Clock,
        middleware: Sequence[Middleware],
        events: Events,
        here: Callable[[Prepared], JobRecord],
    ) -> None:
        self.move(backend, clock, defaults)
        self._middleware = tuple(middleware)
        self._events = events
        self._here = here

    def move(self, backend: Backend, clock: Clock, defaults: TaskOptions) -> None:
        """From now on calls go to this backend, with these defaults, and the time is this clock's."""
        self.backend = backend
        self._loops = on_loops(backend)
        self._series = in_series(backend)
        self.clock = clock
        self._defaults = defaults
        self._ways: dict[TaskSpec, Way] = {}
        self._presses: dict[TaskSpec, Callable[[bytes], JobId] | None] = {}
        self._apresses: dict[TaskSpec, Callable[[bytes], Awaitable[JobId]] | None] = {}

    def way_of(self, spec: TaskSpec, call: CallOptions | None) -> Way:
        """What one call gets, all three levels merged. Raises ConfigurationError, or Unsupported by this backend."""
        cache = self._ways if call is None else call.ways
        way = cache.get(spec)
        if way is None:
            levels = (self._defaults, spec.options) if call is None else (self._defaults, spec.options, call.said)
            way = cache[spec] = _way(spec, self._allowed(spec, resolve(merge(*levels))))
        return way

    def _press(self, spec: TaskSpec) -> Callable[[bytes], JobId] | None:
        """What accepts plain calls of a task; None where each has to be prepared by itself."""
        shape, facet = self._shape(spec), self._series
        press = self._presses[spec] = None if shape is None or facet is None else facet.press(shape)
        return press

    def _apress(self, spec: TaskSpec) -> Callable[[bytes], Awaitable[JobId]] | None:
        shape, facet = self._shape(spec), self._series
        press = self._apresses[spec] = None if shape is None or facet is None else facet.apress(shape)
        return press

    def _shape(self, spec: TaskSpec) -> Shape | None:
        """What plain calls have in common, where nobody looks at each; the time of their ids must be the clock's."""
        way = self.way_of(spec, None)
        if not way.is_plain or self._middleware or type(self.clock) is not SystemClock:
            return None
        options = way.options
        return Shape(mould=way.mould, queue=options.queue, priority=options.priority, flags=options.flags)

    def prepare(self, spec: TaskSpec, way: Way, args: tuple[object, ...], kwargs: Mapping[str, object]) -> Prepared:
        """Checks and encodes one call. Raises InvalidArguments; whatever it raises, nothing was enqueued."""
        options = way.options
        payload = spec.arguments.encode(args, kwargs)
        now_ms = self.clock.now_ms()
        job_id = options.job_id or new_id()
        envelope = way.mould.envelope(job_id, payload, now_ms)
        if self._middleware:
            envelope = self._through_middleware(envelope)
        delay_ms = options.delay_ms
        if options.until_ms is not None:
            delay_ms = max(0, options.until_ms - now_ms)
            if delay_ms > MAX_DELAY_MS:
                raise ConfigurationError("delay_until is more than a year away")
        frame = Frame(
            job_id=job_id,
            queue=options.queue,
            envelope=envelope,
            priority=options.priority,
            delay_ms=delay_ms,
            expires_in_ms=options.expires_in_ms,
            unique=None if options.unique is False else _unique_key(spec, options.unique, payload),
            parents=options.parents,
            flags=options.flags,
        )
        return Prepared(spec, frame, options.is_async)

    def _through_middleware(self, stored: bytes) -> bytes:
        envelope = decode_envelope(stored)
        for layer in self._middleware:
            envelope = layer.enqueue(envelope)
        return encode_envelope(envelope)

    def send(
        self, spec: TaskSpec, call: CallOptions | None, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> Job[object]:
        """One call becomes one job, or, with `is_async=False`, is run here and now."""
        if call is None:
            press = self._presses[spec] if spec in self._presses else self._press(spec)
            if press is not None and not self._events.wants(JobEnqueued):
                return Job(self.backend, press(spec.arguments.encode(args, kwargs)), spec.read)
        return self.send_one(self.prepare_one(spec, call, args, kwargs))

    async def asend(
        self, spec: TaskSpec, call: CallOptions | None, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> Job[object]:
        """`send`, from async code: only the I/O leaves the event loop."""
        if call is None:
            press = self._apresses[spec] if spec in self._apresses else self._apress(spec)
            if press is not None and not self._events.wants(JobEnqueued):
                return Job(self.backend, await press(spec.arguments.encode(args, kwargs)), spec.read)
        return await self.asend_one(self.prepare_one(spec, call, args, kwargs))

    async def asend_one(self, prepared: Prepared) -> Job[object]:
        """`send_one`, from async code."""
        if self._loops is None or not prepared.is_async:
            return await asyncio.to_thread(self.send_one, prepared)
        try:
            return (await self._apush([prepared]))[0]
        except NotReplicated as error:
            raise self._repeatable(error, prepared) from None

    def prepare_each(
        self, spec: TaskSpec, calls: Sequence[tuple[object, ...] | Mapping[str, object]]
    ) -> list[Prepared]:
        """Checks and encodes many calls of one task; an error names the index of the call."""
        return [
            self.prepare_at(index, spec, None, call, {})
            if isinstance(call, tuple)
            else self.prepare_at(index, spec, None, (), call)
            for index, call in enumerate(calls)
        ]

    def prepare_at(
        self,
        index: int,
        spec: TaskSpec,
        call: CallOptions | None,
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
    ) -> Prepared:
        """Checks and encodes the call at this place of a batch. Raises InvalidArguments naming the place."""
        way = self.way_of(spec, call)
        if index and way.options.job_id is not None:
            raise ConfigurationError("job_id names one job: it cannot be given to a batch of several")
        try:
            return self.prepare(spec, way, args, kwargs)
        except InvalidArguments as error:
            raise error.at(index) from None

    def send_many(
        self, spec: TaskSpec, calls: Sequence[tuple[object, ...] | Mapping[str, object]]
    ) -> list[Job[object]]:
        """`send_all` of many calls of one task, once all are checked; in series where nobody must see each of them."""
        way, facet = self.way_of(spec, None), self._series
        if facet is None or not way.is_plain or self._middleware or self._events.wants(JobEnqueued):
            return self.send_all(self.prepare_each(spec, calls))

        def again(rest: Sequence[Frame]) -> list[str]:
            return [job.id for job in self.send_all([Prepared(spec, frame, is_async=True) for frame in rest])]

        return send_series(self.backend, facet, self._cast(spec, way, calls), spec.read, again)

    def _cast(self, spec: TaskSpec, way: Way, calls: Sequence[tuple[object, ...] | Mapping[str, object]]) -> Series:
        """Checks and encodes many plain calls; an error names the index of the call."""
        payloads, options = spec.arguments.encode_each(calls), way.options
        ids = new_ids(len(payloads))
        before, between, after = way.mould.around(ID_BYTES, self.clock.now_ms())
        return Series(
            ids=ids,
            payloads=payloads,
            before=before,
            between=between,
            after=after,
            queue=options.queue,
            priority=options.priority,
            flags=options.flags,
            is_new=True,
        )

    def send_all(self, batch: Sequence[Prepared]) -> list[Job[object]]:
        """Sends prepared calls, in order: up to ATOMIC_BATCH are one atomic write, more go in chunks.

        Those with `is_async=False` run here once all others are written. Raises BatchIncomplete when a write was
        interrupted, and UnknownDependency when the first chunk was refused.
        """
        sent: list[Job[object]] = []
        for chunk in _chunks(batch):
            with self._complete(batch, sent):
                sent += self._push(chunk)
        return self._run_rest_here(batch, sent)

    async def asend_all(self, batch: Sequence[Prepared]) -> list[Job[object]]:
        """`send_all`, from async code."""
        if self._loops is None:
            return await asyncio.to_thread(self.send_all, batch)
        sent: list[Job[object]] = []
        for chunk in _chunks(batch):
            with self._complete(batch, sent):
                sent += await self._apush(chunk)
        return sent if len(sent) == len(batch) else await asyncio.to_thread(self._run_rest_here, batch, sent)

    def prepare_one(
        self, spec: TaskSpec, call: CallOptions | None, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> Prepared:
        """Checks and encodes one call, for `send_one` now or later. Whatever it raises, nothing was enqueued."""
        way = self.way_of(spec, call)
        job_id = way.options.job_id
        if call is None or job_id is None:
            return self.prepare(spec, way, args, kwargs)
        if call.named is not None and call.named != spec.name:
            raise _taken(job_id, call.named, spec.name)
        prepared = self.prepare(spec, way, args, kwargs)
        call.named = spec.name
        return prepared

    def send_one(self, prepared: Prepared) -> Job[object]:
        """A prepared call becomes a job, or, with `is_async=False`, is run here and now."""
        if not prepared.is_async:
            return self._run_here(prepared)
        try:
            return self._push([prepared])[0]
        except NotReplicated as error:
            raise self._repeatable(error, prepared) from None

    def _repeatable(self, error: NotReplicated, prepared: Prepared) -> NotReplicated:
        """The same, with the way out: whoever let typedgator make the id has nothing else to repeat it by."""
        return error.about(error.job_ids, lambda: [self.send_one(prepared).id])

    @contextmanager
    def _complete(self, batch: Sequence[Prepared], sent: Sequence[Job[object]]) -> Generator[None]:
        """A write after so many: what interrupts it leaves as BatchIncomplete."""
        try:
            yield
        except (BackendUnavailable, UnknownDependency) as error:
            if not sent and isinstance(error, UnknownDependency):
                raise
            written = set(map(id, [prepared for prepared in batch if prepared.is_async][: len(sent)]))
            kept = dict.fromkeys(error.kept if isinstance(error, BackendUnavailable) else ())
            rest = [each for each in batch if id(each) not in written and shown_id(each.frame.job_id) not in kept]
            ids = [shown_id(prepared.frame.job_id) for prepared in rest]
            again = lambda: [job.id for job in self.send_all(rest)]  # noqa: E731 - the batch, once more
            raise BatchIncomplete(
                [*(job.id for job in sent), *kept], ids, again, may_double=not self.backend.can.memory
            ) from error

    def _run_rest_here(self, batch: Sequence[Prepared], sent: Sequence[Job[object]]) -> list[Job[object]]:
        written = iter(sent)
        return [next(written) if prepared.is_async else self._run_here(prepared) for prepared in batch]

    def _push(self, chunk: Sequence[Prepared]) -> list[Job[object]]:
        receipts = self.backend.enqueue([prepared.frame for prepared in chunk])
        for prepared in _namesakes(chunk, receipts):
            if isinstance(self.backend, Inspect) and self.backend.can.inspect:
                _check_namesake(prepared, self.backend.find(prepared.frame.job_id))
        return self._accepted(chunk, receipts)

    async def _apush(self, chunk: Sequence[Prepared]) -> list[Job[object]]:
        assert self._loops is not None
        receipts = await self._loops.aenqueue([prepared.frame for prepared in chunk])
        for prepared in _namesakes(chunk, receipts):
            _check_namesake(prepared, await self._loops.aoutcome(prepared.frame.job_id, wait_ms=0))
        return self._accepted(chunk, receipts)

    def _accepted(self, chunk: Sequence[Prepared], receipts: Sequence[Receipt]) -> list[Job[object]]:
        """The handles; who listens is told."""
        jobs: list[Job[object]] = [
            Job(
                self.backend,
                receipt.job_id,
                prepared.spec.read,
                duplicate=receipt.status is ReceiptStatus.DUPLICATE,
            )
            for prepared, receipt in zip(chunk, receipts, strict=True)
        ]
        if self._events.wants(JobEnqueued):
            for prepared, job in zip(chunk, jobs, strict=True):
                self._events.tell(JobEnqueued(job.id, prepared.spec.name, prepared.frame.queue, job.duplicate))
        return jobs

    def _run_here(self, prepared: Prepared) -> Job[object]:
        record = self._here(prepared)
        return Job(self.backend, prepared.frame.job_id, prepared.spec.read, final=record)

    def _allowed(self, spec: TaskSpec, options: JobOptions) -> JobOptions:
        """The options, when this task and this backend can keep what they promise."""
        if options.policy.time_limit_ms is not None and not spec.is_coroutine:
            raise ConfigurationError(TIME_LIMIT_NEEDS_ASYNC.format(spec.name))
        can = self.backend.can
        if not options.is_async:
            if options.parents:
                raise ConfigurationError(
                    f"{spec.name}: depends_on has no meaning with is_async=False: nothing is stored that it could wait "
                    "for; call the one after the other. Nothing was run."
                )
            return options
        asked = {
            "unique": options.unique is not False and not can.unique,
            "depends_on": bool(options.parents) and not can.dependencies,
            "expires": options.expires_in_ms is not None and not can.expiry,
            "job_id": options.job_id is not None and not can.caller_ids,
            "priority": options.priority != 100 and not can.priorities,
            "keep_result": (options.policy.keep_result_ms or 0) > 0 and not can.results,
            "delay_by": can.max_delay_ms is not None and options.delay_ms > can.max_delay_ms,
        }
        for option, refused in asked.items():
            if refused:
                raise Unsupported(f"{option}= was asked for, but this backend cannot keep it; see its `can`")
        return options


def _chunks(batch: Sequence[Prepared]) -> Iterator[list[Prepared]]:
    """What is queued, as it is written."""
    queued = [prepared for prepared in batch if prepared.is_async]
    for start in range(0, len(queued), ATOMIC_BATCH):
        yield queued[start : start + ATOMIC_BATCH]


def _namesakes(chunk: Sequence[Prepared], receipts: Sequence[Receipt]) -> list[Prepared]:
    """Those whose id, which the caller gave, is the id of a job already."""
    return [
        prepared
        for prepared, receipt in zip(chunk, receipts, strict=True)
        if receipt.status is ReceiptStatus.DUPLICATE
        and prepared.frame.flags & FrameFlags.CALLERS_ID
        and receipt.job_id == prepared.frame.job_id
    ]


def _check_namesake(prepared: Prepared, record: JobRecord | None) -> None:
    """Raises ConfigurationError when the caller's id is a job of another task, as far as can still be read."""
    if record is None or record.frame is None:
        return
    try:
        holder = decode_envelope(open_frame(record.frame).envelope).task
    except PayloadMismatch:  # of another release: nothing is known against it
        return
    if holder not in (prepared.envelope.task, *prepared.spec.aliases):
        raise _taken(prepared.frame.job_id, holder, prepared.envelope.task)


def _taken(job_id: JobId, holder: str, task: str) -> ConfigurationError:
    return ConfigurationError(
        f"job_id {shown_id(job_id)!r} is a job of {holder}, so {task} cannot have it: put the task into the id. "
        "Nothing was enqueued."
    )


def _way(spec: TaskSpec, options: JobOptions) -> Way:
    arguments = spec.arguments
    mould = Mould(spec.name, arguments.fingerprint, options.policy, options.headers, arguments.secret)
    is_plain = (
        options.is_async
        and options.job_id is None
        and options.unique is False
        and not options.parents
        and options.delay_ms == 0
        and options.until_ms is None
        and options.expires_in_ms is None
    )
    return Way(options, mould, is_plain)


def _unique_key(spec: TaskSpec, unique: bool | str, payload: bytes) -> bytes:
    said = b"=" + spec.arguments.canonical(payload) if unique is True else b":" + str(unique).encode()
    return blake2b(f"{len(spec.name)} {spec.name}".encode() + said, digest_size=16).digest()
