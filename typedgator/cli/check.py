"""`typedgator check`: everything that registration refuses, in one run, in the sentences of the mypy plugin."""

from collections.abc import Sequence

import click
import msgspec

from typedgator.cli.endings import NOT_DONE, Misuse, Refusal
from typedgator.cli.loading import import_named, load_gator
from typedgator.cli.showing import print_json, say
from typedgator.gator import Gator
from typedgator.refusals import Refused, collecting

__all__ = ["check"]


class Checked(msgspec.Struct, frozen=True):
    """`check`. `failed`: why the import ended before its end, or null; there may be more problems behind it."""

    tasks: int
    problems: list[Refused]
    failed: str | None


@click.command()
@click.argument("spec", metavar="MODULE[:GATOR]")
@click.option(
    "--import", "imports", metavar="MODULE", multiple=True, help="Import this module too: it registers tasks."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(spec: str, imports: Sequence[str], as_json: bool) -> None:
    """Report every task, hook and option that registration refuses, and exit 1 when there is one."""
    gator: Gator | None = None
    failed: Refusal | None = None
    with collecting() as problems:
        try:
            gator = load_gator(spec)
            for module in imports:
                import_named(module)
        except Misuse:
            raise
        except Refusal as refusal:
            failed = refusal
    tasks = 0 if gator is None else len(gator.registry)
    if failed is None and not tasks and not problems:
        raise Misuse(f"{spec} has no tasks: name the module that registers them, or add --import MODULE")
    if as_json:
        print_json(Checked(tasks, problems, None if failed is None else failed.message))
    else:
        for problem in problems:
            say(f"{problem.file}:{problem.line}: {problem.message}")
        if failed is None:
            say(f"{_count(len(problems), 'problem')}, {_count(tasks, 'task')} without one")
    if failed is not None and not as_json:
        raise failed
    if problems or failed is not None:
        raise click.exceptions.Exit(NOT_DONE)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
