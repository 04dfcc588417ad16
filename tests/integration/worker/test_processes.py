"""A job enqueued in one process is run by a worker in another."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.worker.crew import PATIENCE

ROOT = Path(__file__).resolve().parents[3]

ENQUEUE = """
from tests.integration.worker.errands import gator, on_loop, whereabouts
for number in range(5):
    print(whereabouts.task(number).id, on_loop.task(number).id)
"""
WORK = """
import signal
from tests.integration.worker.errands import gator
from typedgator import Worker
from typedgator.events import WorkerStarted
worker = Worker(gator, grace=0)
signal.signal(signal.SIGTERM, lambda number, frame: worker.stop())
gator.events.on(WorkerStarted, lambda event: print("ready", flush=True))
print(worker.run().ended)
"""
READ = f"""
import sys
from tests.integration.worker.errands import gator
for id in sys.argv[1:]:
    print(gator.job(id).result({PATIENCE}))
"""


@pytest.fixture
def env(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The file that all share."""
    return {**os.environ, "TYPEDGATOR_CONN": f"sqlite:///{tmp_path / 'jobs.db'}", "PYTHONPATH": str(ROOT)}


def test_a_job_of_one_process_is_run_by_a_worker_in_another(env: dict[str, str]) -> None:
    """Sync and async; a third process reads the results. SIGTERM ends the worker in order."""
    worker = subprocess.Popen([sys.executable, "-c", WORK], env=env, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    try:
        assert worker.stdout.readline() == "ready\n"
        ids = subprocess.run(
            [sys.executable, "-c", ENQUEUE], env=env, cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.split()
        results = subprocess.run(
            [sys.executable, "-c", READ, *ids], env=env, cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.splitlines()
        worker.send_signal(signal.SIGTERM)
        rest, _ = worker.communicate(timeout=PATIENCE)
    finally:
        worker.kill()
        worker.wait()

    name = "tests.integration.worker.errands.on_loop"
    assert results == [str(each) for number in range(5) for each in ((number, worker.pid), (number, name))]
    assert rest == "10\n"
    assert worker.returncode == 0
