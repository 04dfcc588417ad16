"""`manage.py gator_relay`: pushes what was committed to the outbox and left there. `gator_worker` does so, too."""

import logging
import signal
from argparse import ArgumentTypeError
from collections.abc import Sequence
from threading import Event
from types import FrameType
from typing import Final, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseError

from typedgator.contrib.django.current import current_gator
from typedgator.contrib.django.databases import candidates, outbox_databases
from typedgator.contrib.django.models import OutboxJob
from typedgator.contrib.django.relay import Relay
from typedgator.errors import BackendUnavailable, ConfigurationError

logger: Final = logging.getLogger("typedgator")


class Command(BaseCommand):
    """Any number of them may run at once."""

    help = "Push the jobs that were committed to the outbox and left there."

    def add_arguments(self, parser: CommandParser) -> None:
        """The options."""
        parser.add_argument(
            "--database", action="append", default=[], help="Only the outbox of this database; may be given again."
        )
        parser.add_argument("--interval", type=_seconds, default=1.0, help="Seconds between two looks. [default: 1]")
        parser.add_argument("--once", action="store_true", help="Push all that is there, and end.")

    def handle(self, *args: object, **options: object) -> None:
        """Works until it is told to stop; with --once, until nothing more can be pushed."""
        is_once = bool(options["once"])
        try:
            gator, databases = current_gator(), _databases(cast("Sequence[str]", options["database"]), is_once)
        except (ConfigurationError, DatabaseError) as error:
            raise CommandError(str(error)) from error
        if not databases:
            raise CommandError("no database has an outbox: run `manage.py migrate`")
        relay = Relay(gator, databases)
        if is_once:
            self._once(relay, databases)
        else:
            _until_told(relay, cast("float", options["interval"]))

    def _once(self, relay: Relay, databases: Sequence[str]) -> None:
        pushed, away = 0, dict[str, Exception]()
        while True:
            before = pushed
            for alias in [alias for alias in databases if alias not in away]:
                try:
                    pushed += relay.empty(alias)
                except (BackendUnavailable, DatabaseError) as error:
                    away[alias] = error
            if pushed == before:
                break
        self.stdout.write(f"{pushed} jobs were pushed")
        if away:
            alias, reason = next(iter(away.items()))
            raise CommandError(f"the outbox of database {alias} cannot be emptied: {reason}") from reason
        left = [row for alias in databases for row in OutboxJob.objects.using(alias).values_list("refused", flat=True)]
        refused = len(left) - left.count("")
        if left.count(""):
            self.stdout.write(f"{left.count('')} wait for another relay that has them, or for a job before them")
        if refused:
            raise CommandError(f"{refused} jobs cannot be pushed: see `refused` in the table typedgator_outbox")


def _databases(wanted: Sequence[str], is_once: bool) -> list[str]:
    try:
        return outbox_databases(wanted)
    except DatabaseError:
        if is_once:
            raise
        return candidates(wanted)  # one that is away now is waited for


def _until_told(relay: Relay, interval: float) -> None:
    stop = Event()

    def obey(number: int, frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, obey) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        relay.run(stop, interval=interval)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.01 <= seconds <= 3600:
        raise ArgumentTypeError(f"{text!r} is no number of seconds between 0.01 and 3600")
    return seconds
