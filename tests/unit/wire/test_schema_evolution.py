"""A job may be older than the code that runs it: fingerprints tell, and nothing that was sent is dropped in silence."""

import dataclasses
import enum
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import annotated_types
import msgspec
import pytest
from pydantic import AfterValidator, Field, StringConstraints

from typedgator.errors import PayloadMismatch
from typedgator.wire.dialect import document
from typedgator.wire.reasons import name_of
from typedgator.wire.schema import ArgumentSchema, ResultSchema
from typedgator.wire.simple import simple


class Page(TypedDict, total=False):
    number: int


class Point(NamedTuple):
    x: int
    y: float = 0.0


@dataclasses.dataclass(frozen=True)
class Line:
    name: str
    points: tuple[Point, ...] = ()
    pages: dict[str, Page] | None = None


class Colour(enum.Enum):
    RED = "r"
    GREEN = "g"


def task(n: int, line: Line | None = None, matrix: list[list[Page]] | None = None) -> None: ...


@pytest.mark.parametrize(
    ("sent", "unknown"),
    [
        ({"n": 1, "gone": 2}, "gone"),
        ({"n": 1, "line": {"name": "a", "gone": 1}}, "line.gone"),
        ({"n": 1, "line": {"name": "a", "points": [[1, 2.0, 3]]}}, "line.points[0][2]"),
        ({"n": 1, "line": {"name": "a", "pages": {"k": {"number": 1, "gone": 2}}}}, "line.pages['k'].gone"),
        ({"n": 1, "matrix": [[], [{}, {"gone": 1}]]}, "matrix[1][1].gone"),
        ({"n": 1, "b": 1, "a": 2}, "b, a"),
    ],
)
def test_a_key_that_this_version_does_not_know_is_named(sent: dict[str, object], unknown: str) -> None:
    """msgspec would drop it: a removed parameter must not be lost without a word."""
    schema = ArgumentSchema.of(task, task="app.task")
    with pytest.raises(PayloadMismatch) as caught:
        schema.decode(msgspec.msgpack.encode(sent), fingerprint="of another version")
    assert str(caught.value) == (
        "app.task: the payload was written for another version of the task: "
        f"it carries {unknown}, which this version does not take"
    )


def test_what_an_older_version_sent_is_taken_when_it_fits() -> None:
    """A parameter with a default was added: jobs in flight run with the default."""

    def older(n: int) -> None: ...

    written = ArgumentSchema.of(older, task="app.task", named=True)
    schema = ArgumentSchema.of(task, task="app.task")
    assert schema.fingerprint != written.fingerprint
    assert schema.decode(written.encode((1,), {}), fingerprint=written.fingerprint) == ((), {"n": 1})


def test_what_does_not_fit_is_told() -> None:
    """A parameter was renamed, or its type narrowed."""
    schema = ArgumentSchema.of(task, task="app.task")
    with pytest.raises(PayloadMismatch, match=r"app.task: the payload does not fit: Object missing required field `n`"):
        schema.decode(b"\x80", fingerprint="")
    with pytest.raises(PayloadMismatch, match=r"Expected `int`, got `str` - at `\$.n`"):
        schema.decode(b"\x81\xa1n\xa1x", fingerprint=schema.fingerprint)


def test_an_argument_that_fits_its_decoder_but_not_its_rules_is_refused_at_the_worker_too() -> None:
    """The worker always validates: the job may be written by another tool, or under a looser rule."""

    def loose(n: int) -> None: ...

    def tight(n: Annotated[int, Field(gt=0)]) -> None: ...

    payload = ArgumentSchema.of(loose, task="t", named=True).encode((0,), {})
    schema = ArgumentSchema.of(tight, task="t", named=True)
    for fingerprint in (schema.fingerprint, "another"):
        with pytest.raises(PayloadMismatch, match="n must be greater than 0"):
            schema.decode(payload, fingerprint=fingerprint)


def lower(text: str) -> str:
    return text.lower()


