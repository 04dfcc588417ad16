"""A stored schema, read back: our dialect as a typed tree. What the dialect cannot have written is refused here."""

from typing import Final, TypeAlias, cast

import msgspec

from typedgator.errors import PayloadMismatch

__all__ = ["Bound", "Node", "Value", "kind_of", "kinds", "members", "node", "same", "split"]

Value: TypeAlias = str | int | bool | None
"""A value that an Enum or a Literal may stand for."""
Bound: TypeAlias = int | float | str
"""A limit; of what is no number, its text."""


class Node(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """One schema of the dialect. Each field is a key that `wire.dialect` or `wire.marks` writes, and there are no
    others: a constraint that nobody compares would be a hole.
    """

    type: str | None = None
    format: str | None = None
    enum: list[Value] | None = None
    any_of: list["Node"] | None = None
    items: "Node | None" = None
    prefix_items: list["Node"] | None = None
    unique_items: bool = False
    min_items: int | None = None
    max_items: int | None = None
    properties: dict[str, "Node"] | None = None
    required: list[str] = []
    additional_properties: "Node | bool | None" = None
    property_names: "Node | None" = None
    min_properties: int | None = None
    max_properties: int | None = None
    min_length: int | None = None
    max_length: int | None = None
    minimum: Bound | None = None
    maximum: Bound | None = None
    exclusive_minimum: Bound | None = None
    exclusive_maximum: Bound | None = None
    multiple_of: Bound | None = None
    pattern: str | None = None
    strip_whitespace: bool | None = msgspec.field(name="x-strip_whitespace", default=None)
    to_lower: bool | None = msgspec.field(name="x-to_lower", default=None)
    to_upper: bool | None = msgspec.field(name="x-to_upper", default=None)
    max_digits: int | None = msgspec.field(name="x-max_digits", default=None)
    decimal_places: int | None = msgspec.field(name="x-decimal_places", default=None)
    allow_inf_nan: bool | None = msgspec.field(name="x-allow_inf_nan", default=None)
    validator: str = msgspec.field(name="x-validator", default="")

    @property
    def values(self) -> "Node | None":
        """The schema of a map's values; None for a record."""
        return self.additional_properties if isinstance(self.additional_properties, Node) else None


_FEW: Final[dict[str, list[Value]]] = {"boolean": [False, True], "null": [None]}
_KINDS: Final[dict[type, str]] = {str: "string", int: "integer", bool: "boolean", type(None): "null"}


def node(schema: object) -> Node:
    """The tree of a stored schema. Raises PayloadMismatch for what is none, or was written by a newer release."""
    try:
        return msgspec.convert(schema, Node)
    except msgspec.ValidationError as error:
        raise PayloadMismatch(f"a stored schema cannot be read: {error}") from error


def same(one: Node, other: Node) -> bool:
    """`==`, but True is not 1. By their reprs: a bound may be an integer that msgpack has no room for."""
    return one == other and repr(one) == repr(other)


def kind_of(value: Value) -> str:
    """What a reader of the bytes sees of a value: null, boolean, integer or string."""
    return _KINDS[type(value)]


def kinds(schema: Node) -> set[str]:
    """What a reader of the bytes may see of a schema's values."""
    if schema.any_of is not None:
        return {kind for member in schema.any_of for kind in kinds(member)}
    if schema.enum is not None:
        return set(map(kind_of, schema.enum))
    return {cast("str", schema.type)}


def members(schema: Node) -> list[Node]:
    """The alternatives of a union, a plain schema's only one being itself. A validator of the whole is one of each."""
    if schema.any_of is None:
        return [schema]
    found = [each for member in schema.any_of for each in members(member)]
    if not schema.validator:
        return found
    return [msgspec.structs.replace(each, validator=f"{each.validator} {schema.validator}".strip()) for each in found]


def split(schema: Node) -> list[Node]:
    """The same, and what has few values taken apart: each value of an Enum, a Literal, bool and None alone."""
    return [part for member in members(schema) for part in _values(member)]


def _values(schema: Node) -> list[Node]:
    few = schema.enum
    if few is None:
        if schema.type not in _FEW:
            return [schema]
        few = _FEW[schema.type]
    return [Node(enum=[value], validator=schema.validator) for value in few]
