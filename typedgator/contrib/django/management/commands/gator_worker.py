"""`manage.py gator_worker`: `typedgator worker` in a Django project, with autoreload, and a relay for the outbox."""

import sys
from argparse import SUPPRESS, BooleanOptionalAction
from collections.abc import Generator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Final, cast

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from typedgator.cli.hosting import run_worker, worker_options
from typedgator.contrib.django.conf import configured
from typedgator.contrib.django.current import current_gator
from typedgator.contrib.django.databases import candidates
from typedgator.contrib.django.relay import Relay
from typedgator.contrib.django.reloading import is_child, own_command, run_again_and_again, watched
from typedgator.contrib.django.serving import served_queues

OWN_GATOR: Final = "typedgator.contrib.django.worker:gator"
RELAY_SECONDS: Final = 1.0


class Command(BaseCommand):
    """Serves the queues of TYPEDGATOR's gator. Every `tasks.py` of an installed app is imported."""

    help = "Run the jobs of this project's gator, and relay its outbox."

    def add_arguments(self, parser: CommandParser) -> None:
        """The options of `typedgator worker`, and two of its own."""
        for option in worker_options():
            said = SUPPRESS if option.is_hidden else option.help.replace("%", "%%")
            if option.is_flag:
                parser.add_argument(option.flag, dest=option.name, action="store_true", help=said)
            elif option.is_many:
                parser.add_argument(option.flag, dest=option.name, action="append", default=[], help=said)
            else:
                parser.add_argument(option.flag, dest=option.name, help=said)
        parser.add_argument(
            "--reload", action=BooleanOptionalAction, help="Start anew when code changes. [default: when DEBUG is on]"
        )
        parser.add_argument(
            "--relay", action=BooleanOptionalAction, default=True, help="Push what was left in the outbox."
        )

    def handle(self, *args: object, **options: object) -> None:
        """Works until it is told to stop."""
        arguments = _arguments(options)
        again = [*own_command("gator_worker"), *_django_arguments(options)]
        relays = bool(options["relay"])
        if _reloads(options) and not is_child():
            command = [*again, *arguments, "--reload", "--relay" if relays else "--no-relay"]
            code = run_again_and_again(command)
        elif _reloads(options):
            code = watched(lambda: self._work(arguments, again, relays=relays))
        else:
            code = self._work(arguments, again, relays=relays)
        if code:
            sys.exit(code)

    def _work(self, arguments: list[str], again: list[str], *, relays: bool) -> int:
        launcher = [*again, "--no-reload", "--relay" if relays else "--no-relay"]
        with _relaying(is_on=relays and "--processes" not in arguments):
            ended = run_worker(configured().gator or OWN_GATOR, arguments, launcher)
        if ended.refused:
            raise CommandError(ended.refused, returncode=ended.code)
        return ended.code


def _reloads(options: dict[str, object]) -> bool:
    said = options["reload"]
    if said is None:
        return bool(settings.DEBUG) and not (options["burst"] or options["supervised"] or options["processes"])
    return bool(said)


def _arguments(options: dict[str, object]) -> list[str]:
    """The worker's options as they are typed; without --queue, all queues that this project enqueues to."""
    said: list[str] = []
    for option in worker_options():
        value = options.get(option.name)
        if option.is_flag:
            said += [option.flag] if value else []
        elif option.is_many:
            for each in cast("list[object]", value or []):
                said += [option.flag, str(each)]
        elif value is not None:
            said += [option.flag, str(value)]
    if not options.get("queues"):
        for queue in served_queues():
            said += ["--queue", queue]
    return said


def _django_arguments(options: dict[str, object]) -> list[str]:
    """What Django reads itself. The settings are in the environment already."""
    path = options.get("pythonpath")
    return [*(["--pythonpath", str(path)] if path else []), *(["--skip-checks"] if options.get("skip_checks") else [])]


@contextmanager
def _relaying(*, is_on: bool) -> Generator[None]:
    databases = candidates() if is_on else []
    if not databases:
        yield
        return
    stop = Event()
    relay = Relay(current_gator(), databases)
    thread = Thread(
        target=relay.run, args=(stop,), kwargs={"interval": RELAY_SECONDS}, name="typedgator-relay", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(RELAY_SECONDS)
