"""The mypy plugin reports a task that registration would refuse, at its `def`, in every way to run mypy.

`refused.py` holds the mistakes, one a line, `accepted.py` what must stay silent.
"""

import importlib
import re
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from typedgator import Gator, UnsupportedSignature

HERE = Path(__file__).parent
CACHE = HERE.parents[2] / ".mypy_cache" / "plugin"
IGNORE = "  # type: ignore[gator-simple]"
MARK = re.compile(r"  # (S\d+) (.*)$", re.MULTILINE)

Ask = Callable[..., list[str]]

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project: both files, `bare.py`, which is `refused.py` without its ignores, and `stale.py`, with one too many."""
    refused, accepted = (HERE / "refused.py").read_text(), (HERE / "accepted.py").read_text()
    shutil.copy(HERE / "shapes.py", tmp_path)
    (tmp_path / "refused.py").write_text(refused)
    (tmp_path / "accepted.py").write_text(accepted)
    (tmp_path / "bare.py").write_text(refused.replace(IGNORE, ""))
    (tmp_path / "stale.py").write_text(accepted.replace("-> int | None:", f"-> int | None:{IGNORE}", 1))
    return tmp_path


@pytest.fixture
def warm(tmp_path: Path) -> Path:
    """A cache of its own for the test, which knows the libraries already, and none of the test's files."""
    if CACHE.exists():
        shutil.copytree(CACHE, tmp_path / "cache")
    return tmp_path / "cache"


def marked(text: str) -> dict[int, str]:
    """The lines that are wrong, and what is wrong there."""
    found = {n: MARK.search(line) for n, line in enumerate(text.splitlines(), 1)}
    return {number: f"{mark[1]} {mark[2]}" for number, mark in found.items() if mark is not None}


WRONG = marked((HERE / "refused.py").read_text())


def codes(told: list[str], file: str) -> dict[int, set[str]]:
    """The codes of the errors in a file, by line."""
    found: dict[int, set[str]] = {}
    for line in told:
        if error := re.match(rf"{file}:(\d+): error: .*  \[([\w-]+)\]$", line):
            found.setdefault(int(error[1]), set()).add(error[2])
    return found


def test_every_mistake_is_reported_at_its_line_and_nothing_else(folder: Path, ask: Ask) -> None:
    """Whatever the way to register. With its ignores the file is clean; one too many is an error."""
    told = ask(folder, "accepted.py", "refused.py", "bare.py", "stale.py")
    found = codes(told, "bare.py")
    assert [WRONG[line] for line in WRONG.keys() - found.keys()] == []
    assert found == dict.fromkeys(WRONG, {"gator-simple"})
    assert codes(told, "accepted.py") == {}
    assert codes(told, "refused.py") == {}
    assert list(codes(told, "stale.py").values()) == [{"unused-ignore"}]


def test_without_the_plugin_none_of_it_is_reported(folder: Path, ask: Ask, warm: Path) -> None:
    """So it is the plugin that is tested here."""
    assert codes(ask(folder, "bare.py", plugin=None, cache=warm), "bare.py") == {}


@pytest.mark.parametrize(
    "plugins",
    ["pydantic.mypy, typedgator.mypy_plugin", "typedgator.mypy_plugin, pydantic.mypy"],
    ids=["after", "before"],
)
def test_beside_pydantics_plugin_it_says_the_same(folder: Path, ask: Ask, warm: Path, plugins: str) -> None:
    """Most who have models have that one too; it gives models other signatures."""
    told = ask(folder, "accepted.py", "bare.py", plugin=plugins, cache=warm)
    assert codes(told, "bare.py") == dict.fromkeys(WRONG, {"gator-simple"})
    assert codes(told, "accepted.py") == {}


