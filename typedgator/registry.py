"""The tasks and hooks of one gator, by name. Names are unique; a worker runs what stands here and nothing else."""

import inspect
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Final, TypeAlias

from typedgator.errors import NotRegistered, RegistrationError
from typedgator.job import untyped_result
from typedgator.task import AsyncTask, SyncTask
from typedgator.wire.origin import importable_module
from typedgator.wire.outcome import Outcome

__all__ = ["AnyTask", "Hook", "Registry", "task_name"]

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
            if before is not None and _source(before.fn) != _source(task.fn):
                raise RegistrationError(
                    f"two tasks are called {task.name}: at {_source(before.fn)} and at {_source(task.fn)}; "
                    "give one of them another name: @gator.register(name=…)"
                )
            self._tasks[task.name] = task

    def add_hook(self, hook: Hook) -> str:
        """Registers a hook and gives its name. Raises RegistrationError when a worker could not find it again."""
        name = task_name(hook, None, what="a hook")
        with self._lock:
            before = self._hooks.get(name)
            if before is not None and _source(before) != _source(hook):
                raise RegistrationError(f"two hooks are called {name}: at {_source(before)} and at {_source(hook)}")
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

    def hook_name(self, hook: Hook) -> str:
        """The name of a registered hook. Raises NotRegistered, with the way out."""
        name = self._hook_names.get(hook)
        if name is not None:
            return name
        raise NotRegistered(
            f"hook {getattr(hook, '__qualname__', repr(hook))} is not registered, so a worker could not find it: "
            "decorate it with @gator.hook"
        )

    def __iter__(self) -> Iterator[AnyTask]:
        return iter(list(self._tasks.values()))

    def __len__(self) -> int:
        return len(self._tasks)


def task_name(fn: Callable[..., object], given: str | None, *, what: str = "a task") -> str:
    """`module.qualname`, unless a name was given. Raises RegistrationError when a worker could not find the function.

    A script's `__main__` becomes the module that a worker started in the same folder would import.
    """
    if given is not None:
        if not given or len(given) > 200 or any(c.isspace() for c in given):
            raise RegistrationError(f"name {given!r} cannot be a task's: use 1 to 200 characters, no spaces")
        return given
    qualname = getattr(fn, "__qualname__", None)
    if not isinstance(qualname, str) or not callable(fn):
        raise RegistrationError(f"{fn!r} cannot be {what}: register a function, or give name=")
    if "<" in qualname:
        raise RegistrationError(
            f"{qualname} cannot be {what}: a lambda or nested function cannot be found by a worker; "
            "move it to the top of its module, or give name= and register it where the worker's import runs"
        )
    module = importable_module(fn)
    if module is None:
        raise RegistrationError(
            f"{qualname} is defined in __main__ and cannot be {what}: a worker could not import it; "
            "move it to a module that both can import, or give name="
        )
    return f"{module}.{qualname}"


def _source(fn: Callable[..., object]) -> str:
    code = getattr(inspect.unwrap(fn), "__code__", None)
    return repr(fn) if code is None else f"{code.co_filename}:{code.co_firstlineno}"
