"""The source as the site shows it: docstrings become Markdown, attributes get the types of the parameters they keep,
and what Python asks of a class, and no user ever calls, is left out.
"""

import re
from collections.abc import Iterator
from textwrap import dedent
from typing import Any

import griffe

OURS = "typedgator"
DRAWN = re.compile("[─│├└►▼▲]")
WORD = re.compile(r"(`[^`]*`)|(?<![\w.\[])([A-Z][a-z]+(?:[A-Z][a-z]+)+)(?![\w\]])")
CALLED = {"__init__", "__call__", "__len__"}
"""Special methods that mean something to readers."""


class Docstrings(griffe.Extension):
    """What mkdocstrings loads."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Once all names are known."""
        public = {name: f"{OURS}.{name}" for name in pkg.exports or () if isinstance(name, str)}
        for found in list(_all_of(pkg)):
            if found.docstring:
                found.docstring.value = _linked(as_markdown(found.docstring.value), public, found.path)
            if isinstance(found, griffe.Class):
                _typed(found)
                _bare(found)


def _all_of(found: griffe.Object) -> Iterator[griffe.Object]:
    yield found
    for member in found.members.values():
        if isinstance(member, griffe.Object):
            yield from _all_of(member)


def as_markdown(text: str) -> str:
    """Each paragraph; one whose lines after the first are indented is a section with a title."""
    return "\n\n".join(_paragraph(part) for part in re.split(r"\n[ ]*\n", text))


def _paragraph(part: str) -> str:
    first, _, rest = part.partition("\n")
    lines = rest.splitlines()
    if not first.startswith(" ") and lines and all(line.startswith("    ") for line in lines):
        return f"## {first}\n\n{_body(dedent(rest))}"
    return _body(part)


def _body(part: str) -> str:
    return f"```text\n{part}\n```" if DRAWN.search(part) else part


def _linked(text: str, public: dict[str, str], here: str) -> str:
    """`JobFailed` in a sentence leads to JobFailed; code stays as it is."""
    own = here.split(".")

    def link(found: re.Match[str]) -> str:
        code, name = found.groups()
        if code or name not in public or name in own:
            return found[0]
        return f"[{name}][{public[name]}]"

    fences = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part.startswith("```") else WORD.sub(link, part) for part in fences)


def _typed(found: griffe.Class) -> None:
    """`self.queue: Final = queue` is shown as `queue: str`; how another attribute gets its value, as nothing."""
    made = found.members.get("__init__")
    parameters = {p.name: p.annotation for p in made.parameters} if isinstance(made, griffe.Function) else {}
    for member in found.members.values():
        if isinstance(member, griffe.Attribute) and member.value is not None and "instance-attribute" in member.labels:
            if "class-attribute" in member.labels:
                continue
            if isinstance(member.annotation, griffe.ExprSubscript) and str(member.annotation.left) == "Final":
                member.annotation = member.annotation.slice
            elif str(member.annotation) in ("Final", "None"):
                member.annotation = parameters.get(str(member.value)) or _class_called(member.value)
            member.value = None


def _class_called(value: str | griffe.Expr) -> griffe.Expr | None:
    """Of `Registry()`, Registry."""
    if isinstance(value, griffe.ExprCall) and isinstance(value.function, griffe.ExprName):
        return value.function if value.function.name[0].isupper() else None
    return None


def _bare(found: griffe.Class) -> None:
    for name in list(found.members):
        special = name.startswith("__") and name not in CALLED
        if special or (name == "__init__" and found.path.startswith(f"{OURS}.errors.")):
            del found.members[name]
