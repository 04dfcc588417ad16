"""A call that is wrong is refused before anything is enqueued, with all that is wrong with it in one message."""

import dataclasses
import enum
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import annotated_types
import pytest
from pydantic import AfterValidator, Field

from typedgator.errors import InvalidArguments, PayloadMismatch
from typedgator.wire.problems import shown_value
from typedgator.wire.schema import ArgumentSchema, ResultSchema
from typedgator.wire.terms import Secret


def send_mail(user_id: int) -> None: ...


def send(
    user_id: Annotated[int, Field(gt=0)], when: datetime, tags: list[str], *more: int, urgent: bool = False
) -> int: ...


def positional(a: int, b: str = "b", /) -> None: ...


def refusal(fn: Callable[..., object], *args: object, **kwargs: object) -> InvalidArguments:
    with pytest.raises(InvalidArguments) as caught:
        ArgumentSchema.of(fn, task=f"app.{fn.__name__}").encode(args, kwargs)
    return caught.value


def test_one_problem_is_one_line() -> None:
    """The call, the argument, the rule, and what was got."""
    error = refusal(send_mail, "abc")
    assert str(error).splitlines() == [
        "send_mail(user_id='abc'): user_id must be an integer, got str 'abc'. Nothing was enqueued.",
        f"  The task is send_mail(user_id: int) -> None, at {error.task_at}",
        f"  The call is at {error.called_at}",
    ]


def test_all_problems_are_told_at_once() -> None:
    """By name, not by position, under the signature they break."""
    error = refusal(send, 0, "2026-01-01", ["a", 3], "x", urgent="yes")
    assert str(error).partition(", at ")[0] == (
        "send(user_id=0, when='2026-01-01', tags=['a', 3], 'x', urgent='yes'): 5 bad arguments. Nothing was enqueued.\n"
        "  user_id must be greater than 0, got int 0\n"
        "  when must be a datetime, got str '2026-01-01'\n"
        "  tags[1] must be a string, got int 3; pass str(tags[1])\n"
        "  more[0] must be an integer, got str 'x'\n"
        "  urgent must be True or False, got str 'yes'\n"
        "  The task is send(user_id: int, when: datetime, tags: list[str], *more: int, urgent: bool = False) -> int"
    )
    assert error.task == "app.send"
    assert len(error.problems) == 5


@pytest.mark.parametrize(
    ("fn", "args", "kwargs", "problems"),
    [
        (send_mail, (), {}, ["user_id is missing"]),
        (send_mail, (1, 2), {}, ["2 arguments are given by position, at most 1 are taken"]),
        (send_mail, (1,), {"user_id": 1}, ["user_id is given twice, by position and by name"]),
        (send_mail, (), {"user": 1}, ["user_id is missing", "user is not a parameter; did you mean user_id"]),
        (send_mail, ("x",), {"zzz": 1}, ["zzz is not a parameter", "user_id must be an integer, got str 'x'"]),
        (positional, (), {"a": 1}, ["a must be given by position"]),
        (
            send,
            (1,),
            {"urgent": 3},
            ["when is missing", "tags is missing", "urgent must be True or False, got int 3; pass bool(urgent)"],
        ),
    ],
)
def test_a_call_that_does_not_fit_is_told_in_full(
    fn: Any, args: tuple[object, ...], kwargs: dict[str, object], problems: list[str]
) -> None:
    """Missing, extra, doubled and misspelt arguments, beside those of a wrong type."""
    error = refusal(fn, *args, **kwargs)
    assert list(error.problems) == problems
    assert "The task is " in str(error)


class Colour(enum.Enum):
    RED = "r"


class Level(enum.IntEnum):
    LOW = 1


class Mood(enum.StrEnum):
    GOOD = "good"


class Page(TypedDict, total=False):
    number: int


class Point(NamedTuple):
    x: int
    y: float = 0.0


class Point3(Point):
    pass


