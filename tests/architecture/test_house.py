"""The law of the house: who may import whom, what an import may cost, and what may stand in no file.

Imports are read from the source by `ast`, so one inside a function or under TYPE_CHECKING counts like any other.
"""

import ast
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import click
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "typedgator"

# Top to bottom. A module may import what stands on a lower floor, and from its own folder; nothing else of ours.
FLOORS = (
    {"__init__", "__main__"},
    {"contrib"},
    {"cli"},
    {"worker", "dashboard", "testing", "contracts"},
    {"gator"},
    {"inline"},
    {"execution", "leases", "hooks"},
    {"fitting"},
    {"outcomes"},
    {"attempt"},
    {"registry", "options", "workflow", "remote"},
    {"task"},
    {"refusals"},
    {"producer"},
    {"bulk"},
    {"job", "queues", "upgrades"},
    {"backends", "policy", "events", "middleware", "context"},
    {"wire"},
    {"errors", "clock", "threads", "forks"},
    {"mypy_plugin"},  # imports nothing of ours, and nobody imports it
)

# The only modules that those outside of backends/ may name; `connect` loads the others when their scheme is used.
BACKENDS_IN_SIGHT = {
    *("typedgator.backends.contract", "typedgator.backends.connect", "typedgator.backends.checkup"),
}

# A library and the one part of the house that may import it.
OWNERS = {
    "redis": "typedgator.backends.redis",
    "sqlite3": "typedgator.backends.sqlite",
    "boto3": "typedgator.backends.sqs",
    "botocore": "typedgator.backends.sqs",
    "click": "typedgator.cli",
    "rich": "typedgator.cli",
    "uvloop": "typedgator.worker",
    "django": "typedgator.contrib.django",
    "django_tasks": "typedgator.contrib.django",
    "asgiref": "typedgator.contrib.django",
    "opentelemetry": "typedgator.contrib.otel",
    "prometheus_client": "typedgator.contrib.prometheus",
    **dict.fromkeys(("fastapi", "starlette", "uvicorn"), "nobody: a lifespan needs none of them"),
    "pytest": "typedgator.testing",
    "hypothesis": "typedgator.testing",
    "mypy": "typedgator.mypy_plugin",
}

# `import typedgator` must leave these unloaded.
HEAVY = (
    *("redis", "hiredis", "sqlite3", "boto3", "click", "rich", "pydantic", "pydantic_core", "uvloop", "mypy"),
    *("django", "asgiref"),
)

