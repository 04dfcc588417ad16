"""What was enqueued: typed by the task itself, so that a wrong expectation is an error in the editor.

These look at jobs that have not ended, wherever the task's gator keeps them: no fixture is needed.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from inspect import BoundArguments, signature
from typing import Any, Final, Generic, ParamSpec, TypeAlias, TypeVar, cast, overload

from typedgator.backends.contract import JobRecord
from typedgator.errors import InvalidArguments, NotRegistered, PayloadMismatch
from typedgator.job import Job
from typedgator.producer import TaskSpec
from typedgator.queues import inspecting
from typedgator.task import Hooked, Task
from typedgator.wire.binder import Call
from typedgator.wire.envelope import Envelope, decode_envelope
from typedgator.wire.frame import FrameHead, open_frame
from typedgator.wire.states import JobState

__all__ = ["Enqueued", "assert_enqueued", "assert_not_enqueued", "enqueued"]

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

_AnyTask: TypeAlias = Hooked[..., object, object]

_AHEAD: Final = (
    JobState.RUNNING,
    JobState.WAITING,
    JobState.RETRYING,
    JobState.SCHEDULED,
    JobState.BLOCKED,
    JobState.HELD,
)


class Enqueued(Generic[R_co]):
    """A call that waits: its `arguments` by name, defaults filled in, as the task will get them, and how it waits."""

    def __init__(self, job: Job[R_co], arguments: dict[str, object], record: JobRecord, head: FrameHead) -> None:
        self.job: Final = job
        self.arguments: Final = arguments
        self.state: Final = record.state
        self.queue: Final = head.queue
        self.priority: Final = head.priority
        self.due: Final = None if record.due_ms is None else datetime.fromtimestamp(record.due_ms / 1000, UTC)


def enqueued(task: Task[P, R], /) -> list[Enqueued[R]]:
    """The calls of a task that have not ended: running ones, then waiting ones in the order of turn, then others."""
    return cast("list[Enqueued[R]]", _calls(task))


def _calls(task: _AnyTask) -> list[Enqueued[object]]:
    found: list[Enqueued[object]] = []
    _check_registered(task)
    spec, backend = task.spec, task.producer.backend
    for record, head, envelope in _stored(task):
        if envelope.task not in (spec.name, *spec.aliases):
            continue
        try:
            call = spec.arguments.decode(bytes(envelope.args), fingerprint=envelope.schema)
        except PayloadMismatch:  # of another release: no call of today's task
            continue
        job = Job[object](backend, record.job_id, spec.read)
        found.append(Enqueued(job, _named(task, call), record, head))
    return found


def assert_enqueued(task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
    """Asserts that this call is enqueued and has not ended; gives its job, the first if there are several.

    Arguments are equal when the task gets the same, in value and type: a default that was spelled out is the default,
    and True is not 1.
    """
    __tracebackhide__ = True
    calls = enqueued(task)
    arguments = task.spec.arguments
    wanted = _named(task, arguments.decode(arguments.encode(args, kwargs), fingerprint=arguments.fingerprint))
    for each in calls:
        if _is_call(task, each.arguments, wanted):
            return each.job
    raise AssertionError(f"{arguments.spoken((), wanted)} is not enqueued; {_instead(task, calls)}")


@overload
def assert_not_enqueued(task: Task[..., R], /) -> None: ...
@overload
def assert_not_enqueued(task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> None: ...
def assert_not_enqueued(fn: object, /, *args: object, **kwargs: object) -> None:
    """Asserts that no call of this task is enqueued; with arguments: that this call is not."""
    __tracebackhide__ = True
    task = cast("_AnyTask", fn)
    calls = _calls(task)
    arguments = task.spec.arguments
    if args or kwargs:
        wanted = _named(task, arguments.decode(arguments.encode(args, kwargs), fingerprint=arguments.fingerprint))
        calls = [each for each in calls if _is_call(task, each.arguments, wanted)]
    if calls:
        raise AssertionError(f"{task.name} is enqueued: {_shown(task.spec, calls)}")


def _stored(task: _AnyTask) -> Iterator[tuple[JobRecord, FrameHead, Envelope]]:
    storage = inspecting(task.producer.backend)
    for state in _AHEAD:
        after: str | None = None
        while True:
            page = storage.page(state, after=after)
            for record in page.records:
                if record.frame is not None:
                    head = open_frame(record.frame)
                    yield record, head, decode_envelope(head.envelope)
            after = page.after
            if after is None:
                break


def _named(task: _AnyTask, call: Call) -> dict[str, object]:
    bound = signature(task.fn).bind(*call[0], **call[1])
    bound.apply_defaults()
    return dict(bound.arguments)


def _check_registered(task: object) -> None:
    if not isinstance(task, Hooked):
        name = getattr(task, "__qualname__", repr(task))
        raise NotRegistered(f"{name} is not a registered task, so nothing is enqueued of it: use @gator.register")


def _is_call(task: _AnyTask, one: dict[str, object], other: dict[str, object]) -> bool:
    return _same(_sent(task, one), _sent(task, other))


def _sent(task: _AnyTask, named: dict[str, object]) -> dict[str, object]:
    """The arguments as if all of them had been sent: a default of 1 for a float arrives as 1.0 then, too."""
    whole = BoundArguments(signature(task.fn), cast("Any", named))
    arguments = task.spec.arguments
    try:
        payload = arguments.encode(whole.args, whole.kwargs)
    except InvalidArguments:  # with all its defaults spelled out, a call may be too large
        return named
    return _named(task, arguments.decode(payload, fingerprint=arguments.fingerprint))


def _same(one: object, other: object) -> bool:
    """`==`, and of the same types all the way down; NaN is NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Mapping):
        mine, yours = cast("dict[object, object]", one), cast("dict[object, object]", other)
        return mine.keys() == yours.keys() and all(_same(value, yours[key]) for key, value in mine.items())
    if isinstance(one, (list, tuple)):
        ours, theirs = cast("list[object]", one), cast("list[object]", other)
        return len(ours) == len(theirs) and all(map(_same, ours, theirs))
    if isinstance(one, (set, frozenset)):
        return _typed(cast("set[object]", one)) == _typed(cast("set[object]", other))
    if dataclasses.is_dataclass(one):
        fields = [field.name for field in dataclasses.fields(one)]
        return all(_same(getattr(one, name), getattr(other, name)) for name in fields)
    return one == other or (one != one and other != other)  # of all values, only NaN


def _typed(values: set[object]) -> set[tuple[type, object]]:
    return {(type(value), value) for value in values}


def _instead(task: _AnyTask, calls: Sequence[Enqueued[object]]) -> str:
    if calls:
        return f"of this task there is {_shown(task.spec, calls)}"
    others: dict[str, int] = {}
    for _, _, envelope in _stored(task):
        others[envelope.task] = others.get(envelope.task, 0) + 1
    if others:
        told = ", ".join(f"{count} of {name}" for name, count in sorted(others.items()))
        return f"nothing of this task is, only {told}"
    return "nothing is, and what has ended does not count: look before drain(), and at is_async=False"


def _shown(spec: TaskSpec, calls: Sequence[Enqueued[object]]) -> str:
    most = 10
    lines = [
        f"{spec.arguments.spoken((), each.arguments)}, {each.state} in queue {each.queue}" for each in calls[:most]
    ]
    more = len(calls) - most
    return "".join(f"\n  {line}" for line in lines) + (f"\n  and {more} more" if more > 0 else "")
