"""Constraints: what stands behind the type in `Annotated[int, Field(gt=0)]`, in our own dialect.

Neither pydantic nor annotated_types is imported: marks are known by the module and name of their class.
A constraint that cannot hold for its type, or that would loosen the strict rules, is refused here, at registration.
"""

import functools
import typing
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple

from typedgator.wire.terms import ArrayOf, DictOf, RunByWorker, Scalar, Secret, Shape, Term

__all__ = ["MarkRefused", "Marks", "bounded", "code_name", "constraints", "read_marks", "runs_code"]


class MarkRefused(Exception):
    """Why a constraint cannot be honoured; one clause that follows the type's name."""


class Marks(NamedTuple):
    """What the marks of one annotation say."""

    kept: tuple[object, ...]
    facets: tuple[tuple[str, object], ...]
    own_code: bool
    secret: bool


_BOUNDS: Final = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_ORDERED: Final = frozenset({int, float, Decimal, date, datetime, time, timedelta})
_NUMBERS: Final = frozenset({int, float, Decimal})
_APPLIES: Final[dict[str, frozenset[type]]] = {
    **dict.fromkeys(_BOUNDS, _ORDERED),
    "multiple_of": _NUMBERS,
    "pattern": frozenset({str}),
    "strip_whitespace": frozenset({str}),
    "to_lower": frozenset({str}),
    "to_upper": frozenset({str}),
    "max_digits": frozenset({Decimal}),
    "decimal_places": frozenset({Decimal}),
    "allow_inf_nan": frozenset({float, Decimal}),
}
_NAMES: Final = {"multiple_of": "multipleOf", "pattern": "pattern"}
# A switch of pydantic's that would let in what is not of the type: the static types refuse it, so do we.
_LOOSENING: Final = {"strict": False, "coerce_numbers_to_str": True}
_HARMLESS: Final = frozenset({"union_mode", "fail_fast", "regex_engine", "strict", "coerce_numbers_to_str"})
_CONSTRAINING: Final = ("annotated_types", "pydantic")
_FIELD_EXTRAS: Final = ("alias", "validation_alias", "default_factory", "discriminator", "exclude", "init_var")


def read_marks(shape: Shape, marks: tuple[object, ...]) -> Marks:
    """What these marks mean on this shape. Raises MarkRefused."""
    kept: list[object] = []
    facets: dict[str, object] = {}
    own_code = secret = False
    for mark in _flat(marks):
        if mark is Secret or isinstance(mark, Secret):
            secret = True
            continue
        if isinstance(mark, RunByWorker):
            _name_code(facets, mark.name)
            kept.append(mark)
            continue
        if type(mark).__module__.startswith("msgspec"):
            raise MarkRefused("is constrained with msgspec.Meta; use pydantic's Field or annotated_types")
        for name, value in _settings(mark):
            key, text = _facet(shape, name, value)
            if key:
                facets[key] = text
        code = _own_code(mark)
        if code:
            own_code = True
            _name_code(facets, code)
        kept.append(mark)
    return Marks(tuple(kept), tuple(sorted(facets.items())), own_code, secret)


def _name_code(facets: dict[str, object], code: str) -> None:
    facets["x-validator"] = f"{facets['x-validator']} {code}" if "x-validator" in facets else code


def _flat(marks: tuple[object, ...]) -> Iterator[object]:
    """The single marks, those inside pydantic's Field and inside grouped marks such as Interval and Len."""
    for mark in marks:
        if mark is Secret:
            yield mark
        elif _is_pydantic(mark, "FieldInfo"):
            _refuse_field_extras(mark)
            inner: Any = mark  # FieldInfo's attributes, without importing pydantic to name its type
            yield from _flat(tuple(inner.metadata))
        elif getattr(mark, "__is_annotated_types_grouped_metadata__", False):
            group: Any = mark
            yield from _flat(tuple(group))
        elif typing.get_origin(mark) is not None:
            raise MarkRefused(
                "is annotated with what is a type and no constraint, so nothing checks it; write it around the type: "
                "`LowerCase[str]`"
            )
        elif isinstance(mark, type) and mark.__module__.startswith(_CONSTRAINING):
            raise MarkRefused(
                f"is constrained with the class {mark.__name__}, which nothing checks; write {mark.__name__}(...)"
            )
        elif isinstance(mark, slice) or type(mark).__module__ == "builtins":
            continue  # documentation strings and the like
        else:
            yield mark


