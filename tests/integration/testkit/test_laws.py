"""`laws(task)` hold for tasks that keep their promises, and find those that do not; `calls(task)` draws all of it."""

import enum
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import pytest
from annotated_types import MaxLen, MinLen
from hypothesis import Phase, find, settings
from pydantic import AfterValidator, Field

from typedgator import Gator
from typedgator.testing.laws import Law, laws
from typedgator.testing.strategies import calls

gator = Gator("locmem://")


class Chapter(enum.Enum):
    ONE = "x" * 4000


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


class Page(TypedDict, total=False):
    number: int
    size: int


class Point(NamedTuple):
    x: int
    y: float = 0.0


@dataclass(frozen=True)
class Money:
    amount: Annotated[Decimal, Field(ge=0, decimal_places=2, max_digits=9)]
    currency: Literal["EUR", "USD"] = "EUR"


@gator.register
def everything(
    a: int,
    b: str | None,
    c: datetime,
    d: date,
    e: time,
    f: timedelta,
    g: UUID,
    h: Decimal,
    i: bytes,
    j: float | bool,
    *,
    k: Colour = Colour.RED,
    m: Page,
    n: list[Point],
    o: dict[Colour, tuple[int, ...]],
    p: set[int] | None = None,
    q: Money,
) -> None: ...


@gator.register
async def constrained(
    size: Annotated[int, Field(gt=0, le=4096, multiple_of=8)],
    name: Annotated[str, Field(pattern="^[a-z]{1,8}$")],
    tags: Annotated[list[str], MinLen(2), MaxLen(3)],
    *more: int,
    **named: bool,
) -> None: ...


@gator.register
def stripped(text: Annotated[str, AfterValidator(str.strip)]) -> None: ...


@pytest.mark.parametrize("law", [*laws(everything), *laws(constrained), *laws(stripped)], ids=repr)
def test_the_laws_hold(law: Law) -> None:
    """For each kind of type, for constraints, and for validators that change a value once."""
    law()


def doubled(text: str) -> str:
    return text if len(text) > 40 else text + "!"


@gator.register
def grows(text: Annotated[str, AfterValidator(doubled)]) -> None: ...


@gator.register
def add_up(numbers: list[int], *, start: int = 0) -> int:
    return sum(numbers, start)


@gator.register
def place(points: list[Point], *, colour: Colour = Colour.RED, page: Page | None = None) -> None: ...


@gator.register
def too_much(pages: list[Chapter]) -> None: ...


def test_a_call_is_never_drawn_too_large() -> None:
    """What 16 KiB cannot hold is no call that a task must accept."""
    (accepted,) = [law for law in laws(too_much) if law.name == "every call is accepted"]
    accepted()


def test_a_validator_that_is_not_idempotent_is_found() -> None:
    """It would change the value again at the worker; typedgator refuses such a call, and the law says which."""
    broken = [law.name for law in laws(grows) if not holds(law)]
    assert "validators are idempotent" in broken
    assert "every call is accepted" in broken


def holds(law: Law) -> bool:
    try:
        law()
    except AssertionError:
        return False
    return True


DRAWN: list[tuple[Any, Callable[[Any], bool]]] = [
    (int, lambda n: n > 2**63),
    (int, lambda n: n < -(2**62)),
    (float, lambda x: x == float("inf")),
    (float, lambda x: x == 0 and str(x) == "-0.0"),
    (str, lambda s: len(s) > 20),
    (str, lambda s: any(ord(c) > 0xFFFF for c in s)),
    (bytes, lambda b: b"\xff" in b),
    (bool, lambda b: b),
    (datetime, lambda t: t.tzinfo is UTC),
    (datetime, lambda t: t.tzinfo is None),
    (datetime, lambda t: t.utcoffset() not in (None, timedelta(0))),
    (timedelta, lambda t: t < timedelta(days=-1000)),
    (Decimal, lambda d: d.as_tuple().exponent < -3),  # type: ignore[operator]
    (int | None, lambda n: n is None),
    (Colour, lambda c: c is Colour.BLUE),
    (Literal["a", 1], lambda v: v == 1),
    (list[int], lambda v: v == []),
    (list[int], lambda v: len(v) > 20),
    (set[int], lambda v: len(v) > 8),
    (dict[str, int], lambda v: len(v) > 8),
    (Page, lambda v: v == {}),
    (Page, lambda v: len(v) == 2),
    (Point, lambda v: v.y > 1e9),
    (Money, lambda v: v.amount > 1000 and v.currency == "USD"),
    (Annotated[int, Field(ge=10, le=20)], lambda n: n == 20),
    (Annotated[list[int], MaxLen(200)], lambda v: len(v) > 30),
    (tuple[int, str], lambda v: v[0] < 0 and v[1] != ""),
]


@pytest.mark.parametrize(
    ("annotation", "wanted"), DRAWN, ids=[re.sub(r"\W+", " ", str(annotation))[:30] for annotation, _ in DRAWN]
)
def test_every_corner_of_a_type_is_drawn(annotation: Any, wanted: Callable[[Any], bool]) -> None:
    """hypothesis finds it among calls that the task takes."""

    def task(x: object) -> None: ...

    task.__annotations__["x"] = annotation
    found = find(
        calls(gator.register(name=f"corner {annotation} {wanted.__code__.co_firstlineno}".replace(" ", "_"))(task)),
        lambda call: wanted(call[0][0] if call[0] else call[1]["x"]),
        settings=settings(max_examples=4000, derandomize=True, database=None, phases=[Phase.generate]),
    )
    assert found is not None


def test_a_counterexample_is_simple() -> None:
    """It shrinks to the least that breaks: one element, one digit, the defaults left out."""
    quiet = settings(max_examples=2000, derandomize=True, database=None)

    numbers = find(
        calls(add_up), lambda call: any(n > 1000 for n in (call[0] or [call[1]["numbers"]])[0]), settings=quiet
    )
    assert numbers in [(([1001],), {}), ((), {"numbers": [1001]})]
    _, kwargs = find(calls(place), lambda call: bool(call[1].get("points")), settings=quiet)
    assert kwargs == {"points": [Point(0, 0.0)]}
