"""Annotations of every kind, and their fingerprints as this Python and this pydantic have them. It needs nothing but
what typedgator itself needs.
"""

import dataclasses
import enum
import functools
import json
import sys
import uuid
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, NewType, NotRequired, Optional, TypedDict, Union

import annotated_types as at
import pydantic
import typing_extensions
from pydantic import AfterValidator, Field, StringConstraints

from typedgator.wire.dialect import document, fingerprint
from typedgator.wire.schema import ArgumentSchema, ResultSchema
from typedgator.wire.simple import simple
from typedgator.wire.terms import Secret


class Colour(enum.Enum):
    RED = "r"
    GREEN = "g"


class Text(enum.StrEnum):
    A = enum.auto()
    B = "other"


class Number(enum.IntEnum):
    ONE = 1
    BIG = 2**40


class Point(NamedTuple):
    x: int
    y: float = 0.0


class Page(TypedDict, total=False):
    number: int
    title: typing_extensions.Required[str]


class Later(typing_extensions.TypedDict):
    a: int
    b: NotRequired[list[int]]


@dataclasses.dataclass(frozen=True)
class Line:
    name: Annotated[str, Field(max_length=9)]
    points: tuple[Point, ...] = ()
    pages: dict[str, Page] | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Slotted:
    when: datetime
    tags: frozenset[str] = frozenset()
    more: list[Line] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Range:
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is above high")


def even(n: int) -> int:
    return n


def divisible(n: int, by: int) -> int:
    return n


UserId = NewType("UserId", int)
Short = typing_extensions.TypeAliasType("Short", Annotated[str, Field(max_length=3)])
Positive = Annotated[int, at.Gt(0)]

