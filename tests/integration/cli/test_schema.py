"""`typedgator schema`: the lock file and the deploy gate, as a pipeline runs them."""

import json
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.project import Project, refused
from tests.integration.redis.servers import Server, needs_redis
from typedgator import Gator

V1 = """
from typedgator import Gator

gator = Gator()


@gator.register(name="mail.send")
def send(to: str, copies: int = 1) -> int:
    return copies


@gator.register(name="mail.purge")
def purge() -> None: ...
"""
WITH_CC = V1.replace("copies: int = 1)", "copies: int = 1, cc: list[str] | None = None)")
RENAMED = V1.replace("(to: str", "(address: str")


@pytest.fixture
def locked(project: Project) -> Project:
    """A project whose lock file is written."""
    project.write("app.py", V1)
    done = project.command("schema", "write", "app")
    assert (done.returncode, done.stdout) == (0, "typedgator.lock.json: 2 tasks, written\n")
    return project


def lock_of(project: Project) -> str:
    return (project.folder / "typedgator.lock.json").read_text()


def test_nothing_changed(locked: Project) -> None:
    done = locked.command("schema", "check", "app")
    assert (done.returncode, done.stdout) == (0, "2 tasks, as in typedgator.lock.json\n")
    again = locked.command("schema", "write", "app")
    assert (again.returncode, again.stdout) == (0, "typedgator.lock.json: 2 tasks, unchanged\n")


def test_a_compatible_change_is_written_down(locked: Project) -> None:
    """Exit code 2 until it is; both verdicts and the order to deploy in are told."""
    locked.write("app.py", WITH_CC)
    done = locked.command("schema", "check", "app:gator")
    assert done.returncode == 2
    assert done.stdout.splitlines() == [
        "ok        mail.send: deploy workers first",
        "    cc: added, with a default: list[str] | None",
        "        jobs in flight: ok",
        "        rolling deploy: breaks: old workers do not know it, and new producers send it when it is given",
        "2 tasks: 0 breaking, 1 compatible and not written yet",
    ]
    assert locked.command("schema", "write", "app").returncode == 0
    assert locked.command("schema", "check", "app").returncode == 0


def test_a_breaking_change_is_written_only_when_it_is_accepted_by_name(locked: Project) -> None:
    before = lock_of(locked)
    locked.write("app.py", RENAMED)
    done = locked.command("schema", "check", "app")
    assert done.returncode == 1
    assert "BREAKING  mail.send: two steps" in done.stdout
    assert "    to: removed (str); renamed to address?" in done.stdout

    refused_write = locked.command("schema", "write", "app")
    assert (refused_write.returncode, refused_write.stdout) == (1, "")
    assert "BREAKING  mail.send" in refused_write.stderr
    assert refused_write.stderr.splitlines()[-1] == (
        "typedgator: typedgator.lock.json was not written: 1 breaking, and not accepted; "
        "to write it: --accept mail.send"
    )
    assert lock_of(locked) == before

    wrong = locked.command("schema", "write", "app", "--accept", "mail.sent")
    assert refused(wrong, 2) == (
        "--accept mail.sent: no task of that name has a breaking change. Nothing was written. Did you mean mail.send?"
    )
    assert lock_of(locked) == before
    # One that changed without breaking has nothing to accept either.
    assert "mail.purge: no task" in refused(locked.command("schema", "write", "app", "--accept", "mail.purge"), 2)

    accepted = locked.command("schema", "write", "app", "--accept", "mail.send")
    assert accepted.returncode == 0
    assert locked.command("schema", "check", "app").returncode == 0


def test_a_name_that_was_retired_is_given_away_only_when_it_is_accepted(locked: Project) -> None:
    [without, _] = V1.split('@gator.register(name="mail.purge")')
    locked.write("app.py", without + 'gator.retired("mail.purge")\n')
    assert locked.command("schema", "write", "app").returncode == 0
    locked.write("app.py", V1.replace("def purge()", "def purge(all: bool = False)"))
    done = locked.command("schema", "diff", "app")
    assert done.returncode == 1
    assert "BREAKING  mail.purge: two steps" in done.stdout
    assert '-    "mail.purge"' in done.stdout
    assert "to write it: --accept mail.purge" in locked.command("schema", "write", "app").stderr
    assert locked.command("schema", "write", "app", "--accept", "mail.purge").returncode == 0
    assert locked.command("schema", "check", "app").returncode == 0


