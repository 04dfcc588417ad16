"""A stored schema in words, as people write types: `list[int] (at most 5)`, `str | None`, `one of 'a', 'b'`."""

from typing import Final

import msgspec
from msgspec import UnsetType

from typedgator.wire.compat.contract import Contract, Parameter
from typedgator.wire.compat.node import Node, node

__all__ = ["shown_default", "signature", "spoken"]

_NAMES: Final = {
    "null": "None",
    "boolean": "bool",
    "integer": "int",
    "number": "float",
    "string": "str",
    "bytes": "bytes",
    "date-time": "datetime",
    "date": "date",
    "time": "time",
    "duration": "timedelta",
    "uuid": "UUID",
    "decimal": "Decimal",
}
_MOST_VALUES: Final = 6
_LONGEST_DEFAULT: Final = 40
_LEAST, _MOST = -(2**63), 2**64 - 1
_LIMITS: Final = {
    "minimum": "≥ {}",
    "exclusive_minimum": "> {}",
    "maximum": "≤ {}",
    "exclusive_maximum": "< {}",
    "min_length": "length ≥ {}",
    "max_length": "length ≤ {}",
    "min_items": "at least {}",
    "max_items": "at most {}",
    "min_properties": "at least {}",
    "max_properties": "at most {}",
    "multiple_of": "multiple of {}",
    "pattern": "pattern {!r}",
    "max_digits": "{} digits",
    "decimal_places": "{} decimal places",
    "allow_inf_nan": "infinity and NaN: {}",
    "validator": "validator {}",
}
_SWITCHES: Final = ("strip_whitespace", "to_lower", "to_upper")


def spoken(schema: Node) -> str:
    """One line, short: what is inside a record is told by its fields' names alone."""
    limits = _limits(schema)
    return f"{_plain(schema)} ({', '.join(limits)})" if limits else _plain(schema)


def _plain(schema: Node) -> str:
    if schema.any_of is not None:
        return " | ".join(dict.fromkeys(spoken(member) for member in _none_last(schema.any_of)))
    if schema.enum is not None:
        shown = ", ".join(map(repr, schema.enum[:_MOST_VALUES]))
        return f"one of {shown}{', …' if len(schema.enum) > _MOST_VALUES else ''}"
    if schema.prefix_items is not None:
        return f"tuple[{', '.join(map(spoken, schema.prefix_items))}]"
    if schema.items is not None:
        return f"{'set' if schema.unique_items else 'list'}[{spoken(schema.items)}]"
    if schema.properties is not None:
        return f"{{{', '.join(schema.properties)}}}"
    if schema.values is not None:
        key = spoken(schema.property_names) if schema.property_names is not None else "str"
        return f"dict[{key}, {spoken(schema.values)}]"
    return _NAMES.get(schema.format or schema.type or "", "?")


def _none_last(members: list[Node]) -> list[Node]:
    return sorted(members, key=lambda member: member.type == "null")


def _limits(schema: Node) -> list[str]:
    said = [
        text.format(value)
        for name, text in _LIMITS.items()
        if (value := getattr(schema, name)) not in (None, "") and not _implied(schema, name, value)
    ]
    return said + [switch for switch in _SWITCHES if getattr(schema, switch)]


def _implied(schema: Node, name: str, value: object) -> bool:
    """What the type says already: 64 bits of an int, the length of a tuple."""
    if schema.type == "integer":
        return (name, value) in (("minimum", _LEAST), ("maximum", _MOST))
    if schema.prefix_items is not None:
        return name == "max_items" or (name == "min_items" and value == len(schema.prefix_items))
    return False


def signature(contract: Contract) -> str:
    """`(to: str, *, copies: int = 1) -> None`: a contract as a `def` is written, without the function's name."""
    arguments, parts = node(contract.arguments).properties or {}, list[str]()
    last = ""
    for parameter in contract.parameters:
        if last == "positional-only" and parameter.kind != last:
            parts.append("/")
        if parameter.kind == "keyword-only" and last not in ("*args", "keyword-only"):
            parts.append("*")
        last = parameter.kind
        parts.append(_parameter(parameter, arguments.get(parameter.name, Node())))
    if last == "positional-only":
        parts.append("/")
    return f"({', '.join(parts)}) -> {spoken(node(contract.result))}"


def _parameter(parameter: Parameter, schema: Node) -> str:
    if parameter.kind == "*args":
        return f"*{parameter.name}: {spoken(schema.items or Node())}"
    if parameter.kind == "**kwargs":
        return f"**{parameter.name}: {spoken(schema.values or Node())}"
    if isinstance(parameter.default, UnsetType):
        return f"{parameter.name}: {spoken(schema)}"
    return f"{parameter.name}: {spoken(schema)} = {shown_default(parameter.default)}"


def shown_default(default: object) -> str:
    """A default as JSON, shortened."""
    text = msgspec.json.encode(default).decode()
    return text if len(text) <= _LONGEST_DEFAULT else f"{text[:_LONGEST_DEFAULT]}…"
