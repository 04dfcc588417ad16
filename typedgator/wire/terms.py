"""Terms: a simple type, taken apart. What the walk of an annotation gives; schema, validator, unknown-key walk and test
strategies are all made from it.

Data only: nothing here validates, and no annotation is looked at twice.
"""

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Final, Literal, TypeAlias
from uuid import UUID

__all__ = [
    "SCALARS",
    "ArrayOf",
    "DictOf",
    "EnumOf",
    "Field",
    "FilledInByWorker",
    "LiteralOf",
    "OneOf",
    "Record",
    "RunByWorker",
    "Scalar",
    "Secret",
    "Shape",
    "Term",
    "TupleOf",
    "hashable",
    "wire_kinds",
]

SCALARS: Final[frozenset[type]] = frozenset(
    {type(None), bool, int, float, str, bytes, date, datetime, time, timedelta, UUID, Decimal}
)


class Secret:
    """A mark for a value that is never shown: `Annotated[str, Secret]`. The whole argument, or result, is hidden."""


class RunByWorker:
    """A mark for code that only the worker has: the name of a validator or `__post_init__`, in a stub. Nothing runs
    here.
    """

    def __init__(self, name: str) -> None:
        self.name: Final = name


class FilledInByWorker:
    """Stands for a default that only the worker has: a secret one, in a stub. It is no value that could be sent."""

    def __repr__(self) -> str:
        return "..."


@dataclass(frozen=True, slots=True)
class Scalar:
    """One of SCALARS."""

    cls: type


@dataclass(frozen=True, slots=True)
class EnumOf:
    """An Enum whose values are all str or all int."""

    cls: type[enum.Enum]


@dataclass(frozen=True, slots=True)
class LiteralOf:
    """Some values of str, int, bool and None."""

    values: tuple[str | int | bool | None, ...]


@dataclass(frozen=True, slots=True)
class ArrayOf:
    """`list[T]`, `set[T]`, `frozenset[T]` or `tuple[T, ...]`."""

    cls: type
    item: "Term"


@dataclass(frozen=True, slots=True)
class TupleOf:
    """`tuple[A, B]`: fixed length."""

    items: tuple["Term", ...]


@dataclass(frozen=True, slots=True)
class DictOf:
    """`dict[K, V]`."""

    key: "Term"
    value: "Term"


@dataclass(frozen=True, slots=True)
class Field:
    """One named part of a Record."""

    name: str
    term: "Term"
    required: bool


@dataclass(frozen=True, slots=True)
class Record:
    """A value type with named parts, or the arguments of a task (then `cls` is `dict`).

    `code` is the name of the `__post_init__` that checks its values, "" where there is none.
    """

    form: Literal["arguments", "typeddict", "dataclass", "namedtuple"]
    cls: type
    fields: tuple[Field, ...]
    code: str = ""


@dataclass(frozen=True, slots=True)
class OneOf:
    """A union; no two members look alike on the wire."""

    members: tuple["Term", ...]


Shape: TypeAlias = Scalar | EnumOf | LiteralOf | ArrayOf | TupleOf | DictOf | Record | OneOf


@dataclass(frozen=True, slots=True)
class Term:
    """A shape and its constraints.

    `marks` are the constraint objects as the user wrote them, flattened, for pydantic; `facets` the same in our dialect
    (`minimum`, `maxItems`, `x-validator`, ...). `own_code` is true when the marks run code of the user's.
    """

    shape: Shape
    marks: tuple[object, ...] = ()
    facets: tuple[tuple[str, object], ...] = ()
    own_code: bool = False
    secret: bool = False

    @property
    def code(self) -> str:
        """The names of the user's code that checks a value of this term, in the order in which it runs."""
        by_class = self.shape.code if isinstance(self.shape, Record) else ""
        return f"{by_class} {dict(self.facets).get('x-validator', '')}".strip()

    def parts(self) -> Sequence["Term"]:
        """The terms directly inside this one."""
        match self.shape:
            case ArrayOf(_, item):
                return (item,)
            case TupleOf(items) | OneOf(items):
                return items
            case DictOf(key, value):
                return (key, value)
            case Record(_, _, fields):
                return tuple(field.term for field in fields)
            case Scalar() | EnumOf() | LiteralOf():
                return ()

    def all(self) -> Iterator["Term"]:
        """This term and every term inside it."""
        yield self
        for part in self.parts():
            yield from part.all()


def wire_kinds(term: Term) -> set[str]:
    """What a reader of the bytes may see there: null, boolean, integer, number, string, array or map.

    `bytes`, dates and times count as strings: in a union they could not be told from `str`.
    """
    match term.shape:
        case Scalar(cls):
            named = {type(None): "null", bool: "boolean", int: "integer", float: "number"}
            return {named.get(cls, "string")}
        case EnumOf(cls):
            return {"string" if all(isinstance(member.value, str) for member in cls) else "integer"}
        case LiteralOf(values):
            named = {type(None): "null", bool: "boolean", int: "integer", str: "string"}
            return {named[type(value)] for value in values}
        case ArrayOf() | TupleOf():
            return {"array"}
        case DictOf():
            return {"map"}
        case Record(form, _, _):
            return {"array" if form == "namedtuple" else "map"}
        case OneOf(members):
            return {kind for member in members for kind in wire_kinds(member)}


def hashable(term: Term) -> bool:
    """Whether every value of this term can stand in a set."""
    match term.shape:
        case ArrayOf(cls, item):
            return cls in (tuple, frozenset) and hashable(item)
        case DictOf():
            return False
        case Record(form, cls, fields):
            hashed = form == "namedtuple" or (form == "dataclass" and cls.__hash__ is not None)
            return hashed and all(hashable(field.term) for field in fields)
        case Scalar() | EnumOf() | LiteralOf() | TupleOf() | OneOf():
            return all(hashable(part) for part in term.parts())