def test_two_breaking_changes_take_two_names(locked: Project) -> None:
    locked.write("app.py", RENAMED.replace('name="mail.purge"', 'name="mail.clean"'))
    one = locked.command("schema", "write", "app", "--accept", "mail.send")
    assert one.returncode == 1
    assert "to write it: --accept mail.purge" in one.stderr
    both = locked.command("schema", "write", "app", "--accept", "mail.send", "--accept", "mail.purge")
    assert both.returncode == 0


def test_json_says_the_same(locked: Project) -> None:
    locked.write("app.py", WITH_CC)
    done = locked.command("schema", "check", "app", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout) == {
        "file": "typedgator.lock.json",
        "verdict": "not written",
        "tasks": [
            {
                "task": "mail.send",
                "kind": "changed",
                "was": None,
                "breaking": False,
                "advice": "deploy workers first",
                "changes": [
                    {
                        "part": "arguments",
                        "path": "cc",
                        "what": "added, with a default: list[str] | None",
                        "in_flight": "ok",
                        "rolling": "old workers do not know it, and new producers send it when it is given",
                    }
                ],
            }
        ],
    }
    written = locked.command("schema", "write", "app", "--json")
    assert json.loads(written.stdout) == {
        "file": "typedgator.lock.json",
        "tasks": 2,
        "changed": True,
        "accepted": [],
    }


def test_diff_shows_the_lines(locked: Project) -> None:
    locked.write("app.py", V1.replace("copies: int = 1", "copies: int = 2"))
    done = locked.command("schema", "diff", "app")
    assert done.returncode == 2
    lines = done.stdout.splitlines()
    assert "    copies: default 1 → 2; jobs get that of their worker" in lines
    assert '-          "default": 1,' in lines
    assert '+          "default": 2,' in lines


def test_another_file_may_be_named(locked: Project) -> None:
    assert locked.command("schema", "write", "app", "other.json").returncode == 0
    assert (locked.folder / "other.json").read_text() == lock_of(locked)


@pytest.mark.parametrize("command", ["check", "diff"])
def test_what_cannot_be_compared_is_refused_in_a_line(locked: Project, command: str) -> None:
    """With an exit code of its own: a pipeline that lets 2 pass, compatible and not written, stops at these."""
    assert "there is no lock file none.json" in refused(locked.command("schema", command, "app", "none.json"), 3)
    locked.write("typedgator.lock.json", "{")
    assert "is not readable as JSON" in refused(locked.command("schema", command, "app"), 3)
    assert "is not readable as JSON" in refused(locked.command("schema", "write", "app"), 2)
    locked.write("empty.py", "from typedgator import Gator\ngator = Gator()\n")
    assert "empty has no tasks" in refused(locked.command("schema", command, "empty"), 3)
    assert "there is no module nowhere" in refused(locked.command("schema", command, "nowhere"), 3)
    locked.write("wrong.py", "import sys\nsys.exit(0)\n")
    assert "importing wrong failed at wrong.py:2" in refused(locked.command("schema", command, "wrong"), 3)
    assert "No such option" in (done := locked.command("schema", command, "app", "--acept", "x")).stderr
    assert done.returncode == 3


def test_a_misspelt_comparison_is_not_a_compatible_one(locked: Project) -> None:
    done = locked.command("schema", "chekc", "app")
    assert (done.returncode, done.stdout) == (3, "")
    assert "No such command 'chekc'" in done.stderr


def test_stored_jobs_that_cannot_be_read_strand_nothing(locked: Project) -> None:
    """Exit code 1 says that jobs would be stranded, and that is not known here."""
    assert "--state says which stored jobs" in refused(locked.command("schema", "check", "app", "--state", "held"), 3)
    assert "leave the file out" in refused(locked.command("schema", "check", "app", "a.json", "--live", "x://"), 3)
    assert "x://" in refused(locked.command("schema", "check", "app", "--live", "x://"), 3)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # nobody listens there
        dsn = f"redis://127.0.0.1:{free.getsockname()[1]}"
        assert dsn.removeprefix("redis://") in refused(locked.command("schema", "check", "app", "--live", dsn), 3)


# ---- the deploy gate

