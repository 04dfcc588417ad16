"""`jobs` and `queues`: what they print, their JSON, and how each refusal reads."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.integration.cli.project import Project, refused


@pytest.fixture
def busy(project: Project) -> Project:
    """A project whose queue has jobs in several states."""
    project.python(
        "double.task(1)\n"
        "fail.task('no such order')\n"
        "gator.pop(); gator.pop()\n"
        "double.task(21)\n"
        "with gator.options(delay_by=3600, job_id='later', queue='night') as opts: opts.task(double, 4)\n"
    )
    return project


def answer(project: Project, *args: str, code: int = 0) -> Any:
    """The JSON object that a command prints."""
    done = project.command(*args, "--json", FORCE_COLOR="1")
    assert done.returncode == code, done.stderr
    assert "\x1b" not in done.stdout
    return json.loads(done.stdout)


def test_jobs_list_shows_what_needs_attention_first(busy: Project) -> None:
    """Failed before waiting, waiting before scheduled, success last."""
    listed = answer(busy, "jobs", "list")

    assert [job["state"] for job in listed["jobs"]] == ["failed", "waiting", "scheduled", "success"]
    assert listed["more"] is False
    failed, waiting, scheduled, _ = listed["jobs"]
    assert (failed["error"]["type"], failed["error"]["message"]) == ("LookupError", "no such order")
    assert (waiting["task"], waiting["attempt"], waiting["retries"]) == ("app.double", 0, 0)
    assert (scheduled["id"], scheduled["queue"]) == ("later", "night")
    assert scheduled["due_at"].endswith("Z")
    assert "args" not in waiting


def test_jobs_list_can_be_narrowed(busy: Project) -> None:
    """By state, queue and task; `more` says that the limit cut it off."""
    assert [job["id"] for job in answer(busy, "jobs", "list", "--queue", "night")["jobs"]] == ["later"]
    assert len(answer(busy, "jobs", "list", "--state", "failed", "--state", "waiting")["jobs"]) == 2
    assert {job["task"] for job in answer(busy, "jobs", "list", "--task", "app.fail")["jobs"]} == {"app.fail"}
    few = answer(busy, "jobs", "list", "--limit", "1")
    assert (len(few["jobs"]), few["more"]) == (1, True)


def test_tables_are_whole_where_there_is_no_terminal(busy: Project) -> None:
    """One line a job, nothing shortened, no colours: for grep and cut."""
    lines = busy.command("jobs", "list").stdout.splitlines()

    assert [line.split()[2] for line in lines] == ["state", "failed", "waiting", "scheduled", "success"]
    assert lines[1].rstrip().endswith("LookupError: no such order")


def test_arguments_are_shown_only_when_asked_for(busy: Project) -> None:
    """They may be private; `--values` shows them, and the result."""
    waiting = answer(busy, "jobs", "list", "--state", "waiting")["jobs"][0]["id"]
    ended = answer(busy, "jobs", "list", "--state", "success")["jobs"][0]["id"]

    assert "21" not in busy.command("jobs", "show", waiting).stdout.split("state:")[1].split("accepted:")[0]
    assert answer(busy, "jobs", "show", waiting, "--values")["args"] == {"n": 21}
    assert answer(busy, "jobs", "show", ended, "--values")["result"] == 2
    assert "arguments: {'n': 21}" in " ".join(busy.command("jobs", "show", waiting, "--values").stdout.split())


def test_cancel_and_requeue_say_what_became_of_each(busy: Project) -> None:
    """Exit code 1 when one could not be done; the others are done nevertheless."""
    failed = answer(busy, "jobs", "list", "--state", "failed")["jobs"][0]["id"]

    assert answer(busy, "jobs", "requeue", failed, "later", "nobody", code=1) == {
        "answers": [
            {"id": failed, "answer": "requeued", "state": "waiting"},
            {"id": "later", "answer": "not requeued", "state": "scheduled"},
            {"id": "nobody", "answer": "unknown", "state": None},
        ]
    }
    assert answer(busy, "jobs", "cancel", "later") == {
        "answers": [{"id": "later", "answer": "done", "state": "canceled"}]
    }
    done = busy.command("jobs", "cancel", failed, "nobody")
    assert done.returncode == 1
    assert done.stdout == f"Job {failed} is canceled.\n"
    assert done.stderr.startswith("typedgator: job nobody is not known")


def test_purge_asks_first(busy: Project) -> None:
    """Without a terminal it wants `--yes`."""
    assert "give --yes" in refused(busy.command("jobs", "purge", "--state", "failed"), 2)
    assert answer(busy, "jobs", "purge", "--state", "failed", "--queue", "night", "--yes")["purged"] == 0
    assert answer(busy, "jobs", "purge", "--state", "failed", "--yes") == {
        "state": "failed",
        "queue": None,
        "purged": 1,
    }
    assert answer(busy, "jobs", "list", "--state", "waiting")["jobs"] != []


def test_held_kinds_name_the_task_that_is_missing(busy: Project) -> None:
    """A worker that does not know a task holds its jobs."""
    busy.write("other.py", "from typedgator import Gator\ngator = Gator()\n")
    assert busy.command("worker", "other", "--burst").returncode == 0

    held = answer(busy, "jobs", "held")["held"]
    assert [(kind["task"], kind["jobs"]) for kind in held] == [("app.double", 1)]
    assert "app.double" in busy.command("jobs", "held").stdout


def test_queues_counts_pauses_and_resumes(busy: Project) -> None:
    """A paused queue hands out nothing."""
    queues = {each["name"]: each for each in answer(busy, "queues")["queues"]}
    assert queues["all"]["jobs"]["waiting"] == 1
    assert queues["all"]["jobs"]["failed"] == 1
    assert queues["night"]["jobs"]["scheduled"] == 1

    assert answer(busy, "queues", "pause", "all") == {"name": "all", "paused": True}
    assert "paused" in busy.command("queues").stdout.splitlines()[1]
    assert busy.python("print(gator.pop())") == "None"
    assert busy.command("queues", "resume", "all").stdout == "Queue all hands out jobs again.\n"
    assert busy.python("print(gator.pop() is not None)") == "True"


def test_where_to_look_can_be_said_in_three_ways(busy: Project) -> None:
    """`--dsn`, `--app`, TYPEDGATOR_CONN; on `queues` before or after the word."""
    dsn = "sqlite:///typedgator.db"
    by_default = answer(busy, "queues")

    assert answer(busy, "queues", "--dsn", dsn) == by_default
    assert answer(busy, "queues", "--app", "app") == by_default
    assert json.loads(busy.command("queues", "--json", TYPEDGATOR_CONN=dsn).stdout) == by_default
    assert busy.command("queues", "--dsn", dsn, "pause", "all").returncode == 0


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("jobs", "list", "--dsn", "sqlite:///nope.db"), 2, "there is no file nope.db"),
        (("jobs", "list", "--dsn", "bogus://me:secret@host"), 2, "names no backend; the schemes here are "),
        (("jobs", "list", "--dsn", "locmem://"), 2, "inside one process"),
        (("jobs", "list", "--dsn", "locmem://", "--app", "app"), 2, "not both"),
        (("jobs", "list", "--app", "nope"), 2, "there is no module nope"),
        (("jobs", "list", "--app", "app", "--task", "app.duoble"), 2, "did you mean app.double?"),
        (("jobs", "show", "nobody"), 1, "job nobody is not known"),
        (("jobs", "show", "a b"), 2, "cannot be an id"),
        (("jobs", "requeue", "nobody"), 1, "job nobody is not known"),
        (("queues", "pause", "a b"), 2, "queue must be"),
        (("queues", "--dsn", "sqlite://oops/x.db"), 2, "two slashes"),
    ],
)
def test_each_refusal_is_one_line(busy: Project, args: tuple[str, ...], code: int, said: str) -> None:
    """On standard error, with its exit code; passwords are dots."""
    line = refused(busy.command(*args), code)

    assert said in line
    assert "secret" not in line


def test_looking_makes_no_queue(project: Project) -> None:
    """Where nothing says where the jobs are, nothing is created."""
    assert "nothing says where the jobs are" in refused(project.command("queues"), 2)
    assert not list(project.folder.glob("*.db*"))


def test_a_closed_pipe_ends_it_quietly(busy: Project) -> None:
    """`typedgator jobs list | head` is no error to read about."""
    reader, writer = os.pipe()
    os.close(reader)
    for flags in ((), ("--json",)):
        done = subprocess.run(
            [sys.executable, "-m", "typedgator", "jobs", "list", *flags],
            cwd=busy.folder,
            env=busy.env,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        assert done.stderr == ""
        assert done.returncode == 1
    os.close(writer)
