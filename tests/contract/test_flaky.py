"""The flaky backend keeps the contract as long as no fault was asked for."""

from pathlib import Path

import pytest

from typedgator.backends.contract import Backend
from typedgator.backends.locmem import LocmemBackend
from typedgator.clock import Clock
from typedgator.errors import BackendUnavailable, ConfigurationError
from typedgator.testing.contract import BackendContract, job
from typedgator.testing.flaky import FlakyBackend


class TestFlaky(BackendContract):
    """Every test of the contract."""

    def make(self, clock: Clock) -> Backend:
        """In memory, without faults."""
        return FlakyBackend(LocmemBackend(clock=clock))


def test_a_failed_call_did_nothing_and_a_lost_reply_did_everything() -> None:
    """Both raise BackendUnavailable; what is stored tells them apart."""
    backend = FlakyBackend(LocmemBackend())

    backend.fail("enqueue", times=1)
    with pytest.raises(BackendUnavailable):
        backend.enqueue([job(1)])
    backend.lose_reply("enqueue", times=1)
    with pytest.raises(BackendUnavailable):
        backend.enqueue([job(2)])
    backend.enqueue([job(3)])

    assert [backend.find(job(n).job_id) is not None for n in (1, 2, 3)] == [False, True, True]
    assert backend.calls["enqueue"] == 3


def test_a_verb_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    """A misspelt fault would test nothing."""
    with pytest.raises(ConfigurationError, match="'setle' is no verb"):
        FlakyBackend(LocmemBackend()).fail("setle")
