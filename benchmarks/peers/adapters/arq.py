"""arq, which polls a sorted set. It has no sync tasks."""

import asyncio
from typing import ClassVar

from arq import ArqRedis, create_pool
from arq.connections import RedisSettings

from benchmarks.peers import effects
from benchmarks.peers.adapter import PORT, SETTING, SLEEP, TEXT, Adapter, Command, program

REDIS = RedisSettings(port=PORT)
QUIET = {"version": 1, "disable_existing_loggers": False}


async def async_task(ctx: object, number: int, text: str) -> None:
    """A no-op job."""
    effects.ran(number)


async def sleep_task(ctx: object, number: int, text: str) -> None:
    """Takes 50 ms."""
    effects.began(number)
    await asyncio.sleep(SLEEP)
    effects.ended(number)


class WorkerSettings:
    """What arq's program reads."""

    functions = (async_task, sleep_task)
    redis_settings = REDIS
    max_jobs = {"default": 10, "best": 100, "sleep": 500}[SETTING]
    poll_delay = 0.5 if SETTING == "default" else 0.01
    keep_result = 3600 if SETTING == "default" else 0


class Arq(Adapter):
    package = "arq"
    imports = "from arq import create_pool"
    kinds = ("async", "sleep")
    settings: ClassVar = {
        "default": "`arq`: 10 jobs at once, a poll each 0.5 s, results kept",
        "best": "100 jobs at once, a poll each 10 ms, no results",
        "sleep": "500 jobs at once, otherwise as best",
    }
    uvloop = True
    enqueues = 4000
    drains = 2500

    pool: ArqRedis

    async def open(self) -> None:
        self.pool = await create_pool(REDIS)

    async def close(self) -> None:
        await self.pool.aclose()

    async def aone(self, kind: str, number: int) -> None:
        await self.pool.enqueue_job(f"{kind}_task", number, TEXT)

    def worker(self, processes: int) -> Command:
        here = "benchmarks.peers.adapters.arq"
        return Command(program("arq", f"{here}.WorkerSettings", "--custom-log-dict", f"{here}.QUIET"), processes)


ADAPTER = Arq()
