"""One verdict: what a type checker lets pass is enqueued, and what is enqueued a worker takes; nothing else is.

Each annotation meets each value, alone and inside collections. Where two of them differ, the pair stands here under its
reason, which the guide gives too; a pair that is no longer needed fails.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from typedgator.errors import InvalidArguments, PayloadMismatch
from typedgator.wire.schema import ArgumentSchema

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
BIN = Path(sys.executable).parent
PAGE = ROOT / "docs" / "guide" / "type-checkers.md"

pytestmark = pytest.mark.timeout(300)

spec = importlib.util.spec_from_file_location("verdict_cases", HERE / "cases.py")
assert spec is not None
assert spec.loader is not None
cases: Any = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cases)

Pair = tuple[str, str]

STRICTER: dict[str, set[Pair]] = {
    "`True` for an int or float: `bool` is a subclass of `int`, and comes back as a number": {
        *((annotation, "True") for annotation in ("int", "float", "int | str", "float | None", "int | list[str]")),
        ("set[int]", "{True}"),
        ("tuple[int, str]", '(True, "a")'),
        ("dict[int, str]", '{True: "a"}'),
    },
    "a datetime for a date: `datetime` is a subclass of `date`, and the time of day would be lost": {
        ("date", "datetime(2030, 1, 1, tzinfo=UTC)"),
        ("date", "datetime(2030, 1, 1)"),
        ("date", "Moment(2030, 1, 1)"),
    },
    "a subclass of a value type, or of datetime: it would come back as its base": {
        ("Money", "Tip(1)"),
        ("list[Money | None]", "[Tip(1)]"),
        ("datetime", "Moment(2030, 1, 1)"),
    },
}
"""Type checkers let it pass, the call refuses it."""

LAXER: dict[str, set[Pair]] = {
    "a plain value for a `NewType`, and the other way round: at run time there is no difference": {
        *(("UserId", value) for value in ("1", "0", "-1", "Level.LOW")),
        ('Literal["a", 1]', "UserId(1)"),
    },
}
"""Type checkers report it, the call accepts it."""

DATES = ("date(2030, 1, 1)", "datetime(2030, 1, 1)", "time(1, 2)", "timedelta(1)")
ALIKE: dict[str, set[Pair]] = {
    "dates, UUIDs, Decimals and Enums are text on the wire": {
        *((a, v) for a in ("str", "int | str") for v in (*DATES, "UUID(int=1)", 'Decimal("1.5")', "Colour.RED")),
        ("date", '"2030-01-01"'),
        ("UUID", "str(UUID(int=1))"),
        ("Colour", '"red"'),
        ("Word", '"first"'),
        ("dict[Colour, int]", '{"red": 1}'),
    },
    "a Decimal may be written as a number": {
        ("Decimal", value) for value in ("1", "0", "-1", "1.5", "1.0", '"1"', "Level.LOW", "UserId(1)")
    },
    "an IntEnum is its number": {
        *(("Level", value) for value in ("1", "UserId(1)")),
        ('Literal["a", 1]', "Level.LOW"),
    },
    "lists, tuples, sets and named tuples are arrays": {
        *(("Point", value) for value in ("[1]", "(1, 2.0)", "{1}")),
        *(("set[int]", value) for value in ("frozenset({1})", "[1]")),
        ("frozenset[str]", '{"a"}'),
        ("tuple[int, str]", '[1, "a"]'),
        ("list[list[int]]", "[(1,)]"),
    },
    "dicts and dataclasses are maps": {
        ("Money", "Tip(1)"),
        ("list[Money | None]", "[Tip(1)]"),
        ("list[Money | None]", '[{"amount": 1}]'),
    },
    "bytes and bytearray are bytes": {("bytes", 'bytearray(b"a")')},
    "keys that nobody knows are looked for where the schemas differ": {("Page", '{"number": 1, "extra": 1}')},
}
"""The call refuses it, but its raw msgpack is that of a call that it accepts, so a worker takes it."""


class Case(NamedTuple):
    """An annotation, a value, and the pair inside that both are about."""

    annotation: str
    value: str
    pair: Pair


CASES: list[Case] = [Case(*each) for each in cases.cases()]


def names() -> dict[str, Any]:
    """What the texts may name."""
    made: dict[str, Any] = {}
    exec(cases.HEADER, made)
    return made


NAMES = names()


def schemas() -> dict[str, ArgumentSchema]:
    """One task for each annotation."""
    made: dict[str, ArgumentSchema] = {}
    for annotation in dict.fromkeys(case.annotation for case in CASES):

        def task(x: object) -> None: ...

        task.__annotations__["x"] = eval(annotation, NAMES)
        made[annotation] = ArgumentSchema.of(task, task="app.task", named=True)
    return made


SCHEMAS = schemas()


def enqueued(case: Case) -> bytes | None:
    """The payload of a call; None when it was refused."""
    try:
        return SCHEMAS[case.annotation].encode((eval(case.value, NAMES),), {})
    except InvalidArguments:
        return None


def worker_takes(case: Case, payload: bytes) -> bool:
    """Whether a worker runs it."""
    schema = SCHEMAS[case.annotation]
    try:
        schema.decode(payload, fingerprint=schema.fingerprint)
    except PayloadMismatch:
        return False
    return True


def pairs(reasons: Mapping[str, set[Pair]]) -> set[Pair]:
    return {pair for found in reasons.values() for pair in found}


def module(chosen: list[Case]) -> tuple[str, dict[int, Case]]:
    """A module with all these calls, and which line is which."""
    tasks = {annotation: f"t{n}" for n, annotation in enumerate(dict.fromkeys(case.annotation for case in chosen))}
    text = cases.HEADER
    for annotation, task in tasks.items():
        text += f"\n\n@gator.register\ndef {task}(x: {annotation}) -> None: ..."
    text += "\n\n"
    lines: dict[int, Case] = {}
    for case in chosen:
        text += f"{tasks[case.annotation]}.task({case.value})\n"
        lines[text.count("\n")] = case
    return text, lines


def ask_mypy(folder: Path) -> set[int]:
    """The lines that mypy --strict reports."""
    env = {**os.environ, "MYPYPATH": str(ROOT / "stubs")}
    argv: list[str | Path] = [BIN / "mypy", "--strict", "--config-file", ROOT / "mypy.ini", "-O", "json", "verdict.py"]
    argv += ["--cache-dir", ROOT / ".mypy_cache" / "static"]
    out = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=False).stdout
    found = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return {each["line"] for each in found if each["severity"] == "error"}


def ask_pyright(folder: Path) -> set[int]:
    """The lines that pyright strict reports."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pyright"]
    del settings["venv"], settings["venvPath"]
    settings.update(include=["."], stubPath=str(ROOT / settings["stubPath"]))
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    argv: list[str | Path] = [BIN / "pyright", "-p", folder, "--pythonpath", sys.executable, "--outputjson"]
    out = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False).stdout
    found = json.loads(out)["generalDiagnostics"]
    return {each["range"]["start"]["line"] + 1 for each in found if each["severity"] == "error"}


