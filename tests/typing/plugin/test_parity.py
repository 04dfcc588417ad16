"""One rule, told twice: each annotation goes to the mypy plugin and to registration, and they say the same of it.

The same text is checked by mypy and evaluated here; verdicts and sentences are compared. What only registration can see,
and what is said in other words, stands here with its reason; an entry that is no longer needed fails.
"""

import bisect
import importlib
import re
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from typedgator.wire.simple import NotSimple, simple

HERE = Path(__file__).parent
Ask = Callable[..., list[str]]

pytestmark = pytest.mark.timeout(300)

HEADER = """\
import collections
import collections.abc
import decimal
import io
import pathlib
import socket
import types
import typing
from collections.abc import *
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Literal, LiteralString, Never, NoReturn, Optional, TextIO, Union
from uuid import UUID

import annotated_types
import msgspec
import pydantic
from shapes import *
from typedgator import Gator, GatorError
from typedgator.wire.terms import Secret

gator = Gator("locmem://")
REFUSED: dict[int, str] = {}
"""

ANNOTATIONS = """
    None | bool | int | float | str | bytes
    bool; int; float; str; bytes; None; date; datetime; time; timedelta; UUID; Decimal; decimal.Decimal
    Colour; Word; Level; Old; Counted; Number; Numbers; Couple; Row; Named; Status
    Mixed; Halves; Nobody; Rights; Owner; UserId; tzinfo; Fraction; complex; bytearray; memoryview; range; slice
    Literal["a"]; Literal["a", "b", None]; Literal[1, "a", True]; Literal[-1]; Literal[b"x"]; Literal[Colour.RED]
    Literal["a"] | None; Literal["a"] | str; Literal["a"] | int; Literal[1] | bool
    list[int]; tuple[int, ...]; tuple[int, str]; tuple[()]; set[str]; frozenset[Colour]; dict[str, int]
    dict[int, str]; dict[date, int]; dict[UUID, int]; dict[Colour, int]; dict[Status, int]; dict[Number, int]
    dict[datetime, int]; dict[Decimal, int]; dict[bytes, int]; dict[float, int]; dict[bool, int]; dict[str | int, int]
    dict[tuple[int, int], int]; dict[Literal[1, "a"], int]; dict[Any, int]; dict[str, Any]; dict[User, int]
    list[dict[str, list[tuple[int, Colour | None]]]]; list[User]; dict[str, User]; tuple[int, User]; list[object]
    set[Pair]; set[Point]; set[tuple[int, ...]]; set[list[int]]; frozenset[dict[str, int]]; set[Settings]; set[Unhashable]
    list; dict; tuple; set; list[list]; typing.List; typing.Dict; typing.List[int]; typing.Tuple[int, ...]
    int | str; int | float; int | None; Optional[str]; Union[int, str, None]; bool | int; datetime | None
    datetime | date; str | UUID; bytes | str; int | Colour; str | Word; list[int] | tuple[int, ...]; Pair | list[int]
    Point | Settings; dict[str, int] | Point; int | Number; int | list[int] | dict[str, int] | None; User | None; int | Any
    Point; Point3; Near; Shape; Pair; Closer; Settings; Unhashable; list[Shape]; dict[str, Pair]
    Basket; Letter; Tree; Page[int]; Page; Salted; Derived; Guest; Plain; Party; Fixed; Envelope[int]; User; list[Basket]
    Model; Validated; Loose; Packed; Bag; Lookup; Countdown; DataFrame; pydantic.SecretStr; pydantic.HttpUrl
    Any; object; type; type[User]; typing.Type[int]; NoReturn; Never; typing.Hashable; LiteralString
    Sequence[int]; MutableSequence[int]; Collection[int]; Set[int]; typing.AbstractSet[int]; MutableSet[int]
    Mapping[str, int]; MutableMapping[str, int]; collections.OrderedDict[str, int]; collections.deque[int]
    collections.defaultdict[str, int]; collections.Counter[str]; collections.ChainMap[str, int]; collections.UserDict
    Iterable[int]; Iterator[int]; Generator[int, None, None]; AsyncIterable[int]; AsyncIterator[int]
    AsyncGenerator[int, None]; Coroutine[Any, Any, int]; Awaitable[int]
    Callable[[int], str]; Callable[..., int]; Callable; typing.Callable[[], None]; types.FunctionType; types.MethodType
    io.IOBase; io.BytesIO; io.StringIO; TextIO; typing.IO[str]; typing.BinaryIO; pathlib.Path; pathlib.PurePath
    socket.socket; types.ModuleType; typing.Pattern[str]; Exception; Twin[int]; list[T]
    Annotated[int, annotated_types.Gt(0)]; Annotated[str, "a comment"]; Annotated[list[int], annotated_types.MaxLen(3)]
    Annotated[int | None, pydantic.Field(gt=0)]; Annotated[User, "a comment"]; list[Annotated[str, Secret]]
    list[list[list[list[list[list[list[list[list[list[list[list[list[list[list[list[list[list[int]]]]]]]]]]]]]]]]]]
    Huge; Computed; Annotated[str, annotated_types.Gt(0), annotated_types.MultipleOf(2)]; Literal[True, 1]
    Annotated[int, pydantic.Field(default=1)]; Annotated[int, pydantic.BeforeValidator(int)]
    Annotated[str, msgspec.Meta(max_length=3)]; Literal["a"] | Literal["b"]; pydantic.EmailStr; pydantic.AwareDatetime
    pydantic.PositiveInt; pydantic.StrictInt
"""

