"""SAQ on Redis."""

import asyncio
from collections.abc import Mapping
from typing import ClassVar

from saq import Queue

from benchmarks.peers import effects
from benchmarks.peers.adapter import SETTING, SLEEP, TEXT, URL, Adapter, Command, program

if SETTING != "default":
    import uvloop

    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

queue = Queue.from_url(URL)


def sync_task(ctx: Mapping[str, object], *, number: int, text: str) -> None:
    """A no-op job."""
    effects.ran(number)


async def async_task(ctx: Mapping[str, object], *, number: int, text: str) -> None:
    """A no-op job."""
    effects.ran(number)


async def sleep_task(ctx: Mapping[str, object], *, number: int, text: str) -> None:
    """Takes 50 ms."""
    effects.began(number)
    await asyncio.sleep(SLEEP)
    effects.ended(number)


settings = {
    "queue": queue,
    "functions": [sync_task, async_task, sleep_task],
    "concurrency": {"default": 10, "best": 100, "sleep": 500}[SETTING],
}


class Saq(Adapter):
    package = "saq"
    imports = "from saq import Queue"
    kinds = ("async", "sync", "sleep")
    settings: ClassVar = {
        "default": "`saq`: 10 jobs at once, results kept 10 min; asyncio's loop",
        "best": "100 jobs at once, no results, uvloop",
        "sleep": "500 jobs at once, otherwise as best",
    }
    uvloop = SETTING != "default"
    enqueues = 6000
    drains = 2500

    async def open(self) -> None:
        await queue.connect()

    async def close(self) -> None:
        await queue.disconnect()

    async def aone(self, kind: str, number: int) -> None:
        if SETTING == "default":
            await queue.enqueue(f"{kind}_task", number=number, text=TEXT)
        else:
            await queue.enqueue(f"{kind}_task", number=number, text=TEXT, ttl=-1)

    def worker(self, processes: int) -> Command:
        return Command(program("saq", "benchmarks.peers.adapters.saq.settings", "-q", "--workers", str(processes)))


ADAPTER = Saq()
