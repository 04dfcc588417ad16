"""The tasks and hooks of one gator, by name. Names are unique; a worker runs what stands here and nothing else."""

import inspect
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from threading import Lock
from types import MappingProxyType
from typing import Final, Literal, TypeAlias, cast, get_args

from typedgator.errors import NotRegistered, RegistrationError
from typedgator.job import untyped_result
from typedgator.task import AsyncTask, Hooked, SyncTask
from typedgator.wire.origin import importable_module
from typedgator.wire.outcome import Outcome
from typedgator.wire.reloads import is_same, source_of, why_not_same

__all__ = ["AnyTask", "Hook", "Registry", "Retirement", "checked_aliases", "checked_name", "task_name"]

HOOKS: Final[dict[str, tuple[str, ...]]] = {
    "on_start": ("job",),
    "on_success": ("job", "result"),
    "on_error": ("job", "error"),
}
"""Option -> what a hook is called with."""

AnyTask: TypeAlias = SyncTask[..., object] | AsyncTask[..., object]
Hook: TypeAlias = Callable[..., object]
Retirement: TypeAlias = Literal["fail", "cancel"]
"""What becomes of the jobs of a retired task."""


class Registry:
    """What is registered. Writing is rare and locked; reading is a dict look-up."""

    def __init__(self) -> None:
        self._tasks: dict[str, AnyTask] = {}
        self._known: dict[str, AnyTask] = {}
        """By name and by alias."""
        self._retired: dict[str, Retirement] = {}
        self.retired: Final[Mapping[str, Retirement]] = MappingProxyType(self._retired)
        """Names that tasks of earlier releases had, and what becomes of their jobs."""
        self._hooks: dict[str, Hook] = {}
        self._hook_names: dict[Hook, str] = {}
        self._lock: Final = Lock()

    def add(self, task: AnyTask) -> None:
        """Registers a task. The same source line again (a reloaded module) replaces it; another one is refused.

        Names are unique, aliases and retired names counted.
        """
        with self._lock:
            before = self._tasks.get(task.name)
            if before is not None and not is_same(before.fn, task.fn):
                raise RegistrationError(
                    f"two tasks are called {task.name}: at {source_of(before.fn)} and at {source_of(task.fn)}; "
                    f"give one of them another name: @gator.register(name=…){why_not_same(before.fn, task.fn)}"
                )
            names = (task.name, *task.aliases)
            replaced = {holder for name in names if (holder := self._holder(name, task)) is not None}
            for holder in replaced:
                del self._tasks[holder.name]
                for name in (holder.name, *holder.aliases):
                    del self._known[name]
            self._tasks[task.name] = task
            self._known.update(dict.fromkeys(names, task))

    def _holder(self, name: str, task: AnyTask) -> AnyTask | None:
        """Who has this name now, and will be replaced by the task. Raises RegistrationError when it must not be."""
        what = task.name if name == task.name else f"{task.name}, with the alias {name},"
        if name in self._retired:
            raise RegistrationError(
                f"{what} cannot be a task: gator.retired({name!r}) says that jobs of that name are over; "
                "remove that line, or use another name"
            )
        holder = self._known.get(name)
        if holder is None or is_same(holder.fn, task.fn):
            return holder
        whose = f"the name of the task at {source_of(holder.fn)}"
        if name != holder.name:
            whose = f"an alias of {holder.name}, at {source_of(holder.fn)}"
        raise RegistrationError(
            f"{what} cannot be a task: {name} is {whose}, and a stored job is run by one task; use another name"
        )

    def retire(self, name: str, then: Retirement) -> None:
        """Jobs of this name are over. Raises RegistrationError when a task has the name, or the opposite was said."""
        if then not in get_args(Retirement):
            raise RegistrationError(f'{name} cannot be retired: then must be "fail" or "cancel", got {then!r:.100}')
        with self._lock:
            holder = self._known.get(name)
            if holder is not None:
                whose = "a task" if name == holder.name else f"an alias of {holder.name}"
                raise RegistrationError(
                    f"{name} cannot be retired: it is {whose}, at {source_of(holder.fn)}; remove one of the two"
                )
            if self._retired.setdefault(name, then) != then:
                raise RegistrationError(
                    f"{name} is retired twice, with then={self._retired[name]!r} and with then={then!r}: "
                    "remove one of the two"
                )

    def add_hook(self, hook: Hook, option: str | None = None) -> str:
        """Registers a hook and gives its name.

        Raises RegistrationError when a worker could not find it again, or could not call it as this `option`; when that
        is not known, as any.
        """
        name = _checked_hook(hook)
        _check_takes(hook, name, (option,) if option else tuple(HOOKS))
        with self._lock:
            before = self._hooks.get(name)
            if before is not None and not is_same(before, hook):
                raise RegistrationError(
                    f"two hooks are called {name}: at {source_of(before)} and at {source_of(hook)}; rename one of them"
                    f"{why_not_same(before, hook)}"
                )
            self._hooks[name] = hook
            self._hook_names[hook] = name
        return name

    def find(self, name: str) -> AnyTask | None:
        """The task of this name, or with this alias."""
        return self._known.get(name)

    def read(self, job_id: str, outcome: Outcome | None) -> object:
        """A stored result as its task returned it; plain values when the task is not registered here."""
        if outcome is None:
            return None
        task = self.find(outcome.task)
        return untyped_result(job_id, outcome) if task is None else task.spec.read(job_id, outcome)

    def hook(self, name: str) -> Hook | None:
        """The hook of this name."""
        return self._hooks.get(name)

    def hook_name(self, hook: Hook, option: str) -> str:
        """The name of a registered hook. Raises NotRegistered, with the way out, or RegistrationError when it cannot be
        called as this `option`.
        """
        name = self._hook_names.get(hook) if isinstance(hook, Hashable) else None
        if name is not None:
            _check_takes(hook, name, (option,))
            return name
        raise NotRegistered(
            f"hook {getattr(hook, '__qualname__', repr(hook))} is not registered, so a worker could not find it: "
            "decorate it with @gator.hook"
        )

    def __iter__(self) -> Iterator[AnyTask]:
        return iter(list(self._tasks.values()))

    def __len__(self) -> int:
        return len(self._tasks)


