"""The progress bar of a burst, and log lines above it. Only where somebody looks: rich takes 3 MB."""

import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from typedgator.errors import BackendUnavailable, Unsupported
from typedgator.gator import Gator
from typedgator.wire.states import JobState
from typedgator.worker import Worker

__all__ = ["Bar"]

_REDRAW_SECONDS: Final = 0.25
_AHEAD: Final = (JobState.WAITING, JobState.RUNNING, JobState.RETRYING)


class Bar:
    """On standard error; `handler` writes log records above it."""

    def __init__(self, gator: Gator) -> None:
        self._gator = gator
        self._console = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
        self.handler: Final[logging.Handler] = _AboveIt(self._console)

    @contextmanager
    def of(self, one: Worker) -> Generator[None]:
        """Shows what is done and what is ahead, redrawn from the worker's own report."""
        over = Event()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._console) as progress:
            bar = progress.add_task("jobs", total=None)

            def draw(ahead: int) -> None:
                report = one.report
                ended = report.succeeded + report.failed + report.canceled + report.held
                progress.update(bar, completed=ended, total=ended + ahead)

            def follow() -> None:
                while not over.wait(_REDRAW_SECONDS):
                    try:
                        draw(_ahead(self._gator, one.queues))
                    except (BackendUnavailable, Unsupported):
                        progress.update(bar, total=None)

            thread = Thread(target=follow, name="typedgator-progress", daemon=True)
            thread.start()
            try:
                yield
            finally:
                over.set()
                thread.join()
                draw(0)


class _AboveIt(logging.Handler):
    """Writes records to a rich console, which keeps its progress bar below them."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one record."""
        self._console.print(self.format(record))


def _ahead(gator: Gator, queues: Sequence[str]) -> int:
    counts = gator.counts().queues
    return sum(
        jobs
        for queue, states in counts.items()
        if "*" in queues or queue in queues
        for state, jobs in states.items()
        if state in _AHEAD
    )
