"""`typedgator doctor`: what this storage would lose, and how to change it."""

from collections.abc import Sequence
from typing import Final

import click
import msgspec

from typedgator.backends.checkup import Checkup, Danger, Examined, Finding, Level, Loss
from typedgator.cli.endings import NOT_DONE, Misuse
from typedgator.cli.place import Asked, asking, where_kept
from typedgator.cli.showing import print_json, print_rows, say
from typedgator.errors import BackendUnavailable

__all__ = ["doctor"]


class Examination(msgspec.Struct, frozen=True):
    """`doctor`. `ok` is the exit code: nothing that must not be lost would be, and nothing is wrong."""

    ok: bool
    server: str
    durability: str
    losses: list[Loss]
    findings: list[Finding]


@click.command()
@click.argument("where", metavar="[DSN | MODULE[:GATOR]]", required=False)
@click.option(
    "--survive",
    type=click.Choice([danger.value for danger in Danger]),
    multiple=True,
    help="Exit 1 unless nothing is lost by this, whatever the DSN asks for; may be repeated.",
)
@click.option("--audit/--no-audit", default=None, help="Read every key or row, or none. Default: if they are few.")
@asking
def doctor(
    where: str | None, survive: Sequence[str], audit: bool | None, dsn: str | None, app: str | None, as_json: bool
) -> None:
    """Say what the storage would lose when its process, its machine or its place is lost, and how to change it."""
    asked = Asked(dsn, app, as_json)
    if where is not None:
        if dsn or app:
            raise Misuse(f"give {where!r}, --dsn or --app, not two of them")
        asked = Asked(where, None, as_json) if "://" in where else Asked(None, where, as_json)
    gator = asked.gator(looking_inside=False)
    if not isinstance(gator.backend, Examined):
        raise Misuse(f"{where_kept(gator)} cannot be examined: {type(gator.backend).__name__} has no examine()")
    try:
        found = gator.backend.examine(audit=audit)
    except BackendUnavailable as error:
        raise Misuse(str(error)) from error
    at_risk, wrong = found.at_risk(frozenset(map(Danger, survive))), found.wrong()
    ok = not at_risk and not wrong
    if as_json:
        print_json(Examination(ok, found.server, found.durability, found.losses, found.findings))
    else:
        _print(found)
        for danger in at_risk:
            say(f"Not safe: {danger}.")
        for each in wrong:
            say(f"Wrong: {each.about}.")
        if ok:
            say(_well(found, survive))
    if not ok:
        raise click.exceptions.Exit(NOT_DONE)


def _print(found: Checkup) -> None:
    say(f"{found.server}, durability={found.durability}")
    say("")
    print_rows(
        ("if it loses its", "it loses", "promised", "to change that"),
        [(_WORDS[loss.danger], loss.lost, "yes" if loss.promised else "", loss.remedy) for loss in found.losses],
    )
    say("")
    print_rows(
        ("about", "", "it says", "to change that"),
        [
            (each.about, "" if each.level is Level.FINE else each.level.value, each.says, each.remedy)
            for each in found.findings
        ],
    )
    say("")


_WORDS: Final = {
    Danger.PROCESS: "process, by a crash",
    Danger.HOST: "host, by a power loss",
    Danger.FAILOVER: "place, by a failover",
}


def _well(found: Checkup, survive: Sequence[str]) -> str:
    kept = sorted({*(loss.danger.value for loss in found.losses if loss.promised), *survive})
    if kept:
        return f"As asked, nothing is lost by: {', '.join(kept)}."
    return f"durability={found.durability} promises none of this; --survive makes it a condition."
