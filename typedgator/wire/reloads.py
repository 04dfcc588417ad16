"""Whether two functions are one, the second perhaps reloaded: then it takes the other's place, else it is refused."""

import inspect
from collections.abc import Callable

__all__ = ["is_same", "source_of", "why_not_same"]


def is_same(before: Callable[..., object], now: Callable[..., object]) -> bool:
    """Whether both are one function. A closure is another one each time it is made."""
    if before is now:
        return True
    return source_of(before) == source_of(now) and not (_is_closure(before) or _is_closure(now))


def why_not_same(before: Callable[..., object], now: Callable[..., object]) -> str:
    """What a refusal adds when both stand in the same line."""
    return "" if source_of(before) != source_of(now) else "; a closure is another function each time it is made"


def source_of(fn: Callable[..., object]) -> str:
    """File and line, as people read it."""
    code = getattr(inspect.unwrap(fn), "__code__", None)
    return repr(fn) if code is None else f"{code.co_filename}:{code.co_firstlineno}"


def _is_closure(fn: Callable[..., object]) -> bool:
    return bool(getattr(inspect.unwrap(fn), "__closure__", None))
