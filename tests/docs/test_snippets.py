"""Every snippet of README.md and docs/ runs, in order, one page in one process and one empty folder.

- ```python``` blocks of a page share one namespace; `await` may stand at the top level.
- A block whose first line is `# folder/name.py` becomes that file and is imported; its names are shared too.
- `<!-- no-run: reason -->` above a block: it is only compiled.
- `<!-- needs: module -->` anywhere: without it, the page is skipped.
- `<!-- run -->` above a ```console``` block: each `$ typedgator …` line must exit 0; `<!-- run: fails -->`: must not.
"""

import ast
import asyncio
import importlib
import importlib.util
import inspect
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent, indent
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(
    r"(?:<!--\s*(?P<order>(?:no-)?run)\s*(?::(?P<detail>.*?))?-->\s*)?"
    r"^(?P<margin>[ ]*)```(?P<language>\w+)[^\n]*\n(?P<body>.*?)^(?P=margin)```\s*$",
    re.MULTILINE | re.DOTALL,
)
NEEDS = re.compile(r"<!-- needs: (\w+) -->")


class Block(NamedTuple):
    line: int
    language: str
    body: str
    order: str
    detail: str


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a page; `line` is that of the opening fence."""
    for found in FENCE.finditer(text):
        order, detail = found["order"] or "", (found["detail"] or "").strip()
        line = text.count("\n", 0, found.start("margin")) + 1
        yield Block(line, found["language"], dedent(found["body"]), order, detail)


def run_page(page: Path) -> None:
    """Run a page's snippets in this process and this folder; the first that fails raises, naming page and line."""
    sys.path.insert(0, os.getcwd())
    names: dict[str, Any] = {"__name__": "snippet"}
    with asyncio.Runner() as runner:
        for block in blocks(page.read_text(encoding="utf-8")):
            if block.language == "python":
                run_python(page, block, names, runner)
            elif block.language == "console" and block.order == "run":
                run_console(page, block)


def run_python(page: Path, block: Block, names: dict[str, Any], runner: asyncio.Runner) -> None:
    source = "\n" * block.line + block.body  # so that tracebacks name the page's own lines
    code = compile(source, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    if block.order == "no-run":
        assert block.detail, f"{page}:{block.line}: say why this block cannot run"
    elif named := re.match(r"# ([\w/]+)\.py\b", block.body):
        file = Path(f"{named[1]}.py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.body, encoding="utf-8")
        importlib.invalidate_caches()
        module = importlib.import_module(named[1].replace("/", "."))
        names |= {name: value for name, value in vars(module).items() if not name.startswith("__")}
    else:
        result = eval(code, names)
        if inspect.iscoroutine(result):
            runner.run(result)


def run_console(page: Path, block: Block) -> None:
    for command in re.findall(r"^\$ (.*)$", block.body, re.MULTILINE):
        argv = shlex.split(command, comments=True)
        assert argv[0] in {"typedgator", "latergator"}, (
            f"{page}:{block.line}: only typedgator's commands are run: {command}"
        )
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        said = indent(done.stdout + done.stderr, "    ")
        assert (done.returncode != 0) == (block.detail == "fails"), (
            f"{page}:{block.line}: $ {command}\n{said}\nexit code {done.returncode}"
        )


def run_in_child(page: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TYPEDGATOR_")}
    clean["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), clean.get("PATH", "")])
    argv = [sys.executable, "-X", "dev", __file__, str(page)]
    return subprocess.run(argv, cwd=folder, env=clean, capture_output=True, text=True, check=False)


def runs(page: Path) -> bool:
    """Whether there is anything to run: most of the reference is made of docstrings."""
    return any(block.language == "python" or block.order == "run" for block in blocks(page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", list(filter(runs, PAGES)), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_snippet_of_the_page_runs(page: Path, tmp_path: Path) -> None:
    missing = [name for name in NEEDS.findall(page.read_text(encoding="utf-8")) if not importlib.util.find_spec(name)]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")
    done = run_in_child(page, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_snippets_share_names_await_and_import_the_files_they_show(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```python\n# shop/tasks.py\nn = 20\n```\n\n"
        "1. In a list:\n   ```python\n   from shop.tasks import n\n   m = n + 1\n   ```\n"
        "<!-- no-run: needs a server -->\n```python\nawait missing()\n```\n\n"
        "```python\nimport asyncio\nawait asyncio.sleep(0)\nassert m == 21\n```\n"
    )
    done = run_in_child(page, tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_failing_snippet_is_named_by_page_and_line(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Title\n\n```python\nok = 1\nassert ok == 2\n```\n")
    done = run_in_child(page, tmp_path)
    assert done.returncode == 1
    assert f'File "{page}", line 5' in done.stderr


if __name__ == "__main__":
    run_page(Path(sys.argv[1]).resolve())
