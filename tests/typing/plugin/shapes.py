"""Types to annotate parameters with: simple ones, and the ones that people try. `test_parity.py` names them."""

import collections
import enum
from collections.abc import Iterator, Mapping
from dataclasses import InitVar, dataclass, field
from typing import Generic, Literal, NamedTuple, NewType, NotRequired, Required, Self, TypeAlias, TypeVar

import msgspec
import pydantic
import pydantic.dataclasses
from typing_extensions import ReadOnly, TypeAliasType, TypedDict

T = TypeVar("T")


class User:
    """Like a row of an ORM."""

    id: int


class UserId(int):
    """A subclass of a simple type, which would come back as its base."""


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Word(enum.StrEnum):
    FIRST = enum.auto()
    LAST = enum.auto()


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Old(str, enum.Enum):  # noqa: UP042  # as it was written before 3.11
    NAME = "name"


class Counted(enum.Enum):
    ONE = enum.auto()


class Mixed(enum.Enum):
    NUMBER = 1
    TEXT = "one"


class Halves(enum.Enum):
    HALF = 0.5


class Huge(enum.Enum):
    MOST = 2**80


class Nobody(enum.Enum):
    """Without members."""


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Computed(enum.Enum):
    """Only its code knows its values."""

    A = (1, 2)

    def __new__(cls, left: int, right: int) -> Self:
        made = object.__new__(cls)
        made._value_ = (left, right)
        return made


@dataclass(frozen=True)
class Point:
    x: int
    y: int = 0


@dataclass(frozen=True)
class Shape:
    corners: tuple[Point, ...]
    colour: Colour | None = None


@dataclass(frozen=True)
class Point3(Point):
    z: int = 0


class Near(Point):
    """A plain subclass of a frozen dataclass."""


@dataclass
class Basket:
    items: list[int]


@dataclass(frozen=True)
class Letter:
    to: User


@dataclass(frozen=True)
class Tree:
    children: "list[Tree]"


@dataclass(frozen=True)
class Page(Generic[T]):
    items: tuple[T, ...]


@dataclass(frozen=True)
class Salted:
    x: int
    salt: InitVar[int] = 0


@dataclass(frozen=True)
class Derived:
    x: int
    twice: int = field(init=False, default=0)


@dataclass(frozen=True)
class Unhashable:
    items: list[int]


class Pair(NamedTuple):
    left: int
    right: str = ""


class Closer(Pair):
    """A subclass of a named tuple."""


class Guest(NamedTuple):
    user: User


Plain = collections.namedtuple("Plain", "x y")  # noqa: PYI024  # pyright: ignore[reportUntypedNamedTuple]  # meant


class Settings(TypedDict, total=False):
    name: Required[str]
    size: int


class Party(TypedDict):
    host: NotRequired[User]


class Fixed(TypedDict):
    size: ReadOnly[int]


class Envelope(TypedDict, Generic[T]):
    inside: T


class Model(pydantic.BaseModel):
    x: int


@pydantic.dataclasses.dataclass(frozen=True)
class Validated:
    x: int


@pydantic.dataclasses.dataclass
class Loose:
    x: int


class Packed(msgspec.Struct, frozen=True):
    x: int


class Bag(dict[str, int]):
    """A dict of one's own."""


class Lookup(Mapping[str, int]):
    """A mapping of one's own."""

    def __getitem__(self, key: str, /) -> int:
        return 0

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class Countdown:
    """An iterator of one's own."""

    def __iter__(self) -> "Countdown":
        return self

    def __next__(self) -> int:
        raise StopIteration


class DataFrame:
    """Like the one of pandas, as far as its name goes."""


Number = NewType("Number", int)
Numbers = NewType("Numbers", list[int])
Couple = NewType("Couple", Pair)
Owner = NewType("Owner", User)
Row: TypeAlias = dict[str, int | None]
Named = TypeAliasType("Named", list[str])
Twin = TypeAliasType("Twin", tuple[T, T], type_params=(T,))
Status: TypeAlias = Literal["open", "closed"]
