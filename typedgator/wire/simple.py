"""The allow-list: one walk over an annotation gives its Term, or the reason why it cannot be queued and the way out.

What may be queued is what comes back equal, in value and type, from msgpack read with the task's own types.
Anything not named here is refused.
"""

import dataclasses
import enum
import types
import typing
from collections.abc import Callable, Hashable, Iterable
from datetime import date
from typing import Any, Final
from uuid import UUID

from typedgator.wire.marks import MarkRefused, code_name, read_marks, runs_code
from typedgator.wire.reasons import GENERIC, name_of, way_out
from typedgator.wire.terms import (
    SCALARS,
    ArrayOf,
    DictOf,
    EnumOf,
    Field,
    LiteralOf,
    OneOf,
    Record,
    Scalar,
    Term,
    TupleOf,
    hashable,
    wire_kinds,
)

__all__ = ["NotSimple", "simple"]

_DEEPEST: Final = 16
_KEYS: Final = frozenset({str, int, date, UUID})


class NotSimple(Exception):
    """An annotation that cannot be queued. Its text follows "parameter 'x' ": what it is, and the way out."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    """Where in an annotation the walk stands; `inside` holds what encloses it, to notice a type that holds itself."""

    root: str
    path: str = ""
    inside: tuple[object, ...] = ()

    def at(self, step: str, holder: object = None) -> "_Place":
        inside = self.inside if holder is None else (*self.inside, holder)
        return _Place(self.root, self.path + step, inside)

    def no(self, annotation: object, why: str) -> NotSimple:
        name = name_of(annotation)
        subject = f"holds {name} (at {self.root}{self.path}), which" if self.path else f"is {name}, which"
        return NotSimple(f"{subject} {why}")


def simple(annotation: object, parameter: str) -> Term:
    """The term of an annotation. `parameter` names it in paths ("return" for a result). Raises NotSimple."""
    return _walk(annotation, _Place("result" if parameter == "return" else parameter))


def _walk(annotation: object, place: _Place) -> Term:
    if len(place.inside) > _DEEPEST:
        raise place.no(annotation, f"is nested deeper than {_DEEPEST} levels; flatten it")
    if annotation is None:
        annotation = type(None)
    if isinstance(annotation, type) and annotation in SCALARS:
        return Term(Scalar(annotation))
    origin = typing.get_origin(annotation)
    bare = origin in GENERIC and not typing.get_args(annotation)  # typing.List, without its element type
    special = None if bare or not isinstance(origin, Hashable) else _SPECIAL.get(origin)
    if special is not None:
        return special(annotation, place)
    if isinstance(annotation, typing.NewType):
        return _walk(annotation.__supertype__, place)
    if _is_alias(annotation):
        return _alias(annotation, place)
    if origin is None and isinstance(annotation, type):
        term = _class(annotation, place)
        if term is not None:
            return term
    raise place.no(annotation, way_out(annotation, place.root))


# ---- forms of typing


def _annotated(annotation: Any, place: _Place) -> Term:
    inner = _walk(annotation.__origin__, place)
    return _constrain(inner, annotation.__metadata__, annotation, place)


def _constrain(term: Term, marks: tuple[object, ...], annotation: object, place: _Place) -> Term:
    if isinstance(term.shape, OneOf) and not any(map(runs_code, marks)):
        # Annotated[int | None, Gt(0)]: the constraint is about the number, None has nothing to be greater than.
        members = tuple(
            member
            if member.shape == Scalar(type(None))
            else _constrain(member, marks, f"{name_of(annotation)} ({', '.join(sorted(wire_kinds(member)))})", place)
            for member in term.shape.members
        )
        return dataclasses.replace(term, shape=OneOf(members), secret=term.secret or any(m.secret for m in members))
    try:
        read = read_marks(term.shape, (*term.marks, *marks))
    except MarkRefused as refusal:
        raise place.no(annotation, str(refusal)) from None
    return Term(term.shape, read.kept, read.facets, read.own_code, term.secret or read.secret)


def _qualified(annotation: Any, place: _Place) -> Term:
    return _walk(annotation.__args__[0], place)


def _literal(annotation: Any, place: _Place) -> Term:
    values = typing.get_args(annotation)
    for value in values:
        if type(value) not in (str, int, bool, type(None)):
            raise place.no(annotation, "may hold only str, int, bool and None; for an Enum, name the Enum itself")
        if type(value) is int and not -(2**63) <= value < 2**64:
            raise place.no(annotation, "holds an integer beyond 64 bits; write it as str")
    if len(set(values)) != len(values):  # True == 1
        raise place.no(annotation, "holds True beside 1 or False beside 0, which are equal in Python; keep one of them")
    return Term(LiteralOf(values))


def _union(annotation: Any, place: _Place) -> Term:
    members: list[Term] = []
    for arg in typing.get_args(annotation):
        term = _walk(arg, place)
        inner = term.shape.members if isinstance(term.shape, OneOf) and not term.marks else (term,)
        members += (member for member in inner if member not in members)
    for kind in ("string", "integer", "boolean", "null", "array", "map"):
        if sum(kind in wire_kinds(member) for member in members) > 1:
            raise place.no(
                annotation,
                f"has two members that look alike when stored (both as {kind}); "
                "take one of them, or a frozen dataclass with one field for each",
            )
    return Term(OneOf(tuple(members)))


def _array(annotation: Any, place: _Place) -> Term:
    cls = typing.get_origin(annotation)
    args = typing.get_args(annotation)
    item = _walk(args[0], place.at("[]", annotation))
    if cls in (set, frozenset) and not hashable(item):
        raise place.no(annotation, "holds values that cannot be hashed; use a list")
    return Term(ArrayOf(cls, item))


def _tuple(annotation: Any, place: _Place) -> Term:
    args = typing.get_args(annotation)
    if any(typing.get_origin(arg) is typing.Unpack or getattr(arg, "__unpacked__", False) for arg in args):
        raise place.no(annotation, "has a variable middle; use a list, or a frozen dataclass")
    if len(args) == 2 and args[1] is ...:
        return Term(ArrayOf(tuple, _walk(args[0], place.at("[]", annotation))))
    return Term(TupleOf(tuple(_walk(arg, place.at(f"[{i}]", annotation)) for i, arg in enumerate(args))))


def _dict(annotation: Any, place: _Place) -> Term:
    key_type, value_type = typing.get_args(annotation)
    key = _walk(key_type, place.at(".<key>", annotation))
    match key.shape:
        case Scalar(cls):
            fit = cls in _KEYS
        case EnumOf():
            fit = True
        case LiteralOf(values):
            fit = all(type(value) is str for value in values) or all(type(value) is int for value in values)
        case _:
            fit = False
    if not fit:
        raise place.no(annotation, "needs str, int, date, UUID or Enum keys")
    return Term(DictOf(key, _walk(value_type, place.at(".*", annotation))))


_SPECIAL: Final[dict[object, Callable[[Any, _Place], Term]]] = {
    typing.Annotated: _annotated,
    typing.Required: _qualified,
    typing.NotRequired: _qualified,
    typing.Literal: _literal,
    typing.Union: _union,
    types.UnionType: _union,
    list: _array,
    set: _array,
    frozenset: _array,
    tuple: _tuple,
    dict: _dict,
}


def _is_alias(annotation: object) -> bool:
    return type(annotation).__name__ == "TypeAliasType" and type(annotation).__module__ in (
        "typing",
        "typing_extensions",
    )


def _alias(annotation: Any, place: _Place) -> Term:
    _no_circle(annotation, place)
    if getattr(annotation, "__type_params__", ()):
        raise place.no(annotation, "is generic; name the type")
    return _walk(annotation.__value__, place.at("", annotation))


def _no_circle(holder: object, place: _Place) -> None:
    if any(holder is outer for outer in place.inside):
        raise place.no(holder, "holds itself; a queued value has a fixed depth: pass an id, or a flat list of parts")


# ---- classes


def _class(annotation: type, place: _Place) -> Term | None:
    cls: Any = annotation  # each branch knows the attributes of its kind of class
    if issubclass(annotation, enum.Enum):
        return _enum(annotation, place)
    if issubclass(annotation, tuple) and hasattr(cls, "_fields"):
        return _record(cls, "namedtuple", list(cls._fields), cls._field_defaults, place)
    if issubclass(annotation, dict) and hasattr(cls, "__required_keys__"):
        return _typeddict(cls, place)
    if dataclasses.is_dataclass(cls) and not hasattr(cls, "__pydantic_validator__"):
        return _dataclass(cls, place)
    return None


def _enum(cls: type[enum.Enum], place: _Place) -> Term:
    if issubclass(cls, enum.Flag):
        raise place.no(cls, "is a Flag, whose combinations are not members; pass its int, or a set of an Enum")
    values = [member.value for member in cls]
    if not values:
        raise place.no(cls, "has no members")
    if {type(value) for value in values} not in ({str}, {int}):
        raise place.no(cls, "has values that are not all str or all int; give its members plain values")
    if any(isinstance(value, int) and not -(2**63) <= value < 2**63 for value in values):
        raise place.no(cls, "has a value beyond 64 bits; give its members smaller values")
    return Term(EnumOf(cls))


def _hints(cls: Any, place: _Place) -> dict[str, Any]:
    _no_circle(cls, place)
    if getattr(cls, "__parameters__", ()) or getattr(cls, "__type_params__", ()):
        raise place.no(cls, "is generic; write a class for the one type you pass")
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except Exception as error:  # evaluating the user's annotations may raise anything
        raise place.no(
            cls, f"has an annotation that cannot be read at run time ({error}); import its names at module level"
        ) from None


def _record(cls: Any, form: Any, names: Iterable[str], optional: Iterable[str], place: _Place, code: str = "") -> Term:
    hints, omitted = _hints(cls, place), set(optional)
    for name in names:
        if name not in hints:
            raise place.no(cls, f"has a field {name!r} without annotation; annotate it (typing.NamedTuple)")
    fields = tuple(
        Field(name, _walk(hints[name], place.at(f".{name}", cls)), required=name not in omitted) for name in names
    )
    return Term(Record(form, cls, fields, code))


def _typeddict(cls: Any, place: _Place) -> Term:
    hints = _hints(cls, place)
    optional = set(hints) - set(cls.__required_keys__)
    for name, hint in hints.items():
        # Under `from __future__ import annotations` the class could not see its own NotRequired[...].
        origin = typing.get_origin(hint)
        if origin is typing.NotRequired:
            optional.add(name)
        elif origin is typing.Required:
            optional.discard(name)
    return _record(cls, "typeddict", sorted(hints), optional, place)


def _dataclass(cls: Any, place: _Place) -> Term:
    if not cls.__dataclass_params__.frozen:
        raise place.no(cls, "is a dataclass that can change; write @dataclass(frozen=True)")
    if any(field._field_type is dataclasses._FIELD_INITVAR for field in cls.__dataclass_fields__.values()):  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType] # no public way to see an InitVar
        raise place.no(cls, "has an InitVar, which is not kept in the value; make it a field")
    fields = dataclasses.fields(cls)
    if any(not field.init for field in fields):
        raise place.no(cls, "has a field(init=False), which cannot be rebuilt; compute it in a property")
    missing = dataclasses.MISSING
    optional = [f.name for f in fields if f.default is not missing or f.default_factory is not missing]
    checks = getattr(cls, "__post_init__", None)
    code = "" if checks is None else code_name(checks)
    return _record(cls, "dataclass", [field.name for field in fields], optional, place, code)
