"""What others test with: their gator in hand, what it enqueued, a clock to move, and the suite that proves a backend.

typedgator itself never needs it. `kit`, `asserting` and `clock` need nothing; `plugin` needs pytest, `strategies` and
`laws` hypothesis, `contract` both.
"""

from typedgator.testing.asserting import Enqueued, assert_enqueued, assert_not_enqueued, enqueued
from typedgator.testing.clock import FakeClock
from typedgator.testing.kit import Drain, Kit, Travel, trial

__all__ = [
    "Drain",
    "Enqueued",
    "FakeClock",
    "Kit",
    "Travel",
    "assert_enqueued",
    "assert_not_enqueued",
    "enqueued",
    "trial",
]
