"""The pytest plugin, in projects of users: one test file, one verdict, wherever the jobs are kept."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.integration.redis.servers import EXECUTABLE, Server

GATOR = """
from typedgator import Gator

gator = Gator("sqlite:////no/such/folder/jobs.db", is_async=False)
"""

TASKS = """
import enum
import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from myapp.gator import gator
from typedgator import Retry, RetryPolicy

sent = []


class Size(enum.Enum):
    SMALL = "s"


@dataclass(frozen=True)
class Parcel:
    weight: Decimal
    size: Size = Size.SMALL


@gator.register
def welcome(user_id: int, *, tone: str = "warm") -> str:
    sent.append(user_id)
    return f"{tone} welcome, {user_id}"


@gator.register
async def ship(parcel: Parcel, when: dt.datetime | None = None) -> Parcel:
    remind.task(1)
    return parcel


@gator.register(retries=2)
def fragile(n: int) -> float:
    return 10 / n


@gator.register
def remind(user_id: int) -> None:
    sent.append(-user_id)


@gator.register
def endless() -> None:
    endless.task()
"""

USERS_TESTS = """
import datetime as dt
from decimal import Decimal

import pytest
from myapp import tasks
from myapp.tasks import Parcel, endless, fragile, remind, ship, welcome
from typedgator import InvalidArguments, JobCanceled, JobFailed, JobState
from typedgator.testing import assert_enqueued, assert_not_enqueued, enqueued

pytestmark = pytest.mark.usefixtures("gator")


@pytest.fixture(autouse=True)
def nothing_sent():
    tasks.sent.clear()


def test_a_call_is_enqueued():
    welcome.task(7)
    job = assert_enqueued(welcome, 7)
    assert_enqueued(welcome, 7, tone="warm")
    assert_not_enqueued(welcome, 8)
    assert_not_enqueued(remind)
    assert job.state() is JobState.WAITING
    assert tasks.sent == []


def test_drain_runs_what_is_due_and_what_that_enqueues(drain):
    job = ship.task(Parcel(Decimal("1.50")))
    assert [each.id for each in drain()][0] == job.id
    assert job.result() == Parcel(Decimal("1.50"))
    assert tasks.sent == [-1]
    assert_not_enqueued(ship)


def test_delays_are_travelled_to(gator, drain, travel):
    with gator.options(delay_by=3600) as opts:
        job = opts.task(welcome, 7)
    assert drain() == []
    travel(3599)
    assert drain() == []
    travel(dt.timedelta(seconds=1))
    assert drain() == [job]
    assert job.result() == "warm welcome, 7"


def test_an_instant_is_travelled_to(gator, drain, travel):
    tomorrow = travel() + dt.timedelta(days=1)
    with gator.options(delay_until=tomorrow) as opts:
        opts.task(remind, 1)
    (waits,) = enqueued(remind)
    assert (waits.state, waits.queue, waits.arguments) == (JobState.SCHEDULED, "all", {"user_id": 1})
    assert abs(waits.due - tomorrow) <= dt.timedelta(milliseconds=1)
    assert travel(to=tomorrow + dt.timedelta(seconds=1)) > tomorrow
    assert len(drain()) == 1


def test_retries_wait(drain, travel):
    job = fragile.task(0)
    assert len(drain()) == 1
    assert job.state() is JobState.RETRYING
    travel(3600)
    drain()
    travel(3600)
    with pytest.raises(JobFailed, match="ZeroDivisionError"):
        drain()
    assert job.state() is JobState.FAILED
    assert drain(raises=False) == []


def test_expiry(gator, drain, travel):
    with gator.options(expires=60) as opts:
        job = opts.task(remind, 1)
    travel(61)
    assert drain() == []
    with pytest.raises(JobCanceled, match="expired"):
        job.result()


def test_each_test_begins_empty(gator):
    assert_not_enqueued(welcome)
    assert gator.counts().queues == {}


def test_the_codec_is_the_one_of_production():
    with pytest.raises(InvalidArguments):
        welcome.task("7")
    with pytest.raises(InvalidArguments):
        assert_enqueued(welcome, "7")


def test_fails_because_other_arguments_were_sent():
    welcome.task(8)
    welcome.task(9, tone="cold")
    assert_enqueued(welcome, 7)


def test_fails_because_another_task_was_sent():
    remind.task(1)
    assert_enqueued(welcome, 7)


def test_fails_because_nothing_was_sent():
    assert_enqueued(welcome, 7)


def test_fails_because_it_was_sent():
    remind.task(1)
    assert_not_enqueued(remind)


def test_fails_because_a_job_failed(drain):
    remind.task(1)
    fragile.task(0)
    drain()
    raise AssertionError("it retries first, so this is reached")


def test_fails_because_it_never_ends(drain):
    endless.task()
    drain(at_most=20)


def test_nobody_closes_what_the_application_opens():
    assert welcome.producer.backend is not None
