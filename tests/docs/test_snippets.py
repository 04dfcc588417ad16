"""Every snippet of README.md and docs/ runs, in order, one page in one process and one empty folder.

- ```python``` blocks of a page share one namespace; `await` may stand at the top level. Comments under a `print(…)` are
  what it prints.
- A block whose first line is `# folder/name.ext` becomes that file. A ```python``` one is imported, unless it is
  `no-run`; its names are shared too.
- `<!-- run -->` above a ```console``` block: each `$ command` must exit 0, and print what is shown below it,
  if anything is; `<!-- run: fails -->`: it must not exit 0.
- `<!-- shows: expression -->` above a ```text``` block: it is the value of that, in the names of the page.
- `<!-- no-run: reason -->` above a block: it is only compiled, or only looked at. Nothing else escapes.
- `<!-- run-with: library -->` above a ```python``` block: `test_before` runs it, with the library that the page leaves.
- `<!-- needs: module -->` anywhere: without it, the page is skipped.
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
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from textwrap import dedent, indent
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # it is run as a script, too

from tests.docs.shown import difference, under_prints  # noqa: E402

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(
    r"(?:<!--\s*(?P<order>no-run|run-with|run|shows)\s*(?::(?P<detail>.*?))?-->\s*)?"
    r"^(?P<margin>[ ]*)```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^(?P=margin)```\s*$",
    re.MULTILINE | re.DOTALL,
)
MADE = re.compile(r"# ([\w/.]+\.\w+)$", re.MULTILINE)
COMMANDS = {"typedgator", "latergator", "pytest", "mypy"}
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
            where = f"{page}:{block.line}"
            if block.language == "python":
                run_python(page, block, names, runner)
            elif block.order == "run":
                run_console(where, block)
            elif block.order == "shows":
                wrong = difference(block.body, str(eval(block.detail, names)))
                assert not wrong, f"{where}: {block.detail} is something else\n{wrong}"
            elif block.order != "no-run":
                make_file(where, block)
            assert block.order != "no-run" or block.detail, f"{where}: say why this block cannot run"


def run_python(page: Path, block: Block, names: dict[str, Any], runner: asyncio.Runner) -> None:
    source = "\n" * block.line + block.body  # so that tracebacks name the page's own lines
    code = compile(source, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    if block.order == "run-with":
        return
    if MADE.match(block.body):
        file = make_file(f"{page}:{block.line}", block)
    if block.order == "no-run":
        return
    if MADE.match(block.body):
        importlib.invalidate_caches()
        module = importlib.import_module(".".join(file.with_suffix("").parts))
        names |= {name: value for name, value in vars(module).items() if not name.startswith("__")}
        return
    with redirect_stdout(StringIO()) as printed:
        result = eval(code, names)
        if inspect.iscoroutine(result):
            runner.run(result)
    wrong = difference(shown, printed.getvalue()) if (shown := under_prints(block.body)) else ""
    assert not wrong, f"{page}:{block.line}: something else is printed\n{wrong}"


def make_file(where: str, block: Block) -> Path:
    named = MADE.match(block.body)
    assert named, f"{where}: nothing runs this block; make it a file, show a value, run it, or say why not"
    file = Path(named[1])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(block.body, encoding="utf-8")
    return file


def run_console(where: str, block: Block) -> None:
    _, *commands = re.split(r"^\$ ", block.body, flags=re.MULTILINE)
    for command, _, shown in (part.partition("\n") for part in commands):
        argv = shlex.split(command, comments=True)
        assert argv[0] in COMMANDS, f"{where}: none of {sorted(COMMANDS)}: {command}"
        env = {**os.environ, "COLUMNS": "200"}
        streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        done = subprocess.run(argv, **streams, env=env, text=True, check=False)
        said = indent(done.stdout, "    ")
        assert (done.returncode != 0) == (block.detail == "fails"), (
            f"{where}: $ {command}\n{said}\nexit code {done.returncode}"
        )
        wrong = difference(shown, done.stdout) if shown.strip() else ""
        assert not wrong, f"{where}: $ {command} prints something else\n{wrong}"


def run_in_child(page: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TYPEDGATOR_")}
    clean["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), clean.get("PATH", "")])
    argv = [sys.executable, "-X", "dev", __file__, str(page)]
    return subprocess.run(argv, cwd=folder, env=clean, capture_output=True, text=True, check=False)


def runs(page: Path) -> bool:
    """Whether it has blocks at all: most of the reference is made of docstrings."""
    return any(blocks(page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", list(filter(runs, PAGES)), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_snippet_of_the_page_runs(page: Path, tmp_path: Path) -> None:
    missing = [name for name in NEEDS.findall(page.read_text(encoding="utf-8")) if not importlib.util.find_spec(name)]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")
    done = run_in_child(page, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_reason_points_to_is_there(page: Path) -> None:
    """A block that does not run here may be run by another test, which is named."""
    reasons = [block.detail for block in blocks(page.read_text(encoding="utf-8")) if block.order == "no-run"]
    named = [path for reason in reasons for path in re.findall(r"[\w/]+/[\w.]+\w", reason)]
    assert [path for path in named if not (ROOT / path).exists()] == []


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


GOOD = """
```python
print("two lines\\n  by 0199f3c2a1b07cc0b8d5c5d0a3a1e001")
# two lines
#   by 01a20971031e7d319756265afd103de6
```

<!-- run -->
```console
$ typedgator --version
typedgator, version ...
```

<!-- shows: 6 * 7 -->
```text
42
```

<!-- no-run: there is no such server -->
```sh
ssh nowhere
```
"""


def test_what_a_page_shows_of_outputs_is_compared(tmp_path: Path) -> None:
    """The pages below differ from this one in one thing."""
    page = tmp_path / "page.md"
    page.write_text(GOOD)
    done = run_in_child(page, tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("there", "instead", "said"),
    [
        ("#   by", "# by", "something else is printed"),
        ("# two lines", "# two line", "something else is printed"),
        ("typedgator, version", "alligator, version", "$ typedgator --version prints something else"),
        ("6 * 7", "6 * 8", "6 * 8 is something else"),
        ("$ typedgator", "$ rm", "none of"),
        ("<!-- no-run: there is no such server -->", "", "nothing runs this block"),
        ("<!-- no-run: there is no such server -->", "<!-- no-run: -->", "say why"),
        ("<!-- no-run: there is no such server -->\n```sh", "```", "nothing runs this block"),
    ],
)
def test_a_page_that_is_not_true_is_noticed(there: str, instead: str, said: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    assert there in GOOD
    page.write_text(GOOD.replace(there, instead))
    done = run_in_child(page, tmp_path)
    assert done.returncode == 1
    assert said in done.stderr


if __name__ == "__main__":
    run_page(Path(sys.argv[1]).resolve())
