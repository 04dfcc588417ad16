"""DjangoGator: a Gator that reads Django's settings, waits for commits, and looks after database connections."""

from collections.abc import Callable, Sequence
from typing import Final, ParamSpec, TypeVar
from weakref import WeakSet

from django.db import DEFAULT_DB_ALIAS
from msgspec import UNSET, UnsetType
from typing_extensions import TypeVar as TypeVarWithDefault

from typedgator.contrib.django.commits import OnCommit
from typedgator.contrib.django.conf import Configured, configured
from typedgator.contrib.django.connections import Connections
from typedgator.contrib.django.outbox import Outbox
from typedgator.contrib.django.refusing import Refusing
from typedgator.errors import ConfigurationError
from typedgator.gator import Gator
from typedgator.job import Job
from typedgator.middleware import Middleware
from typedgator.options import Options
from typedgator.refusals import stands
from typedgator.task import Task

__all__ = ["DjangoGator", "made"]

P = ParamSpec("P")
R = TypeVar("R")
H = TypeVarWithDefault("H", default=object)

made: Final[WeakSet["DjangoGator"]] = WeakSet()
"""Every one there is."""


class DjangoGator(Gator):
    """A Gator whose DSN and options are those of `settings.TYPEDGATOR`: `gator = DjangoGator()`.

    What is code is said here: hooks for every task, and middleware. In a worker, each job has its database connections
    as a request has: broken ones, and those past CONN_MAX_AGE, are replaced. Raises ConfigurationError for settings
    that cannot mean anything; `manage.py check` reports them all.
    """

    worker_middleware: Sequence[Middleware] = (Connections(),)

    def __init__(
        self,
        *,
        on_start: Callable[[Job[object]], object] | UnsetType | None = UNSET,
        on_success: Callable[[Job[object], object], object] | UnsetType | None = UNSET,
        on_error: Callable[[Job[object], BaseException], object] | UnsetType | None = UNSET,
        middleware: Sequence[Middleware] = (),
    ) -> None:
        try:
            found = configured()
        except ConfigurationError as error:
            found = stands(error, Configured())
            super().__init__(backend=Refusing(str(error)))
        else:
            super().__init__(
                found.dsn,
                namespace=found.namespace,
                on_start=on_start,
                on_success=on_success,
                on_error=on_error,
                middleware=middleware,
                **found.options,
            )
        made.add(self)

    def task_on_commit(self, fn: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Queues a call when the running transaction commits, or at once where there is none.

        The arguments are checked here and now: raises InvalidArguments, and then nothing will be enqueued. Rolled back,
        nothing is. Until the commit, nobody knows the job. A process that dies between its commit and the push loses
        the job: `outbox()` does not.
        """
        return OnCommit[object](self._producer, DEFAULT_DB_ALIAS, None).task(fn, *args, **kwargs)

    def on_commit(self, *, using: str = DEFAULT_DB_ALIAS, options: Options[H] | None = None) -> OnCommit[H]:
        """`task_on_commit` for another database, or under what `gator.options(…)` gave:
        `gator.on_commit(using="orders").task(send, 1)`.
        """
        return OnCommit(self._producer, using, _checked(options))

    def outbox(self, *, using: str = DEFAULT_DB_ALIAS, options: Options[H] | None = None) -> Outbox[H]:
        """Commit and enqueue together: `gator.outbox().task(send, 1)` writes the job into the running transaction.

        It is pushed after the commit; what a crash or an outage of the backend leaves behind, `manage.py gator_relay`
        or a worker pushes, under the same id. `using` must be the database of your transaction.
        """
        return Outbox(self, self._producer, using, _checked(options))

    def refuse(self, reason: str) -> None:
        """From now on nothing is enqueued or run: `manage.py` found mistakes, and goes on only to report them."""
        self._move(None, Refusing(reason), self.clock, self.defaults)


def _checked(options: Options[H] | None) -> Options[H] | None:
    if options is not None and not isinstance(options, Options):
        raise ConfigurationError(f"options= takes what gator.options(…) gave, got {options!r:.200}")
    return options
