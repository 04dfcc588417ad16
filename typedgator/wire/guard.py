"""Limits that are checked on the bytes, before anything decodes them: size, nesting, number of values.

A byte can make an object of a hundred bytes (an empty array, an empty map), and deep nesting exhausts the decoder's
stack, so a payload that is small enough to be stored is not yet small enough to be read. Small payloads cannot do harm
and pass for the price of a comparison.
"""

import re
from typing import Final

__all__ = ["CAREFREE_BYTES", "DEFAULT_PAYLOAD_BYTES", "DEEPEST", "LARGEST_PAYLOAD_BYTES", "too_much"]

DEFAULT_PAYLOAD_BYTES: Final = 16 * 1024
LARGEST_PAYLOAD_BYTES: Final = 1 << 20
"""The hard limit of every payload and result; no setting goes beyond."""

DEEPEST: Final = 64
CAREFREE_BYTES: Final = 16 * 1024
"""A payload up to this size never has too many values; a writer need not look."""

_SHALLOW_BYTES: Final = 1024  # nesting as deep as this many bytes allow is no danger to the stack
_HEAVIEST: Final = 1 << 18
_CONTAINER_WEIGHT: Final = 8  # a container costs as much memory as this many scalars
_OPENERS: Final = bytes([*range(0x80, 0xA0), 0xDC, 0xDD, 0xDE, 0xDF])
_SINGLES: Final = re.compile(rb"[\x00-\x7f\xa0\xc0\xc2\xc3\xe0-\xff]+")  # values of one byte

# First byte -> how many bytes the value takes in all; or how many bytes after it hold a length.
_FIXED: Final[dict[int, int]] = {
    **{0xA0 + n: 1 + n for n in range(32)},  # str
    **dict(zip(range(0xCA, 0xD4), (5, 9, 2, 3, 5, 9, 2, 3, 5, 9), strict=True)),  # float, unsigned, signed
    **dict(zip(range(0xD4, 0xD9), (3, 4, 6, 10, 18), strict=True)),  # ext
}
_LONG: Final[dict[int, tuple[int, int]]] = {  # -> bytes of length, bytes besides them
    **dict(zip(range(0xC4, 0xC7), ((1, 2), (2, 3), (4, 5)), strict=True)),  # bin
    **dict(zip(range(0xC7, 0xCA), ((1, 3), (2, 4), (4, 6)), strict=True)),  # ext
    **dict(zip(range(0xD9, 0xDC), ((1, 2), (2, 3), (4, 5)), strict=True)),  # str
}
_CONTAINERS: Final[dict[int, tuple[int, int]]] = {  # -> bytes of length, values for each item
    **dict(zip(range(0xDC, 0xE0), ((2, 1), (4, 1), (2, 2), (4, 2)), strict=True)),
}


def too_much(payload: bytes) -> str:
    """Why these bytes must not be decoded; "" when they may. Malformed bytes may: the decoder refuses them.

    Linear in the number of values, and bounded by it.
    """
    size = len(payload)
    if size <= _SHALLOW_BYTES:
        return ""
    if size > LARGEST_PAYLOAD_BYTES:
        return f"it has {size} bytes, at most {LARGEST_PAYLOAD_BYTES} are read"
    if size <= CAREFREE_BYTES and size - len(payload.translate(None, _OPENERS)) <= DEEPEST:
        return ""
    return _scan(payload)


def _scan(payload: bytes) -> str:
    at, size, weight = 0, len(payload), 0
    left: list[int] = []  # how many values each open container still expects
    expected = 1
    while weight <= _HEAVIEST:
        while not expected and left:
            expected = left.pop()
        if not expected or at >= size:
            return ""
        singles = _SINGLES.match(payload, at)
        if singles is not None:
            found = min(singles.end() - at, expected)
            at += found
            expected -= found
            weight += found
            continue
        expected -= 1
        weight += 1
        step, inside = _value(payload, at)
        at += step
        if inside is not None:
            left.append(expected)
            expected = inside
            weight += _CONTAINER_WEIGHT
            if len(left) > DEEPEST:
                return f"it is nested deeper than {DEEPEST} levels"
    return "it holds too many values to be read at once"


def _value(payload: bytes, at: int) -> tuple[int, int | None]:
    """How many bytes the value (of a container: its head) that starts here takes; how many values a container holds."""
    first = payload[at]
    if first in _FIXED:
        return _FIXED[first], None
    if first in _LONG:
        digits, besides = _LONG[first]
        return int.from_bytes(payload[at + 1 : at + 1 + digits], "big") + besides, None
    if first in _CONTAINERS:
        digits, each = _CONTAINERS[first]
        return 1 + digits, int.from_bytes(payload[at + 1 : at + 1 + digits], "big") * each
    if first < 0xA0:
        return 1, (first & 0x0F) << (first < 0x90)
    return len(payload), None  # 0xC1 is never used: the decoder stops here
