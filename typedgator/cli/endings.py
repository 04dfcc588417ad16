"""How a command ends that cannot do what was asked: one line on standard error and an exit code, never a traceback.

0: done. 1: it could not be done. 2: it was asked wrongly (usage, module path, DSN). 128 + n: ended by signal n.
"""

from typing import IO, Any, Final

import click

from typedgator.errors import ConfigurationError, GatorError

__all__ = ["BY_SIGNAL", "NOT_DONE", "Misuse", "Refusal", "one_line", "refusal_of"]

NOT_DONE: Final = 1
_ASKED_WRONGLY: Final = 2
BY_SIGNAL: Final = 128
"""Plus the signal's number, as shells have it."""


class Refusal(click.ClickException):
    """Ends the command with this sentence and exit code 1."""

    exit_code = NOT_DONE

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))

    def show(self, file: IO[Any] | None = None) -> None:
        """Prints the one line."""
        click.echo(f"typedgator: {self.message}", file=file, err=True)


class Misuse(Refusal):
    """Ends the command with this sentence and exit code 2."""

    exit_code = _ASKED_WRONGLY


def refusal_of(error: GatorError) -> Refusal:
    """What the library refused, as an ending."""
    return (Misuse if isinstance(error, ConfigurationError) else Refusal)(str(error))


def one_line(text: str) -> str:
    """A text without its line breaks."""
    return " ".join(text.split())
