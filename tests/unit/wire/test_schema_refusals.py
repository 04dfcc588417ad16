"""What cannot be a task is refused at registration: the parameter, the reason and the way out in one sentence."""

import collections.abc
import dataclasses
import enum
import functools
import io
import pathlib
import socket
import subprocess
import sys
import types
import typing
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID

import annotated_types
import msgspec
import pydantic
import pydantic.dataclasses
import pytest
import typing_extensions
from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, StringConstraints, WrapValidator

from typedgator.errors import RegistrationError, UnsupportedSignature
from typedgator.wire.reasons import name_of
from typedgator.wire.schema import ArgumentSchema, ResultSchema
from typedgator.wire.terms import Secret


class User: ...


class Model(pydantic.BaseModel):
    a: int


class Struct(msgspec.Struct):
    a: int


@dataclasses.dataclass
class Mutable:
    a: int


@dataclasses.dataclass(frozen=True)
class Holder:
    users: list[User]


@dataclasses.dataclass(frozen=True)
class Chain:
    next: "Chain | None" = None


@dataclasses.dataclass(frozen=True)
class Computed:
    a: int = dataclasses.field(init=False, default=1)


@dataclasses.dataclass(frozen=True)
class WithInitVar:
    a: dataclasses.InitVar[int]


@pydantic.dataclasses.dataclass(frozen=True)
class PydanticDataclass:
    a: int


@dataclasses.dataclass(frozen=True)
class Unhashable:
    rows: list[int]


class Mixed(enum.Enum):
    A = 1
    B = "b"


class Flags(enum.Flag):
    A = 1


class Nobody(enum.Enum): ...


class Far(enum.Enum):
    A = 2**70


T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Box(Generic[T]):
    inside: T


Loop = typing_extensions.TypeAliasType("Loop", "list[Loop]")
Lost = typing_extensions.TypedDict("Lost", {"a": "Nowhere"})  # noqa: F821, UP013


class Bare(NamedTuple):
    a: User


