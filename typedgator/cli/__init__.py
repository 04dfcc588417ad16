"""The command line: parse, call one library function, print. Nothing is decided here, and nothing below imports it."""

import signal
from pathlib import Path
from typing import Any, Final

import click

from typedgator.cli.check import check
from typedgator.cli.demo import demo
from typedgator.cli.doctor import doctor
from typedgator.cli.endings import BY_SIGNAL, refusal_of
from typedgator.cli.jobs import jobs
from typedgator.cli.queues import queues
from typedgator.cli.schema import schema
from typedgator.cli.worker import worker
from typedgator.errors import GatorError

__all__ = ["main"]

WORKERS_OWN_NAME: Final = "latergator"


class Commands(click.Group):
    """The commands. What the library refuses ends in one line; `latergator …` is `typedgator worker …`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Reads the command line."""
        if Path(ctx.info_name or "").stem == WORKERS_OWN_NAME and args[:1] != ["--version"]:
            args = ["worker", *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except GatorError as error:
            raise refusal_of(error) from error
        except KeyboardInterrupt:
            raise click.exceptions.Exit(BY_SIGNAL + signal.SIGINT) from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="typedgator", prog_name="typedgator")
def main() -> None:
    """Typed tasks, run later: start workers, look at jobs and queues."""


for _command in (worker, check, jobs, queues, schema, doctor, demo):
    main.add_command(_command)
