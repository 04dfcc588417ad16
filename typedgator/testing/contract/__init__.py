"""The contract as tests, for every backend, ours and others'. Needs pytest and hypothesis.

from typedgator.testing.contract import BackendContract, model_of

class TestMine(BackendContract):
    def make(self, clock):                 # a fresh, empty, closed backend on this clock
        return MyBackend(...)
"""

import pytest

for _law in ("enqueueing", "ordering", "claiming", "leases"):
    # Their asserts explain themselves only when pytest rewrites them, and so before they are imported.
    pytest.register_assert_rewrite(f"{__name__}.{_law}")

from typedgator.testing.contract.bench import Bench, Hand, job  # noqa: E402
from typedgator.testing.contract.claiming import Claiming  # noqa: E402
from typedgator.testing.contract.enqueueing import Enqueueing  # noqa: E402
from typedgator.testing.contract.leases import Leases  # noqa: E402
from typedgator.testing.contract.ordering import Ordering  # noqa: E402

__all__ = ["BackendContract", "Bench", "Hand", "job"]


class BackendContract(Enqueueing, Ordering, Claiming, Leases):
    """Inherit, write `make`, and pytest proves the contract. `reopen` and `audit` are there for those who have more."""
