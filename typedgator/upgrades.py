"""Upgrades: from the arguments that an older release of a task took to those that it takes now.

The signature of an upgrade is the old schema, and its fingerprint says which stored jobs it is for. What it returns is
a `Call` of the task as it is now, checked like every other. Nothing here stores or runs a job.
"""

import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Generic, TypeVar, cast

from typedgator.errors import RegistrationError, UnsupportedSignature
from typedgator.wire.reloads import is_same, source_of, why_not_same
from typedgator.wire.schema import ArgumentSchema
from typedgator.wire.signature import hints_of

__all__ = ["Call", "Upgrade", "Upgrades"]

R_co = TypeVar("R_co", covariant=True)


class Call(Generic[R_co]):
    """A call of a task, checked and encoded, but not queued: `task.call(…)` makes it, an upgrade returns it.

    `R_co` is what the task returns. Calls are equal when the task and the arguments are.
    """

    __slots__ = ("arguments", "payload", "task")

    def __init__(self, task: str, arguments: ArgumentSchema, payload: bytes) -> None:
        """Use `task.call`."""
        self.task: Final = task
        self.arguments: Final = arguments
        self.payload: Final = payload

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Call):
            return NotImplemented
        return self._identity() == cast("Call[object]", other)._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[str, str, bytes]:
        return self.task, self.arguments.fingerprint, self.arguments.canonical(self.payload)

    def __repr__(self) -> str:
        args, kwargs = self.arguments.decode(self.payload, fingerprint=self.arguments.fingerprint)
        return f"<Call {self.arguments.spoken(args, kwargs)}>"


class Upgrade:
    """One older signature of a task, `arguments`, and the function that carries its calls over."""

    __slots__ = ("arguments", "fn")

    def __init__(self, fn: Callable[..., object], arguments: ArgumentSchema) -> None:
        self.fn: Final = fn
        self.arguments: Final = arguments

    def carry(self, payload: bytes) -> object:
        """What the user's function makes of a stored call; it should be a Call. Raises whatever that function does,
        and PayloadMismatch when the bytes are not what the old signature took.
        """
        args, kwargs = self.arguments.decode(payload, fingerprint=self.arguments.fingerprint)
        return self.fn(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<Upgrade {self.arguments.shown}>"


class Upgrades(Mapping[str, Upgrade]):
    """The upgrades of one task, by the fingerprint of the arguments that they are for."""

    def __init__(self, now: ArgumentSchema) -> None:
        self._now = now
        self._by_fingerprint: dict[str, Upgrade] = {}

    def add(self, fn: Callable[..., object]) -> None:
        """Takes one in. The same source line again (a reloaded module) replaces it.

        Raises RegistrationError for what cannot be an upgrade: not a plain function, parameters that never were a
        task's, those that the task takes now, or those that another upgrade is for.
        """
        task, name = self._now.task, getattr(fn, "__qualname__", repr(fn))
        found = _old_schema(fn, self._now, name)
        if found.fingerprint == self._now.fingerprint:
            raise RegistrationError(
                f"{name} cannot be an upgrade of {task}: it takes what {task} takes now, so no job would ever need it; "
                "an upgrade's parameters are those of the older release"
            )
        before = self._by_fingerprint.get(found.fingerprint)
        if before is not None and not is_same(before.fn, fn):
            raise RegistrationError(
                f"{task} has two upgrades from the same arguments, {found.shown}: at {source_of(before.fn)} and at "
                f"{source_of(fn)}; keep one of them{why_not_same(before.fn, fn)}"
            )
        self._by_fingerprint[found.fingerprint] = Upgrade(fn, found)

    def __getitem__(self, fingerprint: str) -> Upgrade:
        return self._by_fingerprint[fingerprint]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._by_fingerprint))

    def __len__(self) -> int:
        return len(self._by_fingerprint)


def _old_schema(fn: Callable[..., object], now: ArgumentSchema, name: str) -> ArgumentSchema:
    task = now.task
    if not inspect.isroutine(fn) or inspect.iscoroutinefunction(fn):
        raise RegistrationError(
            f"{name} cannot be an upgrade of {task}: it is called before the job runs, and not awaited; write a `def`"
        )
    try:
        result = hints_of(fn, task).get("return", Call)
        found = ArgumentSchema.of(
            fn, task=task, named=True, max_items=now.max_items, max_payload=now.max_payload, show_values=now.show_values
        )
    except UnsupportedSignature as refused:
        what = "its result" if refused.parameter == "return" else f"its parameter {refused.parameter!r}"
        raise RegistrationError(f"{name} cannot be an upgrade of {task}: {what} {refused.reason}") from None
    except RegistrationError as refused:
        why = str(refused).removeprefix(f"{task} cannot be a task: ")
        raise RegistrationError(f"{name} cannot be an upgrade of {task}: {why}") from None
    if (typing.get_origin(result) or result) not in (Call, typing.Never, typing.NoReturn):
        raise RegistrationError(
            f"{name} cannot be an upgrade of {task}: it must return a call of the task as it is now: "
            f"`-> Call[…]`, made by `{task.rpartition('.')[2]}.call(…)`"
        )
    return found