INT = {"maximum": 2**64 - 1, "minimum": -(2**63), "type": "integer"}
DOCUMENTS: list[tuple[Any, dict[str, object]]] = [
    (None, {"type": "null"}),
    (int, INT),
    (Decimal, {"format": "decimal", "type": "string"}),
    (datetime, {"format": "date-time", "type": "string"}),
    (bytes, {"format": "bytes", "type": "string"}),
    (Colour, {"enum": ["g", "r"], "format": "enum"}),
    (Literal["b", 1, "a"], {"enum": ["a", "b", 1]}),
    (set[str], {"items": {"type": "string"}, "type": "array", "uniqueItems": True}),
    (dict[UUID, bool], {
        "additionalProperties": {"type": "boolean"},
        "propertyNames": {"format": "uuid", "type": "string"},
        "type": "object",
    }),
    (int | None, {"anyOf": [INT, {"type": "null"}]}),
    (tuple[str, float], {
        "maxItems": 2, "minItems": 2, "prefixItems": [{"type": "string"}, {"type": "number"}], "type": "array",
    }),
    (Point, {"maxItems": 2, "minItems": 1, "prefixItems": [INT, {"type": "number"}], "type": "array"}),
    (Page, {"additionalProperties": False, "properties": {"number": INT}, "required": [], "type": "object"}),
    (Annotated[int, Field(gt=0, le=9)], {**INT, "exclusiveMinimum": 0, "maximum": 9}),
    (Annotated[date, annotated_types.Ge(date(2020, 1, 1))], {
        "format": "date", "minimum": "2020-01-01", "type": "string",
    }),
    (Annotated[str, StringConstraints(pattern="^a", max_length=3, to_lower=True)], {
        "maxLength": 3, "pattern": "^a", "type": "string", "x-to_lower": True,
    }),
    (Annotated[str, AfterValidator(lower)], {"type": "string", "x-validator": f"{__name__}.lower"}),
    (Annotated[Decimal, Field(max_digits=5, decimal_places=2)], {
        "format": "decimal", "type": "string", "x-decimal_places": 2, "x-max_digits": 5,
    }),
    (Annotated[float, Field(allow_inf_nan=False, multiple_of=0.5)], {
        "multipleOf": 0.5, "type": "number", "x-allow_inf_nan": False,
    }),
    (Annotated[list[int], Field(min_length=1)], {"items": INT, "minItems": 1, "type": "array"}),
]  # fmt: skip


@pytest.mark.parametrize(("annotation", "expected"), DOCUMENTS, ids=lambda value: name_of(value)[:40])
def test_the_dialect_is_stable(annotation: Any, expected: dict[str, object]) -> None:
    """It is compared and hashed across releases: a change here is a compatibility decision."""
    assert document(simple(annotation, "x")) == expected


def golden(
    a: UUID, when: datetime, s: str, d: Decimal, tags: list[str], *, urgent: bool = False, line: Line | None = None
) -> dict[str, timedelta | None]: ...


def test_fingerprints_are_stable() -> None:
    """Jobs in flight carry them: these values may change only with a new version of the dialect."""
    schema, result = ArgumentSchema.of(golden, task="app.golden"), ResultSchema.of(golden, task="app.golden")
    assert schema.fingerprint == "0ced73ac3c395699"
    assert result.fingerprint == "fac2080b0235c74b"
    assert ArgumentSchema.of(nothing, task="app.nothing").fingerprint == "4e1b4d452e65b574"


def nothing() -> None: ...


def fingerprint(fn: Callable[..., object]) -> str:
    return ArgumentSchema.of(fn, task="t", named=True).fingerprint


def test_what_does_not_change_the_bytes_does_not_change_the_fingerprint() -> None:
    """Defaults, the order of parameters, how they are passed, and names for the same type."""

    def one(a: int, b: list[str] | None = None) -> None: ...
    def two(*, b: tuple[str, ...] | None = ("x",), a: int) -> None: ...

    assert fingerprint(one) == fingerprint(two)


def test_what_changes_the_meaning_changes_the_fingerprint() -> None:
    """Names, types, what is required, and every constraint."""

    def task_of(annotation: object) -> Callable[..., object]:
        def task(x: object) -> None: ...

        task.__annotations__["x"] = annotation
        return task

    def optional(x: int = 1) -> None: ...
    def renamed(y: int) -> None: ...
    def keyed(x: dict[str, int]) -> None: ...
    def rekeyed(x: dict[int, int]) -> None: ...

    annotations: list[Any] = [int, float, str, Decimal, UUID, bytes, date, datetime, time, timedelta, int | None]
    annotations += [Annotated[int, Field(gt=0)], Annotated[int, Field(gt=1)], Annotated[int, Field(ge=0)]]
    annotations += [Annotated[str, AfterValidator(lower)], Annotated[str, Field(pattern="a")], set[int], list[int]]
    functions = [*map(task_of, annotations), optional, renamed, keyed, rekeyed]
    assert len({fingerprint(fn) for fn in functions}) == len(functions)


def test_the_signature_is_shown_as_people_read_it() -> None:
    """Kinds of parameters, defaults, and types by their short names."""

    def shown(
        a: UUID, b: str = "x", /, *more: Literal["a", "b"], key: Annotated[int, Field(gt=0)], **extra: list[date] | None
    ) -> Line: ...

    assert ArgumentSchema.of(shown, task="t", named=True).shown == (
        "shown(a: UUID, b: str = 'x', /, *more: Literal['a', 'b'], key: int, **extra: list[date] | None) -> Line"
    )