REFUSED: list[tuple[Any, str]] = [
    (Any, "is Any, which nothing checks; name the type"),
    (object, "is object, which nothing checks; name the type"),
    (int | Any, "is Any, which nothing checks; name the type"),
    (User, "is not a simple type; pass its id and load the object in the task: `user_id: int`"),
    (list[User], r"holds User \(at user\[\]\), which is not a simple type; pass its id"),
    (dict[str, tuple[int, User]], r"holds User \(at user.\*\[1\]\)"),
    (Holder, r"holds User \(at user.users\[\]\)"),
    (Bare, r"holds User \(at user.a\)"),
    (type[User], "is a class, not data"),
    (Model, "is a pydantic model; use a frozen dataclass"),
    (PydanticDataclass, "is a pydantic model; use a frozen dataclass"),
    (Struct, "is a msgspec Struct; use a frozen dataclass"),
    (Mutable, r"can change; write @dataclass\(frozen=True\)"),
    (Chain, r"holds Chain \(at user.next\), which holds itself; a queued value has a fixed depth"),
    (Loop, "name that was not resolved|holds itself"),
    (Computed, r"has a field\(init=False\)"),
    (WithInitVar, "has an InitVar"),
    (Box[int], "is generic; write a class for the one type you pass"),
    (Box, "is generic"),
    (T, "is generic; name the type"),
    (Lost, "cannot be read at run time"),
    (Mixed, "values that are not all str or all int"),
    (Flags, "is a Flag"),
    (Nobody, "has no members"),
    (Far, "beyond 64 bits"),
    (list, r"does not say what it holds; write it out, e.g. list\[int\]"),
    (typing.Dict, "does not say what it holds"),  # noqa: UP006
    (tuple, "does not say what it holds"),
    (collections.abc.Sequence[int], "does not say what comes back; write list"),
    (typing.Mapping[str, int], "does not say what comes back"),
    (collections.OrderedDict[str, int], "does not come back as what it is"),
    (collections.abc.Iterable[int], "can be read only once; pass a list"),
    (collections.abc.Generator[int, None, None], "can be read only once; pass a list"),
    (Callable[[int], str], "is code, not data"),
    (types.FunctionType, "is code, not data"),
    (typing.IO[str], "is an open file; pass its path"),
    (io.TextIOWrapper, "is an open file; pass its path"),
    (socket.socket, "is a connection; pass the address"),
    (pathlib.Path, r"pass it as str: `str\(path\)`"),
    (complex, "pass two floats"),
    (bytearray, "pass bytes"),
    (pydantic.SecretStr, r"write Annotated\[str, Secret\]"),
    (pydantic.AwareDatetime, "is a type of pydantic's"),
    (typing.NoReturn, "has no values; write `None`"),
    (3, "is 3, which is not a simple type"),
    (str | UUID, r"two members that look alike when stored \(both as string\)"),
    (str | bytes, "look alike"),
    (Decimal | str, "look alike"),
    (datetime | date, "look alike"),
    (Mixed | int, "values that are not all"),
    (Literal["a"] | str, "look alike"),  # noqa: PYI051 # that is the point
    (list[int] | tuple[int, ...], r"both as array"),
    (Unhashable | dict[str, int], r"both as map"),
    (dict[float, int], "needs str, int, date, UUID or Enum keys"),
    (dict[bool, int], "needs str, int"),
    (dict[bytes, int], "needs str, int"),
    (dict[datetime, int], "needs str, int"),
    (dict[int | str, int], "needs str, int"),
    (dict[Literal["a", 1], int], "needs str, int"),
    (set[list[int]], "cannot be hashed; use a list"),
    (frozenset[Unhashable], "cannot be hashed"),
    (tuple[int, *tuple[str, ...]], "has a variable middle"),
    (Literal[b"x"], "may hold only str, int, bool and None"),
    (Literal[1, True], "equal in Python"),
    (Literal[2**64], "beyond 64 bits"),
    (Annotated[str, Field(gt=3)], "cannot be constrained with gt"),
    (Annotated[int, Field(max_length=3)], "cannot be constrained with max_length"),
    (Annotated[int | str, Field(gt=3)], "cannot be constrained with gt"),
    (Annotated[int, Field(strict=False)], "always checked strictly"),
    (Annotated[str, StringConstraints(strict=False)], "always checked strictly"),
    (Annotated[str, Field(coerce_numbers_to_str=True)], "always checked strictly"),
    (Annotated[int, Field(alias="x")], r"has Field\(alias=...\)"),
    (Annotated[int, Field(default=3)], "write it after the parameter"),
    (Annotated[int, BeforeValidator(int)], "only AfterValidator is honoured"),
    (Annotated[int, PlainValidator(int)], "only AfterValidator is honoured"),
    (Annotated[int, WrapValidator(lambda value, check: check(value))], "only AfterValidator is honoured"),
    (Annotated[int, msgspec.Meta(gt=3)], "msgspec.Meta; use pydantic's Field"),
    (Annotated[datetime, annotated_types.Timezone("UTC")], "which nothing checks"),
    (
        Annotated[str, annotated_types.LowerCase],
        "is a type and no constraint, so nothing checks it; write it around the type",
    ),
    (Annotated[int, annotated_types.Gt], "is constrained with the class Gt, which nothing checks; write Gt"),
    (Annotated[str, AfterValidator], "is constrained with the class AfterValidator, which nothing checks; write Aft"),
    (typing_extensions.ReadOnly[int], "says nothing about a value; write the type inside it"),
    (typing.LiteralString, "is a plain str at run time; write `str`"),
    (typing.Self, "is another type in each class; name the class"),
    (typing_extensions.TypeAliasType("Many", list[T], type_params=(T,))[int], "is generic; name the type"),
    (Annotated[str, Field(pattern="(?=x)")], "cannot be built: .* look-around"),
]


def task_of(annotation: object, result: object = None) -> Callable[..., object]:
    def task(user: object) -> object: ...

    task.__annotations__ = {"user": annotation, "return": result}
    return task


