"""Every annotation there is, through a stub: the generated module has the same fingerprints, or it would not import."""

import dataclasses
import importlib.util
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import pytest

from tests.unit.wire import fingerprinted
from typedgator import Gator, Secret, TaskOptions
from typedgator.contracts.stubs import stubs
from typedgator.errors import ConfigurationError, InvalidArguments, RegistrationError


def taking(annotation: Any) -> Callable[..., object]:
    def one(x: Any) -> None: ...

    one.__annotations__["x"] = annotation
    return one


def imported(text: str, folder: Path) -> Any:
    """The generated module."""
    path = folder / "client.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("client", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["client"] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules["client"]
    return module


def test_every_annotation_has_its_fingerprint_in_a_stub(tmp_path: Path) -> None:
    gator = Gator("locmem://")
    for name, annotation in fingerprinted.ANNOTATIONS.items():
        gator.register(name=name.replace(" ", "_"))(taking(annotation))
    for task in fingerprinted.TASKS:
        gator.register(name=task.__name__)(task)
    module = imported(stubs(gator.registry), tmp_path)
    tasks = {found.name: found for name in module.__all__ if (found := getattr(module, name)) is not module.gator}
    assert {name: task.fingerprint for name, task in tasks.items()} == {
        task.name: task.fingerprint for task in gator.registry
    }
    assert len(module.gator.registry) == 0


SEVEN = UUID(int=7)
AWARE = datetime(2020, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))


def defaults(
    a: int = -1,
    b: float = float("-inf"),
    c: str = "'\"\n",
    d: Decimal = Decimal("1.50"),
    e: UUID = SEVEN,
    f: datetime = AWARE,
    g: timedelta = timedelta(days=-1, microseconds=5),
    h: tuple[int, ...] = (1,),
    i: dict[str, list[bytes]] = {"a": [b"\x00"]},  # noqa: B006 # nobody changes it
    j: fingerprinted.Line = fingerprinted.Line("x", (fingerprinted.Point(1),)),  # noqa: B008
    k: fingerprinted.Colour | None = fingerprinted.Colour.GREEN,
    l: frozenset[int] = frozenset({3, 1, 2}),  # noqa: E741
    m: set[str] = set(),  # noqa: B006
    n: tuple[()] = (),
) -> None: ...


def test_every_default_is_what_it_was(tmp_path: Path) -> None:
    gator = Gator("locmem://")
    gator.register(defaults)
    module = imported(stubs(gator.registry), tmp_path)
    found = module.defaults.fn.__defaults__
    plain = {module.Line: "Line", module.Colour: "Colour"}
    assert [repr(value) if type(value) in plain else value for value in found[:5]] == list(defaults.__defaults__ or ())[
        :5
    ]
    for value, own in zip(found, defaults.__defaults__ or (), strict=True):
        assert value == own or repr(value) == repr(own)
    assert found[5] == AWARE.astimezone(UTC)


def test_names_that_meet_are_kept_apart(tmp_path: Path) -> None:
    """Two tasks with one function name; a class with the name of a task; a task called like a keyword or the gator."""

    def send(a: int) -> None: ...
    def gator(a: int) -> None: ...

    service = Gator("locmem://")
    service.register(name="a.send")(send)
    service.register(name="b.send")(send)
    service.register(name="gator")(gator)
    service.register(name="import")(taking(int))
    line = taking(fingerprinted.Line)
    line.__name__ = "Line"
    service.register(name="Line")(line)
    module = imported(stubs(service.registry, TaskOptions(queue="q")), tmp_path)
    names = {getattr(module, name).name: name for name in module.__all__ if name != "gator"}
    assert names["a.send"] == "a_send"
    assert names["b.send"] == "b_send"
    assert module.Line.name == "Line"
    assert module.Line_.__name__ == "Line_"
    assert {getattr(module, name).options.queue for name in names.values()} == {"q"}


Hidden = Annotated[str, Secret]


@dataclasses.dataclass(frozen=True)
class Login:
    user: str
    password: Hidden | None = None
    more: list[Hidden] = dataclasses.field(default_factory=list[str])


LOGIN = Login("u", "hunter2")


def signed_in(x: int, key: Hidden = "hunter2", /, word: Hidden = "hunter3", *, log: Login = LOGIN) -> None: ...


def test_a_secret_default_stays_with_the_worker(tmp_path: Path) -> None:
    """What was left out is not sent, so the stub needs only to say that it may be."""
    gator = Gator("locmem://")
    task = gator.register(signed_in)
    text = stubs(gator.registry)
    assert "hunter" not in text
    stub = imported(text, tmp_path).signed_in
    arguments, theirs = stub.spec.arguments, task.spec.arguments
    for call in ((1,), (1, "mine"), (1, "mine", "own")):
        assert arguments.encode(call, {}) == theirs.encode(call, {})
    assert theirs.decode(arguments.encode((1,), {}), fingerprint=arguments.fingerprint) == ((1, "hunter2"), {})
    assert stub.signature == task.signature
    with pytest.raises(InvalidArguments, match="must be a string"):
        arguments.encode((1, signed_in.__kwdefaults__), {})
    with pytest.raises(InvalidArguments, match="must be a string"):
        arguments.encode((1, stub.fn.__defaults__[0]), {})


@dataclasses.dataclass(frozen=True)
class Kept:
    password: Hidden = "hunter2"


class KeptInTuple(NamedTuple):
    password: Hidden = "hunter2"


@dataclasses.dataclass(frozen=True)
class Nested:
    login: Login = LOGIN


@pytest.mark.parametrize(("kind", "field"), [(Kept, "password"), (KeptInTuple, "password"), (Nested, "login")])
def test_a_secret_default_of_a_value_type_is_refused(kind: Any, field: str) -> None:
    """Whoever makes such a value needs its default; a stub that other teams have is no place for it."""
    gator = Gator("locmem://")
    gator.register(name="t")(taking(kind))
    why = (
        re.escape(f"{kind.__qualname__}.{field} is secret and has a default, which would stand in the stub") + ".*None"
    )
    with pytest.raises(RegistrationError, match=why) as caught:
        stubs(gator.registry)
    assert "hunter" not in str(caught.value)


def test_an_enum_keeps_its_kind(tmp_path: Path) -> None:
    """`str()` and `format()` of a StrEnum are its value, those of an Enum are not."""
    gator = Gator("locmem://")
    for kind in (fingerprinted.Text, fingerprinted.Number, fingerprinted.Colour):
        gator.register(name=kind.__name__)(taking(kind))
    module = imported(stubs(gator.registry), tmp_path)
    assert f"{module.Text_.B} {module.Number_.ONE} {module.Colour_.RED}" == "other 1 Colour_.RED"


def test_a_stub_says_which_variable_is_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gator = Gator("locmem://")
    gator.register(defaults)
    text = stubs(gator.registry, dsn_variable="SHOP_DSN")
    for unset in (None, ""):
        if unset is None:
            monkeypatch.delenv("SHOP_DSN", raising=False)
        else:
            monkeypatch.setenv("SHOP_DSN", unset)
        with pytest.raises(ConfigurationError, match="SHOP_DSN is not set: it says where the jobs"):
            imported(text, tmp_path)
    monkeypatch.setenv("SHOP_DSN", "locmem://")
    assert imported(text, tmp_path).gator.dsn == "locmem://"
