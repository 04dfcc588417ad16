"""The contract as tests, for every backend, ours and others'. Needs pytest and hypothesis.

    from typedgator.testing.contract import BackendContract, BackendModel

    class TestMine(BackendContract):           # one test for each sentence
        def make(self, clock):                 # a fresh, empty, closed backend on this clock
            return MyBackend(..., clock=clock)

    class MineModel(BackendModel):             # the backend and a model of it, driven side by side
        make = TestMine.make

    TestMineModel = MineModel.as_test()

Each test is a sentence of `typedgator.backends.contract`: its name the claim, its docstring the manual.
"""

# ruff: noqa: E402
import pytest

# Before they are imported, or their asserts would not explain themselves.
_LAWS = "bench canceling claiming depending enqueueing leases looping operating ordering remembering seeing settling"
pytest.register_assert_rewrite(*(f"{__name__}.{law}" for law in (*_LAWS.split(), "series", "waiting")))

from typedgator.testing.contract.bench import Bench, Hand, job
from typedgator.testing.contract.canceling import Canceling
from typedgator.testing.contract.claiming import Claiming
from typedgator.testing.contract.depending import Depending
from typedgator.testing.contract.enqueueing import Enqueueing
from typedgator.testing.contract.leases import Leases
from typedgator.testing.contract.looping import Looping, OnALoop
from typedgator.testing.contract.machine import BackendModel
from typedgator.testing.contract.operating import Operating
from typedgator.testing.contract.ordering import Ordering
from typedgator.testing.contract.remembering import Remembering
from typedgator.testing.contract.seeing import Seeing
from typedgator.testing.contract.series import InASeries
from typedgator.testing.contract.settling import Settling
from typedgator.testing.contract.waiting import Waiting

__all__ = ["BackendContract", "BackendModel", "Bench", "Hand", "OnALoop", "job"]


class BackendContract(
    Enqueueing,
    Ordering,
    Claiming,
    Leases,
    Settling,
    Canceling,
    Depending,
    Remembering,
    Seeing,
    Operating,
    Waiting,
    Looping,
    InASeries,
):
    """Inherit, write `make`, and pytest proves the contract. `reopen` and `audit` are there for those who have more."""
