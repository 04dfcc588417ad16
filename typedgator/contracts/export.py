"""The contracts told to others: JSON Schema for people and tools, AsyncAPI for the service as a whole.

An export, never compared or hashed: our dialect is. What JSON Schema has no word for becomes an annotation (`x-…`) or a
format of that name. The bytes on the wire are msgpack, so both describe values, not their encoding.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import UNSET, UnsetType

from typedgator.contracts.described import contract_of, registered
from typedgator.registry import AnyTask, Registry
from typedgator.wire.compat import Contract
from typedgator.wire.compat.node import Node, node

__all__ = ["async_api", "json_schema"]

_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_DRAFT_07: Final = "application/schema+json;version=draft-07"
_CONTENT: Final = "application/msgpack"
_SAME: Final = (
    ("min_items", "minItems"),
    ("max_items", "maxItems"),
    ("min_properties", "minProperties"),
    ("max_properties", "maxProperties"),
    ("min_length", "minLength"),
    ("max_length", "maxLength"),
    ("pattern", "pattern"),
)
_BOUNDS: Final = (
    ("minimum", "minimum"),
    ("maximum", "maximum"),
    ("exclusive_minimum", "exclusiveMinimum"),
    ("exclusive_maximum", "exclusiveMaximum"),
    ("multiple_of", "multipleOf"),
)
_NOTES: Final = ("strip_whitespace", "to_lower", "to_upper", "max_digits", "decimal_places", "allow_inf_nan")


def json_schema(registry: Registry) -> dict[str, object]:
    """A JSON Schema (2020-12) whose `$defs` hold the arguments and the result of each task, by the task's name."""
    found: dict[str, object] = {}
    for task in registered(registry):
        contract = contract_of(task)
        found[task.name] = _arguments(task, contract, tuples_as_items=False)
        found[f"{task.name}.result"] = {
            "title": f"Result of {task.name}",
            **_schema(node(contract.result), tuples_as_items=False),
        }
    return {"$schema": _DRAFT, "$defs": found}


def async_api(registry: Registry, *, title: str, version: str, default_queue: str) -> dict[str, object]:
    """An AsyncAPI 3.0 document of the service that runs these tasks: a channel for each queue, a message for each
    task's jobs, and one for each result.
    """
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for task in registered(registry):
        contract, key = contract_of(task), _key(task.name)
        queue = default_queue if isinstance(task.options.queue, UnsetType) else task.options.queue
        at = f"queue_{_key(queue)}"
        channel = channels.setdefault(at, {"address": queue, "title": f"The queue {queue}", "messages": {}})
        channel["messages"][key] = {"$ref": f"#/components/messages/{key}"}
        messages[key] = _message(task.name, task.name, _arguments(task, contract, tuples_as_items=True))
        result = _schema(node(contract.result), tuples_as_items=True)
        messages[f"{key}_result"] = _message(f"{task.name}.result", f"Result of {task.name}", result)
        replies = channels.setdefault(
            f"{at}_results", {"address": None, "title": f"Results of {queue}, read by the job's id", "messages": {}}
        )
        replies["messages"][f"{key}_result"] = {"$ref": f"#/components/messages/{key}_result"}
        operations[f"run_{key}"] = {
            "action": "receive",
            "channel": {"$ref": f"#/channels/{at}"},
            "title": task.signature,
            "messages": [{"$ref": f"#/channels/{at}/messages/{key}"}],
            "reply": {
                "channel": {"$ref": f"#/channels/{at}_results"},
                "messages": [{"$ref": f"#/channels/{at}_results/messages/{key}_result"}],
            },
        }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": title, "version": version},
        "defaultContentType": _CONTENT,
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    }


def _message(name: str, title: str, schema: dict[str, object]) -> dict[str, object]:
    payload = {"schemaFormat": _DRAFT_07, "schema": schema}
    return {"name": name, "title": title, "contentType": _CONTENT, "payload": payload}


def _key(name: str) -> str:
    """A name as AsyncAPI allows it for a key; others are spelled by their numbers, so that no two become one."""
    return "".join(
        c if c.isascii() and (c.isalnum() or c in ".-") else f"_{ord(c):x}_" if c != "_" else c for c in name
    )


def _arguments(task: AnyTask, contract: Contract, *, tuples_as_items: bool) -> dict[str, object]:
    schema = _schema(node(contract.arguments), tuples_as_items=tuples_as_items)
    properties: Any = schema["properties"]
    for parameter in contract.parameters:
        if parameter.default is not UNSET:
            properties[parameter.name]["default"] = parameter.default
    about: dict[str, object] = {"title": task.name, "x-fingerprint": task.fingerprint}
    if task.fn.__doc__:
        about["description"] = task.fn.__doc__.strip().splitlines()[0]
    return {**about, **schema}


def _schema(schema: Node, *, tuples_as_items: bool) -> dict[str, object]:
    """A schema of the dialect in the standard's words. `tuples_as_items`: in those of draft 07."""
    found: dict[str, object] = {}
    if schema.any_of is not None:
        found["anyOf"] = [_schema(member, tuples_as_items=tuples_as_items) for member in schema.any_of]
    if schema.enum is not None:
        found["enum"] = schema.enum
    if schema.type is not None:
        found["type"] = schema.type
    if schema.format is not None and schema.enum is None:
        found["format"] = "binary" if schema.format == "bytes" else schema.format
    found.update(_inside(schema, tuples_as_items))
    found.update({name: value for field, name in _SAME if (value := getattr(schema, field)) is not None})
    for field, name in _BOUNDS:
        bound = getattr(schema, field)
        if bound is not None:
            is_number = (
                not isinstance(bound, str) and schema.type in ("integer", "number") and abs(bound) < float("inf")
            )
            found[name if is_number else f"x-{name}"] = bound if is_number else str(bound)
    found.update({f"x-{name}": value for name in _NOTES if (value := getattr(schema, name)) is not None})
    if schema.validator:
        found["x-validator"] = schema.validator
    return found


def _inside(schema: Node, tuples_as_items: bool) -> Mapping[str, object]:
    def inner(part: Node) -> dict[str, object]:
        return _schema(part, tuples_as_items=tuples_as_items)

    found: dict[str, object] = {}
    if schema.items is not None:
        found["items"] = inner(schema.items)
    if schema.prefix_items is not None:
        parts = list(map(inner, schema.prefix_items))
        if not tuples_as_items:
            found |= {"prefixItems": parts, "items": False} if parts else {"items": False}
        elif parts:
            found |= {"items": parts, "additionalItems": False}
    if schema.unique_items:
        found["uniqueItems"] = True
    if schema.properties is not None:
        found["properties"] = {name: inner(part) for name, part in schema.properties.items()}
        found["required"] = schema.required
        found["additionalProperties"] = False
    if schema.values is not None:
        found["additionalProperties"] = inner(schema.values)
        # JSON has only text as keys: what they stand for is told, not checked.
        if schema.property_names is not None and schema.property_names.type == "string":
            found["propertyNames"] = inner(schema.property_names)
        elif schema.property_names is not None:
            found["x-propertyNames"] = inner(schema.property_names)
    return found
