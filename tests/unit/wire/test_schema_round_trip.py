"""What the worker receives equals what was passed, in value and type, for every annotation that is allowed."""

import dataclasses
import enum
import math
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, NewType, TypedDict
from uuid import UUID
from zoneinfo import ZoneInfo

import annotated_types
import pytest
import typing_extensions
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import AfterValidator, Field, PositiveInt, StringConstraints

from typedgator.errors import UnsupportedSignature
from typedgator.testing.strategies import calls, values
from typedgator.wire.reasons import name_of
from typedgator.wire.schema import ArgumentSchema, ResultSchema


class Colour(enum.Enum):
    RED = "r"
    GREEN = "g"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mood(enum.StrEnum):
    GOOD = "good"
    BAD = "bad"


class Page(TypedDict):
    number: int
    size: typing_extensions.NotRequired[int | None]


class ExtPage(typing_extensions.TypedDict, total=False):
    number: int
    tags: set[str]


class Point(NamedTuple):
    x: int
    y: float = 0.0


@dataclasses.dataclass(frozen=True)
class Money:
    amount: Decimal
    currency: Literal["EUR", "USD"] = "EUR"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    id: UUID
    lines: tuple[tuple[str, Money], ...] = ()
    page: Page | None = None
    when: datetime | None = None


@dataclasses.dataclass(frozen=True)
class Checked:
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low must not be above high")


UserId = NewType("UserId", int)
Ids = typing_extensions.TypeAliasType("Ids", list[UserId])


def even(n: int) -> int:
    if n % 2:
        raise ValueError("must be even")
    return n


SCALARS = [None, bool, int, float, str, bytes, date, datetime, time, timedelta, UUID, Decimal]
ALLOWED: list[Any] = [
    *SCALARS,
    Colour,
    Level,
    Mood,
    Literal["a", 1, None],  # noqa: PYI061 # None may stand inside
    Literal[True],
    Literal["a", False],
    int | None,
    int | float,
    int | bool | str | None,
    Decimal | float,
    Decimal | int,
    datetime | int,
    list[int] | str | None,
    list[int] | dict[str, int],
    set[int] | dict[date, set[int]] | None,
    UUID | float,
    bytes | int,
    Colour | int,
    Level | str,
    Page | list[Point],
    Money | int,
    list[int],
    list[list[datetime]],
    tuple[int, ...],
    tuple[int, str],
    tuple[()],
    set[str],
    set[int | str | None],
    set[float],
    set[datetime],
    set[tuple[int, str]],
    set[Colour],
    frozenset[bytes],
    frozenset[frozenset[int]],
    set[Money],
    dict[str, int],
    dict[int, str],
    dict[date, float],
    dict[UUID, bytes],
    dict[Colour, list[int]],
    dict[Level, int],
    dict[Literal["a", "b"], int],
    dict[str, dict[int, set[str]]],
    Page,
    ExtPage,
    Point,
    Money,
    Order,
    Checked,
    list[Order],
    dict[str, Page],
    UserId,
    Ids,
    Annotated[int, Field(gt=0, le=100)],
    Annotated[int, annotated_types.Interval(ge=-5, lt=5)],
    Annotated[int | None, Field(ge=10)],
    Annotated[float, Field(gt=0.5, allow_inf_nan=False)],
    Annotated[Decimal, Field(max_digits=6, decimal_places=2)],
    Annotated[str, Field(pattern="^[a-c]{1,3}$")],
    Annotated[str, StringConstraints(min_length=2, max_length=4)],
    Annotated[list[int], annotated_types.MinLen(1)],
    Annotated[dict[str, int], Field(max_length=2)],
    Annotated[date, annotated_types.Ge(date(2020, 1, 1))],
    Annotated[int, AfterValidator(even)],
    PositiveInt,
    Annotated[bytes, "a note that means nothing"],
]
if sys.version_info < (3, 12):
    # Below 3.12 pydantic itself refuses typing.TypedDict; ours is built without asking it.
    assert type(Page).__module__ == "typing"


