"""All that keeps a function from being a task: registration stops at the first, whoever fixes a module wants all."""

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from typedgator.errors import RegistrationError, UnsupportedSignature
from typedgator.wire.guard import DEFAULT_PAYLOAD_BYTES
from typedgator.wire.schema import MAX_ITEMS, ArgumentSchema, ResultSchema
from typedgator.wire.signature import annotations_of, signed, unread

__all__ = ["survey"]


def survey(fn: Callable[..., object], *, task: str, named: bool) -> list[RegistrationError]:
    """What registration would refuse in a function: one error for each parameter, and for the result."""
    found: list[RegistrationError] = []
    try:
        signature, hints = signed(fn, task, named=named)
    except UnsupportedSignature:  # an annotation that cannot be read: each by itself then
        signature, hints = inspect.signature(fn), _readable(fn, task, found)
    except RegistrationError as refusal:
        return [refusal]
    told = {error.parameter for error in found if isinstance(error, UnsupportedSignature)}
    for name, parameter in signature.parameters.items():
        if name in told:
            continue
        if name not in hints:
            found.append(UnsupportedSignature(task, name, f"has no annotation; name its type: `{name}: int`"))
            continue
        alone = inspect.Signature([parameter])
        try:
            ArgumentSchema(
                alone,
                {name: hints[name]},
                name=task,
                task=task,
                max_items=MAX_ITEMS,
                max_payload=DEFAULT_PAYLOAD_BYTES,
                show_values=True,
            )
        except RegistrationError as refusal:
            found.append(refusal)
    if "return" not in told:
        found += _of_result(hints, task)
    order = [*signature.parameters, "return"]
    return sorted(found, key=lambda error: order.index(getattr(error, "parameter", "return")))


def _of_result(hints: Mapping[str, Any], task: str) -> list[RegistrationError]:
    if "return" not in hints:
        return [UnsupportedSignature(task, "return", "has no annotation; name its type: `-> None`")]
    try:
        ResultSchema(hints["return"], task=task)
    except RegistrationError as refusal:
        return [refusal]
    return []


def _readable(fn: Callable[..., object], task: str, found: list[RegistrationError]) -> dict[str, Any]:
    """The annotations that can be read; `found` gets an error for each of the others."""
    hints: dict[str, Any] = {}
    names, texts = annotations_of(fn)
    for name, text in texts.items():
        one = types.SimpleNamespace(__annotations__={name: text})
        try:
            hints |= typing.get_type_hints(one, names, include_extras=True)
        except Exception as error:  # evaluating the user's annotations may raise anything
            found.append(UnsupportedSignature(task, name, unread(error)))
    return hints
