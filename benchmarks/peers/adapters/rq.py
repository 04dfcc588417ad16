"""RQ. It has no async tasks."""

from collections.abc import Sequence
from typing import ClassVar

from redis import Redis
from rq import Queue

from benchmarks.peers import effects
from benchmarks.peers.adapter import PORT, SETTING, TEXT, URL, Adapter, Command, program

queue = Queue("peers", connection=Redis(port=PORT))


def sync_task(number: int, text: str) -> None:
    """A no-op job."""
    effects.ran(number)


class Rq(Adapter):
    package = "rq"
    imports = "from rq import Queue"
    kinds = ("sync",)
    settings: ClassVar = {
        "default": "`rq worker`: a fork for each job",
        "best": "`-w rq.worker.SimpleWorker`: in the worker's own process",
    }
    enqueues = 4000
    drains = 60 if SETTING == "default" else 400

    def one(self, kind: str, number: int) -> None:
        queue.enqueue(sync_task, number, TEXT)

    def bulk(self, kind: str, numbers: Sequence[int]) -> None:
        queue.enqueue_many([Queue.prepare_data(sync_task, (number, TEXT)) for number in numbers])

    def worker(self, processes: int) -> Command:
        words = program("rq", "worker", "peers", "-q", "--url", URL, "--disable-job-desc-logging")
        return Command(words if SETTING == "default" else [*words, "-w", "rq.worker.SimpleWorker"], processes)


ADAPTER = Rq()