ANNOTATIONS: dict[str, Any] = {
    "None": None,
    **{cls.__name__: cls for cls in (bool, int, float, str, bytes, date, datetime, time, timedelta)},
    "UUID": uuid.UUID,
    "Decimal": Decimal,
    "int or None": int | None,
    "Optional[int]": Optional[int],  # noqa: UP045 # both spellings
    "Union of three": Union[int, str, None],  # noqa: UP007
    "int, float or bool": int | float | bool,
    "list of str or None": list[str | None],
    "Enum": Colour,
    "StrEnum": Text,
    "IntEnum": Number,
    "Enum or None": Colour | None,
    "Literal": Literal["b", "a"],
    "Literal, mixed": Literal["a", 0, True, None],  # noqa: PYI061 # it is what is tried
    "Literal of int": Literal[3, 1, 2],
    "list": list[int],
    "nested lists": list[list[list[int]]],
    "tuple": tuple[int, str],
    "tuple of any length": tuple[int, ...],
    "empty tuple": tuple[()],
    "set": set[str],
    "frozenset": frozenset[uuid.UUID],
    "set of dates": set[date],
    "dict": dict[str, int],
    "dict by int": dict[int, str],
    "dict by UUID": dict[uuid.UUID, Decimal],
    "dict by Enum": dict[Colour, bool],
    "dict by date": dict[date, list[float]],
    "dict by Literal": dict[Literal["a", "b"], int],
    "NamedTuple": Point,
    "TypedDict": Page,
    "TypedDict of typing_extensions": Later,
    "dataclass": Line,
    "dataclass with slots": Slotted,
    "dataclass with __post_init__": Range,
    "dataclass with __post_init__, and a validator": Annotated[list[Annotated[Range, AfterValidator(even)]], Secret],
    "list of dataclasses or None": list[Line] | None,
    "dict of records": dict[str, tuple[Page, Point]],
    "NewType": UserId,
    "alias": Short,
    "list of aliases": list[Short],
    "secret": Annotated[str, Secret],
    "ge": Annotated[int, Field(ge=0)],
    "gt and lt": Annotated[int, Field(gt=0, lt=10)],
    "at.Interval": Annotated[int, at.Interval(ge=1, lt=5)],
    "at.Gt of float": Annotated[float, at.Gt(0.5)],
    "gt 0 of float": Annotated[float, Field(gt=0)],
    "Positive, bounded again": Annotated[Positive, Field(le=100)],
    "None or positive": Annotated[int | None, at.Gt(0)],
    "date from": Annotated[date, Field(ge=date(2020, 2, 29))],
    "naive datetime until": Annotated[datetime, Field(le=datetime(2030, 1, 1, 12, 30))],  # noqa: DTZ001
    "timedelta below": Annotated[timedelta, Field(lt=timedelta(days=2, microseconds=1))],
    "negative timedelta": Annotated[timedelta, Field(gt=timedelta(seconds=-1))],
    "time before": Annotated[time, Field(lt=time(12, 0, 0, 5))],
    "Decimal from": Annotated[Decimal, Field(ge=Decimal("0.10"))],
    "Decimal from, as float": Annotated[Decimal, Field(ge=0.1)],
    "Decimal digits": Annotated[Decimal, Field(max_digits=8, decimal_places=2)],
    "Decimal or NaN": Annotated[Decimal, Field(allow_inf_nan=True)],
    "multiple of": Annotated[int, Field(multiple_of=5)],
    "multiple of float": Annotated[float, at.MultipleOf(0.25)],
    "finite": Annotated[float, Field(allow_inf_nan=False)],
    "pydantic.FiniteFloat": pydantic.FiniteFloat,
    "pydantic.PositiveInt": pydantic.PositiveInt,
    "pydantic.NonNegativeFloat": pydantic.NonNegativeFloat,
    "pydantic.StrictStr": pydantic.StrictStr,
    "pydantic.UUID4": pydantic.UUID4,
    "pydantic.conint": pydantic.conint(gt=1, multiple_of=3),
    "pydantic.constr": pydantic.constr(min_length=1, pattern="^[a-z]+$"),
    "pydantic.condecimal": pydantic.condecimal(max_digits=4, decimal_places=1),
    "pydantic.conlist": pydantic.conlist(int, min_length=1, max_length=3),
    "length": Annotated[str, Field(min_length=1, max_length=50)],
    "length of bytes": Annotated[bytes, at.Len(0, 16)],
    "items": Annotated[list[int], Field(min_length=1, max_length=10)],
    "items of a set": Annotated[set[str], at.MaxLen(4)],
    "keys": Annotated[dict[str, int], at.MinLen(1)],
    "pattern": Annotated[str, Field(pattern=r"^\d{3}-[äß]?$")],
    "pattern of StringConstraints": Annotated[str, StringConstraints(pattern="^a", max_length=3)],
    "lower": Annotated[str, StringConstraints(to_lower=True, strip_whitespace=True)],
    "upper": Annotated[str, StringConstraints(to_upper=True)],
    "validator": Annotated[int, AfterValidator(even)],
    "two validators": Annotated[int, AfterValidator(even), AfterValidator(abs)],
    "validator from functools.partial": Annotated[int, AfterValidator(functools.partial(divisible, by=2))],
    "constraint and validator": Annotated[int, Field(ge=0), AfterValidator(even)],
    "constrained inside": dict[Annotated[str, Field(max_length=2)], list[Annotated[int, Field(ge=0)]]],
    "description only": Annotated[int, Field(description="how many"), "a note"],
}  # fmt: skip


def plain(a: int, b: str = "x") -> None: ...
def nothing() -> list[int]: ...  # type: ignore[empty-body]
def every_kind(a: int, /, b: Line, *more: Point, c: Short = "x", d: Colour = Colour.RED, **rest: Page) -> Slotted: ...  # type: ignore[empty-body]
async def from_async(when: datetime, tags: set[str] | None = None) -> dict[str, Line]: ...  # type: ignore[empty-body]


TASKS: tuple[Callable[..., object], ...] = (plain, nothing, every_kind, from_async)


def fingerprints() -> dict[str, str]:
    """Name → fingerprint."""
    found = {name: fingerprint(document(simple(annotation, "x"))) for name, annotation in ANNOTATIONS.items()}
    for task in TASKS:
        schemas = ArgumentSchema.of(task, task="t", named=True), ResultSchema.of(task, task="t")
        found[f"{task.__name__}()"] = schemas[0].fingerprint
        found[f"{task.__name__}() ->"] = schemas[1].fingerprint
    return found


def main() -> None:
    """Prints all of it; run by `-c`, for a validator's name has its module in it."""
    said = {"python": sys.version.split()[0], "pydantic": pydantic.VERSION, "fingerprints": fingerprints()}
    sys.stdout.write(json.dumps(said))
