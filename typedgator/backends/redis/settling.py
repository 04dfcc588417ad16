"""Settlements as words for the scripts, in runs: what went well with nothing to keep takes two words each."""

from collections.abc import Sequence
from itertools import islice
from typing import Final, assert_never

from typedgator.backends.redis.link import Word
from typedgator.wire.verdict import (
    KEPT_ID_MS,
    Canceled,
    Failed,
    Held,
    Released,
    RetryIn,
    Settlement,
    Snoozed,
    Succeeded,
)

__all__ = ["AT_ONCE", "words_of"]

AT_ONCE: Final = 256
"""So many settlements are one call of a script."""
_PLAIN: Final = Succeeded()


def words_of(settlements: Sequence[Settlement]) -> list[Word]:
    """The words that parts/settling.lua reads."""
    words: list[Word] = []
    rest = iter(settlements)
    left = len(settlements)
    start = 0
    while start < left:
        end = start
        while end < left and _is_plain(settlements[end]):
            end += 1
        if end > start:
            words += ("S", end - start)
            for each in islice(rest, end - start):
                words.append(each.job_id)
                words.append(each.token)
            start = end
        else:
            words += _words(next(rest))
            start += 1
    return words


def _is_plain(settlement: Settlement) -> bool:
    verdict = settlement.verdict
    return type(verdict) is Succeeded and verdict.outcome is None and verdict.keep_ms <= KEPT_ID_MS


def _words(settlement: Settlement) -> tuple[Word, ...]:
    what = settlement.job_id, settlement.token
    match verdict := settlement.verdict:
        case Succeeded(outcome, keep_ms):
            return "s", *what, int(outcome is not None), outcome or b"", keep_ms, b""
        case Failed(outcome):
            return "f", *what, 1, outcome, b"", b""
        case RetryIn(delay_ms, outcome):
            return "r", *what, int(outcome is not None), outcome or b"", delay_ms, b""
        case Snoozed(delay_ms):
            return "z", *what, b"", b"", delay_ms, b""
        case Released():
            return "l", *what, b"", b"", b"", b""
        case Canceled(reason):
            return "c", *what, reason, b"", b"", b""
        case Held(reason, task, schema, bound_ms):
            return "h", *what, reason, task, schema, bound_ms
        case _:
            assert_never(verdict)