def _refuse_field_extras(field: object) -> None:
    for name in _FIELD_EXTRAS:
        if getattr(field, name, None) not in (None, False):
            raise MarkRefused(f"has Field({name}=...), which means nothing here; leave it out")
    default = getattr(field, "default", ...)
    if default is not ... and type(default).__name__ != "PydanticUndefinedType":
        raise MarkRefused("has its default inside Field(...); write it after the parameter: `x: int = 1`")


def _is_pydantic(mark: object, name: str) -> bool:
    return any(cls.__name__ == name and cls.__module__.startswith("pydantic.") for cls in type(mark).__mro__)


def _settings(mark: object) -> Iterator[tuple[str, Any]]:
    """The constraints a mark holds, by pydantic's names."""
    cls = type(mark)
    if cls.__module__.startswith("annotated_types"):
        known = {"Gt": "gt", "Ge": "ge", "Lt": "lt", "Le": "le", "MultipleOf": "multiple_of"}
        known |= {"MinLen": "min_length", "MaxLen": "max_length"}
        if cls.__name__ in known:
            yield known[cls.__name__], getattr(mark, known[cls.__name__])
        elif not callable(getattr(mark, "func", None)):
            raise MarkRefused(
                f"is constrained with annotated_types.{cls.__name__}, which nothing checks; use a validator"
            )
    elif cls.__module__.startswith("pydantic"):
        if cls.__name__ in ("BeforeValidator", "PlainValidator", "WrapValidator", "SkipValidation"):
            raise MarkRefused(f"has a {cls.__name__}, which could let in another type; only AfterValidator is honoured")
        if cls.__name__ in ("PydanticGeneralMetadata", "_PydanticGeneralMetadata", "Strict", "AllowInfNan"):
            yield from vars(mark).items()


def runs_code(mark: object) -> bool:
    """Whether a mark is about the whole of a union, as a function is, and not about each of its members."""
    return callable(getattr(mark, "func", None)) or isinstance(mark, RunByWorker)


def _own_code(mark: object) -> str:
    """The name of code of the user's that a mark runs, "" when it runs none."""
    func = getattr(mark, "func", None)
    if callable(func):
        return code_name(func)
    cls = type(mark)
    if hasattr(mark, "__get_pydantic_core_schema__") and not cls.__module__.startswith(("pydantic", "annotated_types")):
        return f"{cls.__module__}.{cls.__qualname__}"
    if cls.__module__.startswith("pydantic") and cls.__name__ == "UuidVersion":
        return f"pydantic.{mark!r}"
    return ""


def code_name(func: Any) -> str:
    """A function's name, the same in every process: never its address."""
    if type(func) is functools.partial:
        return f"functools.partial({code_name(func.func)})"
    if not hasattr(func, "__qualname__"):
        return code_name(func.__class__)
    return f"{getattr(func, '__module__', None) or 'builtins'}.{func.__qualname__}"


def _facet(shape: Shape, name: str, value: Any) -> tuple[str, object]:
    """The dialect's key and value for one constraint; ("", None) when it says nothing."""
    if value is None or name.startswith("_"):
        return "", None
    if name in _LOOSENING and value == _LOOSENING[name]:
        raise MarkRefused(f"is loosened with {name}={value}; arguments are always checked strictly")
    if name in _HARMLESS:
        return "", None
    if name in ("min_length", "max_length"):
        return _length(shape, name), value
    if not (isinstance(shape, Scalar) and shape.cls in _APPLIES.get(name, ())):
        raise MarkRefused(f"cannot be constrained with {name}")
    text = value if isinstance(value, (bool, int, float)) else str(getattr(value, "pattern", value))
    return _BOUNDS.get(name) or _NAMES.get(name) or f"x-{name}", text


def _length(shape: Shape, name: str) -> str:
    low = name[:3]
    if isinstance(shape, Scalar) and shape.cls in (str, bytes):
        return f"{low}Length"
    if isinstance(shape, ArrayOf):
        return f"{low}Items"
    if isinstance(shape, DictOf):
        return f"{low}Properties"
    raise MarkRefused(f"cannot be constrained with {name}")


def constraints(term: Term) -> dict[str, Any]:
    """A term's constraints as they were written, by pydantic's names: `gt`, `max_length`, `pattern`, ..."""
    said = {name: value for mark in term.marks for name, value in _settings(mark)}
    return {name: value for name, value in said.items() if value is not None}


def bounded(term: Term) -> bool:
    """Whether the user has said how many elements this collection may hold."""
    return any(key in ("maxItems", "maxProperties") for key, _ in term.facets)
