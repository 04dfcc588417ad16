"""Under `from __future__ import annotations` every annotation is text until it is read; tasks work all the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, NotRequired, Required, TypedDict
from uuid import UUID

import pytest

from typedgator.errors import UnsupportedSignature
from typedgator.wire.schema import ArgumentSchema, ResultSchema

if TYPE_CHECKING:
    from decimal import Decimal


class Page(TypedDict):
    number: int
    size: NotRequired[int]


class Filter(TypedDict, total=False):
    name: Required[str]
    tags: list[str]


class Point(NamedTuple):
    x: int
    y: int = 0


@dataclasses.dataclass(frozen=True)
class Query:
    filter: Filter
    page: Page | None = None
    at: Point | None = None


def search(query: Query, owner: UUID, *, sort: str = "name") -> list[Page]: ...


def pay(amount: Decimal) -> None: ...


@dataclasses.dataclass(frozen=True)
class Bill:
    amount: Decimal


def bill(of: Bill) -> None: ...


@pytest.mark.parametrize(
    "query",
    [
        Query({"name": "a"}),
        Query({"name": "a", "tags": ["b"]}, {"number": 1, "size": 2}),
        Query({"name": ""}, {"number": 1}),
    ],
)
def test_postponed_annotations_are_resolved(query: Query) -> None:
    """NotRequired and Required too, which the class itself could not see."""
    schema = ArgumentSchema.of(search, task="app.search")
    arguments = {"query": query, "owner": UUID(int=1)}
    for fingerprint in (schema.fingerprint, "another"):
        assert schema.decode(schema.encode((), arguments), fingerprint=fingerprint) == ((), arguments)
    properties = schema.document["properties"]
    assert isinstance(properties, dict)
    assert properties["query"]["properties"]["page"]["anyOf"][0]["required"] == ["number"]
    assert properties["query"]["properties"]["filter"]["required"] == ["name"]
    assert ResultSchema.of(search, task="app.search").encode([{"number": 1}])


def test_the_shown_signature_keeps_the_quotes_of_defaults() -> None:
    """Types are shown resolved, defaults by their repr."""
    shown = ArgumentSchema.of(search, task="app.search").shown
    assert shown == "search(query: Query, owner: UUID, *, sort: str = 'name') -> list[Page]"


def test_an_import_for_type_checkers_only_is_told() -> None:
    """In a signature and in a value type: the name exists for the checker, not for us."""
    with pytest.raises(
        UnsupportedSignature, match=r"'Decimal', which does not exist at run time; .* TYPE_CHECKING"
    ) as caught:
        ArgumentSchema.of(pay, task="app.pay")
    assert caught.value.parameter == "amount"
    with pytest.raises(UnsupportedSignature, match=r"is Bill, which has an annotation that cannot be read .*'Decimal'"):
        ArgumentSchema.of(bill, task="app.bill")


def remind(user_id: int, at: UUID.datetime) -> None: ...  # type: ignore[name-defined]


def number(text: str) -> UUID.text: ...  # type: ignore[name-defined]


@pytest.mark.parametrize(("fn", "parameter"), [(remind, "at"), (number, "return")])
def test_an_annotation_that_cannot_be_read_is_named(fn: Callable[..., object], parameter: str) -> None:
    """Whatever reading it raises: `import datetime` beside `from datetime import datetime` is the common one."""
    with pytest.raises(UnsupportedSignature, match="has an annotation that cannot be read") as caught:
        ArgumentSchema.of(fn, task="app.task")
    assert caught.value.parameter == parameter


def mixed(count: Anything, other: Any) -> None: ...  # type: ignore[name-defined] # noqa: F821


def test_a_missing_name_is_not_looked_for_in_other_names() -> None:
    with pytest.raises(UnsupportedSignature, match="'Anything', which does not exist") as caught:
        ArgumentSchema.of(mixed, task="app.task")
    assert caught.value.parameter == "count"
