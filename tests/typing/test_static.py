"""What the type checkers say about `ok.py` and `bad.py`: mypy --strict and pyright strict as gates, ty and pyrefly told.

Each checker runs once, in a folder of its own, on five files: both as they stand; `bare.py`, which is `bad.py` without
its ignores; `stale.py` and `wrong.py`, with an ignore too many and an ignore of another rule. So a checker that saw
nothing, or other files, fails here, whatever it says of the rest.
"""

import ast
import asyncio
import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BIN = Path(sys.executable).parent
IGNORES = re.compile(r"  # (?:type|pyright): ignore\[[^\]]*\]")
MARK = re.compile(r"  # (E\d+\w?) (.*)$")
CANARY = "# what is right, and must not be reported: the canary"

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(not (BIN / "mypy").exists(), reason="the type checkers are not installed beside this Python"),
]


class Told(NamedTuple):
    """One diagnostic."""

    file: str
    line: int
    rule: str
    message: str


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    """What a command prints."""
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False
    )
    return done.stdout


def ask_mypy(folder: Path) -> list[Told]:
    """mypy --strict under the project's own configuration."""
    cache = ROOT / ".mypy_cache" / "static"
    config = ("--strict", "--config-file", ROOT / "mypy.ini", "--cache-dir", cache)
    out = run(BIN / "mypy", *config, "-O", "json", ".", cwd=folder, env={"MYPYPATH": str(ROOT / "stubs")})
    found = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return [Told(d["file"], d["line"], d["code"], d["message"]) for d in found if d["severity"] == "error"]


