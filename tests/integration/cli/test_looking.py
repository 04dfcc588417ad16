"""`jobs` and `queues`: what they print, their JSON, and how each refusal reads."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Generator
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.project import Project, refused
from typedgator.cli import main
from typedgator.gator import Gator

APP = """
from typedgator import Gator

gator = Gator()


@gator.register
def double(n: int) -> int:
    return 2 * n


@gator.register
def fail(text: str) -> None:
    raise LookupError(text)
"""

Ended = subprocess.CompletedProcess[str]
Command = Callable[..., Ended]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `typedgator …` in this process, in an empty folder, without a terminal."""
    for name in os.environ:
        if name.startswith("TYPEDGATOR_"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "stdin", StringIO())

    def run(*args: str) -> Ended:
        with pytest.raises(SystemExit) as ended:
            main(list(args), prog_name="typedgator")
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return subprocess.CompletedProcess(args, ended.value.code, said.out, said.err)

    return run


@pytest.fixture
def gator(command: Command, tmp_path: Path) -> Generator[Gator]:
    """The gator of a module `app` whose queue has jobs in several states."""
    (tmp_path / "app.py").write_text(APP, encoding="utf-8")
    sys.path.insert(0, str(tmp_path))
    import app  # type: ignore[import-not-found]  # written just now

    gator: Gator = app.gator
    app.double.task(1)
    app.fail.task("no such order")
    gator.pop()
    gator.pop()
    app.double.task(21)
    with gator.options(delay_by=3600, job_id="later", queue="night") as opts:
        opts.task(app.double, 4)
    yield gator
    gator.close()
    del sys.modules["app"]