def test_an_object_as_a_parameter_is_refused_in_the_editor_and_at_import(folder: Path, ask: Ask) -> None:
    """`notify(order: Order)`: both name the parameter and what to pass instead, in one sentence."""
    (folder / "shop.py").write_text(
        "from typedgator import Gator\n\n"
        "gator = Gator('locmem://')\n\n\n"
        "class Order:\n    id: int\n\n\n"
        "@gator.register\n"
        "def notify(order: Order) -> None: ...\n"
    )
    sentence = (
        "shop.notify cannot be a task: parameter 'order' is Order, which is not a simple type; "
        "pass its id and load the object in the task: `order_id: int`"
    )

    assert ask(folder, "shop.py") == [f"shop.py:11: error: {sentence}  [gator-simple]"]

    sys.path.insert(0, str(folder))
    try:
        with pytest.raises(UnsupportedSignature) as caught:
            importlib.import_module("shop")
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("shop", None)
    assert str(caught.value) == sentence


def test_both_delays_are_refused_in_the_editor_and_at_the_options_line() -> None:
    """The sentence is the one that `refused.py` gets at S19 and S29."""
    gator = Gator("locmem://")
    with pytest.raises(ValueError, match="delay_by and delay_until exclude each other: give one of them"):
        gator.options(delay_by=1, delay_until=datetime(2030, 1, 1, tzinfo=UTC))  # type: ignore[gator-simple]  # meant


TWO_STEPS = {
    "inner.py": "from dataclasses import dataclass\n\n\n@dataclass(frozen=True)\nclass Inner:\n    x: int\n",
    "outer.py": (
        "from dataclasses import dataclass\n\nimport inner\n\n\n"
        "@dataclass(frozen=True)\nclass Outer:\n    inner: inner.Inner\n"
    ),
    "tasks.py": (
        "from outer import Outer\n\nfrom typedgator import Gator\n\ngator = Gator('locmem://')\n\n\n"
        "@gator.register\ndef run(outer: Outer) -> None: ...\n"
    ),
}
"""A task whose parameter holds a class of a module that the task's own does not import."""

HOLDS_OBJECT = (
    "tasks.py:9: error: tasks.run cannot be a task: parameter 'outer' holds object (at outer.inner.x), "
    "which nothing checks; name the type  [gator-simple]"
)


def edit(file: Path, before: str, after: str) -> None:
    """Changes a file, and its time of change too."""
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "two workers"])
def test_a_warm_run_says_what_a_cold_one_says(folder: Path, ask: Ask, warm: Path, workers: tuple[str, ...]) -> None:
    """With mypy's cache, in one process and in several; also after a change two modules away."""
    for name, text in TWO_STEPS.items():
        (folder / name).write_text(text)
    files, command = (*TWO_STEPS, "bare.py"), ("mypy", *workers)

    def told() -> list[str]:
        return sorted(ask(folder, *files, command=command, cache=warm))

    cold = told()
    assert codes(cold, "bare.py") == dict.fromkeys(WRONG, {"gator-simple"})
    assert codes(cold, "tasks.py") == {}

    assert told() == cold

    edit(folder / "inner.py", "x: int", "x: object")
    assert set(told()) - set(cold) == {HOLDS_OBJECT}

    edit(folder / "inner.py", "x: object", "x: int")
    assert told() == cold

    edit(folder / "inner.py", "(frozen=True)", "")
    assert ["which is a dataclass that can change" in line for line in set(told()) - set(cold)] == [True]


def test_a_new_version_of_the_rule_believes_no_old_verdict(folder: Path, ask: Ask, warm: Path) -> None:
    """Not even of a module that the first run after the change did not look at."""
    rule = folder / "rule.py"
    shutil.copy(HERE.parents[2] / "typedgator" / "mypy_plugin.py", rule)
    shutil.copy(folder / "bare.py", folder / "other.py")

    def other(*files: str) -> str:
        told = ask(folder, *files, plugin="rule.py", cache=warm)
        return next(line for line in told if line.startswith("other.py"))

    assert "is not a simple type" in other("bare.py", "other.py")
    edit(rule, "is not a simple type; pass its id", "is far from simple; pass its id")
    ask(folder, "bare.py", plugin="rule.py", cache=warm)
    assert "is far from simple" in other("other.py")


