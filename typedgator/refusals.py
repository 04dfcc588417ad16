"""Registration that goes on: inside `collecting()` what would be refused is written down, so that one import tells all.

Where the road goes on, something harmless stands in for what was refused; nothing of it is registered.
"""

import inspect
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeVar

import msgspec
from msgspec import UNSET

from typedgator.errors import ConfigurationError, GatorError, NotRegistered, RegistrationError, UnsupportedSignature
from typedgator.policy.options import TaskOptions
from typedgator.producer import TIME_LIMIT_NEEDS_ASYNC, TaskSpec
from typedgator.wire.origin import Place, calling_place, place_of
from typedgator.wire.schema import ArgumentSchema, ResultSchema
from typedgator.wire.survey import survey

__all__ = ["Refused", "collecting", "or_noted", "stand_in", "stands"]

T = TypeVar("T")


class Refused(msgspec.Struct, frozen=True):
    """One thing that registration refuses: where it stands, of which task's which parameter, and the sentence."""

    file: str
    line: int
    message: str
    task: str = ""
    parameter: str = ""


_BOOK: Final = ContextVar[list[Refused] | None]("typedgator_refusals", default=None)


@contextmanager
def collecting() -> Generator[list[Refused]]:
    """A block in which gators write down what they refuse, and go on. Gives the list, which grows."""
    book: list[Refused] = []
    token = _BOOK.set(book)
    try:
        yield book
    finally:
        _BOOK.reset(token)


def or_noted(make: Callable[[], T], otherwise: T) -> T:
    """What `make` gives; inside `collecting()`, when it refuses, that is written down and this is `otherwise`."""
    try:
        return make()
    except (RegistrationError, ConfigurationError, NotRegistered) as error:
        return stands(error, otherwise)


def stands(refusal: GatorError, otherwise: T) -> T:
    """Raises the refusal; inside `collecting()`, writes it down and gives `otherwise`."""
    book = _BOOK.get()
    if book is None:
        raise refusal
    _note(book, [refusal], calling_place())
    return otherwise


def stand_in(refusal: RegistrationError, fn: Callable[..., object], name: str | None, said: TaskOptions) -> TaskSpec:
    """Raises the refusal; inside `collecting()`, writes down all there is to say of this function, and gives what a
    task is made of that stands in for it, so that the rest of its module can be imported.
    """
    book = _BOOK.get()
    if book is None:
        raise refusal
    is_coroutine = inspect.iscoroutinefunction(fn)
    found: list[RegistrationError] = [refusal]
    if isinstance(refusal, UnsupportedSignature):  # the first of a parameter or the result, and perhaps not the last
        found = survey(fn, task=refusal.task, named=name is not None) or found
        if not is_coroutine and said.time_limit not in (UNSET, None):
            found.append(RegistrationError(TIME_LIMIT_NEEDS_ASYNC.format(refusal.task)))
    _note(book, found, place_of(fn) or calling_place())
    shown = name or str(getattr(fn, "__qualname__", "?"))
    arguments = ArgumentSchema.of(_nothing, task=shown, named=True)
    return TaskSpec(shown, arguments, ResultSchema(None, task=shown), said, is_coroutine=is_coroutine)


def _note(book: list[Refused], errors: Sequence[GatorError], place: Place | None) -> None:
    file, line = ("?", 0) if place is None else (place.shown, place.line)
    for error in errors:
        task, parameter = (error.task, error.parameter) if isinstance(error, UnsupportedSignature) else ("", "")
        book.append(Refused(file, line, str(error), task, parameter))


def _nothing() -> None: ...
