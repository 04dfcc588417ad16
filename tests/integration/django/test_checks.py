"""`manage.py check` names what is wrong with settings and tasks, and the way out; elsewhere nothing starts with it."""

import pytest

from tests.integration.django.site import Site

pytestmark = pytest.mark.timeout(180)  # real processes, each of which loads Django

MODEL_TASK = """
from shop.gator import gator
from shop.models import Order


@gator.register
def ship(order: Order) -> None: ...


@gator.register
def bill(order_id, total: float) -> None: ...


@gator.register
def ping(n: int) -> None: ...
"""


def test_a_right_project_has_no_issues(site: Site) -> None:
    done = site.manage("check")
    assert (done.returncode, done.stderr) == (0, "")
    assert "no issues" in done.stdout


def test_every_refused_parameter_is_an_error_of_the_check_and_no_crash(site: Site) -> None:
    """Also where the URLs import the tasks: all are named in one run, with line and way out."""
    site.write("shop/tasks.py", MODEL_TASK)
    site.write("urls.py", "import shop.tasks\nurlpatterns = []\n")
    done = site.manage("check")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "System check identified 2 issues" in done.stderr
    assert "shop/tasks.py:7: (typedgator.E003) shop.tasks.ship cannot be a task: parameter 'order'" in done.stderr
    assert "pass its id and load the object in the task: `order_id: int`" in done.stderr
    assert "shop/tasks.py:11: (typedgator.E003) shop.tasks.bill cannot be a task: parameter 'order_id'" in done.stderr


def test_while_a_task_is_refused_nothing_is_enqueued(site: Site) -> None:
    """A command without system checks goes on, but what it enqueues is refused, and not lost."""
    site.write("shop/tasks.py", MODEL_TASK)
    done = site.manage("shell", "-c", "from shop.tasks import *\ntry: ping.task(1)\nexcept Exception as e: print(e)")
    assert "nothing is enqueued or run until this is mended: shop.tasks.ship cannot be a task" in done.stdout
    assert not (site.folder / "jobs.db").exists()


def test_a_server_does_not_start_with_a_refused_task(site: Site) -> None:
    """WSGI and ASGI run no checks: the refusal ends the start."""
    site.write("shop/tasks.py", MODEL_TASK)
    done = site.run("-c", "from django.core.wsgi import get_wsgi_application as start\nstart()")
    assert done.returncode == 1
    assert "UnsupportedSignature: shop.tasks.ship cannot be a task: parameter 'order'" in done.stderr


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"DNS": "sqlite:///x.db"}, "TYPEDGATOR has an unknown key 'DNS': the keys are DSN, NAMESPACE, GATOR, OPTIONS"),
        ({"DSN": "mysql://x"}, "names no backend; the schemes here are"),
        ({"DSN": 5}, 'TYPEDGATOR["DSN"] must be text, or be left out, got 5'),
        ({"GATOR": "shop/gator.py"}, 'write "module:name", for example "myapp.gator:gator"'),
        (
            {"OPTIONS": {"retry": 3}},
            "TYPEDGATOR[\"OPTIONS\"] has an unknown key 'retry': the keys are queue, durability",
        ),
        ({"OPTIONS": {"retries": "3"}}, "TYPEDGATOR: retries must be a whole number"),
        ({"OPTIONS": 3}, 'TYPEDGATOR["OPTIONS"] must be a dict of options, got 3'),
        ("redis://", "TYPEDGATOR must be a dict such as"),
    ],
)
def test_a_wrong_setting_is_named_with_its_way_out(site: Site, said: object, told: str) -> None:
    site.settings(f"TYPEDGATOR = {said!r}\n")
    done = site.manage("check")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "(typedgator.E001)" in done.stderr
    assert told in done.stderr
    assert "E003" not in done.stderr, "it is said once"


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("shop.missing:gator", "but there is no module shop.missing"),
        ("shop.gator:missing", "shop.gator has no missing: write `gator = DjangoGator()` there"),
        ("shop.plain:gator", "which is a Gator: write `gator = DjangoGator()`"),
    ],
)
def test_a_gator_that_is_not_there_is_named(site: Site, spec: str, told: str) -> None:
    site.write("shop/plain.py", "from typedgator import Gator\ngator = Gator('locmem://')\n")
    site.settings(f'TYPEDGATOR = {{"GATOR": {spec!r}}}\n')
    done = site.manage("check")
    assert done.returncode == 1
    assert "(typedgator.E002)" in done.stderr
    assert told in done.stderr


def test_jobs_in_the_memory_of_each_process_are_warned_of(site: Site) -> None:
    site.settings('TYPEDGATOR = {"DSN": "locmem://", "GATOR": "shop.gator:gator"}\n')
    assert "(typedgator.W001)" in site.manage("check").stderr
    site.settings('TYPEDGATOR["OPTIONS"] = {"is_async": False}\n')
    assert "W001" not in site.manage("check").stderr
    site.settings('TYPEDGATOR = {"GATOR": "shop.gator:gator"}\n')
    assert "(typedgator.W001)" in site.manage("check", TYPEDGATOR_CONN="locmem://").stderr


def test_tasks_of_a_gator_that_no_worker_serves_are_an_error(site: Site) -> None:
    """The mistake of a first day: settings that do not name the gator. A worker would hold its jobs."""
    site.settings('del TYPEDGATOR["GATOR"]\n')
    for command in (("check",), ("gator_worker", "--burst")):
        done = site.manage(*command)
        assert done.returncode == 1
        assert "(typedgator.E005)" in done.stderr
        assert "cannot run them: shop.tasks.ship" in done.stderr
        assert 'TYPEDGATOR["GATOR"] = "myapp.gator:gator"' in done.stderr
    site.settings('TYPEDGATOR["OPTIONS"] = {"is_async": False}\n')
    assert site.manage("check").returncode == 0, "no worker is asked"


def test_the_dsn_comes_from_the_settings_or_else_from_the_environment(site: Site) -> None:
    show = "from shop.gator import gator\nprint(gator.dsn)"
    assert site.python(show, TYPEDGATOR_CONN="sqlite:///env.db").endswith("jobs.db")
    site.settings('TYPEDGATOR = {"DSN": None, "OPTIONS": {"retries": 2}}\n')
    assert site.python(show, TYPEDGATOR_CONN="sqlite:///env.db") == "sqlite:///env.db"
    assert site.python("from shop.gator import gator\nprint(gator.defaults.retries)") == "2"


def test_importing_the_package_needs_no_settings(site: Site) -> None:
    done = site.run("-c", "import typedgator.contrib.django as d; print(*d.__all__)", DJANGO_SETTINGS_MODULE="")
    assert done.stdout.split() == ["DjangoGator", "OnCommit", "Outbox"], done.stderr
