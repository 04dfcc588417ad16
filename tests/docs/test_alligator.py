"""docs/howto/alligator-names.md leaves out no public name of Alligator 1.0, and every name of ours in it exists; what
Alligator left in Redis is carried over as docs/howto/migrate-from-alligator.md says."""

import inspect
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import NamedTuple

import click
import pytest
import redis

import typedgator
from tests.docs.test_snippets import ROOT, blocks
from tests.integration.redis.servers import Server, needs_redis
from typedgator import Gator, Job, Options, Worker
from typedgator.backends.connect import connect
from typedgator.cli import main
from typedgator.errors import ConfigurationError

PAGE = ROOT / "docs/howto/alligator-names.md"
MIGRATING = ROOT / "docs/howto/migrate-from-alligator.md"
LIST = Path(__file__).with_name("alligator-1.0.0.json")
SPAN = re.compile(r"`([^`]+)`")
WITH_PARAMETERS = re.compile(r"([\w.]+)\(([\w=…, ]+)\)")


class Row(NamedTuple):
    theirs: list[str]
    ours: list[str]
    why: str

    def __str__(self) -> str:
        return ", ".join(self.theirs)


def rows() -> Iterator[Row]:
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            theirs, ours, why = (cell.strip() for cell in line.strip("|").split("|"))
            yield Row(SPAN.findall(theirs), SPAN.findall(ours), why)


ROWS = list(rows())


def spelled_out(span: str) -> Iterator[str]:
    """`f(a, b)` stands for f, f(a) and f(b)."""
    if found := WITH_PARAMETERS.fullmatch(span):
        yield found[1]
        yield from (f"{found[1]}({parameter.strip(' =…')})" for parameter in found[2].split(","))
    else:
        yield span


def names_of_alligator() -> set[str]:
    modules: dict[str, list[str]] = json.loads(LIST.read_text(encoding="utf-8"))["modules"]
    names = {name for found in modules.values() for name in found}
    backends = {module.rpartition(".")[2] for module in modules if module.endswith("_backend")}
    return names | backends | {"latergator.py"}  # which stands in its README, not in its archive


def test_every_name_of_alligator_has_one_row_and_no_other_has() -> None:
    """What someone looks for is there, once."""
    listed = [name for row in ROWS for span in row.theirs for name in spelled_out(span)]
    again = {span for row in ROWS for span in row.theirs if sum(span in other.theirs for other in ROWS) > 1}

    assert sorted(names_of_alligator() - set(listed)) == []
    assert sorted(set(listed) - names_of_alligator()) == []
    assert sorted(again) == []


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_what_takes_its_place_exists(row: Row) -> None:
    """Each name in the middle can be imported, called with that parameter, typed in a shell, or opened."""
    for span in row.ours:
        assert exists(span), f"{span} does not exist"


@pytest.mark.parametrize(
    "span", ["Gator.jump", "Gator(colour=…)", "typedgator dance", "typedgator jobs --x", "wolf://"]
)
def test_a_name_that_does_not_exist_is_noticed(span: str) -> None:
    """What this test finds out is not always yes."""
    assert not exists(span)


def test_what_has_no_counterpart_says_why() -> None:
    """A dash alone helps nobody."""
    assert [str(row) for row in ROWS if not row.ours and len(row.why) < 40] == []


def test_no_backend_is_called_missing_that_is_there() -> None:
    """The row of a backend is changed with the backend."""
    backends = [(row, row.theirs[0].removesuffix("_backend")) for row in ROWS if row.theirs[0].endswith("_backend")]

    assert len(backends) == 4
    assert [f"{scheme}:// exists" for row, scheme in backends if not row.ours and exists(f"{scheme}://")] == []


def exists(span: str) -> bool:
    if span.endswith("://"):
        return opens(span)
    if re.match(r"(typedgator|latergator)( |$)", span):
        return is_command(span)
    name, parameters = span, list[str]()
    if found := WITH_PARAMETERS.fullmatch(span):
        name, parameters = found[1], [part.strip(" =…") for part in found[2].split(",")]
    try:
        target = reached(name)
    except (AttributeError, ModuleNotFoundError):
        return False
    return not parameters or set(parameters) <= set(inspect.signature(target).parameters)  # type: ignore[arg-type]


