"""Annotations and values to put together; the texts are checked by type checkers and evaluated by the tests."""

HEADER = """\
import enum
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Literal, NamedTuple, NewType, NotRequired, TypedDict
from uuid import UUID

from typedgator import Gator

gator = Gator("locmem://")


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    FIRST = "first"


@dataclass(frozen=True)
class Money:
    amount: int


@dataclass(frozen=True)
class Tip(Money):
    pass


class Point(NamedTuple):
    x: int
    y: float = 0.0


class Page(TypedDict):
    number: int
    size: NotRequired[int]


class Text(str):
    __slots__ = ()


class Moment(datetime):
    pass


class User:
    pk: int = 7


UserId = NewType("UserId", int)


def some() -> int:
    return 1
"""

SCALARS = (
    "None", "bool", "int", "float", "str", "bytes", "date", "datetime", "time", "timedelta", "UUID", "Decimal",
    "Colour", "Level", "Word", 'Literal["a", 1]', "UserId", "Money", "Point", "Page", "int | str", "float | None",
)  # fmt: skip
"""What a parameter may be; each also inside a list, a tuple, a dict and an Optional."""

INSIDE = {
    "{}": "{}",
    "list[{}]": "[{}]",
    "tuple[{}, ...]": "({},)",
    "dict[str, {}]": '{{"k": {}}}',
    "{} | None": "{}",
}
"""Around an annotation, and around a value."""

VALUES = (
    "None", "True", "1", "0", "-1", "1.5", "1.0", '"a"', '""', '"red"', '"first"', '"1"', '"2030-01-01"', 'b"a"',
    "date(2030, 1, 1)", "datetime(2030, 1, 1, tzinfo=UTC)", "datetime(2030, 1, 1)", "time(1, 2)", "timedelta(1)",
    "UUID(int=1)", "str(UUID(int=1))", 'Decimal("1.5")', "Colour.RED", "Level.LOW", "Word.FIRST", "UserId(1)",
    "Money(1)", "Tip(1)", "Point(1)", "Point(1, 2)", '{"number": 1}', '{"number": 1, "size": 2}', '{"size": 1}',
    '{"number": "1"}', '{"number": 1, "extra": 1}', "{}", "[]", "[1]", "(1, 2.0)", "{1}", "User()", "some", "int",
    "Fraction(1)", "Path()", 'Text("a")', "Moment(2030, 1, 1)", 'bytearray(b"a")', "1j", "range(2)",
    "iter([1])", "[User()]",
)  # fmt: skip

WHOLE = {
    "set[int]": ("{1}", "set()", "frozenset({1})", "[1]", '{"a"}', "{1.5}", "{True}"),
    "frozenset[str]": ('frozenset({"a"})', '{"a"}', "frozenset()", "frozenset({1})"),
    "tuple[int, str]": ('(1, "a")', "(1,)", '(1, "a", 2)', '[1, "a"]', '("a", 1)', '(True, "a")'),
    "dict[int, str]": ('{1: "a"}', '{"1": "a"}', "{}", "{1: 1}", '{True: "a"}', '{1.0: "a"}'),
    "dict[Colour, int]": ("{Colour.RED: 1}", '{"red": 1}', "{Level.LOW: 1}"),
    "list[list[int]]": ("[[1]]", "[[1], []]", '[["1"]]', "[(1,)]", "[1]"),
    "list[Money | None]": ("[Money(1), None]", '[{"amount": 1}]', "[Tip(1)]"),
    "int | list[str]": ("1", '["a"]', "[1]", '"a"', "True"),
}
"""What is put together by hand."""


def cases() -> list[tuple[str, str, tuple[str, str]]]:
    """All pairs of an annotation and a value, with the pair that stands inside both."""
    found = [
        (around.format(annotation), shape.format(value), (annotation, value))
        for around, shape in INSIDE.items()
        for annotation in SCALARS
        for value in VALUES
        if not (around == "{} | None" and ("None" in annotation or value == "None"))
    ]
    return found + [
        (annotation, value, (annotation, value)) for annotation, all_of in WHOLE.items() for value in all_of
    ]
