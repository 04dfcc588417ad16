"""`typedgator worker`: serve queues until told to stop.

SIGTERM or SIGINT once: take no more jobs, let running ones finish within the grace, exit code 0. Twice: give them back
now, exit code 128 + the signal's number. Three times: end at once; the jobs run again when their lease ends.
"""

import logging
import os
import signal
import sys
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from queue import SimpleQueue
from threading import Thread
from types import FrameType
from typing import TYPE_CHECKING, Final, Protocol, cast

import click
import msgspec

from typedgator.backends.contract import EVERY_QUEUE
from typedgator.cli.endings import BY_SIGNAL, Misuse
from typedgator.cli.loading import import_named, load_gator
from typedgator.cli.place import where_kept
from typedgator.gator import Gator
from typedgator.worker import Worker, WorkerReport
from typedgator.worker.ready import make_ready
from typedgator.worker.supervisor import Supervisor

if TYPE_CHECKING:
    from typedgator.cli.bar import Bar

__all__ = ["Launcher", "worker"]

logger: Final = logging.getLogger("typedgator")

_LEVELS: Final = ("debug", "info", "warning", "error")


class Launcher(msgspec.Struct, frozen=True):
    """The command that starts one of several processes, where it is not `typedgator worker`: options are appended."""

    command: tuple[str, ...]


class Stoppable(Protocol):
    """What signals stop."""

    def stop(self, *, now: bool = False) -> None:
        """Stops it, with its grace or without."""
        ...


@click.command()
@click.argument("spec", metavar="MODULE[:GATOR]")
@click.option(
    "--queue", "queues", metavar="NAME", multiple=True, help="Serve this queue, the first one first; '*': all."
)
@click.option("--concurrency", type=click.IntRange(1), help="Threads and coroutines. [default: 8 and 100]")
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True, help="Worker processes.")
@click.option("--max-tasks", type=click.IntRange(1), help="Stop each process after so many jobs.")
@click.option("--burst", is_flag=True, help="Stop when no job is due.")
@click.option(
    "--import", "imports", metavar="MODULE", multiple=True, help="Import this module too: it registers tasks."
)
@click.option(
    "--lease", type=float, default=30.0, show_default=True, help="Seconds after which a dead worker's jobs run again."
)
@click.option(
    "--grace", type=float, default=10.0, show_default=True, help="Seconds that running jobs get when it stops."
)
@click.option("--log-level", type=click.Choice(_LEVELS, case_sensitive=False), default="info", show_default=True)
@click.option("--supervised", is_flag=True, hidden=True, help="Stop when standard input ends.")
def worker(
    spec: str,
    queues: Sequence[str],
    concurrency: int | None,
    processes: int,
    max_tasks: int | None,
    burst: bool,
    imports: Sequence[str],
    lease: float,
    grace: float,
    log_level: str,
    supervised: bool,
) -> None:
    """Run the jobs of a gator: the one called `gator` in MODULE, or the only one there."""
    if processes > 1:
        _log_to_stderr(log_level)
        supervisor = Supervisor(_command_of_one(click.get_current_context()), processes)
        with _stopped_by_signals(supervisor) as heard:
            code = supervisor.run()
        raise click.exceptions.Exit(_exit_code(heard, code))
    gator = load_gator(spec)
    for module in imports:
        import_named(module)
    if not gator.backend.can.shared:
        raise Misuse(
            f"{where_kept(gator)} keeps its jobs inside one process, so a worker process would never see one: "
            "use sqlite:///typedgator.db, or run them where they are enqueued, with is_async=False"
        )
    bar = _bar(gator) if burst and not supervised and sys.stderr.isatty() else None
    _log_to_stderr(log_level, None if bar is None else bar.handler)
    logger.info("jobs come from %s; tasks known: %d", where_kept(gator), len(gator.registry))
    one = Worker(
        gator,
        queues=queues or ("all",),
        concurrency=concurrency,
        lease=lease,
        grace=grace,
        max_tasks=max_tasks,
        burst=burst,
    )
    _warn_of_unserved(gator, one.queues)
    if supervised:
        Thread(target=_stop_at_end_of_input, args=(one,), name="typedgator-supervised", daemon=True).start()
    showing: AbstractContextManager[None] = nullcontext() if bar is None else bar.of(one)
    with _stopped_by_signals(one) as heard, showing:
        make_ready(gator.backend, gator.registry)
        one.run()
    logger.info("stopped: %s", _summary(one.report))
    raise click.exceptions.Exit(_exit_code(heard, 0))


