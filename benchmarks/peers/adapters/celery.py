"""Celery on Redis, results off. It has no async tasks."""

from typing import ClassVar

from celery import Celery as App

from benchmarks.peers import effects
from benchmarks.peers.adapter import SETTING, TEXT, URL, Adapter, Command, program

app = App("peers", broker=URL)
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)
if SETTING == "best":
    app.conf.worker_prefetch_multiplier = 100


@app.task
def sync_task(number: int, text: str) -> None:
    """A no-op job."""
    effects.ran(number)


class Celery(Adapter):
    package = "celery"
    imports = "from celery import Celery"
    kinds = ("sync",)
    settings: ClassVar = {
        "default": "`celery worker`: prefork, a child for each core; `task_ignore_result`",
        "best": "`-P threads -c 8`, prefetch multiplier 100, without gossip, mingle and heartbeat",
    }
    enqueues = 2500
    drains = 1600

    def one(self, kind: str, number: int) -> None:
        sync_task.delay(number, TEXT)

    def worker(self, processes: int) -> Command:
        words = program("celery", "-A", "benchmarks.peers.adapters.celery", "worker", "-l", "WARNING", "-n", "w@%n")
        best = ["-P", "threads", "-c", "8", "--without-gossip", "--without-mingle", "--without-heartbeat"]
        return Command([*words, *best] if SETTING == "best" else words, processes)


ADAPTER = Celery()
