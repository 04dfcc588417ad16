"""Django's own tests of task backends, from Django's sdist, against ours. `make django` runs them on Django 6, too."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.django.suite.obtain import Unobtainable, django_tests
from tests.integration.redis.servers import Server, needs_redis

django = pytest.importorskip("django", reason="Django is not installed: pip install typedgator[django]")
if django.VERSION < (6, 0):
    pytest.importorskip("django_tasks", reason="before Django 6, its tasks framework is django-tasks")

SUITE = Path(__file__).parent / "suite"
PAGE = Path(__file__).parents[3] / "docs" / "howto" / "django.md"
pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def source() -> Path:
    """Django's `tests/tasks`."""
    try:
        return django_tests()
    except Unobtainable as why:
        pytest.skip(str(why))


def test_at_least_four_fifths_of_djangos_tests_run_and_none_fails(source: Path) -> None:
    """What is left out is listed with its reason, in `suite/left_out.py` and in the output; the docs say how many."""
    done = subprocess.run([sys.executable, str(SUITE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n0 failed\n" in done.stdout
    ran = done.stdout.partition(": ")[2].split()[0]
    told = f"{ran} run against this one on Django 6.1" if django.VERSION >= (6, 0) else f"{ran} on Django 5.2"
    assert told in " ".join(PAGE.read_text(encoding="utf-8").split())


@pytest.mark.parametrize("name", ["stored", "worked"])
def test_they_pass_on_sqlite(source: Path, tmp_path: Path, name: str) -> None:
    passes(source, name, f"sqlite:///{tmp_path / 'jobs.db'}")


@needs_redis
@pytest.mark.parametrize("name", ["stored", "worked"])
def test_they_pass_on_redis(source: Path, name: str) -> None:
    """The async verbs without threads."""
    with Server() as server:
        passes(source, name, server.dsn)


def passes(source: Path, name: str, dsn: str) -> None:
    command = [sys.executable, str(SUITE / "run.py"), name, str(source), dsn]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["failed"] == {}
    assert len(said["ran"]) >= 16


def test_every_reason_is_for_a_test_that_django_has(source: Path) -> None:
    """A name that was misspelt, or that a later Django has not got, would leave out nothing, unseen."""
    from tests.integration.django.suite.left_out import LEFT_OUT, NOT_IN_THE_BACKPORT

    text = "".join(file.read_text(encoding="utf-8") for file in source.glob("*.py"))
    named = [*NOT_IN_THE_BACKPORT, *(name for names in LEFT_OUT.values() for name in names)]
    assert [name for name in named if f"def {name.partition('.')[2]}(" not in text] == []
