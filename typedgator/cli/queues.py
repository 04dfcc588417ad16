"""`typedgator queues`: how much waits where; pause and resume."""

from typing import Final

import click
import msgspec

from typedgator.cli.place import Asked, asking, where_kept
from typedgator.cli.showing import print_json, print_rows, say
from typedgator.wire.states import FINAL, JobState

__all__ = ["queues"]

_COLUMNS: Final = (*(state for state in JobState if state not in FINAL), JobState.FAILED)


class QueueShown(msgspec.Struct, frozen=True):
    """One queue: how many jobs are in each unfinished state, and how many failed ones are kept."""

    name: str
    paused: bool
    jobs: dict[str, int]


class Queues(msgspec.Struct, frozen=True):
    """`queues`. `dropped`: failed jobs that are no longer kept, for their number or age."""

    queues: list[QueueShown]
    dropped: int


class Paused(msgspec.Struct, frozen=True):
    """`queues pause` and `queues resume`."""

    name: str
    paused: bool


@click.group(invoke_without_command=True)
@asking
@click.pass_context
def queues(context: click.Context, dsn: str | None, app: str | None, as_json: bool) -> None:
    """List the queues with their jobs by state; pause or resume one."""
    asked = Asked(dsn, app, as_json)
    context.obj = asked
    if context.invoked_subcommand is None:
        _list(asked)


def _list(asked: Asked) -> None:
    gator = asked.gator()
    counts = gator.counts()
    names = sorted({*counts.queues, *counts.paused})
    shown = [
        QueueShown(
            name,
            name in counts.paused,
            {str(state): counts.queues.get(name, {}).get(state, 0) for state in _COLUMNS},
        )
        for name in names
    ]
    if asked.as_json:
        print_json(Queues(shown, counts.dropped))
        return
    if not shown:
        say(f"No unfinished or failed jobs in {where_kept(gator)}.")
        return
    states = [str(state) for state in _COLUMNS]
    print_rows(
        ("queue", *states, "paused"),
        [(each.name, *(each.jobs[state] or "" for state in states), "paused" if each.paused else "") for each in shown],
        numbers=frozenset(states),
    )
    if counts.dropped:
        say(f"{counts.dropped} failed jobs are no longer kept: there were too many, or they were too old.")


@queues.command("pause")
@click.argument("name", metavar="NAME")
@asking
@click.pass_obj
def pause(said: Asked | None, name: str, dsn: str | None, app: str | None, as_json: bool) -> None:
    """Hand out no more jobs of a queue; it goes on accepting them, and running ones finish."""
    _set(Asked(dsn, app, as_json).over(said), name, paused=True)


@queues.command("resume")
@click.argument("name", metavar="NAME")
@asking
@click.pass_obj
def resume(said: Asked | None, name: str, dsn: str | None, app: str | None, as_json: bool) -> None:
    """Hand out jobs of a paused queue again."""
    _set(Asked(dsn, app, as_json).over(said), name, paused=False)


def _set(asked: Asked, name: str, *, paused: bool) -> None:
    queue = asked.gator().queue(name)
    if paused:
        queue.pause()
    else:
        queue.resume()
    if asked.as_json:
        print_json(Paused(name, paused))
    else:
        say(f"Queue {name} {'is paused: it accepts jobs and hands out none' if paused else 'hands out jobs again'}.")