PRODUCER = """
from typedgator import Gator

gator = Gator()


@gator.register(name="mail.send")
def send(to: str, copies: int = 1) -> int:
    if to == "nobody":
        raise LookupError(to)
    return copies


@gator.register(name="mail.purge")
def purge() -> None: ...


@gator.register(name="mail.old")
def old() -> None: ...


@gator.register(name="mail.renamed")
def renamed(n: int) -> None: ...
"""
CONSUMER = """
from typedgator import Call, Gator

gator = Gator()


@gator.register(name="mail.send")
def send(to: str, copies: int = 1, cc: str = "") -> int:
    return copies


@gator.register(name="mail.clean", aliases=["mail.renamed"])
def clean(n: int) -> None: ...


gator.retired("mail.old")
"""
STRICT = CONSUMER.replace("copies: int = 1", "copies: bool = True")
UPGRADED = (
    STRICT
    + """

@send.upgrade
def from_int(to: str, copies: int = 1) -> Call[int]:
    return send.call(to, copies > 0)
"""
)

Stored = Callable[[str, Project], tuple[str, dict[str, list[str]]]]


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=needs_redis)])
def dsn(request: pytest.FixtureRequest, project: Project) -> Generator[str]:
    if request.param == "sqlite":
        yield "sqlite:///typedgator.db"
    else:
        with Server() as server:
            yield server.dsn


def enqueue(project: Project, dsn: str) -> dict[str, list[str]]:
    """Jobs in every state of an earlier release, by task and state."""
    project.write("before.py", PRODUCER)
    code = """
import json
from before import gator, old, purge, renamed, send
ids = {}
ids["waiting"] = [send.task("a").id, send.task("b", 2).id]
with gator.options(delay_by=3600) as later:
    ids["scheduled"] = [later.task(send, "c", 3).id]
with gator.options(depends_on=ids["scheduled"][0]) as after:
    ids["blocked"] = [after.task(send, "d", 4).id]
with gator.options(queue="now") as now:
    ids["failed"] = [now.task(send, "nobody", 5).id]
with gator.options(queue="now", retries=1, backoff=3600) as again:
    ids["retrying"] = [again.task(send, "nobody", 6).id]
ids["others"] = [purge.task().id, old.task().id, renamed.task(1).id]
print(json.dumps(ids))
"""
    project.env["TYPEDGATOR_CONN"] = dsn
    ids = json.loads(project.python(code))
    assert project.command("worker", "before", "--burst", "--queue", "now").returncode == 0
    # A worker without the task holds its job.
    project.write("without.py", CONSUMER)
    held = json.loads(
        project.python(
            "import json\nfrom before import gator, purge\nwith gator.options(queue='odd') as odd:\n"
            "    print(json.dumps([odd.task(purge).id]))"
        )
    )
    assert project.command("worker", "without", "--burst", "--queue", "odd").returncode == 0
    del project.env["TYPEDGATOR_CONN"]
    return {**ids, "held": held}