ONLY_REGISTRATION = {
    "Annotated[str, annotated_types.Gt(0), annotated_types.MultipleOf(2)]": "mypy drops what stands behind the type",
    "Annotated[int, pydantic.Field(default=1)]": "mypy drops what stands behind the type",
    "Annotated[int, pydantic.BeforeValidator(int)]": "mypy drops what stands behind the type",
    "Annotated[str, msgspec.Meta(max_length=3)]": "mypy drops what stands behind the type",
    'Literal["a"] | Literal["b"]': 'for mypy this is Literal["a", "b"], which is simple',
    "Literal[True, 1]": "for mypy this is Literal[True] | Literal[1]",
    'Literal[1, "a", True]': "for mypy this is Literal[True] | Literal[1] | Literal['a']",
    "Validated": "a decorator of another library that makes frozen dataclasses, for all that mypy knows",
    "LiteralString": "for mypy this is str",
    "pydantic.EmailStr": "for mypy this is str",
    "pydantic.AwareDatetime": "for mypy this is datetime",
    "Computed": "its values come out of code",
}
"""Refused at import, and not by the plugin."""

OTHER_WORDS = {
    "Literal[Colour.RED]": "mypy names the member as it is written",
    "typing.List": "mypy names list",
    "typing.Dict": "mypy names dict",
    "typing.Type[int]": "mypy names type",
    "typing.AbstractSet[int]": "mypy has one name for it and for collections.abc.Set",
    "NoReturn": "mypy has one name for it and for Never",
    "types.FunctionType": "at run time its name is function",
    "types.MethodType": "at run time its name is method",
    "types.ModuleType": "at run time its name is module",
    "Twin[int]": "mypy names what the alias stands for",
    "Envelope[int]": "mypy keeps no arguments of a TypedDict",
    "Loose": "mypy does not know which library made it",
    "typing.Hashable": "at run time its name is that of a generic class",
}
"""Refused by both, in sentences that differ."""


def annotations() -> list[str]:
    """The texts of ANNOTATIONS, one after the other."""
    return [text.strip() for line in ANNOTATIONS.splitlines() for text in line.split("; ") if text.strip()]


