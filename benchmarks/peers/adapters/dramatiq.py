"""Dramatiq on its Redis broker."""

import asyncio
from typing import ClassVar

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AsyncIO

from benchmarks.peers import effects
from benchmarks.peers.adapter import SETTING, SLEEP, TEXT, URL, Adapter, Command, program

broker = RedisBroker(url=URL)
broker.add_middleware(AsyncIO())
dramatiq.set_broker(broker)


@dramatiq.actor
def sync_task(number: int, text: str) -> None:
    """A no-op job."""
    effects.ran(number)


@dramatiq.actor
async def async_task(number: int, text: str) -> None:
    """A no-op job."""
    effects.ran(number)


@dramatiq.actor
async def sleep_task(number: int, text: str) -> None:
    """Takes 50 ms."""
    effects.began(number)
    await asyncio.sleep(SLEEP)
    effects.ended(number)


TASKS = {"sync": sync_task, "async": async_task, "sleep": sleep_task}
THREADS = {"default": "8", "best": "64", "sleep": "500"}


class Dramatiq(Adapter):
    package = "dramatiq"
    imports = "import dramatiq, dramatiq.brokers.redis"
    kinds = ("sync", "async", "sleep")
    settings: ClassVar = {
        "default": "`dramatiq -p 1`: 8 threads; the AsyncIO middleware",
        "best": "64 threads",
        "sleep": "500 threads: an async job holds one",
    }
    enqueues = 6000
    drains = 2500

    def one(self, kind: str, number: int) -> None:
        TASKS[kind].send(number, TEXT)

    def worker(self, processes: int) -> Command:
        words = program("dramatiq", "benchmarks.peers.adapters.dramatiq", "--skip-logging")
        return Command([*words, "-p", str(processes), "-t", THREADS[SETTING]])


ADAPTER = Dramatiq()
