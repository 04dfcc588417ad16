"""What a change is called, who is hurt by it, and the order to deploy in."""

import enum
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict

import pytest
from annotated_types import Ge, Gt, Le, MaxLen
from pydantic import AfterValidator, Field

from tests.unit.wire.compat.wire import contract_of, returning, task_of
from typedgator.errors import PayloadMismatch
from typedgator.wire import marks
from typedgator.wire.compat import Advice, Change, advised, compare, node
from typedgator.wire.compat.node import Node, same
from typedgator.wire.compat.spoken import spoken
from typedgator.wire.dialect import document
from typedgator.wire.simple import simple


class Item(TypedDict):
    price: int
    note: NotRequired[str]


class Point(NamedTuple):
    x: int
    y: float = 0.0


class Colour(enum.Enum):
    RED = "r"


def send(to: str, copies: int = 1) -> None: ...
def with_cc(to: str, copies: int = 1, cc: list[str] | None = None) -> None: ...
def renamed(address: str, copies: int = 1) -> None: ...
def two_copies(to: str, copies: int = 2) -> None: ...
def by_keyword(*, to: str, copies: int = 1) -> None: ...
def turned(copies: int, to: str) -> None: ...


def told(old: Callable[..., object], new: Callable[..., object]) -> list[tuple[str, str, str, str]]:
    changes = compare(contract_of(old), contract_of(new))
    return [(change.path, change.what, change.in_flight, change.rolling) for change in changes]


def test_an_optional_parameter_is_added() -> None:
    """Jobs in flight do not have it; old workers do not know it: workers first."""
    assert told(send, with_cc) == [
        (
            "cc",
            "added, with a default: list[str] | None",
            "",
            "old workers do not know it, and new producers send it when it is given",
        )
    ]
    assert advised(compare(contract_of(send), contract_of(with_cc))) is Advice.WORKERS_FIRST


def test_a_rename_is_seen_and_hurts_both() -> None:
    changes = compare(contract_of(send), contract_of(renamed))
    assert [(change.path, change.what) for change in changes] == [
        ("address", "added, required: str; was it to?"),
        ("to", "removed (str); renamed to address?"),
    ]
    assert changes[0].in_flight == "new workers need it, and old producers do not send it"
    assert changes[1].rolling == "old workers need it, and new producers do not send it"
    assert advised(changes) is Advice.TWO_STEPS


def test_a_removed_parameter_is_drained_first() -> None:
    changes = compare(contract_of(with_cc), contract_of(send))
    assert changes == [
        Change(
            "arguments",
            "cc",
            "removed (list[str] | None)",
            "new workers do not know it, and old producers send it when it is given",
        )
    ]
    assert advised(changes) is Advice.PRODUCERS_THEN_DRAIN


def test_what_the_wire_does_not_see_is_told_and_hurts_nobody() -> None:
    """Another default, and parameters that are given otherwise."""
    assert told(send, two_copies) == [("copies", "default 1 → 2; jobs get that of their worker", "", "")]
    assert told(send, by_keyword) == [
        ("to", "positional → keyword-only; calls are written otherwise", "", ""),
        ("copies", "positional → keyword-only; calls are written otherwise", "", ""),
    ]
    assert advised(compare(contract_of(send), contract_of(two_copies))) is Advice.ANY_ORDER
    assert ("to", "another position; calls by position are written otherwise", "", "") in told(send, turned)


def test_the_same_values_in_other_words_are_no_break() -> None:
    """The fingerprint changes, so it is told; nobody is hurt."""
    old, new = task_of(Annotated[int, Gt(0)]), task_of(Annotated[int, Ge(1)])
    assert told(old, new) == [("", "described differently, with the same values", "", "")]
    assert told(returning(Colour), returning(Literal["r"])) == [
        ("", "described differently, with the same values", "", "")
    ]


@pytest.mark.parametrize(
    ("old", "new", "advice"),
    [
        (int, int | None, Advice.PRODUCERS_FIRST),
        (int | None, int, Advice.WORKERS_FIRST),
        (int, str, Advice.TWO_STEPS),
        (int, int, Advice.ANY_ORDER),
    ],
)
def test_a_result_is_read_by_the_producer(old: Any, new: Any, advice: Advice) -> None:
    """So the roles are the other way round: who waits for an int has no use for None."""
    assert advised(compare(contract_of(returning(old)), contract_of(returning(new)))) is advice