def task_name(fn: Callable[..., object], given: str | None) -> str:
    """`module.qualname`, unless a name was given. Raises RegistrationError when a worker could not find the function.

    A script's `__main__` becomes the module that a worker started in the same folder would import.
    """
    if given is not None:
        return checked_name(given)
    return _found_name(fn, "a task", ", or give name=", " and register it where the worker's import runs")


def checked_name(given: object) -> str:
    """A name that a task may have. Raises RegistrationError when none could."""
    if not isinstance(given, str) or not 0 < len(given) <= 200 or not _writable(given):
        raise RegistrationError(f"name {given!r:.300} cannot be a task's: use 1 to 200 characters, no spaces")
    return given


def checked_aliases(task: str, given: object) -> tuple[str, ...]:
    """Names that a task had before. Raises RegistrationError for what is none, and for the name that it has now."""
    if not isinstance(given, (tuple, list)):
        raise RegistrationError(
            f"{task} cannot be a task: aliases takes a tuple of names, got {given!r:.200}"
            + (f": write aliases=({given!r:.200},)" if isinstance(given, str) else "")
        )
    aliases = tuple(dict.fromkeys(checked_name(alias) for alias in cast("Sequence[object]", given)))
    if task in aliases:
        raise RegistrationError(f"{task} cannot be a task: it has its own name as an alias; aliases are earlier names")
    return aliases


def _checked_hook(hook: Hook) -> str:
    """A hook's name. Raises RegistrationError when it is no plain function that a worker finds again."""
    if (
        not callable(hook)
        or isinstance(hook, Hooked)
        or inspect.isclass(hook)
        or inspect.iscoroutinefunction(hook)
        or inspect.isgeneratorfunction(hook)
        or inspect.isasyncgenfunction(hook)
    ):
        raise RegistrationError(
            f"{hook!r:.200} cannot be a hook: hooks are plain functions, called and not awaited; "
            "enqueue a task inside one"
        )
    owner = getattr(hook, "__self__", None)
    if owner is not None and not inspect.ismodule(owner):
        raise RegistrationError(
            f"{getattr(hook, '__qualname__', repr(hook))} cannot be a hook: it is a method of an object, which a "
            "worker does not have; write a function"
        )
    return _found_name(hook, "a hook", "", "")


def _found_name(fn: Callable[..., object], what: str, or_name: str, where: str) -> str:
    qualname = getattr(fn, "__qualname__", None)
    if not isinstance(qualname, str) or not callable(fn):
        raise RegistrationError(f"{fn!r:.200} cannot be {what}: register a function{or_name}")
    if "<" in qualname:
        raise RegistrationError(
            f"{qualname} cannot be {what}: a lambda or nested function cannot be found by a worker; "
            f"move it to the top of its module{or_name}{where}"
        )
    module = importable_module(fn)
    if module is None:
        raise RegistrationError(
            f"{qualname} is defined in __main__ and cannot be {what}: a worker could not import it; "
            f"move it to a module that both can import{or_name}"
        )
    return f"{module}.{qualname}"


def _check_takes(hook: Hook, name: str, options: tuple[str, ...]) -> None:
    """Raises RegistrationError when the hook can be called as none of these options."""
    try:
        signature = inspect.signature(hook)
    except (ValueError, TypeError):  # a function in C may not say what it takes
        return
    for option in options:
        try:
            signature.bind(*HOOKS[option])
        except TypeError:
            continue
        return
    calls = " or ".join(f"{option}({', '.join(HOOKS[option])})" for option in options)
    raise RegistrationError(f"{name} cannot be a hook: it is called as {calls}, and takes {signature}")


def _writable(text: str) -> bool:
    return text.isprintable() and " " not in text
