"""`typedgator schema`: the contracts of a gator's tasks, compared with the lock file and with stored jobs."""

import difflib
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from typedgator.backends.connect import Dsn
from typedgator.cli.endings import NOT_DONE, Misuse, Refusal
from typedgator.cli.loading import import_named, load_gator
from typedgator.cli.place import Asked, where_kept
from typedgator.cli.showing import print_json, say
from typedgator.contracts import export, lock, stubs
from typedgator.contracts.live import READ_STATES, Live, look
from typedgator.contracts.releases import Release, TaskChange, breaking, changes, written
from typedgator.errors import GatorError
from typedgator.gator import Gator
from typedgator.policy.options import DEFAULT_QUEUE
from typedgator.queues import inspecting
from typedgator.wire.compat import Change

__all__ = ["schema"]

NOT_WRITTEN: Final = 2
"""Exit code: compatible, but the lock file does not say so yet."""
NOT_COMPARED: Final = 3
"""Exit code of a comparison that could not be made, whatever the reason."""

_SPEC: Final = click.argument("spec", metavar="MODULE[:GATOR]")
_FILE: Final = click.argument(
    "file", metavar="[FILE]", default=lock.DEFAULT_FILE, type=click.Path(path_type=Path, dir_okay=False)
)
_IMPORT: Final = click.option(
    "--import", "imports", metavar="MODULE", multiple=True, help="Import this module too: it registers tasks."
)
_JSON: Final = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


class ChangeShown(msgspec.Struct, frozen=True):
    """One change of a task. The verdicts are `ok`, or why it breaks."""

    part: str
    path: str
    what: str
    in_flight: str
    rolling: str


class TaskShown(msgspec.Struct, frozen=True):
    """One task that changed."""

    task: str
    kind: str
    was: str | None
    breaking: bool
    advice: str
    changes: list[ChangeShown]


class Compared(msgspec.Struct, frozen=True):
    """`schema check` and `schema diff`. `verdict`: `same`, `breaking` or `not written`."""

    file: str
    verdict: str
    tasks: list[TaskShown]


class Written(msgspec.Struct, frozen=True):
    """`schema write`."""

    file: str
    tasks: int
    changed: bool
    accepted: list[str]


class _NotCompared(Refusal):
    exit_code = NOT_COMPARED


class _Misspelt(click.UsageError):
    exit_code = NOT_COMPARED


class _Contracts(click.Group):
    """The commands about contracts. A misspelt one may have been meant as a comparison."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds the command."""
        with _not_compared():
            return super().resolve_command(ctx, args)


class _Comparison(click.Command):
    """A command whose exit codes 1 and 2 are answers, so that none of them can be a mistake."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Reads the command line."""
        with _not_compared():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        with _not_compared():
            return super().invoke(ctx)


@contextmanager
def _not_compared() -> Generator[None]:
    """Whatever is refused in here ends the command with its own exit code."""
    try:
        yield
    except click.UsageError as error:
        raise _Misspelt(error.format_message(), error.ctx) from error
    except click.ClickException as error:
        raise _NotCompared(error.message) from error
    except GatorError as error:
        raise _NotCompared(str(error)) from error


@click.group(cls=_Contracts)
def schema() -> None:
    """Compare tasks with the lock file and with stored jobs, and tell others their contracts."""


