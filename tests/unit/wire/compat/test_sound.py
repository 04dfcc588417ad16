"""Hypothesis looks for a lie: two related types that are called compatible, and a value that does not arrive."""

import dataclasses
import enum
import itertools
import os
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict
from uuid import UUID

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen, MultipleOf
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from pydantic import AfterValidator, Field, StringConstraints

from tests.unit.wire.compat.wire import breaks, carried, task_of
from typedgator.testing.strategies import calls
from typedgator.wire.simple import NotSimple

EXAMPLES = int(os.environ.get("TYPEDGATOR_EXAMPLES", "400"))


def small(n: int) -> int:
    return n


class E1(enum.Enum):
    A = "a"
    B = "b"


class E2(enum.IntEnum):
    ONE = 1
    TWO = 2


MARKS_INT = [Ge(-3), Gt(-3), Ge(0), Gt(0), Gt(-1), Le(9), Lt(9), Lt(10), Ge(-(2**53)), Le(2**53), Le(2**60)]
FAMILIES: list[list[Any]] = [
    [int, float, *(Annotated[int, mark] for mark in (*MARKS_INT, MultipleOf(2), MultipleOf(4), MultipleOf(3)))],
    [Annotated[int, low, high] for low in (Ge(0), Gt(0), Ge(-(2**53))) for high in (Le(4), Lt(4), Le(2**53))] + [float],
    [E2, int, float, bool, Literal[1], Literal[1, 2], Literal[1, True and "x"], Annotated[int, Ge(1), Le(2)]],
    [float, *(Annotated[float, mark] for mark in (Ge(0), Gt(0), Gt(0.0), Le(1), Lt(1), MultipleOf(0.5)))],
    [float, Annotated[float, Field(allow_inf_nan=False)], Annotated[float, Field(allow_inf_nan=False, ge=0)]],
    [str, *(Annotated[str, mark] for mark in (MinLen(0), MinLen(1), MaxLen(3), MaxLen(5), Field(pattern="^a")))],
    [str, *(Annotated[str, StringConstraints(**said)] for said in (
        {"to_lower": True}, {"to_upper": True}, {"strip_whitespace": True}, {"strip_whitespace": True, "min_length": 1},
        {"to_lower": True, "max_length": 3}, {"to_upper": True, "max_length": 3},
        {"to_lower": True, "pattern": "^[A-Za-z]$"},
    ))],
    [str, E1, Literal["a"], Literal["a", "b"], Literal["b", "a", "c"], Annotated[str, MaxLen(1)], UUID, date, bytes],
    [Decimal, *(Annotated[Decimal, Field(**said)] for said in (
        {"max_digits": 5}, {"decimal_places": 2}, {"max_digits": 5, "decimal_places": 2}, {"ge": Decimal("0.1")},
        {"max_digits": 6, "decimal_places": 2}, {"max_digits": 5, "decimal_places": 4}, {"gt": 0}, {"lt": 0.5},
        {"allow_inf_nan": True}, {"multiple_of": Decimal("0.5")}, {"max_digits": 3, "decimal_places": 0},
    ))],
    [date, datetime, Annotated[date, Ge(date(2020, 1, 1))], Annotated[date, Gt(date(2019, 12, 31))]],
    [timedelta, Annotated[timedelta, Ge(timedelta(-1))], Annotated[timedelta, Gt(timedelta(0))], time],
    [bytes, Annotated[bytes, MaxLen(2)], Annotated[bytes, MinLen(1)], str],
    [int, Annotated[int, AfterValidator(small)], Annotated[int, AfterValidator(abs)], Annotated[int, Ge(0)]],
]  # fmt: skip

Pair = tuple[Any, Any]
names = itertools.count()


def record(form: str, fields: list[tuple[str, Any, bool]]) -> Any:
    """A fresh value type; `fields` are name, type, required."""
    name = f"R{next(names)}"
    if form == "typeddict":
        typed_dict: Any = TypedDict
        not_required: Any = NotRequired
        return typed_dict(name, {key: kind if needed else not_required[kind] for key, kind, needed in fields})
    ordered = sorted(fields, key=lambda field: not field[2])  # those with a default come last
    if form == "namedtuple":
        made: Any = NamedTuple(name, [(key, kind) for key, kind, _ in ordered])
        made.__new__.__defaults__ = tuple(None for *_, needed in ordered if not needed)
        made._field_defaults = {key: None for key, _, needed in ordered if not needed}
        return made
    rows: list[Any] = [
        (key, kind) if needed else (key, kind, dataclasses.field(default=None)) for key, kind, needed in ordered
    ]
    return dataclasses.make_dataclass(name, rows, frozen=True)


