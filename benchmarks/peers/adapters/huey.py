"""huey on RedisHuey: a list, whose jobs are lost with the worker that runs them."""

from typing import ClassVar

from huey import RedisHuey

from benchmarks.peers import effects
from benchmarks.peers.adapter import PORT, SETTING, TEXT, Adapter, Command, program

queue = RedisHuey("peers", port=PORT, results=False)


@queue.task()
def sync_task(number: int, text: str) -> None:
    """A no-op job."""
    effects.ran(number)


class Huey(Adapter):
    package = "huey"
    imports = "from huey import RedisHuey"
    kinds = ("sync",)
    settings: ClassVar = {
        "default": "`huey_consumer`: 1 thread; `results=False`",
        "best": "`-w 4 --no-periodic`: 4 threads, no cron",
    }
    enqueues = 10_000
    drains = 6000

    def one(self, kind: str, number: int) -> None:
        sync_task(number, TEXT)

    def worker(self, processes: int) -> Command:
        words = program("huey_consumer", "benchmarks.peers.adapters.huey.queue", "-q")
        return Command(words if SETTING == "default" else [*words, "-w", "4", "--no-periodic"], processes)


ADAPTER = Huey()
