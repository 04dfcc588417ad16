"""`typedgator worker`: bursts, limits, signals, several processes."""

import os
import pty
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.integration.cli.project import PATIENCE, Project, until, until_line


def states(project: Project, *jobs: str) -> list[str]:
    """The states of jobs by id."""
    return project.python(f"for job_id in {jobs!r}: print(gator.job(job_id).state())").split()


def enqueue_holding(project: Project, *names: str) -> list[str]:
    """Jobs that run until the file `go` is there."""
    return project.python(f"for name in {names!r}: print(hold.task(name).id)").split()


def test_a_burst_runs_what_is_due_and_ends(project: Project) -> None:
    """Exit code 0; the last line says what was done; failures are log lines of one sentence."""
    jobs = project.python("print(double.task(4).id, fail.task('oh').id)").split()

    done = project.command("worker", "app", "--burst")

    assert done.returncode == 0
    assert states(project, *jobs) == ["success", "failed"]
    lines = done.stderr.splitlines()
    assert "jobs come from sqlite:///typedgator.db; tasks known: 3" in lines[0]
    assert lines[-1].endswith("stopped: 1 succeeded, 1 failed")
    assert any("app.fail failed for good: LookupError: oh" in line for line in lines)
    assert "\x1b" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_quiet_worker_says_nothing(project: Project) -> None:
    """`--log-level error`: only errors."""
    project.python("double.task(4)")
    done = project.command("worker", "app", "--burst", "--log-level", "error")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_module_that_sets_up_logging_keeps_its_own(project: Project) -> None:
    """The worker adds no handler beside it."""
    project.write("logs.py", "import logging\nlogging.basicConfig(format='MINE %(message)s')\nfrom app import *\n")
    done = project.command("worker", "logs", "--burst")
    assert {line.split()[0] for line in done.stderr.splitlines()} == {"MINE"}


def test_it_stops_after_max_tasks(project: Project) -> None:
    """And leaves the others."""
    project.python("for n in range(5): double.task(n)")
    done = project.command("worker", "app", "--max-tasks", "3", "--concurrency", "1")
    assert done.returncode == 0
    assert project.python("print(len(gator.queue()))") == "2"


def test_it_serves_the_queues_that_are_named(project: Project) -> None:
    """`--queue` may be repeated; `*` is every queue."""
    project.python(
        "for name in ('one', 'two', 'three'):\n    with gator.options(queue=name) as opts: opts.task(double, 1)"
    )
    assert project.command("worker", "app", "--burst", "--queue", "one", "--queue", "two").returncode == 0
    assert project.python("print(*[len(gator.queue(name)) for name in ('one', 'two', 'three')])") == "0 0 1"
    assert project.command("worker", "app", "--burst", "--queue", "*").returncode == 0
    assert project.python("print(len(gator.queue('three')))") == "0"


