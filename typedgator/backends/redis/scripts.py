"""The Lua scripts: read from their files, put together from the parts that their heads name, called by their SHA.

A head says what is needed in a line `-- Needs   keys clock …`. A backend on a test's clock runs the same scripts with
another part for the clock; nothing else in them differs.
"""

import hashlib
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

__all__ = ["NAMES", "Script", "script"]

_LUA: Final = files("typedgator.backends.redis") / "lua"
NAMES: Final = tuple(sorted(each.name.removesuffix(".lua") for each in _LUA.iterdir() if each.name.endswith(".lua")))
"""All scripts."""


class Script(msgspec.Struct, frozen=True):
    """One script: its whole text and the SHA-1 by which a server that has seen it knows it."""

    name: str
    text: bytes
    sha: bytes


@cache
def script(name: str, *, clock_of_tests: bool = False) -> Script:
    """A script by the name of its file."""
    source = (_LUA / f"{name}.lua").read_text(encoding="utf-8")
    shebang, _, body = source.partition("\n")
    needs = next(line for line in body.splitlines() if line.startswith("-- Needs")).split()[2:]
    texts = {part: _part(part, clock_of_tests=clock_of_tests) for part in needs}
    for part in needs:
        if f"\n-- part {part}\n" in body:
            body = body.replace(f"-- part {part}\n", texts.pop(part))
    text = "\n".join([shebang, *texts.values(), body]).encode("utf-8")
    return Script(name, text, hashlib.sha1(text, usedforsecurity=False).hexdigest().encode("ascii"))


def _part(name: str, *, clock_of_tests: bool) -> str:
    if name == "clock" and clock_of_tests:
        name = "clock_of_tests"
    return (_LUA / "parts" / f"{name}.lua").read_text(encoding="utf-8")
