"""Limits that are checked on the bytes, before anything decodes them: size, number of values, nesting.

A byte can make an object of hundreds (an empty array, a record that is all defaults) and microseconds of work, and deep
nesting exhausts the decoder's stack, so a payload that is small enough to be stored is not yet small enough to be read.
The writer keeps the same limits, so that it never writes what will not be read.
"""

import re
from typing import Final

__all__ = ["CAREFREE_BYTES", "DEFAULT_PAYLOAD_BYTES", "DEEPEST", "LARGEST_PAYLOAD_BYTES", "too_much"]

DEFAULT_PAYLOAD_BYTES: Final = 16 * 1024
LARGEST_PAYLOAD_BYTES: Final = 1 << 20
"""The hard limit of every payload and result; no setting goes beyond."""

CAREFREE_BYTES: Final = 1024
"""What is this small can do no harm: nobody need look."""

DEEPEST: Final = 64
_MOST_VALUES: Final = 1 << 18

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


def too_much(payload: bytes, *, typed: bool = True) -> str:
    """Why these bytes must not be decoded; "" when they may. Malformed bytes may: the decoder refuses them.

    `typed`: they are decoded by a type, which bounds the nesting of all but what it skips, and skipping needs little
    stack. Most payloads cost one pass in C; the others are walked, in time linear in their values and bounded.
    """
    size = len(payload)
    if size <= CAREFREE_BYTES:
        return ""
    if size > LARGEST_PAYLOAD_BYTES:
        return f"it has {size} bytes, at most {LARGEST_PAYLOAD_BYTES} are read"
    most = _most_containers(size)
    openers = size - len(payload.translate(None, _OPENERS))  # at least as many as there are containers
    if (typed or openers <= DEEPEST) and openers <= most and size <= _MOST_VALUES:
        return ""
    return _scan(payload, most)


def _most_containers(size: int) -> int:
    return 1024 + size // 32


def _scan(payload: bytes, most: int) -> str:
    at, size, values, containers = 0, len(payload), 0, 0
    left: list[int] = []  # how many values each open container still expects
    expected = 1
    while values <= _MOST_VALUES:
        while not expected and left:
            expected = left.pop()
        if not expected or at >= size:
            return ""
        singles = _SINGLES.match(payload, at)
        if singles is not None:
            found = min(singles.end() - at, expected)
            at += found
            expected -= found
            values += found
            continue
        expected -= 1
        values += 1
        step, inside = _value(payload, at)
        at += step
        if inside is not None:
            left.append(expected)
            expected = inside
            containers += 1
            if len(left) > DEEPEST:
                return f"it is nested deeper than {DEEPEST} levels"
            if containers > most:
                return f"it holds more lists, maps and records than the {most} that are read in {size} bytes"
    return f"it holds more than {_MOST_VALUES} values"


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
