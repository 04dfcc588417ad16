"""What people do wrong, one function a mistake: the title is its docstring, the call its last line.

The types are ignored here: whoever runs a type checker hears of most of it before.
"""

import datetime as dt
import enum
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from annotated_types import MaxLen
from pydantic import AfterValidator, BaseModel, Field

from typedgator import Gator, Secret

gator = Gator("locmem://")
quiet = Gator("locmem://", show_values=False)
MISTAKES: list[Callable[[], object]] = []


Width = Annotated[int, Field(gt=0, le=4096)]
Name = Annotated[str, Field(pattern="^[a-z]+$")]


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


class Address(TypedDict):
    street: str
    city: str
    zip_code: NotRequired[str]


@dataclass(frozen=True)
class Money:
    amount: Decimal
    currency: Literal["EUR", "USD"]


def no_shouting(text: str) -> str:
    if text.isupper():
        raise ValueError("do not shout")
    return text


# ---- the tasks


@gator.register
def send_mail(user_id: int, subject: str, *, urgent: bool = False) -> None: ...


@gator.register
def resize(image_id: uuid.UUID, width: Width, name: Name) -> None: ...


@gator.register
def ship(address: Address, items: list[int], colour: Colour = Colour.RED) -> None: ...


@gator.register
def charge(
    money: Money, at: dt.datetime, every: dt.timedelta | None = None, pair: tuple[int, str] = (1, "a")
) -> None: ...


@gator.register
def pay(amount: Decimal, mode: Literal["card", "transfer"] = "card", share: float = 1.0) -> None: ...


@gator.register
def store(body: bytes, path: str, tags: Annotated[list[str], MaxLen(3)] = []) -> None: ...  # noqa: B006


@gator.register
def say(text: Annotated[str, AfterValidator(no_shouting)]) -> None: ...


@gator.register
def log_in(name: str, password: Annotated[str, Field(min_length=8), Secret]) -> None: ...


@quiet.register(name="quietly")
def tell(name: str, age: int) -> None: ...


# ---- what comes instead


class User:
    """A row of an ORM."""

    def __init__(self, pk: int) -> None:
        self.pk = pk

    def __repr__(self) -> str:
        return f"<User: {self.pk}>"


class Place(BaseModel):
    street: str
    city: str


def wrong(value: object) -> Any:
    """Past the type checkers."""
    return value


ADDRESS: Address = {"street": "Elm Street", "city": "Springwood"}
NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
EURO = Money(Decimal(1), "EUR")
ID = uuid.UUID(int=7)


def mistake(fn: Callable[[], object]) -> Callable[[], object]:
    MISTAKES.append(fn)
    return fn


@mistake
def str_for_int() -> object:
    """The text of a number out of a URL or a form."""
    return send_mail.task(wrong("7"), "hello")


@mistake
def orm_object() -> object:
    """The object itself where its id is meant."""
    return send_mail.task(wrong(User(7)), "hello")


@mistake
def missing_argument() -> object:
    """One argument too few."""
    return wrong(send_mail.task)(7)


@mistake
def misspelt_keyword() -> object:
    """A keyword with a typo."""
    return wrong(send_mail.task)(7, "hello", urgnt=True)


@mistake
def too_many_positional() -> object:
    """A keyword-only argument given by position."""
    return wrong(send_mail.task)(7, "hello", True)


@mistake
def given_twice() -> object:
    """By position and by name."""
    return wrong(send_mail.task)(7, "hello", subject="hello")


@mistake
def none_for_required() -> object:
    """None, because a field was empty."""
    return send_mail.task(wrong(None), "hello")


@mistake
def bool_for_int() -> object:
    """True is an int to Python."""
    return send_mail.task(True, "hello")


@mistake
def float_for_int() -> object:
    """A division made it a float."""
    return send_mail.task(wrong(7 / 1), "hello")


@mistake
def int_for_bool() -> object:
    """1 for yes."""
    return send_mail.task(7, "hello", urgent=wrong(1))


@mistake
def several_at_once() -> object:
    """All bad arguments are named in one message."""
    return wrong(send_mail.task)("7", b"hello", urgent="yes", to="me")


@mistake
def str_for_uuid() -> object:
    """A UUID as text."""
    return resize.task(wrong("00000000-0000-0000-0000-000000000007"), 64, "small")