def test_the_daemon_follows_an_edit_and_its_undo(folder: Path, ask: Ask, warm: Path) -> None:
    """dmypy, in the task's own file and two modules away."""
    for name, text in TWO_STEPS.items():
        (folder / name).write_text(text)
    status = ("dmypy", "--status-file", str(folder / "daemon.json"))
    files = (*TWO_STEPS, "bare.py")

    def told() -> list[str]:
        lines = ask(folder, *files, command=(*status, "check"))
        return sorted(line for line in lines if " error: " in line)

    ask(
        folder,
        command=(*status, "start", "--", "--config-file", "mypy.ini", "--cache-dir", str(warm), "--hide-error-context"),
    )
    try:
        first = told()
        assert codes(first, "bare.py") == dict.fromkeys(WRONG, {"gator-simple"})

        edit(folder / "inner.py", "x: int", "x: object")
        assert set(told()) - set(first) == {HOLDS_OBJECT}

        edit(folder / "inner.py", "x: object", "x: int")
        assert told() == first

        edit(folder / "bare.py", "def notify(order: Order)", "def notify(order: int)")
        assert codes(first, "bare.py").keys() - codes(told(), "bare.py").keys() == {min(WRONG)}

        edit(folder / "bare.py", "def notify(order: int)", "def notify(order: Order)")
        assert told() == first
    finally:
        ask(folder, command=(*status, "stop"))


def test_another_mypy_still_reports_every_mistake(folder: Path, ask: Ask, warm: Path) -> None:
    """Without mypy's private list of error filters: no mistake passes, no right line is blamed.

    What is lost is the sentence under `@gator.register(…)`, where mypy says that no overload fits, and some peace: it
    says so beside others too, on the line of the decorator.
    """
    (folder / "without_watchers.py").write_text(
        "from typedgator import mypy_plugin\n\nmypy_plugin._WATCHERS[0] = '_renamed'\nplugin = mypy_plugin.plugin\n"
    )
    told = ask(folder, "accepted.py", "bare.py", plugin="without_watchers.py", cache=warm)
    found = codes(told, "bare.py")
    assert codes(told, "accepted.py") == {}
    assert [what for line, what in WRONG.items() if not found.keys() & {line, line - 1, *_calls(line)}] == []
    worded = [line for line in WRONG if "gator-simple" in found.get(line, ())]
    assert len(WRONG) > len(worded) >= 20
    assert {"call-overload"} < set[str]().union(*found.values()), "without noise, nothing was removed"


def _calls(line: int) -> set[int]:
    """The lines below that register the function defined here by a call."""
    text = (HERE / "refused.py").read_text().splitlines()
    name = re.match(r"def (\w+)", text[line - 1])
    return {n for n, each in enumerate(text, 1) if name is not None and each.endswith(f"({name[1]})")}


def test_the_guide_has_a_row_for_every_mistake() -> None:
    """Its tables are written by `python -m tests.typing.plugin.table`; one that lacks a mistake, or counts wrong, is old."""
    page = (HERE.parents[2] / "docs" / "guide" / "type-checkers.md").read_text(encoding="utf-8")
    files = {"calls.py": HERE.parent / "bad.py", "tasks.py": HERE / "refused.py"}
    for name, file in files.items():
        rows = page.partition(f"<!-- table of {name} -->")[2].partition("<!-- end of table -->")[0]
        cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows.strip().splitlines()[2:]]
        *found, total = cells
        wrong = sorted(re.findall(r"  # ([ES]\d+)\w? (.*)$", file.read_text(), re.MULTILINE))
        assert [row[0] for row in found] == [f"{mark} {what}" for mark, what in wrong]
        assert total[0] == f"**of {len(wrong)}**"
        assert [int(count) for count in total[1:]] == [column.count("x") for column in zip(*found, strict=True)][1:]
