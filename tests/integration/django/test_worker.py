"""`manage.py gator_worker`: `typedgator worker` with the project's settings and tasks, and anew when code changes."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli.project import until, until_line
from tests.integration.django.site import Site

pytestmark = pytest.mark.timeout(180)  # real processes, each of which loads Django


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


CHECKED = """
from django.apps import AppConfig
from django.core.checks import Error, register


class Shop(AppConfig):
    name = "shop"

    def ready(self):
        register(lambda app_configs, **others: [Error("never ready")])
"""
ENQUEUE = "from shop.tasks import *\nship.task({})"


def test_it_runs_the_jobs_of_every_app_and_ends(site: Site) -> None:
    """The tasks of all installed apps are found; an app without tasks is no mistake."""
    site.write("mail/__init__.py", "")
    site.write("mail/tasks.py", "from shop.gator import gator\n@gator.register\ndef send(n: int) -> None: ...\n")
    site.write("plain/__init__.py", "")
    site.settings('INSTALLED_APPS += ["mail", "plain"]\n')
    site.python("import mail.tasks\nmail.tasks.send.task(1)\n" + ENQUEUE.format(1))
    done = site.manage("gator_worker", "--burst")
    assert done.returncode == 0, done.stderr
    assert "tasks known: 2" in done.stderr
    assert "stopped: 2 succeeded" in done.stderr


def test_without_a_gator_of_its_own_a_project_has_the_apps(site: Site) -> None:
    site.settings('del TYPEDGATOR["GATOR"]\n')
    site.write(
        "shop/gator.py", "from typedgator.contrib.django.current import current_gator\ngator = current_gator()\n"
    )
    site.python(ENQUEUE.format(4))
    assert site.manage("gator_worker", "--burst").returncode == 0
    assert site.shipped == [4]


def test_it_has_every_option_of_the_command_line(site: Site) -> None:
    plain = site.run("-m", "typedgator", "worker", "--help").stdout
    ours = site.manage("gator_worker", "--help").stdout
    options = {word.strip(",[]") for word in plain.split() if word.startswith("--")}
    assert options - {word.strip(",[]") for word in ours.split()} == set()
    assert len(options) > 8


def test_what_the_worker_refuses_is_one_line(site: Site) -> None:
    for arguments, told in [
        (("--lease", "1"), "lease must be between 5 s"),
        (("--processes", "0"), "0 is not in the range"),
        (("--queue", "no spaces"), "queue"),
        (("--import", "shop.nothing"), "there is no module shop.nothing"),
    ]:
        done = site.manage("gator_worker", "--burst", *arguments)
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
        assert told in done.stderr


def test_sigterm_lets_a_running_job_finish(site: Site) -> None:
    site.write(
        "shop/tasks.py",
        """
        import pathlib, time
        from shop.gator import gator

        @gator.register
        def hold() -> int:
            pathlib.Path("held").touch()
            while not pathlib.Path("go").exists():
                time.sleep(0.01)
            return 5
        """,
    )
    job = site.python("from shop.tasks import *\nprint(hold.task().id)")
    worker = site.start("gator_worker")
    until((site.folder / "held").exists)
    worker.send_signal(signal.SIGTERM)
    until_line(worker, "no more jobs are taken")
    site.write("go", "")
    assert worker.wait(20) == 0
    assert site.python(f"from shop.tasks import *\nprint(gator.job({job!r}).state())") == "success"


def test_several_processes_are_this_command_again(site: Site) -> None:
    site.python(ENQUEUE.format(0))
    site.python("from shop.tasks import *\ngator.task_many(ship, [(n,) for n in range(1, 40)])")
    done = site.manage("gator_worker", "--burst", "--processes", "2")
    assert done.returncode == 0, done.stderr
    assert "worker 2 of 2 started" in done.stderr
    assert sorted(site.shipped) == list(range(40))


@pytest.mark.timeout(240)
def test_in_development_it_starts_anew_when_code_changes(site: Site) -> None:
    """The old worker stops as if told to; a file that cannot be imported is waited for until it is mended."""
    site.settings("DEBUG = True\n")
    tasks = (site.folder / "shop" / "tasks.py").read_text()
    worker = site.start("gator_worker")
    until_line(worker, "worker .* serves all")
    site.python(ENQUEUE.format(1))
    until(lambda: site.shipped == [1])

    site.write("shop/tasks.py", tasks.replace('f"{n}', 'f"{n + 100}'))
    until_line(worker, "no more jobs are taken")
    until_line(worker, "worker .* serves all")
    site.python(ENQUEUE.format(2))
    until(lambda: site.shipped == [1, 102])

    site.write("shop/tasks.py", tasks + "def broken(:\n")
    until_line(worker, "starts again when a file changes")
    site.write("shop/tasks.py", tasks)
    until_line(worker, "worker .* serves all")
    site.python(ENQUEUE.format(3))
    until(lambda: site.shipped == [1, 102, 3])

    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0


@pytest.fixture
def terminal() -> Iterator[None]:
    """As a shell starts commands; `nohup make test` would have handed down that SIGHUP is ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_in_development_no_worker_outlives_the_command_that_started_it(site: Site, number: signal.Signals) -> None:
    """Killed, or gone with its terminal: a worker that nobody sees would take jobs with yesterday's code."""
    site.settings("DEBUG = True\n")
    site.write(
        "shop/tasks.py",
        """
        import os
        from shop.gator import gator

        @gator.register
        def who() -> int:
            return os.getpid()
        """,
    )
    command = site.start("gator_worker")
    until_line(command, "worker .* serves all")
    child = int(site.python("from shop.tasks import *\nprint(who.task().result(20))"))
    assert child != command.pid
    command.send_signal(number)
    command.wait(20)
    until(lambda: not is_alive(child))


def test_checks_that_are_skipped_are_skipped_in_the_worker_that_reloads(site: Site) -> None:
    site.settings("DEBUG = True\n")
    site.write("shop/apps.py", CHECKED)
    command = site.start("gator_worker", "--skip-checks")
    until_line(command, "worker .* serves all")
    command.terminate()
    assert command.wait(20) == 0