def test_a_result_says_who_reads_it() -> None:
    [(path, what, in_flight, rolling)] = told(returning(int), returning(int | None))
    assert (path, what, rolling) == ("", "int → int | None", "")
    assert in_flight == "old producers take int, and new workers may send None"


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        (int, str | int, "int → int | str"),
        (str | int, int, "int | str → int"),
        (int | None, str | None, "int | None → str | None"),
        (int, Annotated[int, Ge(0)] | str, "int → int (≥ 0) | str"),
        (int | None, Annotated[int, AfterValidator(abs)] | None, "int | None → int (validator builtins.abs) | None"),
    ],
)
def test_a_change_of_a_union_is_told_of_the_whole(old: Any, new: Any, what: str) -> None:
    """Whichever member it was that did not fit."""
    [change] = told(task_of(old), task_of(new))
    assert change[:2] == ("x", what)


def test_several_reasons_at_one_place_are_one_change() -> None:
    old, new = task_of(list[int]), task_of(tuple[int, int])
    [(path, what, in_flight, rolling)] = told(old, new)
    assert (path, what, rolling) == ("x", "list[int] → tuple[int, int]", "")
    assert in_flight == (
        "new workers ask for at least 2 items; old producers do not; "
        "new workers ask for at most 2 items; old producers do not"
    )


def test_a_path_leads_to_the_place() -> None:
    old, new = task_of(dict[str, list[Item]]), task_of(dict[str, list[Item | None]])
    assert [path for path, *_ in told(old, new)] == ["x.*[]"]

    class Dear(TypedDict):
        price: Annotated[int, Ge(1)]
        note: NotRequired[str]

    assert [path for path, *_ in told(task_of(list[Item]), task_of(list[Dear]))] == ["x[].price"]
    assert [path for path, *_ in told(task_of(Point), task_of(tuple[str, float]))] == ["x", "x[0]"]


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "int"),
        (str | None, "str | None"),
        (Annotated[int, Ge(1), Le(5)], "int (≥ 1, ≤ 5)"),
        (Annotated[list[str], MaxLen(5)], "list[str] (at most 5)"),
        (set[int], "set[int]"),
        (dict[str, bool], "dict[str, bool]"),
        (tuple[int, str], "tuple[int, str]"),
        (Point, "tuple[int, float] (at least 1)"),
        (Item, "{note, price}"),
        (Colour, "one of 'r'"),
        (Annotated[str, Field(pattern="^a", max_length=3)], "str (length ≤ 3, pattern '^a')"),
    ],
)
def test_schemas_are_told_as_types_are_written(annotation: Any, words: str) -> None:
    assert spoken(node(document(simple(annotation, "x")))) == words


def test_every_constraint_that_can_be_written_can_be_compared() -> None:
    """A key of the dialect that the comparison does not know would be a hole: this fails until it has its place."""
    known = set(Node.__struct_encode_fields__)
    bounds = set(marks._BOUNDS.values())
    named = {marks._NAMES.get(name, f"x-{name}") for name in marks._APPLIES if name not in marks._BOUNDS}
    sizes = {f"{end}{what}" for end in ("min", "max") for what in ("Length", "Items", "Properties")}
    assert bounds | named | sizes | {"x-validator"} <= known


@pytest.mark.parametrize("schema", [{"type": "string", "x-new": 1}, {"type": 3}, [], {"anyOf": [{"typ": "null"}]}])
def test_what_the_dialect_cannot_have_written_is_refused(schema: object) -> None:
    with pytest.raises(PayloadMismatch, match="a stored schema cannot be read"):
        node(schema)


def test_a_bound_beyond_64_bits_is_compared_too() -> None:
    """Nobody can send such a number; the bound may be written all the same."""
    old, new = (node(document(simple(Annotated[int, Le(2**64 + more)], "x"))) for more in (0, 1))
    assert same(old, old)
    assert not same(old, new)
    assert not same(node({"enum": [1]}), node({"enum": [True]}))
