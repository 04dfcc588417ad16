"""`typedgator check`: all that registration refuses, in one run, where mypy's plugin reports it, and in its words."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.cli.project import Project, refused

SHOP = """\
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from typedgator import Gator

gator = Gator("locmem://")


class Order:
    id: int


@gator.register
def fine(order_id: int) -> None: ...


@gator.register
def notify(
    order: Order, copies: int, then: Callable[[], None]
) -> Order: ...


@gator.register(
    queue="mail",
    time_limit=3,
)
def slow(orders: list[Order]) -> None: ...


@gator.register
def pages(book_id: int) -> Iterator[int]:
    yield 1


def by_call(order: Order) -> None: ...


gator.register(by_call)
gator.register(fine)
gator.options(delay_by=1, delay_until=datetime(2030, 1, 1, tzinfo=UTC))
"""


def shop(project: Project, text: str = SHOP) -> None:
    project.write("shop.py", text)


def test_all_problems_are_reported_at_once(project: Project) -> None:
    """Each with file and line of its `def`; the task that is fine is counted. Exit code 1."""
    shop(project)

    done = project.command("check", "shop:gator")

    assert done.returncode == 1
    *problems, total = done.stdout.splitlines()
    assert total == "9 problems, 1 task without one"
    assert [re.split(": ", line)[0] for line in problems] == [
        *["shop.py:18"] * 3,
        *["shop.py:27"] * 2,
        "shop.py:31",
        "shop.py:35",
        "shop.py:39",
        "shop.py:40",
    ]
    assert problems[0] == (
        "shop.py:18: shop.notify cannot be a task: parameter 'order' is Order, which is not a simple type; "
        "pass its id and load the object in the task: `order_id: int`"
    )
    assert problems[-1] == "shop.py:40: delay_by and delay_until exclude each other: give one of them"


CHANGED = """\
from typedgator import Call, Gator

gator = Gator("locmem://")


@gator.register(aliases=("shop.mail",))
def send(user_id: int) -> None: ...


@send.upgrade
def same(user_id: int) -> Call[None]:
    return send.call(user_id)


@send.upgrade
def untyped(user) -> Call[None]:
    return send.call(user)


@gator.register
def mail(user_id: int) -> None: ...


@mail.upgrade
def of_what_was_refused(user: str) -> Call[None]:
    return mail.call(int(user))


gator.retired("shop.send")
"""


def test_what_a_task_cannot_have_been_is_reported_too(project: Project) -> None:
    """Upgrades, aliases and retired names, each in its line, and the import goes on."""
    shop(project, CHANGED)

    done = project.command("check", "shop:gator")

    *problems, total = done.stdout.splitlines()
    assert total == "4 problems, 1 task without one", done.stdout
    assert [re.split(": |, ", line)[:2] for line in problems] == [
        ["shop.py:10", "same cannot be an upgrade of shop.send"],
        ["shop.py:15", "untyped cannot be an upgrade of shop.send"],
        ["shop.py:21", "shop.mail cannot be a task"],
        ["shop.py:29", "shop.send cannot be retired"],
    ]


def test_it_says_what_the_mypy_plugin_says_where_the_plugin_says_it(project: Project) -> None:
    """One rule: the same lines, the same sentences."""
    mypy = Path(sys.executable).parent / "mypy"
    if not mypy.exists():
        pytest.skip("mypy is not installed beside this Python")
    shop(project)
    project.write("mypy.ini", "[mypy]\nplugins = typedgator.mypy_plugin\n")

    argv = [mypy, "--no-error-summary", "--no-pretty", "--cache-dir", project.folder / "cache", "shop.py"]
    told = subprocess.run(argv, cwd=project.folder, env=project.env, capture_output=True, text=True, check=False)
    said = project.command("check", "shop").stdout.splitlines()[:-1]

    static = {line.replace("error: ", "").removesuffix("  [gator-simple]") for line in told.stdout.splitlines()}
    known = {line for line in said if "is a task already" not in line}  # a repr there, a name here
    assert len(known) == 8
    assert known <= static


def test_nothing_wrong_is_exit_code_0(project: Project) -> None:
    """And the number of tasks, so that nobody takes an empty module for a clean one."""
    done = project.command("check", "app")

    assert done.returncode == 0
    assert done.stdout == "0 problems, 3 tasks without one\n"
    project.write("empty.py", "from typedgator import Gator\ngator = Gator()\n")
    assert "empty has no tasks: name the module that registers them" in refused(project.command("check", "empty"), 2)
    assert project.command("check", "empty", "--import", "app").returncode == 2, "its own gator has none still"
    project.write("more.py", "from empty import gator\n\n\n@gator.register\ndef one() -> None: ...\n")
    assert project.command("check", "empty", "--import", "more").stdout == "0 problems, 1 task without one\n"


def test_an_import_that_fails_keeps_what_was_found_before(project: Project) -> None:
    """Both are reported."""
    shop(project, SHOP + "raise RuntimeError('no such table')\n")

    done = project.command("check", "shop")

    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 9
    assert done.stderr.startswith("typedgator: importing shop failed at shop.py:41: RuntimeError: no such table")


def test_programs_get_one_json_object(project: Project) -> None:
    """File, line, task, parameter and sentence of each; `failed` when the import ended early."""
    shop(project)

    done = project.command("check", "shop", "--json")

    assert done.returncode == 1
    said = json.loads(done.stdout)
    assert (said["tasks"], said["failed"], len(said["problems"])) == (1, None, 9)
    assert said["problems"][2] | {"message": ""} == {
        "file": "shop.py",
        "line": 18,
        "message": "",
        "task": "shop.notify",
        "parameter": "return",
    }
    shop(project, "1 / 0\n")
    failed = project.command("check", "shop", "--json")
    assert failed.returncode == 1
    assert "ZeroDivisionError" in json.loads(failed.stdout)["failed"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("@gator.register(queue=3)\ndef f() -> None: ...", "queue must be 1 to 128 of the characters"),
        ("@gator.register(on_error=fine)\ndef f() -> None: ...", "hooks are plain functions"),
        ("@gator.hook\nasync def f(a: int) -> None: ...", "hooks are plain functions"),
        ("gator.options(on_error=by_call)", "is not registered, so a worker could not find it"),
        ("@gator.register(name='shop.fine')\ndef f() -> None: ...", "two tasks are called shop.fine"),
        ("gator.register(lambda: 1)", "a lambda or nested function cannot be found"),
        ("@gator.register\ndef f(x: 'Nowhere', y) -> None: ...", "parameter 'y' has no annotation"),
        ("@gator.register\ndef f(x: 'Nowhere', y) -> None: ...", "parameter 'x' names 'Nowhere'"),
        ("@gator.register\ndef f(x: int = 'a', y: int = 'b') -> None: ...", "'y' has a default that breaks"),
    ],
)
def test_other_mistakes_are_collected_too(project: Project, line: str, said: str) -> None:
    """Options, hooks, names, defaults: whatever an import would stop at. What comes after it is reported as well."""
    shop(project, f"{SHOP}\n\n{line}\n\n\ngator.register(by_call)\n")

    told = project.command("check", "shop").stdout.splitlines()

    assert said in "\n".join(told[9:-2])
    assert "shop.by_call cannot be a task" in told[-2]


def test_a_refused_task_is_not_registered(project: Project) -> None:
    """What stands in for it can be called as the plain function, and is no task of the gator."""
    shop(project, SHOP + "assert pages(1) is not None\nassert len(gator.registry) == 1\n")

    assert "failed" not in project.command("check", "shop").stderr
