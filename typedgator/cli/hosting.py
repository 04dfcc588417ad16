"""`typedgator worker` inside somebody else's command line: its options as data, and one call that runs it.

So a framework's own command has the same options with the same words, and knows nothing of click.
"""

from collections.abc import Sequence
from typing import Final

import click
import msgspec

from typedgator.cli.endings import refusal_of
from typedgator.cli.worker import Launcher, worker
from typedgator.errors import GatorError

__all__ = ["Ended", "HostedOption", "run_worker", "worker_options"]

_OWN: Final = "supervised"


class HostedOption(msgspec.Struct, frozen=True):
    """One option of the worker: `--queue`, of which `is_many` may be given, or `--burst`, which `is_flag`."""

    name: str
    flag: str
    help: str
    is_flag: bool
    is_many: bool
    is_hidden: bool


class Ended(msgspec.Struct, frozen=True):
    """How the worker ended: its exit code, and what it refused, or ""."""

    code: int
    refused: str = ""


def worker_options() -> list[HostedOption]:
    """The options of `typedgator worker`."""
    found = [parameter for parameter in worker.params if isinstance(parameter, click.Option)]
    return [
        HostedOption(
            name=str(option.name),
            flag=option.opts[0],
            help=_help(option),
            is_flag=option.is_flag,
            is_many=option.multiple,
            is_hidden=option.hidden,
        )
        for option in found
    ]


def run_worker(spec: str, arguments: Sequence[str], launcher: Sequence[str]) -> Ended:
    """Runs a worker of the gator `spec` until it is stopped. `launcher` starts one of several processes; their options
    are appended to it.
    """
    try:
        code: object = worker.main(
            [*arguments, "--", spec], prog_name="worker", standalone_mode=False, obj=Launcher(tuple(launcher))
        )
    except click.ClickException as error:
        return Ended(error.exit_code, error.format_message())
    except GatorError as error:
        refusal = refusal_of(error)
        return Ended(refusal.exit_code, refusal.message)
    return Ended(code if isinstance(code, int) else 0)


def _help(option: click.Option) -> str:
    default = f" [default: {option.default}]" if option.show_default else ""
    choices = f" One of {', '.join(option.type.choices)}." if isinstance(option.type, click.Choice) else ""
    return f"{option.help or ''}{choices}{default}".strip()
