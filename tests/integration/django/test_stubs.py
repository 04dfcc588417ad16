"""The stubs of Django name only what Django has: this one, or its backport of the tasks framework."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

django = pytest.importorskip("django", reason="Django is not installed: pip install typedgator[django]")

STUBS = Path(__file__).parents[3] / "stubs" / "django"
NOT_AT_RUN_TIME = {"Features", "Introspection", "Connection", "ConnectionHandler", "Apps", "LazySettings", "_Objects"}
"""Shapes of what Django makes at run time, under names of ours."""


def module_of(file: Path) -> str:
    parts = ["django", *file.relative_to(STUBS).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("file", sorted(STUBS.rglob("*.pyi")), ids=module_of)
def test_what_a_stub_names_is_there(file: Path) -> None:
    name = module_of(file)
    if django.VERSION < (6, 0) and name.startswith("django.tasks"):
        pytest.skip("Django 5.2 has no tasks framework")
    if django.VERSION < (6, 0) and name == "django.utils.json":
        pytest.skip("Django 5.2 has no such module")
    module = import_module(name)
    missing: list[str] = []
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        match node:
            case ast.ClassDef(name=found) | ast.FunctionDef(name=found) | ast.AsyncFunctionDef(name=found):
                members = [n.name for n in getattr(node, "body", []) if isinstance(n, ast.FunctionDef)]
                if found in NOT_AT_RUN_TIME:
                    continue
                if not hasattr(module, found):
                    missing.append(found)
                elif isinstance(node, ast.ClassDef) and not name.startswith(("django.db.models", "django.conf")):
                    owner = getattr(module, found)
                    missing += [f"{found}.{member}" for member in members if not hasattr(owner, member)]
            case ast.AnnAssign(target=ast.Name(id=found)) if not hasattr(module, found):
                missing.append(found)
            case _:
                pass
    assert missing == []
