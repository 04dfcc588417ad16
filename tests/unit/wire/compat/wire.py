"""Two releases of a task, and what really happens between them: one encodes, the other decodes and validates."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec

from typedgator.errors import PayloadMismatch
from typedgator.wire.binder import Call
from typedgator.wire.compat import Contract, Parameter, Roles, node, refusals
from typedgator.wire.compat.contract import ParameterKind
from typedgator.wire.dialect import document
from typedgator.wire.schema import ArgumentSchema, ResultSchema
from typedgator.wire.simple import simple

ROLES = Roles("the writers", "the readers")
KINDS: dict[Any, ParameterKind] = {
    inspect.Parameter.POSITIONAL_ONLY: "positional-only",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "positional",
    inspect.Parameter.VAR_POSITIONAL: "*args",
    inspect.Parameter.KEYWORD_ONLY: "keyword-only",
    inspect.Parameter.VAR_KEYWORD: "**kwargs",
}


def task_of(annotation: object) -> Callable[..., object]:
    """A task with one required parameter, `x`."""

    def task(x: object) -> None: ...

    task.__annotations__["x"] = annotation
    return task


def returning(annotation: object) -> Callable[..., object]:
    """A task with one result."""

    def task() -> object: ...

    task.__annotations__["return"] = annotation
    return task


def schema_of(fn: Callable[..., object]) -> ArgumentSchema:
    return ArgumentSchema.of(fn, task="app.task", named=True)


def contract_of(fn: Callable[..., object]) -> Contract:
    """The contract of a function, made apart from the library's own way."""
    parameters = [
        Parameter(p.name, KINDS[p.kind], msgspec.UNSET if p.default is p.empty else msgspec.to_builtins(p.default))
        for p in inspect.signature(fn).parameters.values()
    ]
    result = ResultSchema.of(fn, task="app.task") if "return" in fn.__annotations__ else None
    return Contract(schema_of(fn).document, {"type": "null"} if result is None else result.document, parameters)


def breaks(sent: object, taken: object) -> list[str]:
    """What the law says of two annotations."""
    return [r.why for r in refusals(node(document(simple(sent, "x"))), node(document(simple(taken, "x"))), ROLES)]


def carried(writer: Callable[..., object], reader: Callable[..., object], call: Call) -> str:
    """What becomes of a call that the writer's release enqueues and the reader's opens: "" when it arrives as it was.

    Raises InvalidArguments when it is no call of the writer's.
    """
    sender, taker = schema_of(writer), schema_of(reader)
    payload = sender.encode(*call)
    try:
        args, kwargs = taker.decode(payload, fingerprint=sender.fingerprint)
    except PayloadMismatch as error:
        return str(error)
    again = taker.encode(args, kwargs)
    sent, arrived = msgspec.msgpack.decode(payload), msgspec.msgpack.decode(again)
    return "" if kept(sent, arrived) else f"{sent!r} arrived as {arrived!r}"


def kept(sent: object, arrived: object) -> bool:
    """Whether all that was sent is there: an int may be a float of the same value, a set comes in any order, and what
    was left out may have been filled in.
    """
    match sent, arrived:
        case dict(), dict():
            one, other = cast("Mapping[Any, object]", sent), cast("Mapping[Any, object]", arrived)
            # No extra argument is as good as none said.
            return all(kept(value, other[key]) if key in other else value in ([], {}) for key, value in one.items())
        case list(), list():
            rest = list(cast("list[object]", arrived))
            for item in cast("list[object]", sent):
                at = next((n for n, other in enumerate(rest) if kept(item, other)), None)
                if at is None:
                    return False
                del rest[at]
            return True
        case (int(), float()) if not isinstance(sent, bool):
            return sent == int(arrived)
        case float(), float():
            return sent == arrived or (sent != sent and arrived != arrived)
        case _:
            return type(sent) is type(arrived) and sent == arrived