@dataclasses.dataclass(frozen=True)
class Money:
    amount: Annotated[int, Field(ge=0)]


@dataclasses.dataclass(frozen=True)
class Tip(Money):
    pass


@dataclasses.dataclass(frozen=True)
class Span:
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low must not be above high")


@dataclasses.dataclass(frozen=True)
class Growing:
    n: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", self.n + 1)


def bent() -> Span:
    span = Span(1, 2)
    object.__setattr__(span, "low", 3)
    return span


class Moment(datetime):
    pass


class Token(str):
    __slots__ = ()


class Rows(list[int]):
    pass


def task_of(annotation: object) -> Callable[..., object]:
    def task(x: object) -> None: ...

    task.__annotations__["x"] = annotation
    return task


def grows(n: int) -> int:
    return n + 1


def boom(n: int) -> int:
    raise KeyError(n)


def no_even(n: int) -> int:
    if n % 2 == 0:
        raise ValueError("must be odd")
    return n


STRICT: list[tuple[Any, Any, str]] = [
    (int, "1", "x must be an integer, got str '1'"),
    (Annotated[str, annotated_types.Predicate(str.islower)], "A", "x must satisfy str.islower, got str 'A'"),
    (Annotated[str, annotated_types.Not(str.islower)], "a", "x must not satisfy str.islower, got str 'a'"),
    (int, 1.0, "x must be an integer, got float 1.0"),
    (int, True, "x must be an integer, got bool True"),
    (int, None, "x must be an integer, got None"),
    (bool, 1, "x must be True or False, got int 1"),
    (bool, "yes", "x must be True or False, got str 'yes'"),
    (float, "1.5", "x must be a float, got str '1.5'"),
    (float, True, "x must be a float, got bool True"),
    (float, Decimal("1.5"), "x must be a float, got Decimal('1.5'); pass float(x)"),
    (float, Fraction(1, 2), "x must be a float, got Fraction(1, 2)"),
    (Annotated[float, Field(gt=0)], Decimal("1.5"), "x must be a float, got Decimal('1.5'); pass float(x)"),
    (float | None, Decimal("1.5"), "x must be a float, got Decimal('1.5'); pass float(x)"),
    (int | float, Decimal("1.5"), "x must be an integer or a float, got Decimal('1.5')"),
    (Decimal, "1.5", "x must be a Decimal, got str '1.5'"),
    (Decimal, 1.1, "x must be a Decimal, got float 1.1"),
    (Decimal, Decimal("NaN"), "x must be finite, got Decimal('NaN')"),
    (str, b"x", "x must be a string, got bytes b'x'"),
    (bytes, "x", "x must be bytes, got str 'x'"),
    (datetime, date(2020, 1, 1), "x must be a datetime, got datetime.date(2020, 1, 1)"),
    (datetime, 0, "x must be a datetime, got int 0"),
    (date, datetime(2020, 1, 1, tzinfo=UTC), "x must be a date, got "),
    (timedelta, 3, "x must be a timedelta, got int 3"),
    (time, time(1, tzinfo=UTC), "x must be a time without time zone (pass UTC, and the zone's name as str), got "),
    (UUID, "00000000-0000-0000-0000-000000000000", "x must be a UUID, got str '0000"),
    (Colour, "r", "x must be a Colour, got str 'r'"),
    (Literal[1, "a"], True, "x must be one of 1, 'a', got bool True"),
    (Literal[1, "a"], 1.0, "x must be one of 1, 'a', got float 1.0"),
    (Literal["a"], "b", "x must be 'a', got str 'b'"),
    (list[int], (1,), "x must be a list, got tuple (1,)"),
    (list[int], {1}, "x must be a list, got set {1}"),
    (tuple[int, ...], [1], "x must be a tuple, got list [1]"),
    (set[int], frozenset({1}), "x must be a set, got frozenset({1})"),
    (dict[int, int], {"1": 2}, "a key of x must be an integer, got str '1'"),
    (dict[str, int], {"a": "b"}, "x['a'] must be an integer, got str 'b'"),
    (Money, {"amount": 1}, "x must be exactly Money, got dict {'amount': 1}"),
    (Money, Tip(1), "x must be exactly Money, got Tip(amount=1)"),
    (Money, Money(-1), "x.amount must be greater than or equal to 0, got int -1"),
    (Point, (1, 2.0), "x must be exactly Point, got tuple (1, 2.0)"),
    (Point, Point3(1), "x must be exactly Point, got Point3(x=1, y=0.0)"),
    (Point, Point("1"), "x.x must be an integer, got str '1'"),  # type: ignore[arg-type]
    (list[Point], [Point(1), Point(1, "y")], "x[1].y must be a float, got str 'y'"),  # type: ignore[arg-type]
    (Page, {"number": "1"}, "x['number'] must be an integer, got str '1'"),
    (Page, {"size": 1}, "x['size'] is not a key of it, got int 1"),
    (int | None, "a", "x must be an integer, got str 'a'"),
    (int | str | None, 1.5, "x must be an integer or a string, got float 1.5"),
    (int | list[str], [1], "x[0] must be a string, got int 1"),
    (Annotated[str, Field(pattern="^a$")], "b", "x must match pattern '^a$', got str 'b'"),
    (Annotated[Decimal, Field(max_digits=3)], Decimal(1234), "x must have no more than 3 digits in total, got "),
    (Annotated[list[int], Field(min_length=2)], [1], "x has 1 elements, at least 2 are needed"),
    (Annotated[int, AfterValidator(no_even)], 2, "x was refused by its validator (must be odd), got int 2"),
    (Span, bent(), "x was refused by its validator (low must not be above high), got Span(low=3, high=2)"),
    (list[Growing], [Growing(1)], "a validator or __post_init__ changes or refuses its own output"),
    (Annotated[int, AfterValidator(boom)], 2, "a validator raised KeyError: 2"),
    (Annotated[int, AfterValidator(grows)], 2, "a validator or __post_init__ changes or refuses its own output"),
    (Annotated[int, AfterValidator(str)], 2, "a validator or __post_init__ changes or refuses its own output"),
    # What msgpack cannot hold.
    (
        int,
        2**64,
        "x must fit 64 bits (-2**63 to 2**64-1; annotate it as str and pass its text), got int 18446744073709551616",
    ),
    (int, 10**5000, "x must fit 64 bits (-2**63 to 2**64-1; annotate it as str and pass its text), got int <int>"),
    (dict[str, list[int]], {"a": [0, -(2**63) - 1]}, "x['a'][1] must fit 64 bits"),
    (str, "\ud800", "x must be text that UTF-8 can hold (no lone surrogates), got str '\\ud800'"),
    (datetime, Moment(2020, 1, 1), "x must be exactly datetime, not a subclass of it (convert it first), got Moment("),
    (
        datetime,
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))),
        "x must lie further from year 1 and year 9999, to be stored in UTC, got ",
    ),
]


