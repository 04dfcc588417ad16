"""From registered tasks to contracts: what `wire.compat` compares and the lock file holds."""

import inspect
from collections.abc import Callable
from typing import Final

import msgspec

from typedgator.registry import AnyTask, Registry
from typedgator.wire.compat import Contract, Parameter
from typedgator.wire.compat.contract import ParameterKind
from typedgator.wire.signature import hints_of
from typedgator.wire.simple import simple

__all__ = ["KINDS", "contract_of", "registered"]

KINDS: Final[dict[object, ParameterKind]] = {
    inspect.Parameter.POSITIONAL_ONLY: "positional-only",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "positional",
    inspect.Parameter.VAR_POSITIONAL: "*args",
    inspect.Parameter.KEYWORD_ONLY: "keyword-only",
    inspect.Parameter.VAR_KEYWORD: "**kwargs",
}
_HIDDEN: Final = "(secret)"


def registered(registry: Registry) -> list[AnyTask]:
    """The tasks, by name."""
    return sorted(registry, key=lambda task: task.name)


def contract_of(task: AnyTask) -> Contract:
    """What a task takes and returns, as a worker with this code has it."""
    spec = task.spec
    return Contract(dict(spec.arguments.document), dict(spec.results.document), _parameters(task.fn, task.name))


def _parameters(fn: Callable[..., object], task: str) -> list[Parameter]:
    hints = hints_of(fn, task)
    found: list[Parameter] = []
    for parameter in inspect.signature(fn).parameters.values():
        name, kind = parameter.name, KINDS[parameter.kind]
        if parameter.default is parameter.empty:
            found.append(Parameter(name, kind))
        else:
            hidden = any(part.secret for part in simple(hints[name], name).all())
            found.append(Parameter(name, kind, _HIDDEN if hidden else _plain(parameter.default)))
    return found


def _plain(default: object) -> object:
    """A default as JSON holds it, the same in every process: sets and dicts in order."""
    return msgspec.to_builtins(default, str_keys=True, order="deterministic")