@st.composite
def pairs(draw: st.DrawFn, depth: int = 2) -> Pair:
    """An old and a new type, often alike."""
    shape = draw(st.sampled_from(["leaf", "same", "optional", "union", "array", "tuple", "dict", "record"]))
    if depth == 0 or shape == "leaf":
        family = draw(st.sampled_from(FAMILIES))
        return draw(st.sampled_from(family)), draw(st.sampled_from(family))
    one, other = draw(pairs(depth - 1))
    if shape == "same":
        return one, one
    if shape == "optional":
        return draw(st.sampled_from([one, one | None])), draw(st.sampled_from([other, other | None]))
    if shape == "union":
        more, rest = draw(pairs(0))
        return one | more, draw(st.sampled_from([other | rest, other | rest | None, rest]))
    if shape == "array":
        return draw(arrays(one)), draw(arrays(other))
    if shape == "tuple":
        more, rest = draw(pairs(depth - 1))
        return draw(tuples(one, more)), draw(tuples(other, rest))
    if shape == "dict":
        keys = [str, int, E1, Literal["a", "b"], Annotated[str, MaxLen(3)]]
        sizes = [(), (MaxLen(2),), (MinLen(1),), (MaxLen(3),)]
        made = []
        for value in (one, other):
            kind = dict[draw(st.sampled_from(keys)), value]  # type: ignore[misc]  # made at run time
            marks = draw(st.sampled_from(sizes))
            made.append(Annotated[(kind, *marks)] if marks else kind)
        return made[0], made[1]
    return draw(records(depth))


@st.composite
def arrays(draw: st.DrawFn, item: Any) -> Any:
    kind = draw(st.sampled_from([list, list, tuple, set, frozenset]))
    made: Any = tuple[item, ...] if kind is tuple else kind[item]
    marks = draw(st.sampled_from([(), (), (MinLen(1),), (MaxLen(1),), (MaxLen(3),), (MinLen(2), MaxLen(2))]))
    return Annotated[(made, *marks)] if marks else made


@st.composite
def tuples(draw: st.DrawFn, one: Any, other: Any) -> Any:
    shape = draw(st.sampled_from(["pair", "pair", "named", "array", "single"]))
    if shape == "pair":
        return tuple[one, other]
    if shape == "named":
        return record("namedtuple", [("a", one, True), ("b", other | None, draw(st.booleans()))])
    return draw(arrays(one)) if shape == "array" else tuple[one]


@st.composite
def records(draw: st.DrawFn, depth: int) -> Pair:
    sides: tuple[list[tuple[str, Any, bool]], list[tuple[str, Any, bool]]] = [], []
    for name in draw(st.lists(st.sampled_from("abc"), unique=True, min_size=1)):
        kinds = draw(pairs(depth - 1))
        for side, kind in zip(sides, kinds, strict=True):
            if draw(st.integers(0, 9)):
                needed = bool(draw(st.integers(0, 3)))
                side.append((name, kind if needed else kind | None, needed))
    forms = ["typeddict", "dataclass"]
    form = draw(st.sampled_from(forms))
    other = draw(st.sampled_from([form, form, *forms]))
    if draw(st.integers(0, 7)) == 0:
        form = other = "namedtuple"
    return record(form, sides[0]), record(other, sides[1])


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(pairs(), st.data())
def test_what_is_called_compatible_is(pair: Pair, data: st.DataObject) -> None:
    """No value that the writer accepts is refused, or changed, by a reader whose schema is called compatible."""
    try:
        writer, reader = task_of(pair[0]), task_of(pair[1])
        verdict = breaks(*pair)
    except (NotSimple, TypeError):  # a union of two that look alike; a set of what has no hash
        assume(False)
        return
    assume(not verdict)
    try:
        call = data.draw(calls(writer))
    except InvalidArgument:  # bounds that leave nothing to draw
        assume(False)
        return
    try:
        fate = carried(writer, reader, call)
    except TypeError:  # no call of the writer's: what its codec cannot prove
        assume(False)
        return
    assert fate == ""