@pytest.fixture
def answer(command: Command, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The JSON object that a command prints, also where the environment wants colours."""

    def run(*args: str, code: int = 0) -> Any:
        with monkeypatch.context() as here:
            here.setenv("FORCE_COLOR", "1")
            done = command(*args, "--json")
        assert done.returncode == code, done.stderr
        assert "\x1b" not in done.stdout
        return json.loads(done.stdout)

    return run


def test_jobs_list_shows_what_needs_attention_first(gator: Gator, command: Command, answer: Callable[..., Any]) -> None:
    """Failed before waiting, waiting before scheduled, success last."""
    listed = answer("jobs", "list")

    assert [job["state"] for job in listed["jobs"]] == ["failed", "waiting", "scheduled", "success"]
    assert listed["more"] is False
    failed, waiting, scheduled, _ = listed["jobs"]
    assert (failed["error"]["type"], failed["error"]["message"]) == ("LookupError", "no such order")
    assert (waiting["task"], waiting["attempt"], waiting["retries"]) == ("app.double", 0, 0)
    assert (scheduled["id"], scheduled["queue"]) == ("later", "night")
    assert scheduled["due_at"].endswith("Z")
    assert "args" not in waiting


def test_jobs_list_can_be_narrowed(gator: Gator, command: Command, answer: Callable[..., Any]) -> None:
    """By state, queue and task; `more` says that the limit cut it off."""
    assert [job["id"] for job in answer("jobs", "list", "--queue", "night")["jobs"]] == ["later"]
    assert len(answer("jobs", "list", "--state", "failed", "--state", "waiting")["jobs"]) == 2
    assert {job["task"] for job in answer("jobs", "list", "--task", "app.fail")["jobs"]} == {"app.fail"}
    few = answer("jobs", "list", "--limit", "1")
    assert (len(few["jobs"]), few["more"]) == (1, True)


def test_tables_are_whole_where_there_is_no_terminal(
    gator: Gator, command: Command, answer: Callable[..., Any]
) -> None:
    """One line a job, nothing shortened, no colours: for grep and cut."""
    lines = command("jobs", "list").stdout.splitlines()

    assert [line.split()[2] for line in lines] == ["state", "failed", "waiting", "scheduled", "success"]
    assert lines[1].rstrip().endswith("LookupError: no such order")


def test_arguments_are_shown_only_when_asked_for(gator: Gator, command: Command, answer: Callable[..., Any]) -> None:
    """They may be private; `--values` shows them, and the result."""
    waiting = answer("jobs", "list", "--state", "waiting")["jobs"][0]["id"]
    ended = answer("jobs", "list", "--state", "success")["jobs"][0]["id"]

    assert "21" not in command("jobs", "show", waiting).stdout.split("state:")[1].split("accepted:")[0]
    assert answer("jobs", "show", waiting, "--values")["args"] == {"n": 21}
    assert answer("jobs", "show", ended, "--values")["result"] == 2
    assert "arguments: {'n': 21}" in " ".join(command("jobs", "show", waiting, "--values").stdout.split())


def test_cancel_and_requeue_say_what_became_of_each(gator: Gator, command: Command, answer: Callable[..., Any]) -> None:
    """Exit code 1 when one could not be done; the others are done nevertheless."""
    failed = answer("jobs", "list", "--state", "failed")["jobs"][0]["id"]

    assert answer("jobs", "requeue", failed, "later", "nobody", code=1) == {
        "answers": [
            {"id": failed, "answer": "requeued", "state": "waiting"},
            {"id": "later", "answer": "not requeued", "state": "scheduled"},
            {"id": "nobody", "answer": "unknown", "state": None},
        ]
    }
    assert answer("jobs", "cancel", "later") == {"answers": [{"id": "later", "answer": "done", "state": "canceled"}]}
    done = command("jobs", "cancel", failed, "nobody")
    assert done.returncode == 1
    assert done.stdout == f"Job {failed} is canceled.\n"
    assert done.stderr.startswith("typedgator: job nobody is not known")


def test_purge_asks_first(gator: Gator, command: Command, answer: Callable[..., Any]) -> None:
    """Without a terminal it wants `--yes`."""
    assert "give --yes" in refused(command("jobs", "purge", "--state", "failed"), 2)
    assert answer("jobs", "purge", "--state", "failed", "--queue", "night", "--yes")["purged"] == 0
    assert answer("jobs", "purge", "--state", "failed", "--yes") == {
        "state": "failed",
        "queue": None,
        "purged": 1,
    }
    assert answer("jobs", "list", "--state", "waiting")["jobs"] != []


def test_held_kinds_name_the_task_that_is_missing(gator: Gator, command: Command, answer: Callable[..., Any]) -> None:
    """A worker that does not know a task holds its jobs."""
    Gator().pop()  # which knows no task

    held = answer("jobs", "held")["held"]
    assert [(kind["task"], kind["jobs"]) for kind in held] == [("app.double", 1)]
    assert "app.double" in command("jobs", "held").stdout


def test_held_says_why_since_when_and_until_when(gator: Gator, command: Command, answer: Callable[..., Any]) -> None:
    """Of each kind the job that will fail first; the kind with the least time left comes first."""
    double = gator.registry.find("app.double")
    assert double is not None
    double.task(22)
    Gator(hold_for=3600).pop()
    Gator(hold_for=60).pop()
    gator.task(gator.registry.find("app.fail"), "no such order")  # type: ignore[arg-type]  # it is there
    Gator(hold_for=1800).pop()

    first, second = answer("jobs", "held")["held"]
    assert (first["task"], first["schema"], first["jobs"]) == ("app.double", double.fingerprint, 2)
    assert (second["task"], second["jobs"]) == ("app.fail", 1)
    assert first["reason"] == "task app.double is not known to the worker that took it"
    since, until = (datetime.fromisoformat(first[name]) for name in ("since", "until"))
    assert timedelta(seconds=60) <= until - since < timedelta(seconds=120)
    rows = command("jobs", "held").stdout.splitlines()
    assert rows[0].split() == ["task", "arguments", "jobs", "since", "until", "why"]
    assert f"{until.astimezone():%Y-%m-%d %H:%M:%S}" in rows[1]
    assert "is not known" in rows[1]


def test_a_renamed_task_is_listed_under_both_names(gator: Gator, command: Command, tmp_path: Path) -> None:
    """Stored under the old one, and run by the new; with `--app`, `--task` takes either."""
    (tmp_path / "later.py").write_text(
        "from typedgator import Gator\ngator = Gator()\ngator.retired('app.fail')\n"
        "@gator.register(name='later.twice', aliases=('app.double',))\ndef twice(n: int) -> int:\n    return 2 * n\n",
        encoding="utf-8",
    )
    Gator().pop()
    try:
        for name in ("later.twice", "app.double"):
            listed = command("jobs", "list", "--app", "later", "--task", name).stdout
            assert listed.count("app.double (now later.twice)") == 3, listed
        assert "app.fail (retired)" in command("jobs", "list", "--app", "later").stdout
        assert "app.double (now later.twice)" in command("jobs", "held", "--app", "later").stdout
        assert "app.double (now later.twice)" in command("jobs", "show", "later", "--app", "later").stdout
        assert "(now" not in command("jobs", "list").stdout
        assert command("jobs", "list", "--app", "later", "--task", "app.fail", "--state", "held").returncode == 0
    finally:
        del sys.modules["later"]


def test_queues_counts_pauses_and_resumes(gator: Gator, command: Command, answer: Callable[..., Any]) -> None:
    """A paused queue hands out nothing."""
    queues = {each["name"]: each for each in answer("queues")["queues"]}
    assert queues["all"]["jobs"]["waiting"] == 1
    assert queues["all"]["jobs"]["failed"] == 1
    assert queues["night"]["jobs"]["scheduled"] == 1

    assert answer("queues", "pause", "all") == {"name": "all", "paused": True}
    assert "paused" in command("queues").stdout.splitlines()[1]
    assert gator.pop() is None
    assert command("queues", "resume", "all").stdout == "Queue all hands out jobs again.\n"
    assert gator.pop() is not None


def test_queues_of_which_all_jobs_are_done_say_so(gator: Gator, command: Command, answer: Callable[..., Any]) -> None:
    """Not that there never was one."""
    gator.pop()
    assert command("jobs", "purge", "--state", "failed", "--yes").returncode == 0
    gator.job("later").cancel()

    assert answer("queues")["queues"] == []
    assert command("queues").stdout == "No unfinished or failed jobs in sqlite:///typedgator.db.\n"


def test_where_to_look_can_be_said_in_three_ways(
    gator: Gator, command: Command, answer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--dsn`, `--app`, TYPEDGATOR_CONN; on `queues` before or after the word."""
    dsn = "sqlite:///typedgator.db"
    by_default = answer("queues")

    assert answer("queues", "--dsn", dsn) == by_default
    assert answer("queues", "--app", "app") == by_default
    assert command("queues", "--dsn", dsn, "pause", "all").returncode == 0
    assert answer("queues")["queues"][0]["paused"] is True
    assert command("queues", "resume", "all", "--dsn", dsn).returncode == 0
    monkeypatch.setenv("TYPEDGATOR_CONN", f"sqlite:///{Path('typedgator.db').absolute()}")
    monkeypatch.chdir("/")
    assert answer("queues") == by_default


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
def test_each_refusal_is_one_line(gator: Gator, command: Command, args: tuple[str, ...], code: int, said: str) -> None:
    """On standard error, with its exit code; passwords are dots."""
    line = refused(command(*args), code)

    assert said in line
    assert "secret" not in line


def test_looking_makes_no_queue(command: Command) -> None:
    """Where nothing says where the jobs are, nothing is created."""
    assert "nothing says where the jobs are" in refused(command("queues"), 2)
    assert not list(Path().iterdir())


def test_a_closed_pipe_ends_it_quietly(project: Project) -> None:
    """`typedgator jobs list | head` is no error to read about."""
    project.python("double.task(1)")
    reader, writer = os.pipe()
    os.close(reader)
    for flags in ((), ("--json",)):
        done = subprocess.run(
            [sys.executable, "-m", "typedgator", "jobs", "list", *flags],
            cwd=project.folder,
            env=project.env,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        assert done.stderr == ""
        assert done.returncode == 1
    os.close(writer)
