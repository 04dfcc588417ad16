"""Limits that are checked on the bytes, before anything decodes them: size, nesting, number of values.

A byte can make an object of a hundred bytes (an empty array, an empty map), and deep nesting exhausts the decoder's stack, so a
payload that is small enough to be stored is not yet small enough to be read. What typed decoders bound by type is not
checked again; small payloads cannot do harm and pass for the price of two comparisons.
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
    **{0xA0 + n: 1 + n for n in range(32)},
    **{0xCA: 5, 0xCB: 9, 0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9, 0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9},
    **{0xD4: 3, 0xD5: 4, 0xD6: 6, 0xD7: 10, 0xD8: 18},
}
_LONG: Final[dict[int, tuple[int, int]]] = {  # -> bytes of length, bytes besides them
    **{0xC4: (1, 2), 0xC5: (2, 3), 0xC6: (4, 5), 0xC7: (1, 3), 0xC8: (2, 4), 0xC9: (4, 6)},
    **{0xD9: (1, 2), 0xDA: (2, 3), 0xDB: (4, 5)},
}
_CONTAINERS: Final[dict[int, tuple[int, int]]] = {  # -> bytes of length, values for each item
    **{0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)},
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
    while True:
        while not expected:
            if not left:
                return ""
            expected = left.pop()
        if at >= size:
            return ""
        singles = _SINGLES.match(payload, at)
        if singles is not None:
            found = min(singles.end() - at, expected)
            at += found
            expected -= found
            weight += found
            if weight > _HEAVIEST:
                return _TOO_MANY
            continue
        expected -= 1
        weight += 1
        first = payload[at]
        if first in _FIXED:
            at += _FIXED[first]
        elif first in _LONG:
            digits, besides = _LONG[first]
            at += int.from_bytes(payload[at + 1 : at + 1 + digits], "big") + besides
        elif first == 0xC1:
            return ""
        else:
            if first < 0xA0:
                inside = (first & 0x0F) << (first < 0x90)
                at += 1
            else:
                digits, each = _CONTAINERS[first]
                inside = int.from_bytes(payload[at + 1 : at + 1 + digits], "big") * each
                at += 1 + digits
            left.append(expected)
            expected = inside
            weight += _CONTAINER_WEIGHT
            if len(left) > DEEPEST:
                return f"it is nested deeper than {DEEPEST} levels"
        if weight > _HEAVIEST:
            return _TOO_MANY


_TOO_MANY: Final = "it holds too many values to be read at once"
