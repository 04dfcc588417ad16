"""The memory backend keeps the contract."""

import pytest

from typedgator.backends.contract import Backend
from typedgator.backends.locmem import LocmemBackend
from typedgator.clock import Clock
from typedgator.testing.contract import BackendContract, BackendModel


class TestLocmem(BackendContract):
    """Every test of the contract."""

    def make(self, clock: Clock) -> Backend:
        """A fresh storage in memory."""
        return LocmemBackend(clock=clock)


class LocmemModel(BackendModel):
    """Backend and model, side by side."""

    def make(self, clock: Clock) -> Backend:
        """A fresh storage in memory."""
        return LocmemBackend(clock=clock)


# A difference is worth the minutes that it takes to make it small.
TestLocmemModel = pytest.mark.timeout(1800)(LocmemModel.as_test())
