"""Two releases of a task, both verdicts, and the proof: each "ok" is tried with generated calls, each "breaking" shows
a call that really is refused or changed on the other side.
"""

import dataclasses
import enum
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict
from uuid import UUID

import pytest
from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen, MultipleOf
from hypothesis import HealthCheck, given, settings
from pydantic import AfterValidator, Field, StringConstraints

from tests.unit.wire.compat.wire import breaks, carried, contract_of, task_of
from typedgator.testing.strategies import calls
from typedgator.wire.compat import compare

OK = object()
"""Every call of the writer's is taken as it is."""


@dataclasses.dataclass(frozen=True)
class Strict:
    """A break that is called one although this call passes: it is not known that all do. `why` is for the reader."""

    value: object
    why: str


class Small(enum.Enum):
    A = "a"


class Wide(enum.Enum):
    A = "a"
    B = "b"


class Number(enum.IntEnum):
    ONE = 1


class XY(NamedTuple):
    x: int
    y: int


class XYZ(NamedTuple):
    x: int
    y: int
    z: int = 0


class XYZNeeded(NamedTuple):
    x: int
    y: int
    z: int


class A(TypedDict):
    a: int


class AMaybeB(TypedDict):
    a: int
    b: NotRequired[int]


class AB(TypedDict):
    a: int
    b: int


@dataclasses.dataclass(frozen=True)
class DA:
    a: int


@dataclasses.dataclass(frozen=True)
class DAMaybeB:
    a: int
    b: int = 0


@dataclasses.dataclass(frozen=True)
class DAText:
    a: str


@dataclasses.dataclass(frozen=True)
class DAEven:
    a: int

    def __post_init__(self) -> None:
        if self.a % 2:
            raise ValueError("must be even")


@dataclasses.dataclass(frozen=True)
class DAFour(DAEven):
    def __post_init__(self) -> None:
        if self.a % 4:
            raise ValueError("must be a multiple of four")


@dataclasses.dataclass(frozen=True)
class DAEvenToo(DAEven):
    """It has its base's __post_init__."""


def even(n: int) -> int:
    if n % 2:
        raise ValueError("must be even")
    return n


def same(value: DAEven) -> DAEven:
    return value


def short(text: str) -> str:
    if len(text) > 3:
        raise ValueError("must be short")
    return text


EARLY, LATE = date(2020, 1, 1), date(2021, 1, 1)
Even = Annotated[int, AfterValidator(even)]
Digits = Annotated[Decimal, Field(max_digits=5, decimal_places=2)]

