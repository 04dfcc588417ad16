"""What typedgator wants to be: ratios to peers in the same run, and absolute figures. Met or not met, nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.peers.table import OURS, Table

__all__ = ["TARGETS", "Found", "Target"]


@dataclass(frozen=True)
class Found:
    """What a run gave for a target."""

    value: float
    detail: str
    """Which peer it was compared with, and how the repetitions differed."""


@dataclass(frozen=True)
class Target:
    """A bound on our figure, or on its ratio to the best of some peers."""

    title: str
    measure: str
    name: str
    must: float
    stretch: float | None = None
    peers: Sequence[str] = ()
    """None: the figure itself. `*`: whichever peer is best."""
    at_most: bool = False
    unit: str = ""

    def bound(self, value: float) -> str:
        """The target in words."""
        sign = "≤" if self.at_most else "≥"
        if not self.peers:
            return f"{sign} {value:g} {self.unit}".rstrip()
        return f"{sign} {value:g} x {'the best peer' if '*' in self.peers else ' and '.join(self.peers)}"

    def found(self, table: Table) -> Found | None:
        """None where it was not measured."""
        if not self.peers:
            value = table.median(self.measure, OURS, self.name)
            return None if value is None else Found(value, spread(table.runs(self.measure, OURS, self.name)))
        names = [name for name in table.peers if name != OURS] if "*" in self.peers else self.peers
        ratios = [(ratio, name) for name in names if (ratio := self._ratio(table, name)) is not None]
        if not ratios:
            return None
        value, peer = (max if self.at_most else min)(ratios)
        return Found(value, f"{peer}; {spread(self._each(table, peer))}")

    def met(self, value: float, bound: float) -> bool:
        """Whether it is as good as that."""
        return value <= bound if self.at_most else value >= bound

    def _theirs(self, table: Table, peer: str) -> str:
        """A peer is measured at its best, we as we come."""
        return table.at_best(self.measure.split("-")[1], peer) if self.measure.startswith("drain-") else self.measure

    def _ratio(self, table: Table, peer: str) -> float | None:
        ours = table.median(self.measure, OURS, self.name)
        theirs = table.median(self._theirs(table, peer), peer, self.name)
        return ours / theirs if ours is not None and theirs else None

    def _each(self, table: Table, peer: str) -> list[float]:
        ours = table.runs(self.measure, OURS, self.name)
        theirs = table.runs(self._theirs(table, peer), peer, self.name)
        return [one / other for one, other in zip(ours, theirs, strict=False) if other]


def spread(values: Sequence[float]) -> str:
    """The least and the most."""
    return f"{min(values):.3g} to {max(values):.3g}" if values else ""


SYNC: Final = "drain-sync-default-1"
ASYNC: Final = "drain-async-default-1"
TARGETS: Final = (
    Target("enqueue, one sync caller, per second", "one", "per_s", 1.25, 1.35, ["huey"]),
    Target("enqueue, one sync caller, CPU of the caller", "one", "client_us", 0.65, 0.55, ["huey"], at_most=True),
    Target("enqueue, one coroutine, per second", "aone", "per_s", 1.3, 1.4, ["repid"]),
    Target("enqueue, one coroutine, per second", "aone", "per_s", 2, None, ["ardiq"]),
    Target("enqueue, 100 coroutines, per second", "hundred", "per_s", 4, 7, ["*"]),
    Target("enqueue 10,000 in one call, per second", "bulk", "per_s", 3, 4, ["ardiq"]),
    Target("drain async no-op jobs, one process, per second", ASYNC, "per_s", 3, 5, ["ardiq"]),
    Target("drain sync no-op jobs, one process, per second", SYNC, "per_s", 4, 8, ["ardiq"]),
    Target("worker CPU, async no-op job", ASYNC, "worker_us", 15, 8, at_most=True, unit="µs"),
    Target("worker CPU, sync no-op job", SYNC, "worker_us", 15, 8, at_most=True, unit="µs"),
    Target("Redis CPU, async no-op job", ASYNC, "redis_us", 5, 3, at_most=True, unit="µs"),
    Target("Redis CPU, sync no-op job", SYNC, "redis_us", 5, 3, at_most=True, unit="µs"),
    Target("commands of the worker, async no-op job", "commands", "async", 0.05, 0.02, at_most=True),
    Target("commands of the worker, sync no-op job", "commands", "sync", 0.05, 0.02, at_most=True),
    Target("latency of an idle worker, p50", "latency", "p50_ms", 0.9, 0.6, ["huey"], at_most=True),
    Target("latency of an idle worker, p99", "latency", "p99_ms", 1.2, None, ["repid"], at_most=True),
    Target("2,000 x 50 ms at concurrency 500", "sleep", "ms", 230, 210, at_most=True, unit="ms"),
    Target("memory of an idle worker, PSS", "idle", "idle_mb", 40, 32, at_most=True, unit="MB"),
    Target("memory after a drain of sync jobs, PSS", SYNC, "busy_mb", 40, 32, at_most=True, unit="MB"),
    Target("memory after a drain of async jobs, PSS", ASYNC, "busy_mb", 40, 32, at_most=True, unit="MB"),
    Target("import", "import", "ms", 250, 150, at_most=True, unit="ms"),
    Target("start of the process to the first job", SYNC, "cold_s", 0.5, 0.35, at_most=True, unit="s"),
)
