"""Checked values to bytes and back to their types.

What is sent keeps the order in which a dict was filled. Where equal values must give equal bytes (unique jobs),
`canonical` writes sets and dicts in a fixed order instead.
"""

import types
import typing
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final, TypeAlias
from uuid import UUID

import msgspec

from typedgator.wire.terms import ArrayOf, DictOf, EnumOf, LiteralOf, OneOf, Record, Scalar, Term, TupleOf

__all__ = ["canonical", "pack", "wire_type"]

_Arrange: TypeAlias = Callable[[Any], object]

# msgspec's own sorting: fast, but only where `<` is a total order and every dict has str keys.
_sorted: Final = msgspec.msgpack.Encoder(order="deterministic").encode
_as_is: Final = msgspec.msgpack.Encoder().encode
pack: Final[Callable[[object], bytes]] = _as_is
"""Writes a checked value. It raises TypeError, ValueError or OverflowError on what msgpack cannot hold."""
_TOTALLY_ORDERED: Final = frozenset({int, str, bytes, date, timedelta, UUID, Decimal})


def canonical(term: Term) -> Callable[[object], bytes]:
    """A function that gives equal bytes for equal checked values of this term; it raises what `pack` raises."""
    if all(_orderly(part) for part in term.all()):
        return _sorted
    arrange = _arranged(term)
    if arrange is None:
        return _as_is
    return lambda value: _as_is(arrange(value))


def wire_type(term: Term) -> Any:
    """The type that msgspec decodes bytes of this term by: no constraints, no aliases. A type made at run time: Any."""
    match term.shape:
        case ArrayOf(cls, item):
            return types.GenericAlias(cls, (wire_type(item), ...) if cls is tuple else (wire_type(item),))
        case TupleOf(items):
            return types.GenericAlias(tuple, tuple(wire_type(item) for item in items))
        case DictOf(key, value):
            return types.GenericAlias(dict, (wire_type(key), wire_type(value)))
        case LiteralOf(values):
            # Older releases of msgspec know no Literal[True]; the validator tells True from False.
            plain = tuple(value for value in values if not isinstance(value, bool))
            kinds = ([typing.Literal[plain]] if plain else []) + [bool] * (len(plain) < len(values))
            return typing.Union[tuple(kinds)]  # noqa: UP007 # made at run time
        case OneOf(members):
            return typing.Union[tuple(wire_type(member) for member in members)]  # noqa: UP007 # made at run time
        case Record("arguments", _, fields):
            typed_dict: Any = typing.TypedDict
            not_required: Any = typing.NotRequired
            parts = {field.name: (wire_type(field.term), field.required) for field in fields}
            return typed_dict(
                "Arguments",
                {name: part if required else not_required[part] for name, (part, required) in parts.items()},
            )
        case Scalar(cls) | EnumOf(cls) | Record(_, cls, _):
            return cls


def _orderly(term: Term) -> bool:
    match term.shape:
        case ArrayOf(cls, item) if cls in (set, frozenset):
            return isinstance(item.shape, Scalar) and item.shape.cls in _TOTALLY_ORDERED
        case DictOf(key, _):
            match key.shape:
                case Scalar(cls):
                    return cls is str
                case LiteralOf(values):
                    return all(isinstance(value, str) for value in values)
                case _:
                    return False
        case _:
            return True


def _arranged(term: Term) -> _Arrange | None:
    """A function that puts sets and dicts in order, at every depth; None where there is nothing to order."""
    match term.shape:
        case ArrayOf(cls, item):
            return _array(cls, _arranged(item))
        case DictOf(_, value):
            return _dict(_arranged(value))
        case TupleOf(items):
            return _tuple([_arranged(item) for item in items])
        case Record(form, _, fields):
            parts = {field.name: _arranged(field.term) for field in fields}
            if form == "namedtuple":
                return _tuple(list(parts.values()))
            return _record(form, parts)
        case OneOf(members):
            return _one_of(members)
        case _:
            return None


def _array(cls: type, inside: _Arrange | None) -> _Arrange | None:
    if cls in (set, frozenset):
        if inside is None:
            return lambda value: sorted(value, key=_as_is)
        return lambda value: sorted([inside(item) for item in value], key=_as_is)
    if inside is None:
        return None
    return lambda value: [inside(item) for item in value]


def _dict(inside: _Arrange | None) -> _Arrange:
    def arranged(value: dict[object, object]) -> object:
        keys = sorted(value, key=_as_is)
        return {key: value[key] for key in keys} if inside is None else {key: inside(value[key]) for key in keys}

    return arranged


def _tuple(parts: list[_Arrange | None]) -> _Arrange | None:
    if not any(parts):
        return None
    return lambda value: [item if part is None else part(item) for part, item in zip(parts, value, strict=True)]


def _record(form: str, parts: dict[str, _Arrange | None]) -> _Arrange | None:
    if not any(parts.values()):
        return None
    if form == "dataclass":
        return lambda value: {
            name: getattr(value, name) if part is None else part(getattr(value, name)) for name, part in parts.items()
        }
    return lambda value: {
        name: value[name] if part is None else part(value[name]) for name, part in parts.items() if name in value
    }


def _one_of(members: tuple[Term, ...]) -> _Arrange | None:
    by_type: dict[type, _Arrange] = {}
    for member in members:
        arrange = _arranged(member)
        if arrange is not None:
            by_type[_type_of(member)] = arrange
    if not by_type:
        return None

    def arranged(value: object) -> object:
        arrange = by_type.get(type(value))  # a checked value has exactly its member's type
        return value if arrange is None else arrange(value)

    return arranged


def _type_of(term: Term) -> type:
    match term.shape:
        case ArrayOf(cls, _):
            return cls
        case TupleOf():
            return tuple
        case Record("typeddict", _, _) | DictOf():
            return dict
        case Record(_, cls, _):
            return cls
        case _:
            return object
