"""`typedgator jobs`: look at jobs, and do by hand what an operator does."""

import difflib
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

import click
import msgspec

from typedgator.backends.contract import CancelAnswer, Inspect
from typedgator.cli.endings import NOT_DONE, Misuse
from typedgator.cli.holding import HeldShown, held_shown, names_of, task_shown
from typedgator.cli.place import Asked, asking, where_kept
from typedgator.cli.showing import JobShown, job_shown, print_job, print_json, print_rows, say
from typedgator.errors import JobUnknown
from typedgator.gator import Gator
from typedgator.policy.options import checked_queue
from typedgator.queues import inspecting, operating
from typedgator.wire.ids import JobId, parse_id
from typedgator.wire.states import JobState

__all__ = ["jobs"]

_PAGE: Final = 100
_SLICE: Final = 256

# What needs attention first.
_IN_ORDER: Final = (
    JobState.RUNNING,
    JobState.FAILED,
    JobState.HELD,
    JobState.RETRYING,
    JobState.WAITING,
    JobState.SCHEDULED,
    JobState.BLOCKED,
    JobState.CANCELED,
    JobState.SUCCESS,
)
_PURGEABLE: Final = tuple(
    str(state) for state in _IN_ORDER if state not in {JobState.RUNNING, JobState.SUCCESS, JobState.CANCELED}
)


class Jobs(msgspec.Struct, frozen=True):
    """`jobs list`. `more`: there are more than were asked for."""

    jobs: list[JobShown]
    more: bool


class Answer(msgspec.Struct, frozen=True):
    """What became of one job: `done`, `requested`, `too late`, `requeued`, `not requeued` or `unknown`."""

    id: str
    answer: str
    state: str | None


class Answers(msgspec.Struct, frozen=True):
    """`jobs cancel` and `jobs requeue`."""

    answers: list[Answer]


class Purged(msgspec.Struct, frozen=True):
    """`jobs purge`."""

    state: str
    queue: str | None
    purged: int


class Held(msgspec.Struct, frozen=True):
    """`jobs held`."""

    held: list[HeldShown]


@click.group()
def jobs() -> None:
    """Look at jobs, cancel them, run failed ones again."""