@schema.command("write")
@_SPEC
@_FILE
@click.option("--accept", metavar="TASK", multiple=True, help="Write this task although its change breaks jobs.")
@_IMPORT
@_JSON
def write(spec: str, file: Path, accept: Sequence[str], imports: Sequence[str], as_json: bool) -> None:
    """Write the lock file; a change that breaks jobs in flight is refused."""
    release = Release.of(_loaded(spec, imports).registry)
    before = lock.read(file) if file.exists() else None
    found = [] if before is None else changes(before, release)
    broken = breaking(found)
    for name in accept:
        if name not in broken:
            near = difflib.get_close_matches(name, broken, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise Misuse(f"--accept {name}: no task of that name has a breaking change. Nothing was written.{hint}")
    refused = [name for name in broken if name not in accept]
    if refused:
        _tell([each for each in found if each.task in refused], err=True)
        names = " ".join(f"--accept {name}" for name in refused)
        raise Refusal(f"{file} was not written: {len(refused)} breaking, and not accepted; to write it: {names}")
    changed = lock.write(written(before or lock.Lock(), release), file)
    tasks = len(release.lock.tasks)
    if as_json:
        print_json(Written(str(file), tasks, changed, list(accept)))
    else:
        say(f"{file}: {_count(tasks, 'task')}, {'written' if changed else 'unchanged'}")


@schema.command("check", cls=_Comparison)
@_SPEC
@_FILE
@click.option("--live", metavar="DSN", help="Compare with the jobs that are stored there instead.")
@click.option(
    "--state",
    "states",
    type=click.Choice([str(state) for state in READ_STATES]),
    multiple=True,
    help="With --live: only jobs in this state.",
)
@_IMPORT
@_JSON
@click.pass_context
def check(
    context: click.Context,
    spec: str,
    file: Path,
    live: str | None,
    states: Sequence[str],
    imports: Sequence[str],
    as_json: bool,
) -> None:
    """Exit 0 when the tasks are as locked, 1 when a change breaks jobs, 2 when it is only not written yet, 3 when they
    could not be compared.
    """
    registry = _loaded(spec, imports).registry
    if live is None:
        if states:
            raise Misuse("--state says which stored jobs to look at: give --live DSN too")
        _end(_compared(file, Release.of(registry), as_json=as_json))
        return
    if context.get_parameter_source("file") is not click.core.ParameterSource.DEFAULT:
        raise Misuse("--live compares with stored jobs, not with a lock file: leave the file out")
    stored = Asked(live).gator()
    wanted = [state for state in READ_STATES if not states or str(state) in states]
    found = look(inspecting(stored.backend), registry, wanted)
    if as_json:
        print_json(found)
    else:
        where = where_kept(stored)
        if not found.read and stored.dsn:  # a release has many jobs behind it: the place may be a wrong one
            where += f", namespace {Dsn(stored.dsn).namespace}"
        _tell_live(found, where)
    _end(NOT_DONE if found.stranded else 0)


@schema.command("diff", cls=_Comparison)
@_SPEC
@_FILE
@_IMPORT
@_JSON
def diff(spec: str, file: Path, imports: Sequence[str], as_json: bool) -> None:
    """Like check, and show the lines of the lock file that would change."""
    release = Release.of(_loaded(spec, imports).registry)
    code = _compared(file, release, as_json=as_json)
    if not as_json:
        locked = lock.read(file)
        before, after = (lock.text(each).splitlines() for each in (locked, written(locked, release)))
        for line in difflib.unified_diff(before, after, str(file), f"{file} (to be written)", lineterm=""):
            say(line)
    _end(code)


@schema.command("export")
@_SPEC
@click.option("--json-schema", is_flag=True, help="JSON Schema, 2020-12.")
@click.option("--asyncapi", is_flag=True, help="AsyncAPI 3.0.")
@click.option("--title", default="", help="What the service is called, in AsyncAPI. Default: MODULE.")
@click.option("--service-version", default="0.0.0", show_default=True, help="Which release it is, in AsyncAPI.")
@_IMPORT
def export_contracts(
    spec: str, json_schema: bool, asyncapi: bool, title: str, service_version: str, imports: Sequence[str]
) -> None:
    """Print the contracts of all tasks for other tools, as JSON."""
    if json_schema is asyncapi:
        raise Misuse("say in which form: --json-schema or --asyncapi, one of the two")
    gator = _loaded(spec, imports)
    if json_schema:
        found = export.json_schema(gator.registry)
    else:
        queue = gator.defaults.queue
        found = export.async_api(
            gator.registry,
            title=title or spec.partition(":")[0],
            version=service_version,
            default_queue=DEFAULT_QUEUE if isinstance(queue, msgspec.UnsetType) else queue,
        )
    print_json(found)


@schema.command("stubs")
@_SPEC
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path, file_okay=False))
@click.option("--dsn-variable", metavar="NAME", default="", help="The environment variable that says the DSN there.")
@_IMPORT
def write_stubs(spec: str, folder: Path, dsn_variable: str, imports: Sequence[str]) -> None:
    """Write a package by which another service enqueues these tasks, with all types and without their code."""
    if not folder.name.isidentifier():
        raise Misuse(f"{folder.name!r} cannot be imported: name a folder as a package is named")
    if dsn_variable and not dsn_variable.isidentifier():
        raise Misuse(f"--dsn-variable {dsn_variable!r} is not an environment variable's name")
    gator = _loaded(spec, imports)
    stubs.write_stubs(folder, stubs.stubs(gator.registry, gator.defaults, dsn_variable=dsn_variable))
    say(f"{folder}: {_count(len(gator.registry), 'task')}")