@pytest.mark.skipif(not (BIN / "mypy").exists(), reason="the type checkers are not installed beside this Python")
@pytest.mark.parametrize(
    ("ask", "chosen"),
    [
        pytest.param(ask_mypy, CASES, id="mypy"),
        # pyright takes a hundredth of a second for each line: values inside a collection are left to mypy.
        pytest.param(ask_pyright, [case for case in CASES if case.annotation == case.pair[0]], id="pyright"),
    ],
)
def test_the_checker_and_the_call_agree(tmp_path: Path, ask: Callable[[Path], set[int]], chosen: list[Case]) -> None:
    """But for the listed pairs, alone and inside collections."""
    text, lines = module(chosen)
    (tmp_path / "verdict.py").write_text(text)
    reported = ask(tmp_path)
    assert reported <= lines.keys(), "only calls are reported"
    stricter, laxer = set[Pair](), set[Pair]()
    for number, case in lines.items():
        static, run = number not in reported, enqueued(case) is not None
        if static and not run:
            stricter.add(case.pair)
        elif run and not static:
            laxer.add(case.pair)
    assert stricter == pairs(STRICTER)
    assert laxer == pairs(LAXER)
    assert len(reported) > 700


def test_what_is_enqueued_a_worker_takes() -> None:
    """Every payload that a call gives."""
    payloads = [(case, payload) for case in CASES if (payload := enqueued(case)) is not None]
    assert [case for case, payload in payloads if not worker_takes(case, payload)] == []
    assert len(payloads) > 300


def test_what_was_written_past_the_call_is_judged_as_the_call_would() -> None:
    """The same value as raw msgpack, by another tool or an attacker: refused too, unless it looks like one accepted."""
    alike, refused = set[Pair](), 0
    for case in CASES:
        try:
            raw = msgspec.msgpack.encode({"x": eval(case.value, NAMES)})
        except (TypeError, ValueError):  # no bytes can say that
            continue
        accepted, taken = enqueued(case) is not None, worker_takes(case, raw)
        refused += not taken
        assert taken or not accepted, f"{case}: a worker refuses what a call accepts"
        if taken and not accepted:
            alike.add(case.pair)
    assert alike == pairs(ALIKE)
    assert refused > 3000


def test_the_guide_gives_each_reason() -> None:
    """In the words of this file."""
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert [reason for reason in [*STRICTER, *LAXER, *ALIKE] if reason not in page] == []