@jobs.command("list")
@click.option("--state", type=click.Choice([str(state) for state in _IN_ORDER]), multiple=True, help="Only this state.")
@click.option("--queue", metavar="NAME", help="Only this queue.")
@click.option("--task", metavar="NAME", help="Only jobs of this task, as it is stored: module.function.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="At most so many.")
@asking
def list_jobs(
    state: Sequence[str],
    queue: str | None,
    task: str | None,
    limit: int,
    dsn: str | None,
    app: str | None,
    as_json: bool,
) -> None:
    """List jobs, what needs attention first."""
    gator = Asked(dsn, app).gator()
    wanted = [JobState(name) for name in state] or list(_IN_ORDER)
    names = set[str]() if task is None else names_of(gator.registry, task)
    found: list[JobShown] = []
    for each in wanted:
        matching = (
            job for job in _each(inspecting(gator.backend), each, queue, limit, task) if not names or job.task in names
        )
        found += islice(matching, limit + 1 - len(found))
    if task is not None and not found:
        _must_be_known(gator, task)
    shown = Jobs(found[:limit], more=len(found) > limit)
    if as_json:
        print_json(shown)
        return
    if not shown.jobs:
        say(f"No such job in {where_kept(gator)}." if state or queue or task else f"No jobs in {where_kept(gator)}.")
        return
    print_rows(
        ("id", "task", "state", "queue", "attempt", "accepted", "why"),
        [
            (
                job.id,
                task_shown(gator.registry, job.task),
                job.state,
                job.queue,
                job.attempt,
                job.accepted_at,
                _why(job),
            )
            for job in shown.jobs
        ],
        numbers=frozenset({"attempt"}),
    )
    if shown.more:
        say(f"There are more than these {limit}: give --limit, or --state, --queue and --task.")


@jobs.command("show")
@click.argument("job_id", metavar="ID")
@click.option("--values", is_flag=True, help="Show arguments and result too: they may be private.")
@asking
def show(job_id: str, values: bool, dsn: str | None, app: str | None, as_json: bool) -> None:
    """Show one job: where it is, its attempts, its last error."""
    wanted = parse_id(job_id)
    gator = Asked(dsn, app).gator()
    record = inspecting(gator.backend).find(wanted)
    if record is None:
        raise JobUnknown(job_id)
    shown = job_shown(record, values=values)
    if as_json:
        print_json(shown)
    else:
        print_job(msgspec.structs.replace(shown, task=task_shown(gator.registry, shown.task)))


@jobs.command("cancel")
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@asking
def cancel(job_ids: Sequence[str], dsn: str | None, app: str | None, as_json: bool) -> None:
    """Cancel jobs; running ones are asked to stop."""
    wanted = [parse_id(job_id) for job_id in job_ids]
    backend = Asked(dsn, app).gator().backend
    words = {
        CancelAnswer.DONE: "is canceled",
        CancelAnswer.REQUESTED: "is running, and is asked to stop",
        CancelAnswer.TOO_LATE: "had already ended",
        CancelAnswer.UNKNOWN: "is not known: it finished longer ago than it is kept, or never existed",
    }
    said = [(job_id, backend.cancel(each)) for job_id, each in zip(job_ids, wanted, strict=True)]
    _tell(
        [Answer(job_id, answer.value, _state(backend, wanted[n])) for n, (job_id, answer) in enumerate(said)],
        [words[answer] for _, answer in said],
        [answer in {CancelAnswer.DONE, CancelAnswer.REQUESTED} for _, answer in said],
        as_json=as_json,
    )


@jobs.command("requeue")
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@asking
def requeue(job_ids: Sequence[str], dsn: str | None, app: str | None, as_json: bool) -> None:
    """Run failed or held jobs again, their attempts counted from the start."""
    wanted = [parse_id(job_id) for job_id in job_ids]
    backend = operating(Asked(dsn, app).gator().backend)
    answers: list[Answer] = []
    words: list[str] = []
    done: list[bool] = []
    for job_id, each in zip(job_ids, wanted, strict=True):
        is_done = backend.requeue(each)
        state = _state(backend, each)
        answers.append(Answer(job_id, "requeued" if is_done else "not requeued" if state else "unknown", state))
        done.append(is_done)
        if is_done:
            words.append("waits for a worker again")
        elif state is None:
            words.append("is not known: it finished longer ago than it is kept, or never existed")
        else:
            words.append(f"is in state {state}: only failed jobs that are still kept and held ones can be requeued")
    _tell(answers, words, done, as_json=as_json)


@jobs.command("purge")
@click.option("--state", type=click.Choice(_PURGEABLE), required=True, help="Which jobs.")
@click.option("--queue", metavar="NAME", help="Only those of this queue.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@asking
def purge(state: str, queue: str | None, yes: bool, dsn: str | None, app: str | None, as_json: bool) -> None:
    """Remove all jobs in one state: failed ones are forgotten, others canceled."""
    gator = Asked(dsn, app).gator()
    backend = operating(gator.backend)
    wanted = JobState(state)
    if queue is not None:
        checked_queue(queue)
    if not yes:
        if not sys.stdin.isatty():
            raise Misuse("nothing was removed: without a terminal to ask on, give --yes")
        queues = gator.counts().queues
        jobs_there = sum(states.get(wanted, 0) for name, states in queues.items() if queue in (None, name))
        click.confirm(f"Remove {jobs_there} {state} jobs from {where_kept(gator)}?", abort=True, err=True)
    purged = 0
    while some := backend.purge(wanted, queue=queue, limit=_SLICE):
        purged += some
    if as_json:
        print_json(Purged(state, queue, purged))
    else:
        say(f"Removed {purged} {state} jobs.")


@jobs.command("held")
@asking
def held(dsn: str | None, app: str | None, as_json: bool) -> None:
    """List what held jobs wait for, why, since when, and when they will fail."""
    gator = Asked(dsn, app).gator()
    found = held_shown(gator)
    if as_json:
        print_json(Held(found))
    elif not found:
        say(f"No held jobs in {where_kept(gator)}.")
    else:
        print_rows(
            ("task", "arguments", "jobs", "since", "until", "why"),
            [
                (task_shown(gator.registry, each.task), each.schema, each.jobs, each.since, each.until, each.reason)
                for each in found
            ],
            numbers=frozenset({"jobs"}),
        )


def _each(backend: Inspect, state: JobState, queue: str | None, limit: int, task: str | None) -> Iterator[JobShown]:
    after: str | None = None
    size = _PAGE if task else min(_PAGE, limit + 1)
    while True:
        page = backend.page(state, queue=queue, after=after, limit=size)
        yield from map(job_shown, page.records)
        after = page.after
        if after is None:
            return


def _why(job: JobShown) -> str:
    if job.reason:
        return job.reason
    if job.error is not None and job.state != JobState.SUCCESS:
        first = job.error.message.partition("\n")[0]
        return f"{job.error.type}: {first}" if first else job.error.type
    return ""


def _must_be_known(gator: Gator, task: str) -> None:
    """With --app, a misspelt task is told apart from a task without jobs."""
    names = [known.name for known in gator.registry]
    if names and gator.registry.find(task) is None and task not in gator.registry.retired:
        near = difflib.get_close_matches(task, names, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise Misuse(f"no task is called {task} there, and no job bears that name{hint}")


def _state(backend: object, job_id: JobId) -> str | None:
    record = backend.find(job_id) if isinstance(backend, Inspect) else None
    return None if record is None else str(record.state)


def _tell(answers: Sequence[Answer], words: Sequence[str], done: Sequence[bool], *, as_json: bool) -> None:
    """Prints the answers; those that refuse go to standard error and make the exit code 1."""
    if as_json:
        print_json(Answers(list(answers)))
    for answer, text, is_done in zip(answers, words, done, strict=True):
        if not is_done:
            click.echo(f"typedgator: job {answer.id} {text}", err=True)
        elif not as_json:
            say(f"Job {answer.id} {text}.")
    if not all(done):
        raise click.exceptions.Exit(NOT_DONE)
