"""What the plugin leaves alone: simple tasks, and whatever is only named like a gator's methods."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Literal, ParamSpec, TypeVar
from uuid import UUID

from annotated_types import Gt, MaxLen
from msgspec import UNSET
from shapes import Closer, Colour, Number, Old, Pair, Row, Settings, Shape, Status, User, Word

from typedgator import AsyncTask, Gator, Job, SyncTask

P = ParamSpec("P")
R = TypeVar("R")

gator = Gator("locmem://")
SOON = datetime(2030, 1, 1, tzinfo=UTC)


@gator.register
def scalars(
    a: None, b: bool, c: int, d: float, e: str, f: bytes, g: date, h: datetime, i: timedelta, j: UUID, k: Decimal
) -> int | None:
    return 1


@gator.register(queue="mail", retries=3)
def values(a: Colour, b: Word, c: Old, d: Pair, e: Closer, f: Settings, g: Shape, h: Number, i: Status) -> Shape:
    return g


@gator.register(time_limit=5)
async def collections(
    a: list[int], b: tuple[int, ...], c: tuple[int, str], d: set[Pair], e: frozenset[Colour], f: Row, *g: int, **h: str
) -> dict[Colour, list[Pair]]:
    return {}


@gator.register(time_limit=None)
def constrained(
    a: Annotated[int, Gt(0)], b: Annotated[list[int] | None, MaxLen(3)], *, c: Literal["x", 1] | None = None
) -> None: ...


def factory(fn: Callable[P, R]) -> SyncTask[P, R]:
    return gator.register(fn)


def typed(fn: Callable[[int], R], name: str) -> SyncTask[[int], R]:
    return gator.register(name=name)(fn)


@factory
def through(x: int) -> int:
    return x


def again(task: SyncTask[P, R]) -> SyncTask[P, R]:
    return task


def another(callback: Callable[[User], None]) -> SyncTask[[int], int]:
    return through


def takes_user(user: User) -> None: ...


again(through)
another(takes_user)


class MyGator(Gator):
    def task_of(self, fn: Callable[P, R]) -> SyncTask[P, R]:
        return self.register(fn)


def outer() -> None:
    @gator.register(name="nested")
    def nested(x: int) -> int:
        return x


def pick(fast: SyncTask[[int], int], slow: AsyncTask[[int], int], one: bool) -> Job[int]:
    return gator.task(fast if one else slow, 1)


gator.options(delay_by=1, delay_until=None)
gator.options(delay_by=UNSET, delay_until=SOON)


def passed_on(delay_by: float | None, delay_until: datetime | None) -> None:
    gator.options(delay_by=delay_by, delay_until=delay_until)


class Register:
    """Not a gator."""

    def register(self, fn: Callable[P, R]) -> Callable[P, R]:
        return fn

    def options(self, *, delay_by: int, delay_until: int) -> None: ...


other = Register()
other.options(delay_by=1, delay_until=2)


@other.register
def not_a_task(user: User, users: Sequence[User]) -> User:
    return user
