"""A server did not do what it was asked: was it not the one, is the line gone, and may the question be asked again?

A server that says it is not the one has done nothing, whatever it was asked; so that may be asked again, elsewhere or
after a pause. Of a line that broke nobody knows.
"""

import random
import time
from typing import Final

import hiredis
from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as Disconnected

from typedgator.backends.redis.place import Address
from typedgator.backends.redis.whereabouts import Nowhere, Whereabouts

__all__ = ["Trouble", "did_nothing", "line_holds", "told"]

_chance: Final = random.SystemRandom()
"""Not the one that a user's program seeds, and a test watches."""

_CODES: Final[dict[type[Exception], str]] = {
    AskError: "ASK",
    BusyLoadingError: "LOADING",
    ClusterDownError: "CLUSTERDOWN",
    MasterDownError: "MASTERDOWN",
    MovedError: "MOVED",
    ReadOnlyError: "READONLY",
    TryAgainError: "TRYAGAIN",
}
"""redis-py takes these words off and makes classes of them."""
_NOT_THE_ONE: Final = frozenset({*_CODES.values(), "NOREPLICAS", "UNBLOCKED"})
_ON_ITS_WAY: Final = frozenset({"ASK", "TRYAGAIN"})
"""The slot is being moved. ASK is not followed: the other node would say TRYAGAIN to a script while one of its keys is
missing there, and of ours most do not exist."""
_WAYS_OUT: Final = {
    "MOVED": "; this is a node of a cluster: write redis+cluster://host:port",
    "unknown command 'EVALSHA'": "; this is a sentinel: write redis+sentinel://host:port/service/db",
    "cluster support disabled": "; write redis://host:port/db for a server alone",
}
"""What was taken for something else."""
_FIRST_PAUSE_S: Final = 0.01
_LONGEST_PAUSE_S: Final = 0.25


def _refusal(error: Exception) -> str | None:
    """Why a server did nothing: the first word of what it said."""
    if code := _CODES.get(type(error)):
        return code
    if isinstance(error, ResponseError | hiredis.ReplyError):
        word = str(error).partition(" ")[0]
        return word if word in _NOT_THE_ONE else None
    return None


def line_holds(error: Exception) -> bool:
    """It was an answer, and the next question may take the same line."""
    refusal = _refusal(error)
    return refusal in _ON_ITS_WAY or (refusal is None and isinstance(error, ResponseError | hiredis.ReplyError))


def did_nothing(error: Exception) -> bool:
    """It was said before a script began, and another server, or the whole script, may be asked."""
    return _refusal(error) is not None or str(error).startswith("NOSCRIPT")


class Trouble:
    """Of one question, from its first refusal on."""

    def __init__(self, where: Whereabouts) -> None:
        self._where = where
        self._ends = time.monotonic() + where.patience_s
        self._mended = False
        self._pause_s = 0.0

    def pause_s(self, error: Exception, at: Address | None, *, again: bool) -> float | None:
        """How long to wait before it is asked again; None: no more. `at`: who was asked, None if nobody was reached.

        `again`: it may be asked again also when nobody knows what became of it.
        """
        refusal = _refusal(error)
        if refusal is None and isinstance(error, ResponseError | hiredis.ReplyError):
            return None
        self._tell(refusal, error, at)
        broken = at is not None and refusal is None
        if broken and (not again or not isinstance(error, Disconnected | ConnectionError)):
            return None
        if not self._where.patience_s:
            # The server stays: a broken line is mended once, and whoever asked hears of anything else.
            mended, self._mended = self._mended, True
            return 0.0 if broken and not mended else None
        return None if _lasting(error) or time.monotonic() >= self._ends else self._next()

    def _tell(self, refusal: str | None, error: Exception, at: Address | None) -> None:
        if refusal == "MOVED":
            self._where.moved(str(error).split()[-1], at)
        elif refusal not in _ON_ITS_WAY:
            self._where.lost(at)

    def _next(self) -> float:
        """None before the second time, since somebody else may be the one already; then longer and longer."""
        pause_s, self._pause_s = self._pause_s, min(self._pause_s * 1.6 or _FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        return pause_s * _chance.uniform(0.5, 1.0)


def told(error: Exception, where: Whereabouts) -> str:
    """The error as whoever asked may read it."""
    refusal = _refusal(error)
    text = str(error) if refusal is None or str(error).startswith(refusal) else f"{refusal} {error}"
    at = f" ({where.at})" if where.patience_s and where.at is not None else ""
    way_out = "" if at else next((way for sign, way in _WAYS_OUT.items() if sign in text), "")
    return f"{where.place}{at} did not do what it was asked: {type(error).__name__}: {text}{way_out}"


def _lasting(error: Exception) -> bool:
    return isinstance(error, AuthenticationError) or (isinstance(error, Nowhere) and error.lasting)