@pytest.mark.parametrize(("annotation", "reason"), REFUSED, ids=lambda value: name_of(value)[:60])
def test_a_parameter_that_cannot_be_queued_is_refused(annotation: Any, reason: str) -> None:
    """At import, and naming the parameter."""
    with pytest.raises(UnsupportedSignature, match=reason) as caught:
        ArgumentSchema.of(task_of(annotation), task="app.task", named=True)
    assert caught.value.task == "app.task"
    assert caught.value.parameter == "user"
    assert "\n" not in str(caught.value)


def test_a_result_that_cannot_be_stored_is_refused() -> None:
    """With the parameter "return"."""

    def silent(): ...  # type: ignore[no-untyped-def]

    for fn, reason in (
        (task_of(int, Any), "its result is Any, which nothing checks"),
        (task_of(int, User), "return its id: `-> int`"),
        (task_of(int, list[User]), r"holds User \(at result\[\]\)"),
        (task_of(int, Coroutine[Any, Any, int]), "write `async def`"),
        (silent, "has no annotation; name its type: `-> None`"),
    ):
        with pytest.raises(UnsupportedSignature, match=reason) as caught:
            ResultSchema.of(fn, task="app.task")
        assert caught.value.parameter == "return"


async def coroutine(n: int) -> list[int]: ...


def test_the_result_of_an_async_task_is_what_awaiting_it_gives() -> None:
    """`-> R` of an `async def` is R."""
    schema = ResultSchema.of(coroutine, task="app.task")
    assert schema.decode(schema.encode([1])) == [1]


class Service:
    def method(self, n: int) -> None: ...

    @staticmethod
    def static(n: int) -> None: ...


def generator(n: int) -> Iterator[int]:
    yield n


async def async_generator(n: int) -> AsyncIterator[int]:
    yield n


@typing.overload
def overloaded(n: int) -> int: ...
@typing.overload
def overloaded(n: str) -> str: ...
def overloaded(n: int | str) -> int | str:
    return n


def plain(n: int) -> None: ...


def unannotated(n, m: int) -> None: ...  # type: ignore[no-untyped-def]


def future(user: "Hidden", n: int) -> None: ...  # noqa: F821


def test_a_function_that_cannot_be_a_task_is_refused() -> None:
    """A worker finds a task by its name, and calls it once with what was passed."""

    def nested(n: int) -> None: ...

    refused: list[tuple[Any, str]] = [
        (lambda: None, "a lambda, which has no name to be found by"),
        (nested, "defined inside a function, where a worker cannot find it; move it to module level, or give it name="),
        (Service().method, "a method of an object"),
        (Service.method, "a method, and `self` cannot be queued"),
        (Service, "a class; register a function"),
        (generator, "a generator; return a list"),
        (async_generator, "an async generator; return a list"),
        (overloaded, "overloaded; register one function for each signature"),
        (functools.partial(plain, 1), "an object without a name"),
        (3, "not a function"),
    ]
    for fn, reason in refused:
        with pytest.raises(RegistrationError, match=reason):
            ArgumentSchema.of(fn, task="app.task")


def test_a_name_that_the_user_gave_is_enough() -> None:
    """With `name=` a nested function, a lambda and a partial can be found."""

    def nested(n: int) -> None: ...

    for fn in (nested, lambda: None, functools.partial(plain, n=1)):
        ArgumentSchema.of(fn, task="app.task", named=True)
    ArgumentSchema.of(Service.static, task="app.task")


def test_a_parameter_without_annotation_is_refused() -> None:
    """Nothing is guessed."""
    with pytest.raises(UnsupportedSignature, match="parameter 'n' has no annotation; name its type: `n: int`"):
        ArgumentSchema.of(unannotated, task="app.task")


def test_a_name_that_cannot_be_resolved_is_refused() -> None:
    """The usual cause is an import under TYPE_CHECKING."""
    with pytest.raises(
        UnsupportedSignature, match=r"'Hidden', which does not exist at run time; .*TYPE_CHECKING"
    ) as caught:
        ArgumentSchema.of(future, task="app.task")
    assert caught.value.parameter == "user"


def positive(n: int) -> int:
    if n < 0:
        raise ValueError("negative")
    return n


def strange(n: int) -> int:
    raise KeyError(n)


