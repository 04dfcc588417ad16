"""Every command with its options, as click knows them: `python .ci/docs/commands.py` prints the page in Markdown."""

from collections.abc import Iterator

import click

from typedgator.cli import main

HEAD = """# All commands

As `--help` prints them. [Command line](cli.md) tells what they are for, with examples."""


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """A command and all below it, by the words that call them."""
    if not command.hidden:
        yield name, command
        for word, part in getattr(command, "commands", {}).items():
            yield from commands(part, f"{name} {word}")


def page() -> str:
    """The page."""
    parts = [HEAD]
    for name, command in commands(main, "typedgator"):
        context = click.Context(command, info_name=name, terminal_width=100, max_content_width=100)
        parts.append(f"## {name}\n\n```text\n{command.get_help(context).rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201
