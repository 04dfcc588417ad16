"""Writes the tables of docs/guide/type-checkers.md: which checker reports which mistake. `python -m tests.typing.plugin.table`

The mistakes are the marked lines of `tests/typing/bad.py` and `refused.py`, without their ignores.
"""

import importlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PAGE = ROOT / "docs" / "guide" / "type-checkers.md"
MARK = re.compile(r"  # ([ES]\d+)\w? (.*)$")
IGNORE = re.compile(r"  # (?:type|pyright): ignore\[[^\]]*\]")

# The runs of the other checkers are those of the gate; its module has no name that this one could import it by.
static: Any = importlib.import_module("tests.typing.test_static")


def mypy(folder: Path, plugin: str) -> set[tuple[str, int]]:
    """mypy --strict, with and without the plugin."""
    config = folder / "mypy.ini"
    config.write_text(f"[mypy]\nstrict = True\n{plugin}")
    cache = ROOT / ".mypy_cache" / "plugin"
    argv = [static.BIN / "mypy", "--config-file", config, "--cache-dir", cache, "--no-pretty", "calls.py", "tasks.py"]
    said = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False).stdout
    return {(found[1], int(found[2])) for found in re.finditer(r"^(\w+\.py):(\d+): error: ", said, re.MULTILINE)}


def unconfigured_pyrefly(folder: Path) -> set[tuple[str, int]]:
    """pyrefly as it comes, in a folder of its own: it would take the settings of a mypy.ini for its own."""
    folder = Path(shutil.copytree(folder, folder / "bare", ignore=shutil.ignore_patterns("*.ini", "*.toml", "*.json")))
    argv = [static.BIN / "pyrefly", "check", "--python-interpreter-path", static.sys.executable]
    argv += ["--output-format", "min-text", "--color", "never", "--summary=none", "calls.py", "tasks.py"]
    said = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False).stdout
    found = re.finditer(r"^\s*ERROR (?:.*/)?(\w+\.py):(\d+):", said, re.MULTILINE)
    return {(each[1], int(each[2])) for each in found}


def asked(checker: str) -> Callable[[Path], set[tuple[str, int]]]:
    """A checker of the gate."""
    return lambda folder: {(Path(told.file).name, told.line) for told in static.ASK[checker](folder)}


CHECKERS: dict[str, Callable[[Path], set[tuple[str, int]]]] = {
    "pyrefly, unconfigured": unconfigured_pyrefly,
    "mypy": lambda folder: mypy(folder, ""),
    "mypy + plugin": lambda folder: mypy(folder, "plugins = typedgator.mypy_plugin\n"),
    "pyright": asked("pyright"),
    "ty": asked("ty"),
    "pyrefly": asked("pyrefly"),
}
COLUMNS = ("mypy", "mypy + plugin", "pyright", "ty", "pyrefly", "pyrefly, unconfigured")


def marks(text: str) -> dict[int, str]:
    """The wrong lines of a file, and what is wrong there."""
    found = {number: MARK.search(line) for number, line in enumerate(text.splitlines(), 1)}
    return {number: f"{mark[1]} {mark[2]}" for number, mark in found.items() if mark is not None}


def sources() -> dict[str, str]:
    """Both files, without their ignores."""
    files = {"calls.py": HERE.parent / "bad.py", "tasks.py": HERE / "refused.py"}
    return {name: IGNORE.sub("", file.read_text()) for name, file in files.items()}


def tables() -> dict[str, str]:
    """The table of each file, as Markdown."""
    texts = sources()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name, text in texts.items():
            (folder / name).write_text(text)
        found = {checker: ask(folder) for checker, ask in CHECKERS.items()}
    written: dict[str, str] = {}
    for file, text in texts.items():
        rows = [f"| | {' | '.join(COLUMNS)} |", f"|---|{'---|' * len(COLUMNS)}"]
        wrong = marks(text)
        for line, what in sorted(wrong.items(), key=lambda item: item[1]):
            caught = ("x" if (file, line) in found[checker] else "–" for checker in COLUMNS)
            rows.append(f"| {what} | {' | '.join(caught)} |")
        counts = (str(sum((file, line) in found[checker] for line in wrong)) for checker in COLUMNS)
        rows.append(f"| **of {len(wrong)}** | {' | '.join(counts)} |")
        written[file] = "\n".join(rows)
    return written


def main() -> None:
    """Puts the tables into the page, between their marks."""
    page = PAGE.read_text(encoding="utf-8")
    for file, table in tables().items():
        begin, end = f"<!-- table of {file} -->\n", "\n<!-- end of table -->"
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}\n{table}\n{end}{rest.partition(end)[2]}"
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
