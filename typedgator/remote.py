"""Tasks of another service: enqueued here by name, with all types, and run where their code is.

`typedgator schema stubs` writes modules that use this. A remote task is in no registry, so a worker that is started on
such a module holds its jobs for a worker that has the code.
"""

import inspect
import os
from collections.abc import Callable, Coroutine
from typing import Final, Never, ParamSpec, TypeVar, cast, overload

from typedgator.errors import ConfigurationError, RegistrationError
from typedgator.policy.options import TaskOptions
from typedgator.producer import Producer, TaskSpec
from typedgator.task import Task
from typedgator.wire.schema import ArgumentSchema, ResultSchema
from typedgator.wire.terms import FilledInByWorker, RunByWorker, Secret

__all__ = ["DEFAULT", "Remote", "RunByWorker", "Secret", "dsn_of"]

DEFAULT: Never = cast("Never", FilledInByWorker())
"""A parameter's default in a stub, where the true one is secret: what is left out is filled in by the worker."""

P = ParamSpec("P")
R = TypeVar("R")


def dsn_of(variable: str) -> str:
    """The DSN that an environment variable says. Raises ConfigurationError where it says none."""
    dsn = os.environ.get(variable)
    if not dsn:
        raise ConfigurationError(
            f"{variable} is not set: it says where the jobs of these tasks are kept, as their own service keeps them, "
            "for example redis://host:6379/0"
        )
    return dsn


class Remote:
    """What `gator.remote(…)` gives: makes a task of a stub, after a look at its contract."""

    def __init__(
        self,
        producer: Producer,
        name: str,
        contract: tuple[str, str],
        options: TaskOptions,
        schema: Callable[[Callable[..., object], str], ArgumentSchema],
    ) -> None:
        self._producer: Final = producer
        self._name: Final = name
        self._contract: Final = contract
        self._options: Final = options
        self._schema: Final = schema

    @overload
    def __call__(self, fn: Callable[P, Coroutine[object, Never, R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Task[P, R]: ...
    def __call__(self, fn: Callable[..., object], /) -> object:
        arguments, results = self._schema(fn, self._name), ResultSchema.of(fn, task=self._name)
        found = arguments.fingerprint, results.fingerprint
        if found != self._contract:
            raise RegistrationError(
                f"{self._name}: this stub takes {arguments.shown}, whose fingerprints are {' and '.join(found)}; "
                f"its contract says {' and '.join(self._contract)}. It was edited, or this release of typedgator is "
                "another one: write it anew with `typedgator schema stubs`"
            )
        spec = TaskSpec(self._name, arguments, results, self._options, is_coroutine=inspect.iscoroutinefunction(fn))
        return cast("Task[..., object]", Task(spec, fn, self._producer))
