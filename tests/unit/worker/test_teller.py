"""The teller by itself: counting."""

from threading import Event, Thread
from typing import cast

from typedgator import Gator
from typedgator.backends.contract import Settled, WorkerId
from typedgator.wire.ids import JobId
from typedgator.wire.verdict import Settlement, Succeeded
from typedgator.worker.desk import Finished, WorkerReport
from typedgator.worker.teller import Teller


class SlowReport:
    """Between reading a number and writing it, others have their turn."""

    def __init__(self) -> None:
        self.numbers = {"succeeded": 0, "lost": 0}

    def __getattr__(self, name: str) -> int:
        number = self.numbers[name]
        Event().wait(0.0001)
        return number

    def __setattr__(self, name: str, value: object) -> None:
        if name == "numbers":
            super().__setattr__(name, value)
        else:
            self.numbers[name] = cast(int, value)


def test_every_end_is_counted_once_whoever_counts() -> None:
    """Settler, claimer, lease keeper and the worker's thread may count at the same time."""
    gator, report = Gator("locmem://"), SlowReport()
    teller = Teller(gator.backend, gator.registry, gator.events, submit=lambda hooks: None)
    vars(teller)["report"] = cast(WorkerReport, report)
    finished = Finished(WorkerId("w"), Settlement(JobId(b"id"), 1, Succeeded()))

    def count() -> None:
        for _ in range(20):
            teller.after([finished], [Settled.WRITTEN])
            teller.after([finished], [Settled.LOST])

    threads = [Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert report.numbers == {"succeeded": 80, "lost": 80}