# Where `except Exception` may stand: around the user's call, in an actor's tick, around a listener.
# "module:qualified name" -> why
CATCHES_EVERYTHING: dict[str, str] = {
    "typedgator.backends.sqs.backend:SqsBackend._poll": "a thread of its own: the claim that waits for it raises it",
    "typedgator.cli.loading:import_named": "imports the user's module",
    "typedgator.contrib.django.relay:Relay._calmly": "the relay's tick: it outlives a bad row, database or backend",
    "typedgator.contrib.django.carrier:failed": "raises the task's error, so that Django's log line finds it",
    "typedgator.events:Events.tell": "a listener can never hurt who tells",
    "typedgator.hooks:_call_hook": "a hook can never hurt a job",
    "typedgator.outcomes:text_of": "a user's __str__",
    "typedgator.fitting:_upgraded": "the user's upgrade",
    "typedgator.execution:acall": "the user's call",
    "typedgator.execution:call": "the user's call",
    "typedgator.execution:close_attempt": "a user's exception may be anything; unsettled, the job would be stuck",
    "typedgator.execution:open_attempt": "whatever a job's bytes do; unsettled, the job would be stuck",
    "typedgator.leases:LeaseKeeper._run": "an actor's tick",
    "typedgator.testing.strategies:_accepts.accepts": "a user's validators",
    "typedgator.testing.strategies:_record.built": "a user's __post_init__",
    "typedgator.wire.codec:Codec._pack_proved": "a user's validators",
    "typedgator.wire.codec:Codec.breaks": "a user's validators",
    "typedgator.wire.codec:Codec.fits": "a user's __post_init__, and the encoder's mixed classes",
    "typedgator.wire.codec:codec_for": "pydantic and msgspec have no common class for what cannot be built",
    "typedgator.wire.problems:_leaf": "a user's annotation or tzinfo",
    "typedgator.wire.problems:shown_error": "a user's __str__",
    "typedgator.wire.problems:shown_value": "a user's __repr__",
    "typedgator.wire.schema:ArgumentSchema._broken": "a user's validators",
    "typedgator.wire.schema:ArgumentSchema.decode": "a user's validators, and a decoder's mixed classes",
    "typedgator.wire.schema:ArgumentSchema.encode": "a user's validators",
    "typedgator.wire.schema:ArgumentSchema.encode_each": "a user's validators",
    "typedgator.wire.schema:ArgumentSchema._encode_quickly": "the same",
    "typedgator.wire.schema:ArgumentSchema.is_too_large": "a user's validators",
    "typedgator.wire.schema:ResultSchema.decode": "a user's validators, and a decoder's mixed classes",
    "typedgator.wire.schema:ResultSchema.encode": "a user's validators",
    "typedgator.wire.schema:_check_default": "a user's validators",
    "typedgator.wire.signature:hints_of": "a user's annotations",
    "typedgator.wire.signature:_unresolved": "a user's annotations",
    "typedgator.wire.simple:_hints": "a user's annotations",
    "typedgator.wire.survey:_readable": "a user's annotations",
    "typedgator.worker.claimer:Claimer._claim": "puts settlements back, and raises again",
    "typedgator.worker.claimer:Claimer.run": "an actor's tick",
    "typedgator.worker.janitor:Janitor._run": "an actor's tick",
    "typedgator.worker.executors:_fulfil": "whoever awaits the call gets its error",
    "typedgator.worker.settler:Settler._run": "an actor's tick",
    "typedgator.worker.settler:Settler._write_alone": "one settlement must not stop the others",
    "typedgator.worker.settler:Settler.tick": "one settlement must not stop the others",
    "typedgator.worker.teller:_unhurt": "a hook or listener must not end an actor's thread",
}

NAMELESS_ROOMS = {"utils", "util", "helpers", "common", "types", "base", "misc"}
UNSAFE = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve"}


class Import(NamedTuple):
    by: str
    line: int
    target: str

    def __str__(self) -> str:
        return f"{self.by}:{self.line} imports {self.target}"


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name; a package's `__init__` under the package's own name."""
    found: dict[str, Path] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@cache
def imports() -> tuple[Import, ...]:
    """All imports of all modules; `from x import y` names the module `x.y` if there is one, else `x`."""
    found: list[Import] = []
    for name, path in modules().items():
        for node in ast.walk(tree(path)):
            match node:
                case ast.Import(names=names):
                    found += [Import(name, node.lineno, alias.name) for alias in names]
                case ast.ImportFrom(module=module, names=names, level=level):
                    origin = resolve(name, module, level)
                    for alias in names:
                        inner = f"{origin}.{alias.name}"
                        found.append(Import(name, node.lineno, inner if inner in modules() else origin))
                case ast.Call(func=ast.Name("import_module") | ast.Attribute(attr="import_module")):
                    found += [
                        Import(name, node.lineno, argument.value)
                        for argument in node.args[:1]
                        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
                    ]
                case _:
                    pass
    return tuple(found)


def resolve(importer: str, module: str | None, level: int) -> str:
    """The absolute name behind a `from … import`, relative ones too."""
    if level == 0:
        return module or ""
    is_package = modules()[importer].name == "__init__.py"
    parent = importer.split(".")[: None if is_package and level == 1 else -(level - is_package)]
    return ".".join([*parent, *([module] if module else [])])


def ours() -> Iterator[Import]:
    return (i for i in imports() if i.target.split(".")[0] == "typedgator" and i.target != i.by)


def room(module: str) -> str:
    """The part of the house that a module belongs to: its first name below `typedgator`."""
    return module.split(".")[1] if "." in module else "__init__"


def height(module: str) -> int:
    """The floor's height above ground; unknown rooms are a fault of the table, named by its own test."""
    return next((len(FLOORS) - n for n, floor in enumerate(FLOORS) if room(module) in floor), 0)


