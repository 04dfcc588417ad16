"""stubs/redis says what is true: every name, every parameter, and what a live server's answers are."""

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import hiredis
import pytest
import redis.exceptions
from redis.connection import Connection, UnixDomainSocketConnection

from tests.integration.redis.servers import Server, needs_redis

STUBS = Path(__file__).parents[3] / "stubs"
MODULES = {
    "redis.connection": STUBS / "redis" / "connection.pyi",
    "redis.crc": STUBS / "redis" / "crc.pyi",
    "redis.exceptions": STUBS / "redis" / "exceptions.pyi",
    "hiredis": STUBS / "hiredis" / "__init__.pyi",
}


def stubbed() -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef]]:
    """Every class and function of the stubs, with its module."""
    for module, path in MODULES.items():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                yield module, node


@pytest.mark.parametrize(("module", "node"), list(stubbed()), ids=lambda value: getattr(value, "name", value))
def test_what_is_stubbed_exists(module: str, node: ast.ClassDef | ast.FunctionDef) -> None:
    """Names, base classes, methods and their parameters."""
    real = getattr(importlib.import_module(module), node.name)
    if isinstance(node, ast.FunctionDef):
        assert callable(real)
        return
    for base in node.bases:
        # Of the connections the common ancestor is private: what the stub says of it holds for each.
        if module == "redis.exceptions":
            assert issubclass(real, getattr(redis.exceptions, ast.unparse(base), Exception))
    for method in node.body:
        if not isinstance(method, ast.FunctionDef) or module == "hiredis":
            continue
        known = parameters(real, method.name)
        for parameter in (*method.args.args[1:], *method.args.kwonlyargs):
            assert parameter.arg in known, f"{node.name}.{method.name}() has no {parameter.arg!r}"


def parameters(real: type[object], method: str) -> set[str]:
    """The parameters of a method, and of those of its bases that it passes the rest on to."""
    found: set[str] = set()
    for cls in real.__mro__:
        if method in vars(cls):
            found |= set(inspect.signature(inspect.unwrap(vars(cls)[method])).parameters)
    return found


@needs_redis
@pytest.mark.parametrize("kind", [Connection, UnixDomainSocketConnection])
def test_a_live_server_answers_as_stubbed(kind: type[Connection]) -> None:
    """Bytes, whole numbers, None and lists of them; errors as exceptions of the classes we name."""
    with Server() as server:
        where = {"path": str(server.path)} if kind is UnixDomainSocketConnection else {"port": server.port}
        line = kind(**where, db=0, socket_timeout=5.0, socket_connect_timeout=5.0, protocol=2)  # type: ignore[arg-type]  # one of two ways
        line.connect()

        def ask(*words: bytes | str | int) -> object:
            line.send_packed_command((hiredis.pack_command(words),), check_health=False)
            return line.read_response()

        assert ask("SET", "k", b"\xff\x00") == b"OK"
        assert (ask("GET", "k"), ask("GET", "none"), ask("INCR", "n")) == (b"\xff\x00", None, 1)
        assert ask("EVAL", "return {1, 'two', false, {redis.call('GET', KEYS[1])}}", 1, "k") == [
            *(1, b"two", None, [b"\xff\x00"]),
        ]
        assert ask("BLPOP", "none", "0.01") is None
        with pytest.raises(redis.exceptions.NoScriptError):
            ask("EVALSHA", "0" * 40, 0)
        with pytest.raises(redis.exceptions.ResponseError):
            ask("HGET", "k", "f")
        line.disconnect()
