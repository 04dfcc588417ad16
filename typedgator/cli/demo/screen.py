"""How the demo speaks: headings, indented lines, one table; a progress bar on a terminal, a few lines elsewhere."""

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

__all__ = ["Bar", "Screen"]

_INDENT: Final = 3
_WIDEST: Final = 200
_LINES: Final = 4
"""So many lines stand for a progress bar where there is no terminal."""


class Screen:
    """Standard output."""

    def __init__(self) -> None:
        self._console = Console(markup=False, highlight=False, soft_wrap=True)
        self._is_live = sys.stdout.isatty()
        self._steps = 0

    def title(self, text: str) -> None:
        """The first line."""
        self._console.print(Text(text, "bold"))

    def step(self, text: str) -> None:
        """A numbered heading."""
        self._steps += 1
        self._console.print()
        self._console.print(Text(f"{self._steps}. {text}", "bold green"))

    def say(self, text: str, style: str = "") -> None:
        """An indented line, or several."""
        for line in text.splitlines():
            self._console.print(Text(" " * _INDENT + line, style))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table whose first column is text and whose other columns are figures."""
        table = Table(box=box.SIMPLE_HEAD if self._is_live else None, pad_edge=False)
        for place, name in enumerate(columns):
            table.add_column(name, justify="right" if place else "left", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        width = None if self._is_live else _WIDEST
        self._console.print(Padding(table, (0, 0, 0, _INDENT), expand=False), soft_wrap=False, width=width)

    def bar(self, total: int) -> "Bar":
        """A progress bar, for a `with` block."""
        return Bar(self._console, total, is_live=self._is_live)


class Bar:
    """How many of how many jobs are done."""

    def __init__(self, console: Console, total: int, *, is_live: bool) -> None:
        self._console = console
        self._total = total
        self._told = 0
        self._is_live = is_live
        columns = (TextColumn("  "), BarColumn(), MofNCompleteColumn(), TextColumn("jobs"), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, disable=not is_live)
        self._task: TaskID = self._progress.add_task("", total=total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, done: int, total: int) -> None:
        """So many are done now."""
        self._progress.update(self._task, completed=done, total=total)
        quarter = done * _LINES // max(total, 1)
        if not self._is_live and quarter > self._told:
            self._told = quarter
            self._console.print(f"{' ' * _INDENT}{done:,} of {total:,} jobs are done")