@pytest.mark.parametrize(
    ("annotation", "value", "problem"), STRICT, ids=lambda value: shown_value(value)[:40].split(" at ")[0]
)
def test_nothing_is_coerced(annotation: Any, value: Any, problem: str) -> None:
    """What a type checker refuses is refused; the caller hears what was expected and what was got."""
    schema = ArgumentSchema.of(task_of(annotation), task="app.task", named=True)
    with pytest.raises(InvalidArguments) as caught:
        schema.encode((value,), {})
    (line,) = caught.value.problems
    assert line.startswith(problem)


@pytest.mark.parametrize(
    ("annotation", "value", "arrives"),
    [
        (float, 1, 1.0),
        (int, Level.LOW, 1),
        (str, Mood.GOOD, "good"),
        (str, Token("a"), "a"),
        (list[int], Rows([1]), [1]),
        (Annotated[str, Field(max_length=3)], "abc", "abc"),
    ],
)
def test_what_a_type_checker_allows_arrives_as_the_annotated_type(annotation: Any, value: Any, arrives: Any) -> None:
    """An int given for a float, and subclasses of plain types: the worker gets the plain value."""
    schema = ArgumentSchema.of(task_of(annotation), task="app.task", named=True)
    got = schema.decode(schema.encode((value,), {}), fingerprint=schema.fingerprint)[1]["x"]
    assert got == arrives
    assert type(got) is type(arrives)


