"""The package: one module with the value types and a stub for each task, and a marker that it is typed."""

import builtins
import inspect
import keyword
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import UNSET

from typedgator.contracts.described import registered
from typedgator.contracts.stubs.annotations import Source
from typedgator.errors import ConfigurationError
from typedgator.policy.options import TaskOptions, merge
from typedgator.policy.retry import RetryPolicy, class_name
from typedgator.registry import AnyTask, Registry
from typedgator.wire.signature import laid_out, signed
from typedgator.wire.simple import simple

__all__ = ["stubs", "write_stubs"]

_TAKEN: Final = frozenset({"gator", *dir(builtins)})
_HEAD: Final = '''"""Tasks of another service, enqueued by name: `send.task(…)`, `gator.task(send, …)`, with all types.

Written by `typedgator schema stubs`; do not edit. The code is elsewhere: calling a task here is an error, and each stub
is compared with its contract, by fingerprint, when this is imported. {dsn}
"""
'''


def stubs(registry: Registry, defaults: TaskOptions = TaskOptions(), *, dsn_variable: str = "") -> str:  # noqa: B008 # frozen
    """The module's source. `defaults` are the gator's; `dsn_variable` names the environment variable with the DSN.

    Raises RegistrationError for what cannot be written.
    """
    tasks = registered(registry)
    names = _names(tasks)
    source = Source({*_TAKEN, *names.values()})
    bodies = [_stub(task, names[task.name], defaults, source) for task in tasks]
    made = _gator(tasks, source, dsn_variable)
    where = dsn_variable or "TYPEDGATOR_CONN"
    imports = [f"import {name} as {source.module(name)}" for name in sorted(source.imports)]
    parts = [
        _HEAD.format(dsn=f"{where} says\nwhere the jobs are kept."),
        "\n".join(imports),
        f"__all__ = [{', '.join(repr(name) for name in sorted(['gator', *names.values()]))}]",
        made,
    ]
    return "\n\n".join(parts) + "\n\n\n" + "\n\n\n".join([*source.definitions, *bodies]) + "\n"


def write_stubs(folder: Path, text: str) -> None:
    """Writes the package. Raises ConfigurationError where it cannot be, or where something else stands already."""
    module = folder / "__init__.py"
    try:
        if module.exists() and "typedgator schema stubs" not in module.read_text(encoding="utf-8"):
            raise ConfigurationError(
                f"{module} was not written by `typedgator schema stubs`: name another folder, or remove it"
            )
        folder.mkdir(parents=True, exist_ok=True)
        module.write_text(text, encoding="utf-8")
        (folder / "py.typed").write_text("", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written: {error.strerror}") from error


def _names(tasks: list[AnyTask]) -> dict[str, str]:
    """A function's name for each task: its own; where two share one, the task's whole name."""
    own = {task.name: str(getattr(task.fn, "__name__", "")) for task in tasks}
    found: dict[str, str] = {}
    for name, short in own.items():
        alone = short.isidentifier() and list(own.values()).count(short) == 1
        candidate = short if alone and short not in _TAKEN else re.sub(r"\W", "_", name)
        if not candidate.isidentifier():
            candidate = f"_{candidate}"
        while candidate in _TAKEN or candidate in found.values() or keyword.iskeyword(candidate):
            candidate += "_"
        found[name] = candidate
    return found


def _gator(tasks: list[AnyTask], source: Source, dsn_variable: str) -> str:
    said: list[str] = []
    if dsn_variable:
        said.append(f"{source.module('typedgator.remote')}.dsn_of({dsn_variable!r})")
    if tasks:
        arguments = tasks[0].spec.arguments
        said += [
            f"max_items={arguments.max_items}",
            f"max_payload={arguments.max_payload}",
            f"show_values={arguments.show_values}",
        ]
    return f"gator = {source.module('typedgator')}.Gator({', '.join(said)})"


def _stub(task: AnyTask, name: str, defaults: TaskOptions, source: Source) -> str:
    spec = task.spec
    options = _options(merge(defaults, spec.options), source)
    decorator = [
        "@gator.remote(",
        f"    {task.name!r},",
        f"    arguments={spec.arguments.fingerprint!r},",
        f"    result={spec.results.fingerprint!r},",
        *([f"    options={options},"] if options else []),
        ")",
    ]
    prefix = "async def" if spec.is_coroutine else "def"
    body = [f"{prefix} {name}{_signature(task, source)}:"]
    if task.fn.__doc__:
        body.append(f"    {inspect.cleandoc(task.fn.__doc__).splitlines()[0]!r}")
    body.append("    raise NotImplementedError")
    return "\n".join([*decorator, *body])


def _signature(task: AnyTask, source: Source) -> str:
    signature, hints = signed(task.fn, task.name, named=True)

    def shown(parameter: inspect.Parameter) -> str:
        term = simple(hints[parameter.name], parameter.name)
        text = source.annotation(term)
        return text if parameter.default is parameter.empty else f"{text} = {source.default(term, parameter.default)}"

    return f"({laid_out(signature, shown)}) -> {source.annotation(simple(hints['return'], 'return'))}"


def _options(said: TaskOptions, source: Source) -> str:
    """What the producer must say for the worker, as the task's own gator says it; hooks are names already."""
    plain = {name: value for name, value in said.said().items() if name != "is_async" and value is not UNSET}
    if not plain:
        return ""
    rows = [f"{name}={_option(value, source)}" for name, value in plain.items()]
    return f"{source.module('typedgator')}.TaskOptions({', '.join(rows)})"


def _option(value: Any, source: Source) -> str:
    cls: Any = value.__class__
    if issubclass(cls, RetryPolicy):
        rows = [f"{name}={_option(getattr(value, name), source)}" for name in cls.__struct_fields__]
        return f"{source.module('typedgator')}.RetryPolicy({', '.join(rows)})"
    if issubclass(cls, tuple):
        return f"({''.join(f'{_option(item, source)}, ' for item in value).rstrip()})"
    if issubclass(cls, type):
        return _exception(value)
    return source.value(dict(value) if issubclass(cls, Mapping) else value)


def _exception(cls: type[BaseException]) -> str:
    """A class that is stored by its name: of another module, one of that name is enough."""
    module, _, name = class_name(cls).rpartition(".")
    if module == "builtins":
        return name
    return f"type({name!r}, (Exception,), {{'__module__': {module!r}}})"