def _warn_of_unserved(gator: Gator, queues: Sequence[str]) -> None:
    """Says it when a task was registered for a queue that this worker does not serve: its jobs would wait unseen."""
    unserved: dict[str, list[str]] = {}
    for task in gator.registry:
        queue = task.spec.options.queue
        if isinstance(queue, str) and queue not in queues and EVERY_QUEUE not in queues:
            unserved.setdefault(queue, []).append(task.spec.name)
    for queue, (first, *others) in unserved.items():
        subject = f"task {first} goes" if not others else f"task {first} and {len(others)} more go"
        said = "%s to queue %s, which this worker does not serve: add --queue %s or --queue '*'"
        logger.warning(said, subject, queue, queue)


def _command_of_one(context: click.Context) -> list[str]:
    """The command line of one of several worker processes: this one's, without `--processes`."""
    launcher = context.find_object(Launcher)
    command = [sys.executable, "-m", "typedgator", "worker"] if launcher is None else list(launcher.command)
    for parameter in context.command.params:
        value: object = context.params.get(parameter.name or "")
        if isinstance(parameter, click.Argument):
            command += [] if launcher else [str(value)]
        elif parameter.name in {"processes", "supervised"} or value in (None, False, ()):
            continue
        elif value is True:
            command.append(parameter.opts[0])
        else:
            for each in cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,):
                command += [parameter.opts[0], str(each)]
    return [*command, "--supervised"]


# ---- signals


@contextmanager
def _stopped_by_signals(target: Stoppable) -> Generator[list[int]]:
    """Inside, SIGTERM and SIGINT stop `target`; gives the signals that came.

    The handler only passes the number on: a thread of its own stops the target, since a handler that wanted a lock
    could wait for the very line that it interrupted.
    """
    heard: list[int] = []
    numbers: SimpleQueue[int] = SimpleQueue()

    def handle(number: int, frame: FrameType | None) -> None:
        heard.append(number)
        numbers.put(number)

    def obey() -> None:
        for count in range(1, 4):
            number = numbers.get()
            name = signal.Signals(number).name
            if count > 2:
                os._exit(BY_SIGNAL + number)
            target.stop(now=count > 1)
            if count == 1:
                logger.info("%s: no more jobs are taken; a second signal gives back those that run", name)
            else:
                logger.warning("%s again: giving back what runs, without the grace", name)

    Thread(target=obey, name="typedgator-signals", daemon=True).start()
    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit_code(heard: Sequence[int], code: int) -> int:
    return BY_SIGNAL + heard[1] if len(heard) > 1 else code


def _stop_at_end_of_input(target: Stoppable) -> None:
    """The supervisor's death ends the pipe: nobody would stop this process any more."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    logger.warning("the supervisor is gone: stopping")
    target.stop()


# ---- what is said meanwhile


def _summary(report: WorkerReport) -> str:
    """What was done, in one line: "12 succeeded, 1 failed"."""
    counts = ((name, int(getattr(report, name))) for name in report.__struct_fields__)
    return ", ".join(f"{count} {name}" for name, count in counts if count) or "nothing was due"


def _bar(gator: Gator) -> "Bar":
    from typedgator.cli.bar import Bar  # a worker that shows nothing has no use for 3 MB of rich

    return Bar(gator)


def _log_to_stderr(level: str, handler: logging.Handler | None = None) -> None:
    """Log lines to standard error, or to a handler, unless the user's modules have set up logging."""
    root = logging.getLogger()
    logger.setLevel(level.upper())
    if root.handlers:
        return
    handler = handler or logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s [%(process)d] %(message)s"))
    root.addHandler(handler)
    root.setLevel(level.upper())
