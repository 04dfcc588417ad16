"""The public names of an Alligator release, read from its source archive without running it.

`python tests/docs/alligator.py alligator-1.0.0.tar.gz > tests/docs/alligator-1.0.0.json` made the list for the tests.
A name is public when it starts with no underscore: constants, functions, classes, methods, what a class keeps
on itself, and the parameters of all these.
"""

import ast
import hashlib
import json
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef


def names_of(archive: Path) -> dict[str, object]:
    """What the committed list holds."""
    with tarfile.open(archive) as opened:
        sources = {
            member.name: opened.extractfile(member).read()  # type: ignore[union-attr]  # a file has contents
            for member in opened.getmembers()
            if member.isfile() and member.name.endswith(".py")
        }
    package = {path: source for path, source in sources.items() if path.split("/")[1] == "alligator"}
    modules = {_module(path): sorted(set(_of_module(ast.parse(source)))) for path, source in package.items()}
    return {"sha256": hashlib.sha256(archive.read_bytes()).hexdigest(), "modules": dict(sorted(modules.items()))}


def _module(path: str) -> str:
    return ".".join(path.removesuffix(".py").removesuffix("/__init__").split("/")[1:])


def _of_module(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]) if _public(name):
                yield name
            case ast.FunctionDef(name=name) if _public(name):
                yield name
                yield from (f"{name}({parameter})" for parameter in _parameters(node))
            case ast.ClassDef(name=name) if _public(name):
                yield name
                yield from (name + found for found in _of_class(node))


def _of_class(node: ast.ClassDef) -> Iterator[str]:
    """`.member` for each, `.method(parameter)` and, of the constructor, `(parameter)`."""
    for part in node.body:
        match part:
            case ast.Assign(targets=[ast.Name(id=name)]) if _public(name):
                yield f".{name}"
            case ast.FunctionDef(name="__init__"):
                yield from (f"({parameter})" for parameter in _parameters(part))
                yield from _kept(part)
            case ast.FunctionDef(name=name) if _public(name):
                yield f".{name}"
                yield from (f".{name}({parameter})" for parameter in _parameters(part))
                yield from _kept(part)


def _parameters(function: Function) -> Iterator[str]:
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    yield from (argument.arg for argument in named if argument.arg not in ("self", "cls"))


def _kept(function: Function) -> Iterator[str]:
    """What a method assigns to `self`."""
    for node in ast.walk(function):
        match node:
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()) if _public(name):
                yield f".{name}"


def _public(name: str) -> bool:
    return not name.startswith("_")


if __name__ == "__main__":
    print(json.dumps(names_of(Path(sys.argv[1])), indent=2))
