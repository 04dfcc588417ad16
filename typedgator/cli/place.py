"""Where the jobs are that a command is about: `--dsn`, `--app`, or the environment."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import unquote

import click
import msgspec

from typedgator.backends.connect import Dsn, masked
from typedgator.cli.endings import Misuse
from typedgator.cli.loading import load_gator
from typedgator.gator import Gator

__all__ = ["Asked", "asking", "where_kept"]

F = TypeVar("F", bound=Callable[..., Any])

_DSN: Final = click.option("--dsn", metavar="DSN", help="Where the jobs are, for example sqlite:///typedgator.db.")
_APP: Final = click.option("--app", metavar="MODULE[:GATOR]", help="Use the gator of your own module.")
_JSON: Final = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


class Asked(msgspec.Struct, frozen=True):
    """What was said about where to look and how to answer."""

    dsn: str | None = None
    app: str | None = None
    as_json: bool = False

    def gator(self, *, looking_inside: bool = True) -> Gator:
        """The gator whose jobs are meant, closed with the command. Raises Refusal where there is nothing to see.

        `looking_inside`: it is asked for jobs, so it must not be in the memory of another process.
        """
        if self.dsn and self.app:
            raise Misuse("give --dsn or --app, not both: the gator of --app has its own DSN")
        if self.app:
            gator = load_gator(self.app)
        elif self.dsn or os.environ.get("TYPEDGATOR_CONN") or Path("typedgator.db").exists():
            gator = Gator(self.dsn) if self.dsn else Gator()
        else:
            raise Misuse("nothing says where the jobs are: give --dsn or --app, or set TYPEDGATOR_CONN")
        _must_be_there(gator, looking_inside=looking_inside)
        click.get_current_context().call_on_close(gator.close)
        return gator

    def over(self, said: "Asked | None") -> "Asked":
        """What was said here, and what was said before it."""
        if said is None:
            return self
        if self.dsn or self.app:
            return Asked(self.dsn, self.app, self.as_json or said.as_json)
        return Asked(said.dsn, said.app, self.as_json or said.as_json)


def asking(command: F) -> F:
    """Gives a command `--dsn`, `--app` and `--json`, as the parameters `dsn`, `app` and `as_json`."""
    return _DSN(_APP(_JSON(command)))


def where_kept(gator: Gator) -> str:
    """Where a gator keeps its jobs, as may be shown: without a password."""
    return masked(gator.dsn) if gator.dsn else type(gator.backend).__name__


def _must_be_there(gator: Gator, *, looking_inside: bool) -> None:
    """Looking must not create what it looks for: a misspelt path would be an empty queue."""
    if looking_inside and not gator.backend.can.shared:
        raise Misuse(f"{where_kept(gator)} keeps its jobs inside one process, so there is nothing to see from here")
    if gator.dsn is None:
        return
    dsn = Dsn(gator.dsn)
    file = Path(unquote(dsn.url.path).removeprefix("/"))
    if dsn.scheme == "sqlite" and not file.exists():
        raise Misuse(f"there is no file {file}: the first job that is enqueued makes it")