"""

FAIL = {
    "test_fails_because_other_arguments_were_sent": (
        "AssertionError: welcome(user_id=7, tone='warm') is not enqueued; of this task there is "
        "welcome(user_id=8, tone='warm'), waiting in queue all "
        "welcome(user_id=9, tone='cold'), waiting in queue all"
    ),
    "test_fails_because_another_task_was_sent": "nothing of this task is, only 1 of myapp.tasks.remind",
    "test_fails_because_nothing_was_sent": "nothing is, and what has ended does not count",
    "test_fails_because_it_was_sent": "myapp.tasks.remind is enqueued: remind(user_id=1), waiting in queue all",
    "test_fails_because_a_job_failed": "it retries first, so this is reached",
    "test_fails_because_it_never_ends": "drain() ran 20 attempts, and jobs are still due: does one enqueue itself?",
}

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An application with a gator whose jobs can be kept nowhere: no test may touch it."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "myapp").mkdir()
    for name, text in {"__init__": "", "gator": GATOR, "tasks": TASKS}.items():
        (folder / "myapp" / f"{name}.py").write_text(text)
    (folder / "test_shop.py").write_text(USERS_TESTS)
    (folder / "pytest.ini").write_text("[pytest]\ntypedgator = myapp.gator:gator\npythonpath = .\n")
    return folder


@pytest.fixture(params=["locmem", "sqlite", "redis"])
def dsn(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where the jobs are kept."""
    if request.param == "redis":
        if not EXECUTABLE:
            pytest.skip("redis-server was not found")
        with Server() as server:
            yield server.dsn
    else:
        yield "locmem://" if request.param == "locmem" else f"sqlite:///{tmp_path / 'jobs.db'}?durability=process"


def run(folder: Path, *args: str | Path) -> subprocess.CompletedProcess[str]:
    """`pytest` in a folder, as a user runs it."""
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *map(str, args)]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("TYPEDGATOR_", "PYTEST_"))}
    return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_a_users_tests_have_one_verdict_on_every_backend(project: Path, dsn: str, tmp_path: Path) -> None:
    """Those that pass pass, those that fail fail, in the same words; the production DSN is not touched."""
    done = run(project, f"--typedgator-dsn={dsn}", f"--junitxml={tmp_path / 'said.xml'}")

    cases = ET.parse(tmp_path / "said.xml").iter("testcase")
    said = {
        case.get("name"): next((" ".join(str(each.get("message")).split()) for each in case), None) for case in cases
    }
    assert len(said) == 15, done.stdout
    assert {name for name, message in said.items() if message is not None} == set(FAIL), done.stdout
    for name, words in FAIL.items():
        assert words in str(said[name])


def test_without_a_gator_of_its_own_a_project_gets_a_new_one(tmp_path: Path) -> None:
    """For libraries, and for trying out."""
    (tmp_path / "test_it.py").write_text(
        "def double(n: int) -> int:\n    return 2 * n\n\n\n"
        "def test_it(gator, drain):\n"
        "    task = gator.register(double)\n    job = task.task(21)\n    drain()\n    assert job.result() == 42\n"
    )
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout


def test_a_fixture_of_the_projects_own_goes_first(tmp_path: Path) -> None:
    """Also one that has nothing to do with us: the plugin does nothing until it is asked."""
    (tmp_path / "conftest.py").write_text(
        "import pytest\n\n\n@pytest.fixture\ndef gator(): return 'an animal'\n\n\n"
        "@pytest.fixture\ndef drain(): return 'a pipe'\n"
    )
    (tmp_path / "test_zoo.py").write_text(
        "def test_zoo(gator, drain): assert (gator, drain) == ('an animal', 'a pipe')\n"
    )
    done = run(tmp_path, "-W", "error")
    assert done.returncode == 0, done.stdout
    assert run(tmp_path, "-p", "no:typedgator").returncode == 0


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("nowhere:gator", "typedgator = nowhere:gator names nothing: No module named 'nowhere'"),
        ("os:nothing", "typedgator = os:nothing names nothing"),
        ("os:sep", "typedgator = os:sep is a str, not a Gator"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, spec: str, said: str) -> None:
    """Not an AttributeError deep inside."""
    (tmp_path / "pytest.ini").write_text(f"[pytest]\ntypedgator = {spec}\n")
    (tmp_path / "test_it.py").write_text("def test_it(gator): ...\n")
    done = run(tmp_path)
    assert done.returncode != 0
    assert said in done.stdout + done.stderr


def test_the_plugin_loads_no_driver_and_no_hypothesis(tmp_path: Path) -> None:
    """A project that has typedgator installed and does not use it pays for one import, and for nothing else."""
    heavy = ("hypothesis", "redis", "sqlite3", "click", "rich", "pydantic", "mypy")
    (tmp_path / "test_it.py").write_text(
        f"import sys\n\n\ndef test_it(): assert not sys.modules.keys() & set({heavy!r})\n"
    )
    done = run(tmp_path, "-p", "no:hypothesispytest", "-p", "no:randomly")
    assert done.returncode == 0, done.stdout
    assert re.search(r"1 passed", done.stdout)


def test_the_guides_example_is_a_green_project(tmp_path: Path) -> None:
    """The files and the ini of docs/guide/testing.md, as they stand there."""
    page = (Path(__file__).parents[3] / "docs" / "guide" / "testing.md").read_text(encoding="utf-8")
    files = dict(re.findall(r"```python\n# (shop/tasks|test_shop)\.py\n(.*?)```", page, re.DOTALL))
    assert files.keys() == {"shop/tasks", "test_shop"}
    (tmp_path / "shop").mkdir()
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(text)
    (ini,) = re.findall(r"```ini\n(.*?)```", page, re.DOTALL)
    (tmp_path / "pytest.ini").write_text(f"{ini}pythonpath = .\n")

    done = run(tmp_path)

    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
