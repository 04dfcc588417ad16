"""streaQ on Redis streams."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import ClassVar

from streaq import Worker

from benchmarks.peers import effects
from benchmarks.peers.adapter import SETTING, SLEEP, TEXT, URL, Adapter, Command, program

CONCURRENCY = {"default": 16, "best": 100, "sleep": 500}
worker = Worker(
    redis_url=URL,
    concurrency=CONCURRENCY[SETTING],
    anyio_kwargs={} if SETTING == "default" else {"use_uvloop": True},
)
TTL = 300 if SETTING == "default" else 0


@worker.task(silent=True, ttl=TTL)
def sync_task(number: int, text: str) -> None:
    """A no-op job."""
    effects.ran(number)


@worker.task(silent=True, ttl=TTL)
async def async_task(number: int, text: str) -> None:
    """A no-op job."""
    effects.ran(number)


@worker.task(silent=True, ttl=TTL)
async def sleep_task(number: int, text: str) -> None:
    """Takes 50 ms."""
    effects.began(number)
    await asyncio.sleep(SLEEP)
    effects.ended(number)


TASKS = {"sync": sync_task, "async": async_task, "sleep": sleep_task}


class Streaq(Adapter):
    package = "streaq"
    imports = "from streaq import Worker"
    kinds = ("async", "sync", "sleep")
    settings: ClassVar = {
        "default": "`streaq run`: 16 jobs at once, results kept 5 min; asyncio's loop",
        "best": "100 jobs at once, no results, uvloop",
        "sleep": "500 jobs at once, otherwise as best",
    }
    uvloop = SETTING != "default"
    enqueues = 4500
    drains = 1700

    def __init__(self) -> None:
        self.connected = AsyncExitStack()

    async def open(self) -> None:
        await self.connected.enter_async_context(worker)

    async def close(self) -> None:
        await self.connected.aclose()

    async def aone(self, kind: str, number: int) -> None:
        await TASKS[kind].enqueue(number, TEXT)

    async def abulk(self, kind: str, numbers: Sequence[int]) -> None:
        await worker.enqueue_many([TASKS[kind].enqueue(number, TEXT) for number in numbers])

    def worker(self, processes: int) -> Command:
        return Command(program("streaq", "run", "benchmarks.peers.adapters.streaq:worker", "-w", str(processes)))


ADAPTER = Streaq()