def reached(name: str) -> object:
    """What a dotted path leads to; attributes that a class gets in its constructor are those of an instance."""
    if not name.startswith("typedgator."):
        name = f"typedgator.{name}"
    gator = Gator("locmem://")
    task = gator.register(name="nothing")(nothing)
    made: dict[object, object] = {
        typedgator.Gator: gator,
        Worker: Worker(gator),
        Options: gator.options(),
        typedgator.Task: task,
        Job: task.task(),
    }
    parts = name.split(".")
    modules = next(
        n for n in range(len(parts), 0, -1) if all(part.islower() for part in parts[:n]) and is_module(parts[:n])
    )
    found: object = import_module(".".join(parts[:modules]))
    for part in parts[modules:]:
        found = getattr(found, part) if hasattr(found, part) else getattr(made[found], part) if found in made else None
        if found is None:
            raise AttributeError(name)
    return found


def is_module(parts: list[str]) -> bool:
    try:
        import_module(".".join(parts))
    except ModuleNotFoundError:
        return False
    return True


def nothing() -> None:
    """A task."""


def opens(scheme: str) -> bool:
    """Whether this scheme has a backend; another complaint is about the rest of the DSN."""
    try:
        connect(scheme)
    except ConfigurationError as error:
        return "names no backend" not in str(error)
    return True


def is_command(line: str) -> bool:
    program, *words = line.split()
    if program not in entry_points(group="console_scripts").names:
        return False
    command: click.Command = main
    for word in words:
        if word.startswith("--"):
            return any(word in parameter.opts for parameter in command.get_params(click.Context(command)))
        if not isinstance(command, click.Group) or word not in command.commands:
            return False
        command = command.commands[word]
    return True


LEFT_BEHIND = (  # as Alligator 1.0.0 wrote it with its Redis backend
    {
        "task_id": "2d079f4e-dda5-4527-95fc-65546a0d4de0",
        "retries": 0,
        "is_async": True,
        "module": "shop.tasks",
        "callable": "send_receipt",
        "args": [{"id": 1, "customer": "ada@example.com", "total": "12.50"}],
        "kwargs": {},
        "options": {},
    },
    {
        "task_id": "686837c4-5366-4533-96ca-c6c76de8b89b",
        "retries": 0,
        "is_async": True,
        "module": "shop.tasks",
        "callable": "ask_for_review",
        "args": [1],
        "kwargs": {},
        "options": {"delay_until": time.time() + 86_400.3178},
    },
)

CARRY_OVER = """
import sys
from shop.carry_over import from_redis
from shop.gator import gator

jobs = list(from_redis(sys.argv[1]))
print([str(job.state()) for job in jobs], len(gator.queue()))
gator.close()
"""


@needs_redis
def test_a_queue_in_redis_is_carried_over_and_left_empty(tmp_path: Path) -> None:
    """The guide's `from_redis`, on a real server, into the same database: what is not Alligator's stays as it is."""
    for block in blocks(MIGRATING.read_text(encoding="utf-8")):
        if block.order != "no-run" and (named := re.match(r"# ([\w/]+\.py)\b", block.body)):
            (tmp_path / named[1]).parent.mkdir(exist_ok=True)
            (tmp_path / named[1]).write_text(block.body, encoding="utf-8")
    with Server() as server, closing(redis.Redis(port=server.port, decode_responses=True)) as client:
        for job in LEFT_BEHIND:
            client.zadd("all", {job["task_id"]: job["options"].get("delay_until", 1_795_452_394)})
            client.set(job["task_id"], json.dumps(job))

        first, again = (carried_over(tmp_path, server.dsn) for _ in range(2))

        assert first == "['waiting', 'scheduled'] 1\n"
        assert again == "[] 1\n"
        assert client.exists("all", *(job["task_id"] for job in LEFT_BEHIND)) == 0


def carried_over(folder: Path, dsn: str) -> str:
    script = folder / "run.py"
    script.write_text(CARRY_OVER, encoding="utf-8")
    env = {**os.environ, "TYPEDGATOR_CONN": dsn, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, str(script), dsn], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