@pytest.mark.parametrize(
    ("annotation", "value", "path"),
    [
        (list[int], [1] * 101, "x"),
        (set[int], set(range(101)), "x"),
        (tuple[int, ...], (1,) * 101, "x"),
        (dict[str, int], {str(n): n for n in range(101)}, "x"),
        (dict[str, list[int]], {"a": [1] * 101}, "x['a']"),
        (list[list[int]], [[], [1] * 101], "x[1]"),
        (list[int] | None, [1] * 101, "x"),
        (Page | list[list[int]], [[1] * 101], "x[0]"),
    ],
)
def test_a_collection_is_bounded_at_every_level(annotation: Any, value: Any, path: str) -> None:
    """100 elements unless the annotation allows more: large data is stored, and its id passed."""
    schema = ArgumentSchema.of(task_of(annotation), task="app.task", named=True)
    with pytest.raises(InvalidArguments) as caught:
        schema.encode((value,), {})
    (problem,) = caught.value.problems
    assert problem == (
        f"{path} has 101 elements, at most 100 are taken "
        "(store them and pass an id, or allow more with Annotated[..., MaxLen(n)])"
    )
    ArgumentSchema.of(task_of(annotation), task="app.task", named=True, max_items=101).encode((value,), {})


def test_a_larger_collection_can_be_allowed() -> None:
    """The annotation wins over the general limit, both ways; the worker applies the annotation's only."""
    schema = ArgumentSchema.of(
        task_of(Annotated[list[list[int]], annotated_types.MaxLen(150)]), task="app.task", named=True
    )
    assert schema.encode(([[1]] * 150,), {})
    with pytest.raises(InvalidArguments, match="x has 151 elements, at most 150"):
        schema.encode(([[1]] * 151,), {})
    with pytest.raises(InvalidArguments, match=r"x\[0\] has 101 elements, at most 100"):
        schema.encode(([[1] * 101],), {})
    wide = ArgumentSchema.of(task_of(list[int]), task="app.task", named=True, max_items=10_000)
    narrow = ArgumentSchema.of(task_of(list[int]), task="app.task", named=True)
    assert wide.fingerprint == narrow.fingerprint
    assert narrow.decode(wide.encode(([1] * 5000,), {}), fingerprint=wide.fingerprint)


def test_a_payload_is_bounded() -> None:
    """The message says the size, the limit, the argument at fault and the way out."""

    def store(title: str, body: str) -> None: ...

    schema = ArgumentSchema.of(store, task="app.store", named=True, max_payload=1000)
    assert schema.encode(("t", "x" * 900), {})
    with pytest.raises(InvalidArguments) as caught:
        schema.encode(("t", "x" * 1000), {})
    assert caught.value.problems == (
        "the arguments take 1017 bytes, at most 1000 are taken; body alone takes 1003: store it and pass its id",
    )


def test_what_a_worker_would_not_read_is_not_written() -> None:
    """Ten thousand empty lists are few bytes, but much work for whoever reads them."""
    schema = ArgumentSchema.of(task_of(list[list[int]]), task="app.task", named=True, max_items=20_000)
    with pytest.raises(
        InvalidArguments, match=r"more lists, maps and records than the 13.. that are read in 10... bytes"
    ):
        schema.encode(([[]] * 10_000,), {})
    assert schema.encode(([[]] * 1000,), {})


