"""The names of all keys, and no other place makes one: `tg:{namespace}:…`, one hash tag, so one slot of a cluster.

What each holds stands in docs/internals/redis.md. The order of FIXED is the order of KEYS in every script.
"""

from typing import Final

__all__ = ["FIXED", "Keys"]

FIXED: Final = (
    *("meta", "frames", "delayed", "beats", "workers", "queues"),
    *("done0", "done1", "kept", "keep", "results", "recs"),
    *("unique", "unique_of", "kids", "blocked", "expiring"),
    *("held", "held_of", "kinds", "dead", "cancels"),
    *("notes", "suspects", "waiters", "tally", "paused"),
    *("over", "late0", "late1", "wake*", "clock"),
)
_NEW: Final = ("meta", "frames", "queues", "wake*", "resent")
_PLAIN: Final = ("meta", "frames", "done0", "done1", "late0", "late1", "kept", "queues", "wake*", "clock")


class Keys:
    """The keys of one namespace."""

    def __init__(self, namespace: str) -> None:
        self.prefix: str = f"tg:{{{namespace}}}:"
        self._bytes = self.prefix.encode("ascii")
        self.fixed: tuple[bytes, ...] = tuple(self.named(name) for name in FIXED)
        self.new: tuple[bytes, ...] = tuple(self.named(name) for name in _NEW)
        self.plain: tuple[bytes, ...] = tuple(self.named(name) for name in _PLAIN)

    def named(self, name: str) -> bytes:
        """A key by its name, `meta` for example."""
        return self._bytes + name.encode("ascii")

    def ready(self, queue: str) -> bytes:
        """The waiting jobs of a queue."""
        return self.named(f"ready:{queue}")

    def wake(self, queue: str) -> bytes:
        """Where workers of a queue wait for something to do; `*` for those that serve every queue."""
        return self.named(f"wake:{queue}" if queue != "*" else "wake*")

    def own(self, worker: str) -> bytes:
        """What a worker has."""
        return self.named(f"own:{worker}")

    def idle(self, worker: str) -> bytes:
        """Where a worker that may have nothing more waits for its own settlement."""
        return self.named(f"idle:{worker}")

    def told(self, box: bytes) -> bytes:
        """Where one who waits for outcomes finds the ids of jobs that ended."""
        return self._bytes + b"told:" + box
