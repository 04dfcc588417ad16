"""What a worker has, as its hash holds it: single jobs, and batches of them (lua/parts/batches.lua)."""

from collections.abc import Iterator, Sequence
from typing import Final

from typedgator.wire.ids import ID_BYTES

__all__ = ["BATCH", "BATCHES", "belongings"]

BATCH: Final = b"#"
"""Begins the field of a batch; what follows is its first token."""
BATCHES: Final = b"#"
"""The field that lists them."""


def belongings(words: Sequence[bytes]) -> Iterator[tuple[bytes, int]]:
    """The id and the token of each job, from the answer to HGETALL."""
    for name, value in zip(words[::2], words[1::2], strict=True):
        if name.startswith(BATCH) and name != BATCHES:
            for place in range(len(value) // ID_BYTES):
                yield value[ID_BYTES * place : ID_BYTES * (place + 1)], int(name[1:]) + place
        elif name not in (b"", BATCHES):
            yield name, int(value.rstrip(b"!"))