def _loaded(spec: str, imports: Sequence[str]) -> Gator:
    gator = load_gator(spec)
    for module in imports:
        import_named(module)
    if not len(gator.registry):
        raise Misuse(f"{spec} has no tasks: name the module that registers them, or add --import MODULE")
    return gator


def _end(code: int) -> None:
    if code:
        raise click.exceptions.Exit(code)


def _compared(file: Path, release: Release, *, as_json: bool) -> int:
    """Prints how a release differs from the lock file; the exit code."""
    found = changes(lock.read(file), release)
    broken = breaking(found)
    code = NOT_DONE if broken else NOT_WRITTEN if found else 0
    if as_json:
        verdict = {0: "same", NOT_DONE: "breaking", NOT_WRITTEN: "not written"}[code]
        print_json(Compared(str(file), verdict, [_task_shown(each) for each in found]))
        return code
    _tell(found)
    tasks = _count(len(release.lock.tasks), "task")
    if not found:
        say(f"{tasks}, as in {file}")
    else:
        say(f"{tasks}: {len(broken)} breaking, {len(found) - len(broken)} compatible and not written yet")
    return code


def _task_shown(each: TaskChange) -> TaskShown:
    shown = [ChangeShown(c.part, c.path, c.what, c.in_flight or "ok", c.rolling or "ok") for c in each.changes]
    return TaskShown(each.task, each.kind, each.was or None, each.breaks, each.advice.value, shown)


def _tell(found: Sequence[TaskChange], *, err: bool = False) -> None:
    for each in found:
        was = f" (was {each.was})" if each.was else ""
        click.echo(f"{'BREAKING' if each.breaks else 'ok      '}  {each.task}{was}: {each.advice.value}", err=err)
        for change in each.changes:
            click.echo(f"    {_place(change)}{change.what}", err=err)
            click.echo(f"        jobs in flight: {_verdict(change.in_flight)}", err=err)
            click.echo(f"        rolling deploy: {_verdict(change.rolling)}", err=err)


def _place(change: Change) -> str:
    where = [part for part in ("result" if change.part == "result" else "", change.path) if part]
    return f"{' '.join(where)}: " if where else ""


def _verdict(why: str) -> str:
    return f"breaks: {why}" if why else "ok"


def _tell_live(found: Live, where: str) -> None:
    for each in found.stranded:
        name = each.task or "(not readable)"
        states = ", ".join(f"{jobs} {state}" for state, jobs in each.states.items())
        say(f"STRANDED  {name}: {_count(each.jobs, 'job')} ({states})")
        say(f"    {each.reason}")
        say(f"    for example {', '.join(each.ids)}")
    stranded = sum(each.jobs for each in found.stranded)
    ended = f", {found.ended} would end as this release says" if found.ended else ""
    say(f"{_count(found.read, 'job')} in {where}: {found.fit} would run{ended}, {stranded} would be stranded")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
