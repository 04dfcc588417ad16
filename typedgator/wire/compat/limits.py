"""Constraints, compared: whether every value that keeps the writer's keeps the reader's too.

What cannot be compared (patterns, other people's code) is the same text or it is a break. Nothing here guesses.
"""

import math
import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from typedgator.wire.compat.node import Bound, Node, Value, kind_of

__all__ = ["EXACT_IN_FLOAT", "broken_by", "broken_limits", "numeric"]

EXACT_IN_FLOAT: Final = 2**53
"""Integers beyond it, in either direction, are rounded when they become a float."""

_LEAST, _MOST = -(2**63), 2**64 - 1
_SIZES: Final = (
    ("min_length", "max_length", "characters or bytes"),
    ("min_items", "max_items", "items"),
    ("min_properties", "max_properties", "keys"),
)


def numeric(schema: Node) -> str:
    """How a schema's bounds are to be compared: integer, number, decimal, or the format of a date or time."""
    return schema.format or schema.type or ""


def broken_limits(sent: Node, taken: Node) -> Iterator[str]:
    """What the reader asks for and the writer does not keep, as `at least 1`. Both are schemas of one type."""
    yield from _bounds(sent, taken)
    yield from _steps(sent, taken)
    for low, high, what in _SIZES:
        yield from _size(getattr(sent, low), getattr(taken, low), f"at least {getattr(taken, low)} {what}", upper=False)
        yield from _size(
            getattr(sent, high), getattr(taken, high), f"at most {getattr(taken, high)} {what}", upper=True
        )
    yield from _digits(sent, taken)
    if taken.pattern is not None and taken.pattern != sent.pattern:
        yield f"the pattern {taken.pattern!r}"
    for switch in ("strip_whitespace", "to_lower", "to_upper"):
        if getattr(taken, switch) and not getattr(sent, switch):
            yield f"{switch}, which changes text"
    if _finite(taken) and not _finite(sent):
        yield "no infinity and no NaN"
    if taken.unique_items and not sent.unique_items and (sent.max_items is None or sent.max_items > 1):
        yield "no item twice"


def broken_by(value: Value, taken: Node) -> Iterator[str]:
    """What a plain schema asks for and this one value does not keep; its kind fits already."""
    sent = Node(enum=[value], type=kind_of(value))
    if isinstance(value, int) and not isinstance(value, bool):
        sent = Node(type="integer", minimum=value, maximum=value)
        if taken.multiple_of is not None and not (
            isinstance(taken.multiple_of, int) and value % taken.multiple_of == 0
        ):
            yield f"a multiple of {taken.multiple_of}"
        if taken.type == "number" and abs(value) > EXACT_IN_FLOAT:
            yield "what a float can hold exactly"
        yield from _bounds(sent, taken)
    elif isinstance(value, str):
        yield from broken_limits(Node(type="string", min_length=len(value), max_length=len(value)), taken)


# ---- bounds


def _bounds(sent: Node, taken: Node) -> Iterator[str]:
    for upper in (False, True):
        needed = _bound(taken, upper)
        if needed is None:
            continue
        kept = _bound(sent, upper, implied=True)
        if kept is None or not _within(kept, needed, upper):
            yield _said_bound(taken, upper)


def _within(kept: tuple[Any, bool], needed: tuple[Any, bool], upper: bool) -> bool:
    (one, one_open), (other, other_open) = kept, needed
    try:
        if one == other:
            return one_open or not other_open
        return bool(one < other) is upper
    except TypeError:  # a naive and an aware instant; a bound that could not be read
        return False


