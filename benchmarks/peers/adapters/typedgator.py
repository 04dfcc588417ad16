"""typedgator, as it comes: validation on, acknowledged after the outcome is stored, results kept."""

import asyncio
from collections.abc import Sequence
from importlib.util import find_spec
from typing import ClassVar

from benchmarks.peers import effects
from benchmarks.peers.adapter import SETTING, SLEEP, TEXT, URL, Adapter, Command, python
from typedgator import Gator

gator = Gator(URL)


@gator.register
def sync_task(number: int, text: str) -> None:
    """A no-op job."""
    effects.ran(number)


@gator.register
async def async_task(number: int, text: str) -> None:
    """A no-op job."""
    effects.ran(number)


@gator.register
async def sleep_task(number: int, text: str) -> None:
    """Takes 50 ms."""
    effects.began(number)
    await asyncio.sleep(SLEEP)
    effects.ended(number)


TASKS = {"sync": sync_task, "async": async_task, "sleep": sleep_task}


class Typedgator(Adapter):
    package = "typedgator"
    imports = "import typedgator"
    kinds = ("sync", "async", "sleep")
    settings: ClassVar = {
        "default": "`typedgator worker`: 8 threads, 100 coroutines, lease 30 s; uvloop installed",
        "sleep": "`--concurrency 500`",
    }
    uvloop = find_spec("uvloop") is not None
    enqueues = 15_000
    drains = 40_000

    def one(self, kind: str, number: int) -> None:
        TASKS[kind].task(number, TEXT)

    async def aone(self, kind: str, number: int) -> None:
        await TASKS[kind].atask(number, TEXT)

    def bulk(self, kind: str, numbers: Sequence[int]) -> None:
        gator.task_many(TASKS[kind], [(number, TEXT) for number in numbers])

    def worker(self, processes: int) -> Command:
        words = python("-m", "typedgator", "worker", "benchmarks.peers.adapters.typedgator", "--log-level", "warning")
        if processes > 1:
            words += ["--processes", str(processes)]
        return Command([*words, "--concurrency", "500"] if SETTING == "sleep" else words)


ADAPTER = Typedgator()
