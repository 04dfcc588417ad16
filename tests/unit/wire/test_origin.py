"""Where a task stands, as a message tells it: the line of its `def`."""

import inspect
from collections.abc import Callable
from typing import TypeVar

import pytest

from typedgator.wire.origin import place_of

F = TypeVar("F", bound=Callable[..., object])


def marked(fn: F) -> F:
    return fn


@marked
@marked
def below_its_decorators() -> None: ...  # here: decorated


# fmt: off
shown = lambda: None  # noqa: E731 # here: lambda
def right_below() -> None: ...  # here: plain
# fmt: on


@pytest.mark.parametrize(
    ("fn", "mark"), [(below_its_decorators, "decorated"), (shown, "lambda"), (right_below, "plain")]
)
def test_the_line_is_that_of_the_function(fn: Callable[..., object], mark: str) -> None:
    place = place_of(fn)
    assert place is not None
    lines = inspect.getsource(inspect.getmodule(marked) or marked).splitlines()
    assert lines[place.line - 1].endswith(f"here: {mark}")