def test_tasks_of_other_modules_are_imported(project: Project) -> None:
    """`--import` registers the tasks of a module that the gator's own does not import."""
    project.write("more.py", "from app import gator\n@gator.register\ndef triple(n: int) -> int:\n    return 3 * n\n")
    job = project.python("from more import triple\nprint(triple.task(3).id)")
    assert project.command("worker", "app", "--burst", "--import", "more").returncode == 0
    assert states(project, job) == ["success"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_lets_running_jobs_finish(project: Project, number: signal.Signals) -> None:
    """What runs finishes, what waits stays, the exit code is 0."""
    jobs = enqueue_holding(project, "first", "second")
    worker = project.start("worker", "app", "--concurrency", "1")
    project.until_there("first")

    worker.send_signal(number)
    until_line(worker, f"{number.name}: no more jobs are taken")
    until_line(worker, "1 jobs may finish")
    (project.folder / "go").touch()

    assert worker.wait(PATIENCE) == 0
    assert states(project, *jobs) == ["success", "waiting"]


def test_the_second_signal_gives_back_what_runs(project: Project) -> None:
    """At once, though the grace is long; the attempt is not counted; the exit code is 128 + the signal's number."""
    jobs = enqueue_holding(project, "first")
    worker = project.start("worker", "app", "--grace", "300", "--concurrency", "1")
    project.until_there("first")

    worker.terminate()
    until_line(worker, "SIGTERM: no more jobs are taken")
    worker.send_signal(signal.SIGINT)

    assert worker.wait(PATIENCE) == 128 + signal.SIGINT
    assert states(project, *jobs) == ["waiting"]
    assert '"attempt": 0' in project.command("jobs", "show", jobs[0], "--json").stdout


def test_a_task_whose_queue_is_not_served_is_named_at_the_start(project: Project) -> None:
    """Once for each such queue, with the way out; a worker that serves it says nothing."""
    project.write(
        "images.py",
        "from app import gator\n"
        "@gator.register(queue='images')\ndef make_thumbnail() -> None: ...\n"
        "@gator.register(queue='mail')\ndef send() -> None: ...\n"
        "@gator.register(queue='mail')\ndef receive() -> None: ...\n",
    )

    some = project.command("worker", "images", "--burst")
    one = project.command("worker", "images", "--burst", "--queue", "all", "--queue", "mail")
    every = project.command("worker", "images", "--burst", "--queue", "*")

    assert [done.stderr.count("WARNING") for done in (some, one, every)] == [2, 1, 0]
    said = "task images.make_thumbnail goes to queue images, which this worker does not serve: add --queue images or"
    assert said in some.stderr
    assert said in one.stderr
    assert "task images.send and 1 more go to queue mail" in some.stderr


BLOCKING = """
import asyncio, pathlib, time
from app import gator

def block() -> None:
    pathlib.Path("blocked").touch()
    time.sleep(600)

@gator.hook
def block_before(job) -> None:
    block()

@gator.register
async def to_thread() -> None:
    await asyncio.to_thread(block)

@gator.register
async def in_executor() -> None:
    await asyncio.get_running_loop().run_in_executor(None, block)

@gator.register(on_start=block_before)
async def after_hook() -> None:
    pass
"""


@pytest.mark.parametrize("task", ["to_thread", "in_executor", "after_hook"])
def test_a_thread_that_an_async_task_waits_for_keeps_no_process_alive(project: Project, task: str) -> None:
    """Its job is given back when the grace is over, and nobody waits for the thread."""
    project.write("blocking.py", BLOCKING)
    job = project.python(f"from blocking import *\nprint({task}.task().id)")
    worker = project.start("worker", "blocking", "--grace", "0.2")
    project.until_there("blocked")

    worker.terminate()

    assert worker.wait(10) == 0
    assert states(project, job) == ["waiting"]


def test_several_processes_share_a_queue_and_stop_together(project: Project) -> None:
    """One signal to the supervisor reaches each of them once."""
    jobs = enqueue_holding(project, "first", "second")
    worker = project.start("worker", "app", "--processes", "2", "--concurrency", "1")
    project.until_there("first", "second")

    worker.terminate()
    until_line(worker, "SIGTERM: no more jobs are taken")
    (project.folder / "go").touch()

    assert worker.wait(PATIENCE) == 0
    assert states(project, *jobs) == ["success", "success"]


def test_several_processes_end_a_burst_together(project: Project) -> None:
    """Each ends when nothing is due; then so does the supervisor, with exit code 0."""
    project.python("gator.task_many(double, [(n,) for n in range(50)])")
    done = project.command("worker", "app", "--processes", "2", "--burst")
    assert done.returncode == 0
    assert done.stderr.count("has finished") == 2
    assert project.python("print(len(gator.queue()))") == "0"


def test_a_worker_that_dies_is_started_again(project: Project) -> None:
    """How it died is logged; the jobs that it held run when its lease ends."""
    worker = project.start("worker", "app", "--processes", "2", "--concurrency", "1", "--lease", "5")
    pid = int(until_line(worker, r"worker 2 of 2 started as process (\d+)")[1])

    os.kill(pid, signal.SIGKILL)
    until_line(worker, r"worker 2 was killed by SIGKILL; another one starts in 0\.5 s")
    until_line(worker, r"worker 2 of 2 started as process")

    worker.terminate()
    assert worker.wait(PATIENCE) == 0


def test_a_wrong_command_line_is_not_tried_again(project: Project) -> None:
    """The supervisor gives up with the worker's exit code."""
    done = project.command("worker", "nope", "--processes", "2")
    assert done.returncode == 2
    assert "there is no module nope" in done.stderr
    assert "starting it again would not help" in done.stderr


def test_workers_stop_when_their_supervisor_is_killed(project: Project) -> None:
    """Their standard input ends, so no orphan goes on."""
    supervisor = project.start("worker", "app", "--processes", "1", "--supervised")
    # `--processes 1 --supervised` is what a supervisor starts: its input is at its end from the beginning.
    until_line(supervisor, "the supervisor is gone")
    assert supervisor.wait(PATIENCE) == 0

    parent = project.start("worker", "app", "--processes", "2")
    pids = [int(until_line(parent, r"started as process (\d+)")[1]) for _ in range(2)]
    until_line(parent, "serves all")
    parent.kill()
    until(lambda: not any(is_running(pid) for pid in pids))


def is_running(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_burst_on_a_terminal_shows_its_progress(project: Project) -> None:
    """A bar on standard error, log lines above it."""
    project.python("for n in range(7): double.task(n)")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "typedgator", "worker", "app", "--burst"],
        cwd=project.folder,
        env={**project.env, "TERM": "xterm", "COLUMNS": "200"},
        stderr=theirs,
    )
    os.close(theirs)
    said = b""
    try:
        while chunk := os.read(ours, 4096):
            said += chunk
    except OSError:  # Linux's way of saying that the other end is closed
        pass
    os.close(ours)
    assert process.wait(PATIENCE) == 0
    assert b"7/7" in said
    assert b"stopped: 7 succeeded" in said


def test_latergator_is_short_for_worker(project: Project) -> None:
    """The console script of that name takes the worker's arguments."""
    program = shutil.which("latergator", path=sysconfig.get_path("scripts"))
    assert program is not None
    project.python("double.task(1)")

    def said(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program or "", *args],
            cwd=project.folder,
            env=project.env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    assert said("app", "--burst").returncode == 0
    assert project.python("print(len(gator.queue()))") == "0"
    assert said("--version").stdout.startswith("typedgator, version ")
    assert "MODULE[:GATOR]" in said("--help").stdout