def _bound(schema: Node, upper: bool, *, implied: bool = False) -> tuple[Any, bool] | None:
    """The tightest bound on one side, and whether it excludes itself; None when there is none.

    `implied`: of an integer also the one that the wire has.
    """
    closed = schema.maximum if upper else schema.minimum
    opened = schema.exclusive_maximum if upper else schema.exclusive_minimum
    kind = numeric(schema)
    found = [(_read(bound, kind), is_open) for bound, is_open in ((closed, False), (opened, True)) if bound is not None]
    if kind == "integer":
        found = [(_whole(value, is_open, upper), False) for value, is_open in found if math.isfinite(value)]
        last = (_MOST if upper else _LEAST, False)
        tightest = min(*found, last) if upper else max(*found, last)
        return tightest if implied or tightest != last else None
    if len(found) < 2:
        return found[0] if found else None
    (one, _), (other, _) = found
    try:
        excluding = other <= one if upper else other >= one
    except TypeError:
        return None
    return found[1] if excluding else found[0]


def _whole(value: Any, is_open: bool, upper: bool) -> int:
    low: int = math.floor(value)
    high: int = math.ceil(value)
    if upper:
        return high - 1 if is_open else low
    return low + 1 if is_open else high


def _said_bound(schema: Node, upper: bool) -> str:
    words = ("at most", "less than") if upper else ("at least", "more than")
    closed = schema.maximum if upper else schema.minimum
    opened = schema.exclusive_maximum if upper else schema.exclusive_minimum
    if opened is not None:
        return f"{words[1]} {opened}"
    return f"{words[0]} {closed}"


def _read(bound: Bound, kind: str) -> Any:
    """A bound as what it bounds; its text when it cannot be read as that."""
    try:
        if kind == "decimal":
            return Decimal(str(bound))
        if isinstance(bound, str):
            return _READERS[kind](bound)
    except (ValueError, KeyError, InvalidOperation):
        return _Unread(bound)
    return bound


class _Unread(str):
    """A bound that can only be equal to another one."""

    __slots__ = ()

    def __lt__(self, other: object) -> bool:
        raise TypeError("not to be compared")

    __le__ = __gt__ = __ge__ = __lt__


_TIMEDELTA: Final = re.compile(r"(?:(-?\d+) days?, )?(\d+):(\d\d):(\d\d)(?:\.(\d{6}))?")


def _timedelta(text: str) -> timedelta:
    """From `str(timedelta)`."""
    found = _TIMEDELTA.fullmatch(text)
    if found is None:
        raise ValueError(text)
    days, hours, minutes, seconds, micros = (int(part or 0) for part in found.groups())
    return timedelta(days, hours=hours, minutes=minutes, seconds=seconds, microseconds=micros)


_READERS: Final[dict[str, Any]] = {
    "date": date.fromisoformat,
    "date-time": datetime.fromisoformat,
    "time": time.fromisoformat,
    "duration": _timedelta,
    "integer": Decimal,
    "number": float,
}


# ---- the others


def _steps(sent: Node, taken: Node) -> Iterator[str]:
    one, other = sent.multiple_of, taken.multiple_of
    if other is None or (one == other and sent.type == taken.type):
        return
    if taken.type == sent.type == "integer" and isinstance(one, int) and isinstance(other, int) and one % other == 0:
        return
    yield f"a multiple of {other}"


def _size(one: int | None, other: int | None, said: str, *, upper: bool) -> Iterator[str]:
    if other is None or (not upper and other == 0):
        return
    if one is None or (one > other if upper else one < other):
        yield said


def _digits(sent: Node, taken: Node) -> Iterator[str]:
    """Digits of a Decimal: in all, after the point, and what the two leave before it."""
    if taken.max_digits is not None and (sent.max_digits is None or sent.max_digits > taken.max_digits):
        yield f"at most {taken.max_digits} digits"
    if taken.decimal_places is not None and (sent.decimal_places is None or sent.decimal_places > taken.decimal_places):
        yield f"at most {taken.decimal_places} decimal places"
    # Both together also bound the digits before the point: more places alone leave room for fewer of those.
    if taken.max_digits is not None and taken.decimal_places is not None and sent.max_digits is not None:
        most = taken.max_digits - taken.decimal_places
        if sent.max_digits - (sent.decimal_places or 0) > most:
            yield f"at most {most} digits before the point"


def _finite(schema: Node) -> bool:
    if schema.format == "decimal":
        return schema.allow_inf_nan is not True
    return schema.type == "number" and schema.allow_inf_nan is False
