"""The memory backend keeps the contract."""

from typedgator.backends.contract import Backend
from typedgator.backends.locmem import LocmemBackend
from typedgator.clock import Clock
from typedgator.testing.contract import BackendContract


class TestLocmem(BackendContract):
    """Every test of the contract."""

    def make(self, clock: Clock) -> Backend:
        """A fresh storage in memory."""
        return LocmemBackend(clock=clock)
