"""What holds for every test: hypothesis profiles, a Ctrl-C that is heard, and slow tests only when asked for.

The limit of 60 s per test stands in pyproject.toml; a slow test that states none gets 30 minutes.
"""

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

# A shared run judges a change, so it draws the same examples each time; a run by hand looks for new ones.
SAME_DRAWS = os.environ.get("CI", "") == "true"
LONG = os.environ.get("TYPEDGATOR_LONG", "") == "1"

# No deadlines and no limit for drawing: they measure the machine's mood. print_blob: a failure is replayed elsewhere.
settings.register_profile(
    "ci",
    deadline=None,
    max_examples=60,
    print_blob=True,
    derandomize=SAME_DRAWS,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "long", deadline=None, max_examples=2_000, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("long" if LONG else "ci")

# A shell that starts the tests in the background has SIGINT ignored, and so would have every process of theirs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect `slow` tests unless TYPEDGATOR_LONG=1."""
    slow = [item for item in items if item.get_closest_marker("slow")]
    if LONG:
        for item in slow:
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(1800))
    elif slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not item.get_closest_marker("slow")]