@pytest.fixture
def shapes(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`shapes.py`, imported as mypy sees it."""
    monkeypatch.setattr(sys, "path", [str(HERE), *sys.path])
    monkeypatch.delitem(sys.modules, "shapes", raising=False)
    return importlib.import_module("shapes")


def at_registration(text: str, names: dict[str, object], parameter: str) -> str | None:
    """What registration says of an annotation; None when it is simple."""
    try:
        simple(eval(text, names), parameter)
    except NotSimple as refusal:
        return str(refusal)
    return None


@pytest.mark.parametrize("parameter", ["x", "return"])
def test_plugin_and_registration_agree(tmp_path: Path, ask: Ask, shapes: ModuleType, parameter: str) -> None:
    """As a parameter and as a result, the verdict is one, and so is the sentence."""
    del shapes
    cases = annotations()
    names: dict[str, object] = {}
    exec(HEADER, names)
    source, lines = HEADER, dict[int, str]()
    for number, text in enumerate(cases):
        said = f"x: {text}) -> None" if parameter == "x" else f") -> {text}"
        source += f"@gator.register\ndef t{number}({said}: raise NotImplementedError\n"
        lines[source.count("\n")] = text
    (tmp_path / "cases.py").write_text(source)
    (tmp_path / "shapes.py").write_text((HERE / "shapes.py").read_text())

    told, strange = dict[str, str](), list[str]()
    for line in ask(tmp_path, "cases.py", settings="disallow_any_generics = False\nfollow_imports = silent\n"):
        found = re.match(r"cases\.py:(\d+): error: \S+ cannot be a task: (?:parameter 'x'|its result) (.*)  \[", line)
        if found is None:
            strange.append(line)
        else:
            told[lines[int(found[1])]] = found[2]
    assert strange == [], "every case is valid, and whatever mypy says is the plugin's"

    disagreements = list[str]()
    simple_ones = 0
    for text in cases:
        runtime, static = at_registration(text, names, parameter), told.get(text)
        simple_ones += runtime is None
        if text in ONLY_REGISTRATION:
            agreed = runtime is not None and static is None
        elif text in OTHER_WORDS:
            agreed = runtime is not None and static is not None and runtime != static
        else:
            agreed = runtime == static
        if not agreed:
            disagreements.append(f"{text}\n  registration: {runtime}\n  plugin:       {static}")
    assert disagreements == [], "\n" + "\n".join(disagreements)
    assert len(cases) >= 150
    assert simple_ones >= 60
    assert ONLY_REGISTRATION.keys() | OTHER_WORDS.keys() <= set(cases)


FUNCTIONS = """
@gator.register
def {f}(user: User) -> None: ...
---
@gator.register(name="named.{f}")
def {f}(user: User) -> None: ...
---
@gator.register
def {f}(*users: User) -> None: ...
---
@gator.register
def {f}(**users: User) -> None: ...
---
@gator.register
def {f}(**settings: typing.Unpack[Settings]) -> None: ...
---
@gator.register
def {f}(user_id: User) -> None: ...
---
@gator.register
def {f}(n: int, x) -> None: ...
---
@gator.register
def {f}(n: int): ...
---
@gator.register
async def {f}(): ...
---
@gator.register
async def {f}(n: int) -> User: raise NotImplementedError
---
@gator.register
def {f}(n: int) -> Coroutine[Any, Any, int]: raise NotImplementedError
---
@gator.register
def {f}(x: T) -> list[T]: return [x]
---
@gator.register
def {f}(n: int) -> Iterator[int]: yield n
---
@gator.register
async def {f}(n: int) -> AsyncIterator[int]: yield n
---
@gator.register(time_limit=5)
def {f}(n: int) -> None: ...
---
class {f}:
    @gator.register
    def method(self, n: int) -> None: ...
---
class {f}:
    def method(self, n: int) -> None: ...
gator.register({f}().method)
---
class {f}: ...
gator.register({f})
---
gator.register(lambda: 1)
---
gator.register(name="named.{f}")(lambda: 1)
---
@typing.overload
def {f}(x: int) -> int: ...
@typing.overload
def {f}(x: str) -> str: ...
def {f}(x: int | str) -> int | str: return x
gator.register({f})
---
gator.options(delay_by=1, delay_until=datetime(2030, 1, 1))
---
@gator.register
def {f}(n: int = 1, *, point: Point = Point(1)) -> None: ...
---
@gator.register
async def {f}(n: int) -> Point: raise NotImplementedError
---
class {f}:
    @staticmethod
    @gator.register
    def method(n: int) -> None: ...
---
@gator.register(time_limit=5)
async def {f}(n: int) -> None: ...
---
def {f}_outer() -> None:
    @gator.register(name="{f}")
    def {f}(n: int) -> None: ...
{f}_outer()
---
@gator.register
@functools.cache
def {f}(user: User) -> None: ...
---
@gator.register
@functools.lru_cache
def {f}(n: int) -> None: ...
"""


UNTYPED = "follow_imports = silent\ndisallow_untyped_defs = False\ndisallow_incomplete_defs = False\n"
"""Where mypy is told to report missing annotations itself, the plugin leaves them to it."""


def test_functions_are_refused_alike(
    tmp_path: Path, ask: Ask, shapes: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be a task, whatever it takes; and every kind of parameter."""
    del shapes
    snippets = FUNCTIONS.split("---\n")
    source = HEADER + "import functools\n"
    first = list[int]()
    for number, snippet in enumerate(snippets):
        first.append(source.count("\n") + 1)
        body = textwrap.indent(snippet.strip().replace("{f}", f"f{number}"), "    ")
        source += f"try:\n{body}\nexcept GatorError as refused:\n    REFUSED[{number}] = str(refused)\n"
    (tmp_path / "functions.py").write_text(source)
    (tmp_path / "shapes.py").write_text((HERE / "shapes.py").read_text())

    told = dict[int, list[str]]()
    for line in ask(tmp_path, "functions.py", settings=UNTYPED):
        if line.endswith("[gator-simple]"):
            found = re.match(r"functions\.py:(\d+): error: (.*)  \[", line)
            assert found is not None
            told.setdefault(bisect.bisect(first, int(found[1])) - 1, []).append(found[2])

    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "functions", raising=False)
    refused: dict[int, str] = importlib.import_module("functions").REFUSED
    assert {number: told.get(number, [""])[0] for number in refused} == refused
    assert told.keys() == refused.keys()
    assert len(refused) >= 20
