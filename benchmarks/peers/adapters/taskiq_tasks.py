"""What taskiq's two brokers share."""

import asyncio
from typing import ClassVar

from taskiq import AsyncBroker

from benchmarks.peers import effects
from benchmarks.peers.adapter import SETTING, SLEEP, TEXT, Adapter, Command, program


def sync_task(number: int, text: str) -> None:
    """A no-op job."""
    effects.ran(number)


async def async_task(number: int, text: str) -> None:
    """A no-op job."""
    effects.ran(number)


async def sleep_task(number: int, text: str) -> None:
    """Takes 50 ms."""
    effects.began(number)
    await asyncio.sleep(SLEEP)
    effects.ended(number)


class Taskiq(Adapter):
    package = "taskiq"
    imports = "import taskiq_redis"
    kinds = ("async", "sync", "sleep")
    settings: ClassVar = {
        "default": "`taskiq worker -w 1`: 100 coroutines, no results; uvloop installed",
        "best": "8 threads, `--max-prefetch 100 --no-parse`",
        "sleep": "`--max-async-tasks 500`",
    }
    uvloop = True
    enqueues = 5000
    drains = 4000

    def __init__(self, broker: AsyncBroker, path: str) -> None:
        self.broker, self.path = broker, path
        self.tasks = {
            kind: broker.register_task(function, task_name=kind)
            for kind, function in (("sync", sync_task), ("async", async_task), ("sleep", sleep_task))
        }

    async def open(self) -> None:
        await self.broker.startup()

    async def close(self) -> None:
        await self.broker.shutdown()

    async def aone(self, kind: str, number: int) -> None:
        await self.tasks[kind].kiq(number, TEXT)

    def worker(self, processes: int) -> Command:
        words = program("taskiq", "worker", self.path, "--log-level", "WARNING", "-w", str(processes))
        if SETTING == "best":
            words += ["--max-threadpool-threads", "8", "--max-prefetch", "100", "--no-parse"]
        return Command([*words, "--max-async-tasks", "500"] if SETTING == "sleep" else words)
