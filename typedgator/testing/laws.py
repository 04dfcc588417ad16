"""Laws that every task keeps, ready to be run: `@pytest.mark.parametrize("law", laws(send), ids=str)`.

Each law draws calls that the task must accept, and fails with the simplest call that breaks it.
"""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, Final, TypeAlias, cast

from hypothesis import given

from typedgator.errors import InvalidArguments
from typedgator.task import Task
from typedgator.testing.strategies import calls
from typedgator.wire.binder import Call
from typedgator.wire.schema import ArgumentSchema

__all__ = ["Law", "laws"]

_Check: TypeAlias = Callable[[ArgumentSchema, Call], None]


class Law:
    """One law of one task; calling it tries it on many calls. Raises AssertionError, naming the call."""

    def __init__(self, task: Task[..., object], name: str, check: _Check) -> None:
        self.name: Final = name
        self._task = task
        self._check = check

    def __call__(self) -> None:
        """Tries it. hypothesis' settings say how often."""
        arguments = self._task.spec.arguments

        @given(calls(self._task))
        def holds(call: Call) -> None:
            self._check(arguments, call)

        holds()

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<Law {self.name} of {self._task.name}>"


def laws(task: Task[..., object], /) -> list[Law]:
    """All laws, for one task."""
    return [Law(task, name, check) for name, check in _LAWS.items()]


def _accepted(arguments: ArgumentSchema, call: Call) -> bytes:
    try:
        return arguments.encode(*call)
    except InvalidArguments as refused:
        raise AssertionError(f"a call that fits the annotations is refused: {refused}") from None


def _arrives(arguments: ArgumentSchema, payload: bytes) -> Call:
    return arguments.decode(payload, fingerprint=arguments.fingerprint)


def _every_call_is_accepted(arguments: ArgumentSchema, call: Call) -> None:
    """What fits the annotations is enqueued, and a worker takes it."""
    _arrives(arguments, _accepted(arguments, call))


def _round_trip_is_exact(arguments: ArgumentSchema, call: Call) -> None:
    """What arrives is what was checked, in value and type."""
    checked = arguments.checked(*call)
    there = arguments.checked(*_arrives(arguments, _accepted(arguments, call)))
    known = {name: there[name] for name in checked}  # a default before `*args` is filled in on the way
    assert _same(known, checked), f"{checked!r} was sent, {known!r} arrived"


def _validators_are_idempotent(arguments: ArgumentSchema, call: Call) -> None:
    """A value that was checked is accepted as it is: the worker checks it again."""
    payload = _accepted(arguments, call)
    again = _accepted(arguments, _arrives(arguments, payload))
    first, second = _arrives(arguments, payload), _arrives(arguments, again)
    assert _same(first, second), f"{first!r} became {second!r} when it was checked again"


_LAWS: Final[dict[str, _Check]] = {
    "every call is accepted": _every_call_is_accepted,
    "round trip is exact": _round_trip_is_exact,
    "validators are idempotent": _validators_are_idempotent,
}


def _same(one: Any, other: Any) -> bool:
    """Equal, and of the same types all the way down."""
    if type(one) is not type(other):
        return False
    kind = cast("type[object]", type(one))
    if issubclass(kind, dict):
        return bool(one.keys() == other.keys()) and all(_same(one[key], other[key]) for key in one)
    if issubclass(kind, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    if is_dataclass(kind):
        names = [field.name for field in fields(kind)]
        return all(_same(getattr(one, name), getattr(other, name)) for name in names)
    return bool(one == other) and (kind is not float or repr(one) == repr(other))