def within(module: str, part: str) -> bool:
    return module == part or module.startswith(part + ".")


def test_every_module_has_a_floor() -> None:
    """A new room is first given its place in FLOORS."""
    homeless = [name for name in modules() if not any(room(name) in floor for floor in FLOORS)]
    assert not homeless


def test_imports_run_downwards_only() -> None:
    """Siblings on a floor do not import each other, except inside a folder."""
    upwards = [str(i) for i in ours() if room(i.by) != room(i.target) and height(i.target) >= height(i.by)]
    assert not upwards


def test_nobody_imports_the_mypy_plugin() -> None:
    """It needs mypy, which a production machine does not have."""
    assert not [str(i) for i in ours() if room(i.target) == "mypy_plugin"]


def test_no_two_modules_import_each_other() -> None:
    """No circle of any length, typing imports and imports inside functions counted."""
    graph: dict[str, set[str]] = {name: set() for name in modules()}
    for i in ours():
        if i.target in graph:
            graph[i.by].add(i.target)
    assert circles(graph) == []


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Tarjan's strongly connected components of more than one node."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            component = stack[at:]
            del stack[at:]
            if len(component) > 1:
                found.append(sorted(component))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def test_a_circle_would_be_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set[str]()}
    assert circles(graph) == [["b", "c"]]


def test_only_contract_and_connect_are_seen_from_outside_the_backends() -> None:
    """So a backend can be replaced, or be written by somebody else."""
    peeks = [i for i in ours() if room(i.target) == "backends" and room(i.by) != "backends"]
    assert not [str(i) for i in peeks if i.target not in BACKENDS_IN_SIGHT]


def test_no_backend_knows_another() -> None:
    """What two backends share is part of the contract, or is written twice."""

    def own(i: Import) -> bool:
        return within(i.target, ".".join(i.by.split(".")[:3])) or i.target in BACKENDS_IN_SIGHT

    loaders = BACKENDS_IN_SIGHT | {"typedgator.backends"}
    inside = [i for i in ours() if room(i.by) == room(i.target) == "backends" and i.by not in loaders]
    assert not [str(i) for i in inside if not own(i)]


def test_only_the_wiring_of_a_worker_knows_the_gator() -> None:
    """Its actors take a Backend."""
    knows = [i for i in ours() if room(i.by) == "worker" and room(i.target) == "gator"]
    assert not [str(i) for i in knows if i.by != "typedgator.worker.worker"]


def test_each_library_is_imported_by_its_owner_only() -> None:
    strangers = [i for i in imports() if not within(i.by, OWNERS.get(i.target.split(".")[0], "typedgator"))]
    assert not [str(i) for i in strangers]