DEFAULTS: list[tuple[Any, Any]] = [
    (int, "a"),
    (int, None),
    (int, True),
    (tuple[int, ...], [1]),
    (Literal["a"], "b"),
    (list[int], ["a"]),
    (int, 2**70),
    (Annotated[int, Field(gt=0)], 0),
    (Annotated[int, annotated_types.Gt(0)], 0),
    (Annotated[str, Field(pattern="^a$")], "b"),
    (Annotated[int, AfterValidator(positive)], -1),
    (Annotated[int, AfterValidator(strange)], 1),
    (float, float("nan")),
]


@pytest.mark.parametrize(("annotation", "default"), DEFAULTS, ids=name_of)
def test_a_default_that_breaks_its_annotation_is_refused(annotation: Any, default: Any) -> None:
    """It would fail at the worker: defaults are not sent."""

    def task(n: object = default) -> None: ...

    task.__annotations__["n"] = annotation
    with pytest.raises(UnsupportedSignature, match="has a default that breaks its own annotation") as caught:
        ArgumentSchema.of(task, task="app.task", named=True)
    assert caught.value.parameter == "n"
    assert ("is NaN" in str(caught.value)) is (default != default)


@dataclasses.dataclass(frozen=True)
class NoTags:
    tags: list[str] = None  # type: ignore[assignment] # the mistake


@dataclasses.dataclass(frozen=True)
class EmptyName:
    name: Annotated[str, Field(min_length=1)] = ""


@dataclasses.dataclass(frozen=True)
class NoParts:
    parts: Annotated[list[int], Field(min_length=1)] = dataclasses.field(default_factory=list)


class TextualSize(NamedTuple):
    width: int = "1"  # type: ignore[assignment] # the mistake


@dataclasses.dataclass(frozen=True)
class HiddenPin:
    pin: Annotated[str, Field(min_length=20), Secret] = "hunter2"


@pytest.mark.parametrize("cls", [NoTags, EmptyName, NoParts, TextualSize, HiddenPin], ids=lambda cls: cls.__name__)
def test_a_default_inside_a_value_type_that_breaks_its_annotation_is_refused(cls: Any) -> None:
    """Jobs of a release without the field get it at the worker, and would be refused there; `schema check` says ok."""

    def takes(n: object) -> None: ...
    def gives() -> object: ...

    takes.__annotations__["n"] = gives.__annotations__["return"] = list[cls]
    said = rf"{cls.__name__}, whose field '\w+' has a default that breaks its own annotation"
    with pytest.raises(UnsupportedSignature, match=said) as caught:
        ArgumentSchema.of(takes, task="app.task", named=True)
    assert caught.value.parameter == "n"
    assert "hunter2" not in str(caught.value)
    with pytest.raises(UnsupportedSignature, match=said):
        ResultSchema.of(gives, task="app.task")


@pytest.mark.parametrize(("annotation", "default"), [(float, 1), (int | None, None), (list[int], []), (date, date.max)])
def test_a_default_that_fits_is_kept(annotation: Any, default: Any) -> None:
    """An int is a float, as for every type checker."""

    def task(n: object = default) -> None: ...

    task.__annotations__["n"] = annotation
    assert ArgumentSchema.of(task, task="app.task", named=True).encode((), {}) == b"\x80"


def test_max_payload_has_a_hard_limit() -> None:
    """1 MiB: the worker reads no more."""
    with pytest.raises(RegistrationError, match="max_payload must be 1 to 1048576"):
        ArgumentSchema.of(plain, task="app.task", max_payload=2**20 + 1)


def test_schemas_are_built_without_pydantic() -> None:
    """A module of tasks is imported by every web process: pydantic waits for the first call."""
    code = """if True:
        import sys
        from datetime import datetime
        from typedgator.wire.schema import ArgumentSchema, ResultSchema
        def task(n: int, when: datetime | None = None, *tags: list[str]) -> dict[str, int]: ...
        arguments, result = ArgumentSchema.of(task, task="task"), ResultSchema.of(task, task="task")
        loaded = {"pydantic", "pydantic_core", "annotated_types", "hypothesis"} & set(sys.modules)
        assert not loaded, loaded
        arguments.encode((1,), {})
        assert "pydantic_core" in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=50)