def test_long_values_are_shortened() -> None:
    """60 characters of each, and nothing large is ever turned into text as a whole."""
    error = refusal(send_mail, "x" * 10_000_000)
    shown = "'" + "x" * 58 + "…"
    assert str(error).splitlines()[0] == (
        f"send_mail(user_id={shown}): user_id must be an integer, got str {shown}. Nothing was enqueued."
    )


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def test_a_value_that_cannot_be_shown_does_no_harm() -> None:
    """A broken `__repr__` is not the caller's problem."""
    assert "user_id must be an integer, got Hostile <Hostile" in str(refusal(send_mail, Hostile()))


class Wordless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def wordless(n: int) -> int:
    raise Wordless


def test_whatever_a_validator_raises_only_one_class_leaves() -> None:
    """An error that cannot even be shown is still a refusal."""
    schema = ArgumentSchema.of(task_of(Annotated[int, AfterValidator(wordless)]), task="app.task", named=True)
    with pytest.raises(InvalidArguments, match="a validator raised Wordless"):
        schema.encode((1,), {})
    with pytest.raises(PayloadMismatch, match="does not fit: Wordless"):
        schema.decode(b"\x81\xa1x\x01", fingerprint=schema.fingerprint)


def test_values_can_be_hidden() -> None:
    """`show_values=False`: names, rules and types remain."""
    schema = ArgumentSchema.of(send_mail, task="app.send_mail", show_values=False)
    with pytest.raises(InvalidArguments) as caught:
        schema.encode(("s3cret",), {})
    assert str(caught.value).splitlines()[0] == (
        "send_mail(user_id=<hidden>): user_id must be an integer, got str <hidden>. Nothing was enqueued."
    )


@dataclasses.dataclass(frozen=True)
class Login:
    name: str
    password: Annotated[str, Secret]


def test_a_secret_is_never_shown() -> None:
    """An argument marked Secret, anywhere inside, is hidden as a whole; its neighbours are not."""

    def log_in(login: Login, attempts: int, key: Annotated[bytes, Secret()] = b"") -> None: ...

    schema = ArgumentSchema.of(log_in, task="app.log_in", named=True)
    with pytest.raises(InvalidArguments) as caught:
        schema.encode((Login("me", b"s3cret"), "many", "s3cret"), {})  # type: ignore[arg-type]
    text = str(caught.value)
    assert "s3cret" not in text
    assert "login.password must be a string, got bytes <hidden>" in text
    assert "attempts must be an integer, got str 'many'" in text


def test_a_refusal_at_the_worker_shows_no_value() -> None:
    """It is stored and logged."""
    schema = ArgumentSchema.of(task_of(Annotated[str, Field(max_length=3)]), task="app.task", named=True)
    with pytest.raises(PayloadMismatch) as caught:
        schema.decode(b"\x81\xa1x\xa6s3cret", fingerprint=schema.fingerprint)
    assert str(caught.value) == (
        "app.task: the payload does not fit: x must have at most 3 characters, got str <hidden>"
    )


def test_a_result_that_is_not_what_the_task_promised_is_refused() -> None:
    """It names the task, the place and the type, not the value; the key of a dict is a value, too."""

    def task() -> dict[str, list[int]]: ...

    schema = ResultSchema.of(task, task="app.task")
    with pytest.raises(PayloadMismatch) as caught:
        schema.encode({"a": [1, "s3cret"]})
    assert str(caught.value) == "app.task: result[<hidden>][1] must be an integer, got str <hidden>"
    with pytest.raises(PayloadMismatch, match="result cannot be stored: it has 1048582 bytes, at most 1048576"):
        ResultSchema(bytes, task="app.task").encode(bytes((1 << 20) + 1))
    assert ResultSchema(None, task="app.task").decode(ResultSchema(None, task="app.task").encode(None)) is None