def same(a: object, b: object) -> bool:
    """Equal in value and type, at every depth; aware datetimes are the same instant, in UTC at arrival."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float) and isinstance(b, float):
        return a == b and math.copysign(1, a) == math.copysign(1, b)
    if isinstance(a, datetime) and isinstance(b, datetime):
        return a == b and (a.tzinfo is None) == (b.tzinfo is None)
    if isinstance(a, Decimal) and isinstance(b, Decimal):
        return a.as_tuple() == b.as_tuple()
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, (set, frozenset)):
        return a == b and sorted(map(repr, map(type, a))) == sorted(map(repr, map(type, b)))  # type: ignore[call-overload]
    if isinstance(a, dict) and isinstance(b, dict):
        types = {key: type(key) for key in a}
        return a.keys() == b.keys() and all(same(a[k], b[k]) and types[k] is type(k) for k in b)
    if dataclasses.is_dataclass(a) and dataclasses.is_dataclass(b):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    return a == b


def task_of(annotation: object) -> Callable[..., object]:
    def task(value: object) -> object: ...

    task.__annotations__ = {"value": annotation, "return": annotation}
    return task


QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("annotation", ALLOWED, ids=name_of)
def test_a_value_arrives_as_it_was_passed(annotation: Any) -> None:
    """Every allowed type is exact: as an argument, under the same and under another schema, and as a result."""
    fn = task_of(annotation)
    schema = ArgumentSchema.of(fn, task="task", named=True)
    result = ResultSchema.of(fn, task="task")

    @QUICK
    @given(values(annotation))
    def law(value: object) -> None:
        payload = schema.encode((value,), {})
        assert same(schema.decode(payload, fingerprint=schema.fingerprint)[1]["value"], value)
        assert same(schema.decode(payload, fingerprint="another")[1]["value"], value)
        assert same(result.decode(result.encode(value)), value)

    law()


# Nested at random: containers and unions of what is allowed, kept when registration keeps them.
LEAVES = st.sampled_from([*SCALARS, Colour, Level, Literal["a", "b"], Page, Point, Money, Order])
TYPES: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda t: list[t]),  # type: ignore[valid-type]
        inner.map(lambda t: tuple[t, ...]),  # type: ignore[valid-type]
        inner.map(lambda t: set[t]),  # type: ignore[valid-type]
        inner.map(lambda t: frozenset[t]),  # type: ignore[valid-type]
        inner.map(lambda t: None if t is None else t | None),
        st.tuples(inner, inner).map(lambda pair: tuple[pair[0], pair[1]]),  # type: ignore[name-defined]
        st.tuples(st.sampled_from([str, int, date, UUID, Colour]), inner).map(lambda p: dict[p[0], p[1]]),  # type: ignore[name-defined]
        st.tuples(inner, inner).map(lambda pair: pair[0] if pair[0] is None or pair[1] is None else pair[0] | pair[1]),
    ),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(TYPES, st.data())
def test_a_type_nested_at_random_is_refused_or_exact(annotation: Any, data: st.DataObject) -> None:
    """There is no third way: what registration accepts comes back equal."""
    try:
        schema = ArgumentSchema.of(task_of(annotation), task="task", named=True)
    except UnsupportedSignature:
        return
    value = data.draw(values(annotation))
    assume(not schema.is_too_large((value,), {}))
    payload = schema.encode((value,), {})
    assert same(schema.decode(payload, fingerprint=schema.fingerprint)[1]["value"], value)
    assert same(schema.decode(payload, fingerprint="another")[1]["value"], value)


def all_kinds(
    a: int, b: str = "b", /, c: float = 1.5, *more: int, d: bool, e: Page | None = None, **extra: list[int]
) -> tuple[object, ...]:
    return a, b, c, more, d, e, extra


def star_behind_defaults(a: int = 1, *more: str) -> tuple[object, ...]:
    return a, more


def names_of_ours(unset: int, given: int = 2, made: int = 3, *, d: int = 4) -> tuple[object, ...]:
    return unset, given, made, d


def position_and_keywords(a: int, /, **a_too: int) -> tuple[object, ...]:
    return a, a_too


@pytest.mark.parametrize(
    "fn", [all_kinds, star_behind_defaults, names_of_ours, position_and_keywords], ids=lambda fn: fn.__name__
)
def test_a_call_arrives_as_it_was_made(fn: Callable[..., object]) -> None:
    """Positions, keywords, defaults, *args and **kwargs: the worker's call gives what the caller's would have given."""
    schema = ArgumentSchema.of(fn, task="task")

    @QUICK
    @given(calls(fn))
    def law(call: tuple[tuple[object, ...], dict[str, object]]) -> None:
        args, kwargs = call
        decoded = schema.decode(schema.encode(args, kwargs), fingerprint=schema.fingerprint)
        assert schema.call(fn, decoded) == fn(*args, **kwargs)

    law()


@pytest.mark.parametrize(
    "annotation", [set[str], dict[str, int], dict[int, set[float]], list[dict[date, int]]], ids=name_of
)
def test_equal_calls_have_equal_canonical_bytes(annotation: Any) -> None:
    """They do not depend on the order in which a set or dict was built: a unique job is found again."""
    schema = ArgumentSchema.of(task_of(annotation), task="task", named=True)

    def reversed_copy(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: reversed_copy(value[key]) for key in reversed(value)}
        if isinstance(value, list):
            return [reversed_copy(item) for item in value]
        return type(value)(reversed(list(value))) if isinstance(value, set) else value

    @QUICK
    @given(values(annotation))
    def law(value: Any) -> None:
        one, other = schema.encode((value,), {}), schema.encode((reversed_copy(value),), {})
        assert schema.canonical(one) == schema.canonical(other)

    law()


def test_a_dict_arrives_in_the_order_in_which_it_was_filled() -> None:
    """Columns of a report, steps of a recipe: the order of a dict is part of what was passed."""
    schema = ArgumentSchema.of(task_of(dict[str, dict[int, int]]), task="task", named=True)
    passed = {"b": {2: 0, 1: 0}, "a": {}}

    arrived = schema.decode(schema.encode((passed,), {}), fingerprint=schema.fingerprint)[1]["value"]

    assert list(arrived) == ["b", "a"]
    assert list(arrived["b"]) == [2, 1]


def test_the_first_call_may_come_from_many_threads() -> None:
    """Validators are built at first use, whoever is first."""
    schema = ArgumentSchema.of(task_of(list[Order]), task="task", named=True)
    start = threading.Barrier(8)

    def first(number: int) -> object:
        start.wait(timeout=10)
        order = Order(id=UUID(int=number))
        return schema.decode(schema.encode(([order],), {}), fingerprint="")[1]["value"]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(first, range(8))) == [[Order(id=UUID(int=number))] for number in range(8)]


def test_an_aware_datetime_arrives_in_utc() -> None:
    """The instant is kept, the zone is not: pass its name as str where it matters."""
    schema = ArgumentSchema.of(task_of(datetime), task="task", named=True)
    berlin = datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))
    odd = datetime(1850, 1, 1, tzinfo=timezone(timedelta(seconds=3_208)))
    for moment in (berlin, odd):
        _, arrived = schema.decode(schema.encode((moment,), {}), fingerprint=schema.fingerprint)
        assert arrived["value"] == moment
        assert isinstance(arrived["value"], datetime)
        assert arrived["value"].tzinfo is UTC


def test_nan_and_infinity_arrive() -> None:
    """Floats that are no numbers are floats."""
    schema = ArgumentSchema.of(task_of(float), task="task", named=True)
    arrived = [schema.decode(schema.encode((x,), {}), fingerprint="")[1]["value"] for x in (math.nan, math.inf)]
    assert repr(arrived) == "[nan, inf]"


def test_a_default_that_was_not_overridden_is_not_sent() -> None:
    """A new optional parameter does not reach workers of the previous release, unless someone uses it."""
    schema = ArgumentSchema.of(star_behind_defaults, task="task")
    assert schema.encode((), {}) == b"\x80"
    assert schema.encode((), {"a": 1}) != b"\x80"


def test_what_arrives_under_a_newer_signature_gets_its_defaults() -> None:
    """Extra positions written before a parameter had a default are called behind that default."""

    def old(*more: str) -> None: ...

    written = ArgumentSchema.of(old, task="task", named=True).encode(("x", "y"), {})
    schema = ArgumentSchema.of(star_behind_defaults, task="task")
    assert schema.call(star_behind_defaults, schema.decode(written, fingerprint="")) == (1, ("x", "y"))
