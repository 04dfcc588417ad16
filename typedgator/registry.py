"""The tasks and hooks of one gator, by name. Names are unique; a worker runs what stands here and nothing else."""

import inspect
from collections.abc import Callable, Hashable, Iterator
from threading import Lock
from typing import Final, TypeAlias

from typedgator.errors import NotRegistered, RegistrationError
from typedgator.job import untyped_result
from typedgator.task import AsyncTask, Hooked, SyncTask
from typedgator.wire.origin import importable_module
from typedgator.wire.outcome import Outcome

__all__ = ["AnyTask", "Hook", "Registry", "task_name"]

HOOKS: Final[dict[str, tuple[str, ...]]] = {
    "on_start": ("job",),
    "on_success": ("job", "result"),
    "on_error": ("job", "error"),
}
"""Option -> what a hook is called with."""

AnyTask: TypeAlias = SyncTask[..., object] | AsyncTask[..., object]
Hook: TypeAlias = Callable[..., object]


class Registry:
    """What is registered. Writing is rare and locked; reading is a dict look-up."""

    def __init__(self) -> None:
        self._tasks: dict[str, AnyTask] = {}
        self._hooks: dict[str, Hook] = {}
        self._hook_names: dict[Hook, str] = {}
        self._lock: Final = Lock()

    def add(self, task: AnyTask) -> None:
        """Registers a task. The same source line again (a reloaded module) replaces it; another one is refused."""
        with self._lock:
            before = self._tasks.get(task.name)
            if before is not None and not _same(before.fn, task.fn):
                raise RegistrationError(
                    f"two tasks are called {task.name}: at {_source(before.fn)} and at {_source(task.fn)}; "
                    f"give one of them another name: @gator.register(name=…){_why(before.fn, task.fn)}"
                )
            self._tasks[task.name] = task

    def add_hook(self, hook: Hook, option: str | None = None) -> str:
        """Registers a hook and gives its name.

        Raises RegistrationError when a worker could not find it again, or could not call it as this `option`; when that
        is not known, as any.
        """
        name = _checked_hook(hook)
        _check_takes(hook, name, (option,) if option else tuple(HOOKS))
        with self._lock:
            before = self._hooks.get(name)
            if before is not None and not _same(before, hook):
                raise RegistrationError(
                    f"two hooks are called {name}: at {_source(before)} and at {_source(hook)}; rename one of them"
                    f"{_why(before, hook)}"
                )
            self._hooks[name] = hook
            self._hook_names[hook] = name
        return name

    def find(self, name: str) -> AnyTask | None:
        """The task of this name."""
        return self._tasks.get(name)

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
        if not isinstance(given, str) or not 0 < len(given) <= 200 or not _writable(given):
            raise RegistrationError(f"name {given!r} cannot be a task's: use 1 to 200 characters, no spaces")
        return given
    return _found_name(fn, "a task", ", or give name=", " and register it where the worker's import runs")


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
    return not any(c.isspace() or "\ud800" <= c <= "\udfff" for c in text)


def _same(before: Callable[..., object], now: Callable[..., object]) -> bool:
    """Whether both are one function, the second perhaps reloaded. A closure is another one each time it is made."""
    if before is now:
        return True
    return _source(before) == _source(now) and not (_is_closure(before) or _is_closure(now))


def _why(before: Callable[..., object], now: Callable[..., object]) -> str:
    return "" if _source(before) != _source(now) else "; a closure is another function each time it is made"


def _is_closure(fn: Callable[..., object]) -> bool:
    return bool(getattr(inspect.unwrap(fn), "__closure__", None))


def _source(fn: Callable[..., object]) -> str:
    code = getattr(inspect.unwrap(fn), "__code__", None)
    return repr(fn) if code is None else f"{code.co_filename}:{code.co_firstlineno}"
