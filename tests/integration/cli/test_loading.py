"""`MODULE:GATOR`: what is found, and how each mistake reads."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.cli.project import Project, refused
from typedgator.cli.endings import Misuse, Refusal
from typedgator.cli.loading import load_gator
from typedgator.gator import Gator

Write = Callable[[str, str], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a module that can be imported from the current folder; gives its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name: str, text: str) -> str:
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        return name

    return write


GATOR = "from typedgator import Gator\n{} = Gator('locmem://')\n"


def test_the_gator_that_is_named_is_taken(write: Write) -> None:
    """`module:name` is an attribute of the module, also one of an object in it."""
    module = write("named", GATOR.format("mine") + "class Box:\n    held = mine\n")

    assert isinstance(load_gator(f"{module}:mine"), Gator)
    assert load_gator(f"{module}:Box.held") is load_gator(f"{module}:mine")


def test_without_a_name_it_is_gator_or_the_only_one(write: Write) -> None:
    """The one called `gator` goes before others."""
    called = write("called", GATOR.format("gator") + GATOR.format("other"))
    only = write("only", GATOR.format("queue") + "same = queue\n")

    assert load_gator(called) is load_gator(f"{called}:gator")
    assert load_gator(only) is load_gator(f"{only}:queue")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("no.such", "there is no module no in "),
        ("shop/tasks.py", "'shop/tasks.py' is not a module's name: did you mean shop.tasks?"),
        ("", "'' is not a module's name: write it as in an import statement"),
        ("two:", "'two:' ends after the colon"),
        ("locmem://", "'locmem://' is a DSN, not a module: name the module that registers the tasks, for example "),
        ("redis://:hunter2@localhost:6379/0", "'redis://:•••@localhost:6379/0' is a DSN, not a module"),
        ("two", "module two has several gators; did you mean two:first or two:second?"),
        ("two:third", "module two has no attribute third; did you mean two:first or two:second?"),
        ("two:number", "two:number is of type int, not a Gator"),
        ("two:job", "two:job is a task, not a Gator"),
        ("none", "module none has no Gator"),
        ("two.inner", "there is no module two.inner in "),
    ],
)
def test_a_wrong_path_says_what_is_there(write: Write, spec: str, said: str) -> None:
    """A misspelt path is a mistake in the command: exit code 2."""
    task = "@first.register\ndef job() -> None: ...\nnumber = 3\n"
    write("two", GATOR.format("first") + GATOR.format("second") + task)
    write("none", "x = 1\n")

    with pytest.raises(Misuse) as caught:
        load_gator(spec)

    assert said in caught.value.message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\nimport no_such_thing\n", "broken.py:2: ModuleNotFoundError: No module named 'no_such_thing' (at: "),
        ("def f(:\n", "broken.py:1: SyntaxError: "),
        ("def f():\n    return 1 / 0\nf()\n", "broken.py:2: ZeroDivisionError: division by zero (at: return 1 / 0)"),
        ("raise SystemExit(3)\n", "broken.py:1: SystemExit: 3"),
        ("from typedgator import Gator\ngator = Gator('bogus://x')\n", "broken.py:2: typedgator.errors.Configuration"),
        ("from typedgator import Gator\nfrom broken import gator\n", "broken.py:2: ImportError: cannot import name"),
    ],
)
def test_an_error_in_the_users_module_names_its_own_line(write: Write, text: str, said: str) -> None:
    """What the module raises is told with file and line, in one line: exit code 1."""
    module = write("broken", text)

    with pytest.raises(Refusal) as caught:
        load_gator(module)

    assert caught.value.message.startswith(f"importing {module} failed at ")
    assert said in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 1


def test_a_worker_says_it_in_one_line(project: Project) -> None:
    """No traceback, whatever is wrong; nothing on standard output."""
    project.write("broken.py", "import no_such_thing\n")

    assert "no module nope" in refused(project.command("worker", "nope"), 2)
    assert "no attribute nope" in refused(project.command("worker", "app:nope"), 2)
    assert "broken.py:1" in refused(project.command("worker", "broken"), 1)
    wrong_dsn = refused(project.command("worker", "app", TYPEDGATOR_CONN="bogus://u:secret@h"), 1)
    assert "names no backend" in wrong_dsn
    assert "secret" not in wrong_dsn
    assert "inside one process" in refused(project.command("worker", "app", TYPEDGATOR_CONN="locmem://"), 2)
