"""A process that enqueues jobs while the campaign goes on: `producer.py NUMBER SEED`.

It reads from standard input how many, a number a line, until there is no more. Each job that was accepted is a line in
the journal, on the disk, after `task()` returned. A call that raised under an id of the caller's is repeated under it
until it is accepted, which must never make a second job; so is NotReplicated. Without an id nobody knows, and nobody
repeats it.
"""

import asyncio
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tests.integration.chaos.effects import gator, later, stumble, work
from tests.integration.chaos.journal import Journal
from typedgator.errors import BackendUnavailable, EnqueueError, NotReplicated, UnknownDependency

Again: TypeAlias = Callable[[], str]
PAUSE_S = 0.05
AT_ONCE = 16
RANGE = 100_000_000


@dataclass
class Call:
    """What to enqueue, and how."""

    number: int
    task: Any
    seconds: float
    said: dict[str, Any] = field(default_factory=dict)


class Producer:
    """Numbers its jobs from a range of its own."""

    def __init__(self, number: int, seed: int, journal: Journal) -> None:
        self.chance = random.Random(f"{seed}-{number}")
        self.name = f"chaos-{seed}-{number}"
        self.next = number * RANGE
        self.journal = journal
        self.last = ""
        self.seconds = float(os.environ.get("CHAOS_SECONDS", "0.03"))

    def call(self) -> Call:
        """Most are plain; some are delayed, stumble, run on the loop, have a priority or a parent."""
        chance, number = self.chance, self.next
        self.next += 1
        task = chance.choices((work, later, stumble), (70, 20, 10))[0]
        call = Call(number, task, self.seconds * chance.uniform(0.5, 1.5))
        if chance.random() < 0.5:
            call.said["job_id"] = f"{self.name}-{number}"
        if chance.random() < 0.1:
            call.said["delay_by"] = 0.1
        if chance.random() < 0.1:
            call.said["priority"] = 200  # not less than usual: recovery is measured, and it would wait for the others
        if chance.random() < 0.05 and self.last:
            call.said["depends_on"] = [self.last]
        return call

    def accepted(self, call: Call, job_id: str) -> None:
        """It returned."""
        parent = call.said.get("depends_on", ["-"])[0]
        self.journal.note("accepted", job_id, call.number % RANGE, call.number, parent)
        self.last = job_id

    def refused(self, call: Call, error: Exception, again: "Again | None") -> "Again | None":
        """It raised; what to call now, when that can never make a second job."""
        job_id = call.said.get("job_id", "-")
        words = "maxmemory" if "maxmemory" in str(error) else type(error).__name__
        self.journal.note("refused", job_id, 0, call.number, words)
        if isinstance(error, UnknownDependency):  # a failover forgot the parent: it will not come back
            return None
        return (lambda: error.retry()[0]) if isinstance(error, NotReplicated) else again

    def one(self, call: Call) -> None:
        """Until it is accepted, or given up."""

        def send() -> str:
            if not call.said:
                return call.task.task(call.number, call.seconds).id
            with gator.options(**call.said) as options:
                return options.task(call.task, call.number, call.seconds).id

        now: Again | None = send
        again = send if "job_id" in call.said else None
        while now is not None:
            try:
                job_id = now()
            except (BackendUnavailable, EnqueueError) as error:
                now = again = self.refused(call, error, again)
                time.sleep(PAUSE_S)
            else:
                self.accepted(call, job_id)
                now = None

    async def aone(self, call: Call) -> None:
        """The same on an event loop; what is called again is called from a thread."""

        async def send() -> str:
            if not call.said:
                return (await call.task.atask(call.number, call.seconds)).id
            with gator.options(**call.said) as options:
                return (await options.atask(call.task, call.number, call.seconds)).id

        again: Again | None = None
        while True:
            try:
                job_id = await send() if again is None else await asyncio.to_thread(again)
                return self.accepted(call, job_id)
            except (BackendUnavailable, EnqueueError) as error:
                again = self.refused(call, error, again)
                if isinstance(error, UnknownDependency) or (again is None and "job_id" not in call.said):
                    return None
                await asyncio.sleep(PAUSE_S)

    def run(self) -> None:
        """In this thread."""
        for line in sys.stdin:
            for _ in range(int(line)):
                self.one(self.call())

    async def arun(self) -> None:
        """On a loop, several at once."""
        while line := await asyncio.to_thread(sys.stdin.readline):
            calls = [self.call() for _ in range(int(line))]
            for first in range(0, len(calls), AT_ONCE):
                await asyncio.gather(*map(self.aone, calls[first : first + AT_ONCE]))


def main() -> None:
    """Odd ones are async."""
    number, seed = int(sys.argv[1]), int(sys.argv[2])
    producer = Producer(number, seed, Journal(os.environ["CHAOS_ACCEPTED"], sync=True))
    if number % 2 and hasattr(gator.backend, "on_loops"):
        asyncio.run(producer.arun())
    else:
        producer.run()


if __name__ == "__main__":
    main()
