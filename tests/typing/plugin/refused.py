"""What the plugin refuses: one mistake a line, marked `# S…`, with the one ignore that it needs. It is never run.

`test_plugin.py` gives it to mypy as it stands and without its ignores.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from pydantic import BaseModel

from typedgator import Gator, SyncTask
from typedgator.gator import Registrar

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

gator = Gator("locmem://")
SOON = datetime(2030, 1, 1, tzinfo=UTC)


class Order:
    """Like a row of an ORM."""

    id: int


@dataclass
class Basket:
    items: list[int]


@dataclass(frozen=True)
class Letter:
    to: Order


class Model(BaseModel):
    x: int


# what a task takes and gives


@gator.register
def notify(order: Order) -> None: ...  # type: ignore[gator-simple]  # S01 an object as a parameter


@gator.register
def find(order_id: int) -> Order:  # type: ignore[gator-simple]  # S02 an object as the result
    return Order()


@gator.register
async def load(order_id: int) -> Order:  # type: ignore[gator-simple]  # S03 an object as the result of an async def
    return Order()


@gator.register
def each(orders: list[Order] | None) -> None: ...  # type: ignore[gator-simple]  # S04 an object inside a list


@gator.register
def post(letter: Letter) -> None: ...  # type: ignore[gator-simple]  # S05 an object inside a value type


@gator.register
def fill(basket: Basket) -> None: ...  # type: ignore[gator-simple]  # S06 a dataclass that can change


@gator.register
def save(model: Model) -> None: ...  # type: ignore[gator-simple]  # S07 a pydantic model


@gator.register
def anything(value: Any) -> None: ...  # type: ignore[gator-simple]  # S08 Any


@gator.register
def read(path: Path) -> None: ...  # type: ignore[gator-simple]  # S09 a path


@gator.register
def either(when: datetime | str) -> None: ...  # type: ignore[gator-simple]  # S10 a union whose members look alike


@gator.register
def later(then: Callable[[], None]) -> None: ...  # type: ignore[gator-simple]  # S11 a function as a parameter


@gator.register
def same(x: T) -> list[T]:  # type: ignore[gator-simple]  # S12 a generic task
    return [x]


@gator.register
def several(*orders: Order, **more: Order) -> None: ...  # type: ignore[gator-simple]  # S13 an object among *args, **kwargs


# what cannot be a task


@gator.register
def pages(book_id: int) -> Iterator[int]:  # type: ignore[gator-simple]  # S14 a generator
    yield 1


@gator.register(time_limit=30)
def slow(order_id: int) -> None: ...  # type: ignore[gator-simple]  # S15 time_limit on a def


def outer() -> None:
    @gator.register
    def inner(order_id: int) -> None: ...  # type: ignore[gator-simple]  # S16 a nested function without a name


gator.register(lambda: 1)  # type: ignore[gator-simple]  # S17 a lambda
gator.register(slow)  # type: ignore[gator-simple]  # S18 a task, registered again

# options

gator.options(delay_by=1, delay_until=SOON)  # type: ignore[gator-simple]  # S19 delay_by with delay_until

# every way to register


class MyGator(Gator):
    def flush(self) -> None: ...


class Services:
    gator: MyGator


mine = MyGator("locmem://")
services = Services()


def one() -> Gator:
    return gator


def queued(name: str) -> Registrar[object]:
    return gator.register(queue=name)


def quick(fn: Callable[P, R]) -> SyncTask[P, R]:
    return gator.register(fn)


def by_call(order: Order) -> None: ...  # type: ignore[gator-simple]  # S20 by gator.register(fn)


def by_named_call(order: Order) -> None: ...  # type: ignore[gator-simple]  # S21 by gator.register(name="x")(fn)


gator.register(by_call)
gator.register(name="by_name")(by_named_call)


@gator.register(queue="mail", retries=2)
def with_options(order: Order) -> None: ...  # type: ignore[gator-simple]  # S22 by @gator.register(...)


@mine.register
def on_subclass(order: Order) -> None: ...  # type: ignore[gator-simple]  # S23 on a subclass of Gator


@mine.register(retries=1)
def on_subclass_with(order: Order) -> None: ...  # type: ignore[gator-simple]  # S24 on a subclass, with options


@services.gator.register
def on_attribute(order: Order) -> None: ...  # type: ignore[gator-simple]  # S25 on an attribute


@one().register
def on_result(order: Order) -> None: ...  # type: ignore[gator-simple]  # S26 on what a function gives


@queued("mail")
def by_registrar(order: Order) -> None: ...  # type: ignore[gator-simple]  # S27 through a factory of registrars


@quick
def by_factory(order: Order) -> None: ...  # type: ignore[gator-simple]  # S28 through a factory of tasks


mine.options(delay_by=1, delay_until=SOON)  # type: ignore[gator-simple]  # S29 both delays, on a subclass