def ask_pyright(folder: Path) -> list[Told]:
    """pyright under the project's own settings; it ignores an absolute `include`, so it gets a file of its own."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pyright"]
    del settings["venv"], settings["venvPath"]
    settings.update(include=["."], stubPath=str(ROOT / settings["stubPath"]))
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    out = run(BIN / "pyright", "-p", folder, "--pythonpath", sys.executable, "--outputjson", cwd=folder)
    return [
        Told(Path(d["file"]).name, d["range"]["start"]["line"] + 1, d.get("rule", ""), d["message"])
        for d in json.loads(out)["generalDiagnostics"]
        if d["severity"] != "information"
    ]


def ask_ty(folder: Path) -> list[Told]:
    """ty as it comes; its warnings count, they are what it has for a forgotten await."""
    out = run(BIN / "ty", "check", "--python", BIN.parent, "--output-format", "concise", "--color", "never", cwd=folder)
    found = re.finditer(r"^([\w.]+):(\d+):\d+: (?:error|warning)\[([\w-]+)\] (.*)$", out, re.MULTILINE)
    return [Told(m[1], int(m[2]), m[3], m[4]) for m in found]


def ask_pyrefly(folder: Path) -> list[Told]:
    """pyrefly with `preset = "strict"`: without a configuration it reports next to nothing."""
    (folder / "pyrefly.toml").write_text('preset = "strict"\nproject-includes = ["*.py"]\n')
    options = ("--python-interpreter-path", sys.executable, "--output-format", "min-text", "--color", "never")
    out = run(BIN / "pyrefly", "check", *options, "--summary=none", cwd=folder)
    found = re.finditer(r"^\s*ERROR (?:.*/)?([\w.]+):(\d+):\S* (.*) \[([\w-]+)\]$", out, re.MULTILINE)
    return [Told(m[1], int(m[2]), m[4], m[3]) for m in found]


ASK: dict[str, Callable[[Path], list[Told]]] = {
    "mypy": ask_mypy,
    "pyright": ask_pyright,
    "ty": ask_ty,
    "pyrefly": ask_pyrefly,
}
GATES = ("mypy", "pyright")
STALE = {"mypy": "unused-ignore", "pyright": "reportUnnecessaryTypeIgnoreComment"}

BAD = (HERE / "bad.py").read_text()
MARKS: dict[int, tuple[str, str]] = {
    number: (found[1], found[2])
    for number, line in enumerate(BAD.splitlines(), 1)
    if (found := MARK.search(line)) is not None
}
FIRST_CANARY = BAD.splitlines().index(CANARY) + 1


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], list[Told]]:
    """What a checker says about a file; each checker runs when it is first asked."""
    folder = tmp_path_factory.mktemp("static")
    both = "  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]"
    canary = BAD[BAD.index(CANARY) :].rstrip()
    (folder / "ok.py").write_text((HERE / "ok.py").read_text())
    (folder / "bad.py").write_text(BAD)
    (folder / "bare.py").write_text(IGNORES.sub("", BAD))
    (folder / "stale.py").write_text(BAD.replace(canary, canary + both))
    (folder / "wrong.py").write_text(BAD.replace("[arg-type]", "[index]").replace("[reportArgumentType]", "[reportX]"))
    answers: dict[str, dict[str, list[Told]]] = {}

    def about(checker: str, file: str) -> list[Told]:
        if checker not in answers:
            by_file = answers[checker] = defaultdict(list)
            for each in ASK[checker](folder):
                by_file[Path(each.file).name].append(each)
        return answers[checker][file]

    return about


Say = Callable[[str, str], Sequence[Told]]


def lines(told: Sequence[Told]) -> set[int]:
    return {each.line for each in told}


@pytest.mark.parametrize("checker", GATES)
def test_right_calls_pass(told: Say, checker: str) -> None:
    """No call in `ok.py` is reported, without a single ignore."""
    assert IGNORES.search((HERE / "ok.py").read_text()) is None
    assert told(checker, "ok.py") == []


@pytest.mark.parametrize("checker", GATES)
def test_every_wrong_call_is_reported_and_nothing_else(told: Say, checker: str) -> None:
    """Exactly the marked lines fail: no mistake is missed, no right line is blamed."""
    found = lines(told(checker, "bare.py"))
    missed = [MARKS[number] for number in MARKS.keys() - found]
    assert missed == []
    assert found - MARKS.keys() == set()


@pytest.mark.parametrize("checker", GATES)
def test_each_ignore_is_the_one_that_is_needed(told: Say, checker: str) -> None:
    """With its ignores `bad.py` is clean; an ignore too many, or of another rule, is an error."""
    assert told(checker, "bad.py") == []
    assert [each.rule for each in told(checker, "stale.py")] == [STALE[checker]]
    wrong = told(checker, "wrong.py")
    assert {each.rule for each in wrong} >= {STALE[checker], "arg-type" if checker == "mypy" else "reportArgumentType"}


@pytest.mark.parametrize("checker", ASK)
def test_the_checker_saw_these_files(told: Say, checker: str) -> None:
    """The canary: a checker that reports nothing did not run, one that reports right lines read something else."""
    found = lines(told(checker, "bare.py"))
    assert len(found & MARKS.keys()) >= 30
    assert not [number for number in found if number >= FIRST_CANARY]
    assert told(checker, "ok.py") == []


def test_the_marks_are_all_the_kinds_there_are() -> None:
    """E01 to E23, but E12: both delays are refused at run time, at the `options()` line."""
    kinds = {mark[:3] for mark, _ in MARKS.values()}
    assert {f"E{number:02}" for number in range(1, 24)} - kinds == {"E12"}


@pytest.mark.parametrize("checker", ASK)
def test_every_checker_sees_an_upgrade_that_calls_wrongly(told: Say, checker: str) -> None:
    """What a job of yesterday becomes is checked like a call of today, by all four."""
    found = lines(told(checker, "bare.py"))
    upgrades = {number: mark for number, mark in MARKS.items() if mark[0].startswith("E26")}
    assert len(upgrades) == 8
    assert [mark for number, mark in upgrades.items() if number not in found] == []


def test_who_catches_what(told: Say, capsys: pytest.CaptureFixture[str]) -> None:
    """The table of the documentation, measured. Only mypy and pyright have to catch all; `pytest -s` shows it."""
    found = {checker: lines(told(checker, "bare.py")) for checker in ASK}
    table = [f"{'wrong call':64}" + "".join(f"{checker:>9}" for checker in ASK)]
    for number, (mark, what) in sorted(MARKS.items(), key=lambda item: item[1]):
        table.append(f"{mark:5}{what:59}" + "".join(f"{'x' if number in found[c] else '-':>9}" for c in ASK))
    caught = {checker: len(found[checker] & MARKS.keys()) for checker in ASK}
    table.append(f"{f'caught, of {len(MARKS)}':64}" + "".join(f"{caught[checker]:9}" for checker in ASK))
    with capsys.disabled():
        if os.environ.get("TYPEDGATOR_TABLE") == "1":
            print("", *table, sep="\n")
    assert all(caught[checker] == len(MARKS) for checker in GATES)


WANTED = {"mypy": 22, "pyright": 22, "pyrefly": 22, "ty": 19}
"""Of the 23 kinds of mistake E01 to E23; E12 is left to mypy's plugin, which makes its 23."""


@pytest.mark.parametrize("checker", ASK)
def test_each_checker_catches_as_many_kinds_as_are_promised(told: Say, checker: str) -> None:
    """A kind is caught when each of its lines is; ty passes by what only strict modes look for."""
    found = lines(told(checker, "bare.py"))
    kinds = {f"E{number:02}" for number in range(1, 24)} - {"E12"}
    passed = {mark[:3] for number, (mark, _) in MARKS.items() if number not in found}
    assert len(kinds - passed) >= WANTED[checker]


def test_there_are_enough_right_calls() -> None:
    """No false alarm means something only over many calls: 40 at least, that no checker says a word about."""
    tree = ast.parse((HERE / "ok.py").read_text())
    verbs = {"task", "atask", "task_many", "atask_many", "options", "register", "call", "assert_enqueued"}
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = [f.attr if isinstance(f, ast.Attribute) else f.id if isinstance(f, ast.Name) else "" for f in called]
    assert sum(name in verbs for name in names) >= 40


@pytest.fixture
def right_calls() -> Iterator[ModuleType]:
    """`ok.py`, imported afresh."""
    spec = importlib.util.spec_from_file_location("right_calls", HERE / "ok.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        del sys.modules[spec.name]


def test_right_calls_run(right_calls: ModuleType) -> None:
    """What the checkers let pass works: every task of `ok.py` is called, queued, run and read back."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        right_calls.sync_face()
        asyncio.run(right_calls.async_face())
