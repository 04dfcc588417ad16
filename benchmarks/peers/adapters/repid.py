"""repid on Redis streams."""

import asyncio
from contextlib import AsyncExitStack
from typing import ClassVar

from repid import RedisServer, Router
from repid import Repid as App

from benchmarks.peers import effects
from benchmarks.peers.adapter import SETTING, SLEEP, TEXT, URL, Adapter, Command, python

app = App(title="peers", version="1.0.0")
app.servers.register_server("default", RedisServer(URL), is_default=True)
router = Router()


@router.actor(name="sync")
def sync_task(number: int, text: str) -> None:
    """A no-op job."""
    effects.ran(number)


@router.actor(name="async")
async def async_task(number: int, text: str) -> None:
    """A no-op job."""
    effects.ran(number)


@router.actor(name="sleep")
async def sleep_task(number: int, text: str) -> None:
    """Takes 50 ms."""
    effects.began(number)
    await asyncio.sleep(SLEEP)
    effects.ended(number)


app.include_router(router)


class Repid(Adapter):
    package = "repid"
    imports = "from repid import RedisServer, Repid"
    kinds = ("async", "sync", "sleep")
    settings: ClassVar = {
        "default": "`run_worker()`: 1,000 jobs at once, batches of 10; asyncio's loop",
        "best": "uvloop",
        "sleep": "`tasks_limit=500`, uvloop",
    }
    uvloop = SETTING != "default"
    enqueues = 8000
    drains = 7000

    def __init__(self) -> None:
        self.connected = AsyncExitStack()

    async def open(self) -> None:
        await self.connected.enter_async_context(app.servers.default.connection())

    async def close(self) -> None:
        await self.connected.aclose()

    async def aone(self, kind: str, number: int) -> None:
        await app.send_message_json(
            channel="default", payload={"number": number, "text": TEXT}, headers={"topic": kind}
        )

    def worker(self, processes: int) -> Command:
        return Command(python("-m", "benchmarks.peers.client", "repid", "work"), processes)

    async def work(self) -> None:
        async with app.servers.default.connection():
            await app.run_worker(tasks_limit=500 if SETTING == "sleep" else 1000)


ADAPTER = Repid()
