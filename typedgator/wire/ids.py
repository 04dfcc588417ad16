"""Job ids: 16 raw bytes when we make them, ASCII when the caller does; text for people either way.

The two forms never meet: ours are UUIDs of version 7, whose ninth byte is not ASCII.
"""

import os
import re
import time
from typing import Final, NewType

from typedgator.errors import ConfigurationError

__all__ = ["JobId", "caller_id", "new_id", "parse_id", "shown_id"]

JobId = NewType("JobId", bytes)
"""A job's id as it is stored: 16 bytes (UUIDv7, RFC 9562 section 5.7) or a caller's own, 1 to 128 ASCII characters."""

_CALLERS: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_OURS: Final = re.compile(r"[0-9a-f]{32}")


def new_id() -> JobId:
    """A fresh UUIDv7: 48 bits of milliseconds, then 74 random bits, so ids made later sort later."""
    raw = bytearray((time.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10))
    raw[6] = 0x70 | raw[6] & 0x0F
    raw[8] = 0x80 | raw[8] & 0x3F
    return JobId(bytes(raw))


def parse_id(text: object, name: str = "job_id") -> JobId:
    """The stored form of an id as people see it. Raises ConfigurationError, naming `name`, when no job can bear it."""
    if not isinstance(text, str):
        raise ConfigurationError(f"{name} must be text, got {text!r:.200}")
    if _OURS.fullmatch(text):
        raw = bytes.fromhex(text)
        if raw[8] >= 0x80:
            return JobId(raw)
    if not _CALLERS.fullmatch(text):
        raise ConfigurationError(
            f"{name} {text!r} cannot be an id: use 1 to 128 of the characters A-Z a-z 0-9 _ . : - (no spaces)"
        )
    return JobId(text.encode("ascii"))


def shown_id(job_id: JobId) -> str:
    """An id as people see it: 32 hexadecimal digits for ours, the caller's own text otherwise."""
    return job_id.decode("ascii") if caller_id(job_id) else job_id.hex()


def caller_id(job_id: JobId) -> bool:
    """Whether the caller chose this id; such ids are remembered for 24 h."""
    return len(job_id) != 16 or job_id[8] < 0x80
