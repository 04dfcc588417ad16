"""What the demo finds out about a folder: plain functions, run by its tasks and by the plain walk that checks them."""

import ast
import os
import stat
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final, NamedTuple

__all__ = ["Findings", "Outline", "Totals", "Weight", "files_in", "outline", "plain_walk", "totals_of", "weigh"]

_SKIPPED: Final = frozenset({b"__pycache__", b"site-packages", b"dist-packages"})
_CHUNK: Final = 1 << 20


class Weight(NamedTuple):
    """What every file has. `digest` is blake2b, 8 bytes in hex."""

    size: int
    lines: int
    digest: str


class Outline(NamedTuple):
    """What stands at the top level of a Python file."""

    functions: int
    classes: int


class Findings(NamedTuple):
    """By path: what was found, or the name of the error that was raised instead."""

    weights: Mapping[bytes, Weight | str]
    outlines: Mapping[bytes, Outline | str]


class Totals(NamedTuple):
    """A folder in one row. `digest` is that of all paths and digests, in order."""

    files: int
    unreadable: int
    size: int
    lines: int
    python_files: int
    unparsed: int
    functions: int
    classes: int
    digest: str


def files_in(folder: str) -> list[bytes]:
    """Every regular file below a folder but caches and installed packages. Paths are bytes, as the system has them."""
    found: list[bytes] = []
    for place, folders, names in os.walk(os.fsencode(folder)):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        found += [path for name in sorted(names) if _is_file(path := os.path.join(place, name))]
    return found


def _is_file(path: bytes) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:  # a link to nowhere
        return False


def weigh(path: bytes) -> Weight:
    """Size, lines and digest of a file. Raises OSError when it cannot be read."""
    size = lines = 0
    last = b"\n"
    digest = blake2b(digest_size=8)
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            size += len(chunk)
            lines += chunk.count(b"\n")
            last = chunk[-1:]
            digest.update(chunk)
    return Weight(size, lines + (last != b"\n"), digest.hexdigest())


def outline(path: bytes) -> Outline:
    """Counts the top-level definitions of a Python file. Raises SyntaxError or the like when it is not one."""
    with open(path, "rb") as file:
        tree = ast.parse(file.read(), filename=os.fsdecode(os.path.basename(path)))
    functions = sum(isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) for node in tree.body)
    return Outline(functions, sum(isinstance(node, ast.ClassDef) for node in tree.body))


def plain_walk(folder: str) -> Findings:
    """The same without typedgator: one process, one file after the other."""
    weights: dict[bytes, Weight | str] = {}
    outlines: dict[bytes, Outline | str] = {}
    for path in files_in(folder):
        try:
            weights[path] = weigh(path)
        except OSError as error:
            weights[path] = type(error).__name__
        if path.endswith(b".py"):
            try:
                outlines[path] = outline(path)
            except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
                outlines[path] = type(error).__name__
    return Findings(weights, outlines)


def totals_of(findings: Findings) -> Totals:
    """Adds up."""
    weights = [found for found in findings.weights.values() if isinstance(found, Weight)]
    outlines = [found for found in findings.outlines.values() if isinstance(found, Outline)]
    digest = blake2b(digest_size=8)
    for path in sorted(findings.weights):
        found = findings.weights[path]
        digest.update(path + b"\0" + (found.digest if isinstance(found, Weight) else "").encode())
    return Totals(
        files=len(findings.weights),
        unreadable=len(findings.weights) - len(weights),
        size=sum(found.size for found in weights),
        lines=sum(found.lines for found in weights),
        python_files=len(findings.outlines),
        unparsed=len(findings.outlines) - len(outlines),
        functions=sum(found.functions for found in outlines),
        classes=sum(found.classes for found in outlines),
        digest=digest.hexdigest(),
    )