def everything(dsn: str, folder: Path) -> Any:
    """All that is stored, by job."""
    if dsn.startswith("sqlite"):
        with sqlite3.connect(folder / "typedgator.db") as file:
            tables = [name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {name: sorted(file.execute(f"SELECT * FROM {name}"), key=repr) for name in tables}
    argv = ["redis-cli", "-u", dsn, "--scan"]
    keys = sorted(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split())
    return {
        key: subprocess.run(["redis-cli", "-u", dsn, "DUMP", key], capture_output=True, check=True).stdout
        for key in keys
    }


def test_the_jobs_that_a_release_would_strand_are_named(project: Project, dsn: str) -> None:
    """In every state; with the task, the reason, how many, and some of their ids. Nothing is written."""
    ids = enqueue(project, dsn)
    project.write("after.py", STRICT)
    before = everything(dsn, project.folder)
    done = project.command("schema", "check", "--live", dsn, "after", "--json")
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    purge, send = found["stranded"]
    assert send["task"] == "mail.send"
    assert send["states"] == {"blocked": 1, "scheduled": 1, "retrying": 1, "waiting": 1, "failed": 1}
    stranded = [ids["waiting"][1], *ids["scheduled"], *ids["blocked"], *ids["failed"], *ids["retrying"]]
    assert send["jobs"] == 5
    assert sorted(send["ids"]) == sorted(stranded)
    assert "Expected `bool`, got `int` - at `$.copies`" in send["reason"]
    assert (purge["task"], purge["jobs"], purge["states"]) == ("mail.purge", 2, {"waiting": 1, "held": 1})
    assert purge["reason"] == "task mail.purge is not known to the worker that took it"
    # The one that left `copies` out, the one that an alias knows; and the retired one, which ends as it was told.
    assert (found["read"], found["fit"], found["ended"]) == (10, 2, 1)
    assert everything(dsn, project.folder) == before

    told = project.command("schema", "check", "--live", dsn, "after")
    assert told.returncode == 1
    assert "STRANDED  mail.send: 5 jobs (1 blocked, 1 scheduled, 1 retrying, 1 waiting, 1 failed)" in told.stdout
    assert told.stdout.splitlines()[-1].endswith(": 2 would run, 1 would end as this release says, 7 would be stranded")


def test_a_release_that_reads_them_all_may_be_deployed(project: Project, dsn: str) -> None:
    """A looser signature, an alias, an upgrade: what would run is not in the way."""
    enqueue(project, dsn)
    again = "\n\n@gator.register(name='mail.purge')\ndef purge() -> None: ...\n"
    for release in (CONSUMER + again, UPGRADED + again):
        project.write("after.py", release)
        done = project.command("schema", "check", "--live", dsn, "after")
        assert done.returncode == 0, done.stdout
        assert done.stdout.endswith(": 9 would run, 1 would end as this release says, 0 would be stranded\n")


def test_only_some_states_may_be_asked_for(project: Project, dsn: str) -> None:
    """Dead letters need not be in the way of a deploy."""
    enqueue(project, dsn)
    project.write("after.py", STRICT)
    done = project.command("schema", "check", "--live", dsn, "after", "--state", "failed", "--state", "held", "--json")
    assert [each["states"] for each in json.loads(done.stdout)["stranded"]] == [{"held": 1}, {"failed": 1}]


def test_looking_makes_nothing(project: Project) -> None:
    project.write("after.py", CONSUMER)
    said = refused(project.command("schema", "check", "--live", "sqlite:///none.db", "after"), 3)
    assert said == "there is no file none.db: the first job that is enqueued makes it"
    assert not (project.folder / "none.db").exists()
    said = refused(project.command("schema", "check", "--live", "locmem://", "after"), 3)
    assert "keeps its jobs inside one process" in said


def test_where_there_is_nothing_it_says_where_it_looked(project: Project) -> None:
    """A wrong namespace is an empty one, and would let every release pass."""
    project.write("before.py", PRODUCER)
    project.env["TYPEDGATOR_CONN"] = "sqlite:///typedgator.db"
    project.python("from before import purge; purge.task()")
    done = project.command("schema", "check", "--live", "sqlite:///typedgator.db?namespace=odd", "before")
    assert done.stdout == (
        "0 jobs in sqlite:///typedgator.db?namespace=odd, namespace odd: 0 would run, 0 would be stranded\n"
    )
    done = project.command("schema", "check", "--live", "sqlite:///typedgator.db", "before")
    assert done.stdout == "1 job in sqlite:///typedgator.db: 1 would run, 0 would be stranded\n"


def test_more_jobs_than_a_page_are_read(project: Project) -> None:
    """And no more than a few ids of them are shown."""
    project.write("after.py", STRICT)
    gator = Gator(f"sqlite:///{project.folder}/typedgator.db")

    @gator.register(name="mail.send")
    def send(to: str, copies: int) -> int:
        return copies

    jobs = gator.task_many(send, [("a", 2)] * 600)
    gator.close()
    done = project.command("schema", "check", "--live", "sqlite:///typedgator.db", "after", "--json")
    found = json.loads(done.stdout)
    assert (found["read"], found["stranded"][0]["jobs"]) == (600, 600)
    assert len(found["stranded"][0]["ids"]) == 5
    assert set(found["stranded"][0]["ids"]) <= {job.id for job in jobs}


def test_bytes_that_nobody_can_read_are_stranded_too(project: Project) -> None:
    project.write("after.py", CONSUMER)
    gator = Gator(f"sqlite:///{project.folder}/typedgator.db")

    @gator.register(name="mail.clean")
    def clean(n: int) -> None: ...

    job = clean.task(1)
    gator.close()
    with sqlite3.connect(project.folder / "typedgator.db") as file:
        file.execute("UPDATE tg_job SET frame = x'00'")
    file.close()
    done = project.command("schema", "check", "--live", "sqlite:///typedgator.db", "after", "--json")
    [lost] = json.loads(done.stdout)["stranded"]
    assert (lost["task"], lost["ids"]) == ("", [job.id])
    assert "cannot be read" in lost["reason"]
