"""What an injection into tasks would be at its best: a decorator that fills the first parameter.

Not part of typedgator; `docs/internals/injection.md` says what speaks against it, and `test_injection.py` shows it.
"""

import inspect
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from typedgator import Gator

P = ParamSpec("P")
R = TypeVar("R")
D = TypeVar("D")


class Session:
    """What a task needs, and nobody can queue."""


@contextmanager
def session() -> Generator[Session]:
    yield Session()


def needs(make: Callable[[], AbstractContextManager[D]]) -> Callable[[Callable[Concatenate[D, P], R]], Callable[P, R]]:
    """Calls the function with what `make` makes, before its other arguments."""

    def around(fn: Callable[Concatenate[D, P], R]) -> Callable[P, R]:
        @wraps(fn)
        def filled(*args: P.args, **kwargs: P.kwargs) -> R:
            with make() as made:
                return fn(made, *args, **kwargs)

        _, *rest = inspect.signature(fn).parameters.values()
        setattr(filled, "__signature__", inspect.signature(fn).replace(parameters=rest))  # noqa: B010
        delattr(filled, "__wrapped__")
        return filled

    return around


def depends(make: Callable[[], AbstractContextManager[D]]) -> D:
    """The other spelling, FastAPI's: a default that says where the value comes from."""
    raise NotImplementedError


gator = Gator("locmem://")


@gator.register
@needs(session)
def send(db: Session, user_id: int, *, urgent: bool = False) -> str:
    return f"{type(db).__name__} {user_id} {urgent}"


@gator.register
def by_default(user_id: int, db: Session = depends(session)) -> str:  # noqa: B008
    return f"{type(db).__name__} {user_id}"