@mistake
def out_of_bounds() -> object:
    """Constraints: gt, le and pattern."""
    return resize.task(ID, 0, "Small one")


@mistake
def pydantic_model() -> object:
    """A model where its values are meant."""
    return ship.task(wrong(Place(street="Elm Street", city="Springwood")), [1])


@mistake
def missing_and_extra_key() -> object:
    """A nested TypedDict without a key, and with one that it does not have."""
    return ship.task(wrong({"street": "Elm Street", "zipcode": "1"}), [1])


@mistake
def set_for_list() -> object:
    """A set, a tuple, a dict's values: anything but a list."""
    return ship.task(ADDRESS, wrong({1}))


@mistake
def generator() -> object:
    """What can be read only once."""
    return ship.task(ADDRESS, wrong(n for n in range(3)))


@mistake
def too_large_list() -> object:
    """A thousand ids."""
    return ship.task(ADDRESS, list(range(1000)))


@mistake
def wrong_element() -> object:
    """One of many."""
    return ship.task(ADDRESS, wrong([1, 2, "3"]))


@mistake
def value_for_enum() -> object:
    """The value of an Enum, as it stands in the database."""
    return ship.task(ADDRESS, [1], wrong("green"))


@mistake
def no_member_of_enum() -> object:
    """A value that the Enum does not have."""
    return ship.task(ADDRESS, [1], wrong("blue"))


@mistake
def str_for_datetime() -> object:
    """A datetime out of JSON, and a number of seconds."""
    return charge.task(EURO, wrong("2030-01-01T00:00:00Z"), wrong(60))


@mistake
def naive_datetime() -> object:
    """An instant without time zone, as an option."""
    return gator.options(delay_until=dt.datetime(2030, 1, 1)).task(send_mail, 7, "hello")  # noqa: DTZ001


@mistake
def dict_for_dataclass() -> object:
    """A dict where a frozen dataclass is wanted."""
    return charge.task(wrong({"amount": Decimal(1), "currency": "EUR"}), NOW)


@mistake
def broken_dataclass() -> object:
    """A dataclass holds what its annotations do not allow: dataclasses do not check."""
    return charge.task(Money(wrong(1.5), wrong("EURO")), NOW)


@mistake
def tuple_length() -> object:
    """A tuple of another length."""
    return charge.task(EURO, NOW, pair=wrong((1, "a", 2)))


@mistake
def float_for_decimal() -> object:
    """A price as a float."""
    return pay.task(wrong(1.5))


@mistake
def decimal_nan() -> object:
    """Not a number."""
    return pay.task(Decimal("NaN"))


@mistake
def wrong_literal() -> object:
    """A Literal, misspelt."""
    return pay.task(Decimal(1), wrong("transfr"))


@mistake
def str_for_bytes() -> object:
    """Text for bytes, a Path for its text."""
    return store.task(wrong("body"), wrong(Path("/tmp/body")))


@mistake
def too_many_elements() -> object:
    """More than the annotation allows."""
    return store.task(b"body", "path", ["a", "b", "c", "d"])


@mistake
def too_large_payload() -> object:
    """A file's content, where its path is meant."""
    return store.task(bytes(20_000), "path")


@mistake
def integer_of_80_bits() -> object:
    """A hash as an integer."""
    return send_mail.task(2**80, "hello")


@mistake
def a_callable() -> object:
    """Code, to be called later."""
    return say.task(wrong(lambda: "hello"))


@mistake
def a_job() -> object:
    """A job where its result is meant."""
    return say.task(wrong(send_mail.task(7, "hello")))


@mistake
def refused_by_validator() -> object:
    """The user's own rule, in the user's own words."""
    return say.task("HELLO")


@mistake
def a_secret() -> object:
    """Secret is never shown; what stands beside it is."""
    return log_in.task(wrong(3), "hunter2")


@mistake
def values_hidden() -> object:
    """show_values=False: rules and types remain."""
    return tell.task(wrong(b"Freddy"), wrong("hunter2"))


@mistake
def not_registered() -> object:
    """A function that is no task."""
    return gator.task(wrong(no_shouting), "hello")


@mistake
def in_a_batch() -> object:
    """The place of the call in a batch."""
    return gator.task_many(send_mail, [(7, "hello"), (8, wrong(8))])