def test_import_typedgator_loads_no_driver_and_no_cli_library() -> None:
    """A web process that only enqueues pays for what it uses."""
    code = f"import sys, typedgator; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_a_worker_process_is_without_what_only_people_look_at() -> None:
    """Tables and bars take 3 MB, in each worker of a host."""
    code = (
        "import sys, typedgator.__main__, typedgator.worker.ready; print('click' in sys.modules, 'rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "False"]


@pytest.mark.parametrize(
    "dsn", ["redis://127.0.0.1:1/0", "redis+sentinel://127.0.0.1:1/jobs/0", "redis+cluster://127.0.0.1:1"]
)
def test_redis_py_waits_for_the_first_connection(dsn: str) -> None:
    """A process that declares tasks, and closes its gator, does not wait for a driver; the first call loads it."""
    code = (
        "import sys, typedgator\n"
        f"gator = typedgator.Gator({dsn!r} + '?timeout=0.2', durability='replicated')\n"
        "@gator.register(name='task')\n"
        "def task(number: int) -> None: ...\n"
        "repr(gator), gator.batch(), gator.options(retries=1), gator.queue('a'), gator.close()\n"
        "print('redis' in sys.modules)\n"
        "try: task.task(1)\n"
        "except typedgator.BackendUnavailable: print('redis' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["False", "True"]


def test_all_is_complete() -> None:
    """Each public name can be imported, and each name that can be seen is public."""
    import typedgator

    public: list[str] = typedgator.__all__
    assert len(public) == len(set(public))
    assert [name for name in public if not hasattr(typedgator, name)] == []
    seen = {name for name, value in vars(typedgator).items() if name[0] != "_" and not isinstance(value, type(sys))}
    assert seen - set(public) == set()


def test_no_room_is_named_after_nothing() -> None:
    """Name the law, not the drawer."""
    assert not [name for name in modules() if NAMELESS_ROOMS & set(name.split("."))]
    classes = [
        node.name for path in modules().values() for node in ast.walk(tree(path)) if isinstance(node, ast.ClassDef)
    ]
    assert not [name for name in classes if "Manager" in name]


def test_nothing_unpickles() -> None:
    """Bytes from a queue never become code."""
    assert not [str(i) for i in imports() if i.target.split(".")[0] in UNSAFE]


def test_only_the_listed_functions_catch_everything() -> None:
    """A broad `except` hides the accident that it was not written for."""
    found = {place for name, path in modules().items() for place in broad_excepts(tree(path), name)}
    assert found - set(CATCHES_EVERYTHING) == set()
    assert set(CATCHES_EVERYTHING) - found == set(), "no longer needed in the table"


def broad_excepts(node: ast.AST, module: str, scope: tuple[str, ...] = ()) -> Iterator[str]:
    """`module:qualified name` of each bare `except`, `except Exception` and `except BaseException`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ExceptHandler):
            caught = child.type.elts if isinstance(child.type, ast.Tuple) else [child.type]
            if any(c is None or (isinstance(c, ast.Name) and c.id in {"Exception", "BaseException"}) for c in caught):
                yield f"{module}:{'.'.join(scope)}"
        match child:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield from broad_excepts(child, module, (*scope, name))
            case _:
                yield from broad_excepts(child, module, scope)


def tracked() -> list[Path]:
    """The files that a clone contains."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in listing.split("\0") if name and (path := ROOT / name).is_file()]


def test_each_ignored_finding_bears_its_code() -> None:
    """A bare ignore hides the next mistake on that line too."""
    bare = re.compile(r"#\s*(type|pyright):\s*ignore(?!\[[\w\-, ]+\])|#\s*noqa(?!: [A-Z]+\d)")
    found: list[str] = []
    for path in tracked():
        if path.suffix in {".py", ".pyi"}:
            with tokenize.open(path) as file:
                comments = [t for t in tokenize.generate_tokens(file.readline) if t.type == tokenize.COMMENT]
            found += [f"{path.relative_to(ROOT)}:{t.start[0]}" for t in comments if bare.search(t.string)]
    assert not found


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    """No absolute path of somebody's disk, no address of somebody's package index."""
    local = re.compile(r"(?<![\w.~*-])/(?:work|root)" + r"/|index-" + r"url|find-" + r"links", re.IGNORECASE)
    found: list[str] = []
    for path in tracked():
        name = str(path.relative_to(ROOT))
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        is_tool = name == "Makefile" or name.startswith(".ci/")
        found += [f"{name}:{n}" for n, line in enumerate(lines, 1) if local.search(line) or (is_tool and "://" in line)]
    assert not found


def test_every_command_is_documented() -> None:
    """Each command, as it is typed, and each long option stand in docs/reference/cli.md."""

    from typedgator import cli

    groups = [value for value in (cli.main, *vars(cli).values()) if isinstance(value, click.Group)]
    assert groups, "typedgator.cli shows no click.Group to walk"
    page = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    missing: list[str] = []
    for path, command in commands(groups[0], ("typedgator",)):
        spoken = " ".join(path)
        missing += [] if re.search(rf"{re.escape(spoken)}(?![\w-])", page) else [spoken]
        options = {o for p in command.params if not getattr(p, "hidden", False) for o in p.opts if o.startswith("--")}
        missing += [f"{spoken} {o}" for o in sorted(options) if not re.search(rf"{re.escape(o)}(?![\w-])", page)]
    assert not missing


def commands(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:

    context = click.Context(group, info_name=path[-1])
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None and not command.hidden:
            yield (*path, name), command
            if isinstance(command, click.Group):
                yield from commands(command, (*path, name))