TYPES: list[tuple[Any, Any, object, object]] = [
    # old, new, a value of the old one's that breaks in the new (or OK), a value of the new one's that breaks in the old
    (int, int, OK, OK),
    (int, int | None, OK, None),
    (int | None, int, None, OK),
    (int, int | str, OK, "x"),
    (int | str | None, int | None, "x", OK),
    (int, str, 1, "x"),
    (int, bool, 1, True),
    (bool, Literal[True, False], OK, OK),
    (bool, Literal[True], False, OK),
    (bool, int, True, 1),
    (int, float, 2**53 + 1, 0.5),
    (Annotated[int, Ge(0), Le(1000)], float, OK, 0.5),
    (Annotated[int, Ge(-(2**53)), Le(2**53)], float | None, OK, None),
    (Annotated[int, Ge(0), Le(2**53 + 2)], float, 2**53 + 1, 0.5),
    (int | float, float, 2**53 + 1, OK),
    (float, int | float, OK, 2**53 + 1),
    (float, Decimal, 0.5, Decimal(1)),
    (int, Decimal, Strict(1, "an int is not the text that a Decimal is stored as"), Decimal("0.5")),
    (str, bytes, "x", b"x"),
    (str, UUID, "x", Strict(UUID(int=0), "text that is a UUID would become plain text")),
    (str, date, "x", Strict(EARLY, "text that is a date would become plain text")),
    (date, datetime, EARLY, datetime(2020, 1, 1)),  # noqa: DTZ001 # a naive one may be sent
    (time, timedelta, time(1), timedelta(1)),
    # Enum and Literal: what is stored is the value
    (Small, Wide, OK, Wide.B),
    (Small, Literal["a"], OK, OK),
    (Literal["a"], str, OK, "b"),
    (Literal["a"], Literal["a", "b"], OK, "b"),
    (Literal["a", 1], Literal["a"], 1, OK),
    (Literal[1], Literal[True], 1, True),
    (Literal[0, 1], Literal[0, True], 1, True),
    (Small, str | None, OK, None),
    (Number, int, OK, 2),
    (Number, float, OK, 0.5),
    (Number, Annotated[int, Ge(1)], OK, 2),
    (Number, Annotated[int, Ge(2)], Number.ONE, 2),
    (Literal["ab"], Annotated[str, MaxLen(2)], OK, "x"),
    (Literal["abc"], Annotated[str, MaxLen(2)], "abc", "x"),
    (Literal[4], Annotated[int, MultipleOf(2)], OK, 2),
    (Literal[3], Annotated[int, MultipleOf(2)], 3, 2),
    (Literal["a"], UUID, "a", Strict(UUID(int=0), "")),
    (Literal[1], Literal[1] | float, OK, 0.5),
    (Annotated[int, Ge(1), Le(2)], Literal[1] | float, 2, 0.5),
    # bounds
    (int, Annotated[int, Gt(0)], 0, OK),
    (Annotated[int, Gt(0)], Annotated[int, Ge(1)], OK, OK),
    (Annotated[int, Gt(0)], Annotated[int, Gt(1)], 1, OK),
    (Annotated[int, Le(10)], Annotated[int, Lt(10)], 10, OK),
    (Annotated[int, Ge(-(2**63))], int, OK, OK),
    (Annotated[float, Gt(0)], Annotated[float, Ge(0)], OK, 0.0),
    (Annotated[float, Ge(0)], Annotated[float, Ge(0.0)], OK, OK),
    (Annotated[Decimal, Ge(Decimal("0.1"))], Annotated[Decimal, Ge(Decimal("0.10"))], OK, OK),
    (Annotated[Decimal, Ge(Decimal("0.1"))], Annotated[Decimal, Ge(Decimal("0.2"))], Decimal("0.1"), OK),
    (Annotated[date, Ge(EARLY)], Annotated[date, Ge(LATE)], EARLY, OK),
    (Annotated[date, Ge(EARLY)], date, OK, date(1999, 1, 1)),
    (Annotated[timedelta, Le(timedelta(days=1))], Annotated[timedelta, Le(timedelta(days=2))], OK, timedelta(days=2)),
    (Annotated[timedelta, Ge(timedelta(-1))], Annotated[timedelta, Ge(timedelta(0))], timedelta(seconds=-1), OK),
    (Annotated[time, Lt(time(12))], Annotated[time, Le(time(12))], OK, time(12)),
    # other constraints
    (int, Annotated[int, MultipleOf(2)], 1, OK),
    (Annotated[int, MultipleOf(4)], Annotated[int, MultipleOf(2)], OK, 2),
    (Annotated[float, MultipleOf(0.5)], Annotated[float, MultipleOf(0.25)],
        Strict(0.5, "multiples of floats are not compared"), 0.25),
    (str, Annotated[str, MinLen(1)], "", OK),
    (Annotated[str, MinLen(0)], str, OK, OK),
    (Annotated[str, MaxLen(3)], Annotated[str, MaxLen(5)], OK, "abcde"),
    (Annotated[bytes, MaxLen(3)], bytes, OK, b"abcde"),
    (str, Annotated[str, Field(pattern="^a$")], "b", OK),
    (Annotated[str, Field(pattern="^a$")], Annotated[str, Field(pattern="^[ab]$")],
        Strict("a", "patterns are not compared"), "b"),
    (str, Annotated[str, StringConstraints(to_lower=True)], "A", OK),
    (str, Annotated[str, StringConstraints(to_upper=True)], "a", OK),
    (str, Annotated[str, StringConstraints(strip_whitespace=True)], " a", OK),
    (float, Annotated[float, Field(allow_inf_nan=False)], float("inf"), OK),
    (Annotated[Decimal, Field(allow_inf_nan=True)], Decimal, Decimal("Infinity"), OK),
    (Decimal, Digits, Decimal(1000000), OK),
    (Digits, Annotated[Decimal, Field(max_digits=6, decimal_places=2)], OK, Decimal("1000.5")),
    (Digits, Annotated[Decimal, Field(max_digits=5, decimal_places=4)], Decimal("123.4"), Decimal("0.1234")),
    (Digits, Annotated[Decimal, Field(max_digits=5)], OK, Decimal("0.1234")),
    (int, Even, 1, OK),
    (Even, Annotated[int, AfterValidator(short)], Strict(2, "another validator"), Strict(2, "another validator")),
    (Even, Even | None, OK, None),
    (Annotated[int | None, AfterValidator(lambda n: n)], Annotated[int | None, Ge(0)], -1,
        Strict(1, "another validator")),
    # collections
    (list[int], tuple[int, ...], OK, OK),
    (list[int], list[int | None], OK, [None]),
    (list[int], list[str], [1], ["x"]),
    (list[int], set[int], [1, 1], OK),
    (Annotated[list[int], MaxLen(1)], set[int], OK, {1, 2}),
    (set[int], frozenset[int], OK, OK),
    (tuple[int, int], list[int], OK, [1]),
    (Annotated[list[int], MinLen(2), MaxLen(2)], tuple[int, int], OK, OK),
    (tuple[int, str], tuple[int, str, int], (1, "x"), (1, "x", 2)),
    (tuple[int, int], set[int], (1, 1), {1}),
    (Annotated[list[int], MaxLen(2)], Annotated[list[int], MaxLen(3)], OK, [1, 2, 3]),
    (list[int], Annotated[list[int], MinLen(1)], [], OK),
    (Annotated[dict[str, int], MaxLen(1)], dict[str, int], OK, {"a": 1, "b": 2}),
    (Annotated[dict[str, int], MinLen(1)], dict[str, int], OK, {}),
    (dict[str, int], dict[int, int], {"a": 1}, {1: 1}),
    (dict[Small, int], dict[str, int], OK, {"b": 1}),
    (dict[str, int], dict[str, int | None], OK, {"a": None}),
    # records
    (XY, XYZ, OK, XYZ(1, 2)),
    (XYZ, XYZNeeded, Strict(XYZ(1, 2), "a release before the old one may have sent two"), OK),
    (XY, tuple[int, int], OK, OK),
    (XY, list[int], OK, [1]),
    (A, AMaybeB, OK, {"a": 1, "b": 2}),
    (A, AB, {"a": 1}, {"a": 1, "b": 2}),
    (AMaybeB, AB, {"a": 1}, OK),
    (A, DA, OK, OK),
    (DA, DAMaybeB, OK, DAMaybeB(1)),
    (AMaybeB, DAMaybeB, OK, OK),
    (DA, DAText, DA(1), DAText("x")),
    (DA, DAEven, DA(1), OK),
    (A, DAEven, {"a": 1}, OK),
    (list[DA | None], list[DAEven | None], [DA(1)], OK),
    (DAEven, DAFour, DAEven(2), Strict(DAFour(4), "another __post_init__")),
    (DAEven, DAEvenToo, OK, OK),
    (DAEven, Annotated[DAEven, AfterValidator(same)], Strict(DAEven(2), "another validator"),
        Strict(DAEven(2), "another validator")),
    (A, dict[str, int], OK, {"b": 1}),
    (AMaybeB, dict[Literal["a"], int], {"a": 1, "b": 2}, Strict({"a": 1}, "a dict says nothing of its keys")),
    (AMaybeB, Annotated[dict[str, int], MaxLen(1)], {"a": 1, "b": 2}, {"c": 1}),
    (list[A], list[AMaybeB], OK, [{"a": 1, "b": 2}]),
    (dict[str, A] | None, dict[str, DA], None, OK),
]  # fmt: skip


