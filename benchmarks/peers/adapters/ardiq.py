"""ardiq: Redis streams from a core in Rust."""

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from ardiq import Ardiq as App

from benchmarks.peers import effects
from benchmarks.peers.adapter import SETTING, SLEEP, TEXT, URL, Adapter, Command, program

CONCURRENCY = {"default": 16, "best": 300, "sleep": 500}
app = App(redis_url=URL, queue_name="peers", concurrency=CONCURRENCY[SETTING], prefetch=2 * CONCURRENCY[SETTING])


@app.task()
def sync_task(number: int, text: str) -> None:
    """A no-op job."""
    effects.ran(number)


@app.task()
async def async_task(number: int, text: str) -> None:
    """A no-op job."""
    effects.ran(number)


@app.task()
async def sleep_task(number: int, text: str) -> None:
    """Takes 50 ms."""
    effects.began(number)
    await asyncio.sleep(SLEEP)
    effects.ended(number)


TASKS = {"sync": sync_task, "async": async_task, "sleep": sleep_task}


class Ardiq(Adapter):
    package = "ardiq"
    imports = "from ardiq import Ardiq"
    kinds = ("async", "sync", "sleep")
    settings: ClassVar = {
        "default": "`ardiq run`: concurrency 16, prefetch 32",
        "best": "concurrency 300, prefetch 600",
        "sleep": "concurrency 500",
    }
    enqueues = 6000
    drains = 14_000

    async def aone(self, kind: str, number: int) -> None:
        await TASKS[kind].enqueue(number, TEXT)

    async def abulk(self, kind: str, numbers: Sequence[int]) -> None:
        await app.enqueue_many([TASKS[kind].prepare(number, TEXT) for number in numbers])

    def worker(self, processes: int) -> Command:
        words = program("ardiq", "run", "benchmarks.peers.adapters.ardiq:app", "-q")
        return Command([*words, "-w", str(processes)] if processes > 1 else words)


ADAPTER = Ardiq()
