"""The unknown-key walk. msgspec drops keys that a type does not have, at every level and in silence, so a validator
that forbids extras never sees them: a job written under another schema is searched before it is decoded by type.
"""

from collections.abc import Iterator
from typing import cast

from typedgator.wire.terms import ArrayOf, DictOf, OneOf, Record, Term, TupleOf, wire_kinds

__all__ = ["unknown_keys"]


def unknown_keys(term: Term, value: object, path: str = "") -> Iterator[str]:
    """The paths in `value` (msgpack decoded without a type) that this term has no place for: `items[1].gone`."""
    if isinstance(value, dict):
        yield from _in_map(_member(term, "map"), cast("dict[object, object]", value), path)
    elif isinstance(value, (list, tuple)):
        yield from _in_array(_member(term, "array"), cast("list[object]", value), path)


def _member(term: Term, kind: str) -> Term | None:
    """The one member of a union that may stand for a map or an array; a union has at most one of each."""
    if isinstance(term.shape, OneOf):
        return next((member for member in term.shape.members if kind in wire_kinds(member)), None)
    return term


def _in_map(term: Term | None, value: dict[object, object], path: str) -> Iterator[str]:
    match term.shape if term is not None else None:
        case Record(_, _, fields):
            known = {field.name: field.term for field in fields}
            for key, inner in value.items():
                here = f"{path}.{_told(key)}".lstrip(".")
                if isinstance(key, str) and key in known:
                    yield from unknown_keys(known[key], inner, here)
                else:
                    yield here
        case DictOf(_, inside):
            for key, inner in value.items():
                yield from unknown_keys(inside, inner, f"{path}[{key!r:.60}]")
        case _:
            return  # not a map in our schema: the typed decoder will say so


def _in_array(term: Term | None, value: list[object], path: str) -> Iterator[str]:
    match term.shape if term is not None else None:
        case ArrayOf(_, item) if item.parts():  # scalars hold no keys
            for index, inner in enumerate(value):
                yield from unknown_keys(item, inner, f"{path}[{index}]")
        case TupleOf(items):
            yield from _in_order(items, value, path)
        case Record(_, _, fields):
            yield from _in_order(tuple(field.term for field in fields), value, path)
        case _:
            return


def _in_order(terms: tuple[Term, ...], value: list[object], path: str) -> Iterator[str]:
    for index, inner in enumerate(value):
        here = f"{path}[{index}]"
        if index < len(terms):
            yield from unknown_keys(terms[index], inner, here)
        else:
            yield here


def _told(key: object) -> str:
    """A key in a message: as it is, unless it would write to the terminal, or another line into a log."""
    return key if isinstance(key, str) and key.isprintable() and len(key) <= 60 else f"{key!r:.60}"