def says(old: Callable[..., object], new: Callable[..., object]) -> tuple[str, str]:
    """Both verdicts on the arguments, "" for ok."""
    changes = compare(contract_of(old), contract_of(new))
    assert all(change.what for change in changes)
    return "; ".join(c.in_flight for c in changes if c.in_flight), "; ".join(c.rolling for c in changes if c.rolling)


def prove(writer: Callable[..., object], reader: Callable[..., object], verdict: str, expected: object) -> None:
    """The verdict is the expected one, and it is so."""
    if expected is OK:
        assert verdict == ""

        @settings(max_examples=20, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(calls(writer))
        def every_call_arrives(call: Any) -> None:
            assert carried(writer, reader, call) == ""

        every_call_arrives()
        return
    assert verdict != ""
    call = expected.value if isinstance(expected, Strict) else expected
    if not isinstance(call, Call):
        call = Call(call)
    if not isinstance(expected, Strict):
        assert carried(writer, reader, (call.args, call.kwargs)) != ""


class Call:
    """What to call the writer's task with."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        self.args, self.kwargs = args, kwargs


@pytest.mark.parametrize(("old", "new", "in_flight", "rolling"), TYPES)
def test_what_is_said_of_two_types_is_what_happens(old: Any, new: Any, in_flight: object, rolling: object) -> None:
    """Old encodes, new decodes and validates; and the other way round."""
    before, after = task_of(old), task_of(new)
    said = says(before, after)
    prove(before, after, said[0], in_flight)
    prove(after, before, said[1], rolling)


def plain(a: int) -> None: ...
def optional(a: int, b: int = 0) -> None: ...
def other_default(a: int, b: int = 7) -> None: ...
def required(a: int, b: int) -> None: ...
def swapped(b: int, a: int) -> None: ...
def keyword_only(*, a: int) -> None: ...
def positional_only(a: int, /) -> None: ...
def renamed(z: int) -> None: ...
def starred(a: int, *more: int) -> None: ...
def renamed_star(a: int, *rest: int) -> None: ...
def text_star(a: int, *more: str) -> None: ...
def keyed(a: int, **extra: int) -> None: ...
def keyed_optional(a: int, b: int = 0, **extra: int) -> None: ...
def keyed_positional(a: int, /, **extra: int) -> None: ...
def as_dict(a: int, extra: dict[str, int] = {}) -> None: ...  # noqa: B006 # nobody changes it
def as_list(a: int, more: list[int] = []) -> None: ...  # noqa: B006
def nothing() -> None: ...


SIGNATURES: list[tuple[Callable[..., object], Callable[..., object], object, object]] = [
    (plain, optional, OK, Call(1, 2)),
    (optional, plain, Call(1, 2), OK),
    (plain, required, Call(1), Call(1, 2)),
    (required, plain, Call(1, 2), Call(1)),
    (optional, required, Call(1), OK),
    (required, optional, OK, Call(1)),
    (optional, other_default, OK, OK),
    (required, swapped, OK, OK),
    (plain, keyword_only, OK, OK),
    (plain, positional_only, OK, OK),
    (keyword_only, positional_only, OK, OK),
    (plain, renamed, Call(1), Call(1)),
    (nothing, plain, Call(), Call(1)),
    (plain, starred, OK, Call(1, 2)),
    (starred, renamed_star, Call(1, 2), Call(1, 2)),
    (starred, text_star, Call(1, 2), Call(1, "x")),
    (starred, as_list, OK, OK),
    (plain, keyed, OK, Call(1, b=2)),
    (keyed, keyed_optional, Call(1, b=2), Call(1, 2)),
    (keyed, keyed_positional, OK, Call(1, a=2)),
    (keyed, as_dict, OK, Call(1, {"a": 1})),
    (keyed, optional, Call(1, b=2), Call(1, 2)),
]


@pytest.mark.parametrize(("old", "new", "in_flight", "rolling"), SIGNATURES)
def test_what_is_said_of_two_signatures_is_what_happens(
    old: Callable[..., object], new: Callable[..., object], in_flight: object, rolling: object
) -> None:
    """Parameters that come, go, move, or are given otherwise."""
    said = says(old, new)
    prove(old, new, said[0], in_flight)
    prove(new, old, said[1], rolling)


def test_enough_pairs_are_proved() -> None:
    """Verdicts that rest on a run through the wire, in both directions; strict ones are not counted."""
    proved = [row for row in (*TYPES, *SIGNATURES) if not any(isinstance(cell, Strict) for cell in row)]
    assert len(proved) >= 100


def test_a_type_and_itself_never_differ() -> None:
    for old, new, _, _ in TYPES:
        assert breaks(old, old) == []
        assert breaks(new, new) == []
