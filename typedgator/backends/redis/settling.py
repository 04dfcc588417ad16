"""Settlements as words for the scripts, in runs: what went well with nothing to keep takes a word or two each."""

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from typing import Final, assert_never

from typedgator.backends.redis.request import Word
from typedgator.wire.verdict import (
    KEPT_ID_MS,
    KEPT_RESULT_MS,
    Canceled,
    Failed,
    Held,
    Released,
    RetryIn,
    Settlement,
    Snoozed,
    Succeeded,
)

__all__ = ["AT_ONCE", "SETTLED_AT_ONCE", "words_of"]

AT_ONCE: Final = 256
"""So many jobs are taken back, dropped or let go by one call of a script."""
SETTLED_AT_ONCE: Final = 512
"""So many settlements are one call: most of them cost little."""
_TOGETHER: Final = 16
"""So many consecutive tokens are said by the first of them."""


def words_of(settlements: Sequence[Settlement]) -> list[Word]:
    """The words that parts/settling.lua reads."""
    words: list[Word] = []
    for kind, run in groupby(settlements, _kind_of):
        if kind:
            for some, together in _stretches(list(run)):
                tokens = [some[0].token] if together else [each.token for each in some]
                words += (kind + "+" if together else kind, len(some), *tokens, *[each.job_id for each in some])
                if kind == "R":
                    words += [each.verdict.outcome or b"" for each in some if isinstance(each.verdict, Succeeded)]
        else:
            words += [word for each in run for word in _words(each)]
    return words


def _stretches(run: list[Settlement]) -> Iterator[tuple[list[Settlement], bool]]:
    """In order, with whether their tokens are consecutive, which is worth saying only of many."""
    tokens = [each.token for each in run]
    breaks = [place for place, (one, following) in enumerate(pairwise(tokens), 1) if following - one != 1]
    told = 0
    for start, end in pairwise([0, *breaks, len(run)]):
        if end - start >= _TOGETHER:
            if told < start:
                yield run[told:start], False
            yield run[start:end], True
            told = end
    if told < len(run):
        yield run[told:], False


def _kind_of(settlement: Settlement) -> str:
    verdict = settlement.verdict
    if type(verdict) is not Succeeded:
        return ""
    if verdict.outcome is None:
        return "S" if verdict.keep_ms <= KEPT_ID_MS else ""
    return "R" if verdict.keep_ms <= KEPT_RESULT_MS else ""


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
