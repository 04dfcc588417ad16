"""The law of the examples: they are users. What a user may not import, or has to read twice, is not in them."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(path for path in (ROOT / "examples").iterdir() if path.is_dir() and not path.name.startswith("."))
PUBLIC = ("typedgator", "typedgator.contrib.asgi", "typedgator.contrib.django", "typedgator.testing")


def imported(path: Path) -> set[str]:
    """Modules that a file imports; `from x import y` names `x`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        match node:
            case ast.Import(names=names):
                found |= {alias.name for alias in names}
            case ast.ImportFrom(module=str(module)):
                found.add(module)
            case _:
                pass
    return found


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_imports_only_what_is_public(example: Path) -> None:
    """And nothing of the tests, or of another example."""
    others = {other.name for other in EXAMPLES} - {example.name} | {"tests", "benchmarks"}
    sources = [path for path in example.rglob("*.py") if ".venv" not in path.parts]
    assert sources
    for path in sources:
        for module in imported(path):
            root = module.split(".")[0]
            assert root not in others, f"{path} imports {module}"
            assert root != "typedgator" or module in PUBLIC, f"{path} imports {module}"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_starts_by_one_command_that_its_readme_names(example: Path) -> None:
    readme = (example / "README.md").read_text(encoding="utf-8")
    assert "```sh\nmake\n```" in readme
    assert "TYPEDGATOR_CONN=redis://localhost:6379/0 make\n" in readme
    assert ".DEFAULT_GOAL := run\n" in (example / "Makefile").read_text(encoding="utf-8")
    assert (example / "requirements.txt").read_text(encoding="utf-8").startswith("../..")
