"""A process that does nothing but work, before its first job."""

import subprocess
import sys

CODE = """
import gc, sys
from typedgator import Gator
from typedgator.worker.ready import make_ready
gator = Gator("locmem://")
@gator.register(name="double")
def double(number: int) -> int:
    return number * 2
assert "pydantic_core" not in sys.modules
make_ready(gator.backend, gator.registry)
print("pydantic_core" in sys.modules, gc.get_freeze_count() > 10_000, len(gc.get_objects()) < 100)
"""


def test_what_jobs_need_is_loaded_and_off_the_garbage_collectors_rounds() -> None:
    """In a process of its own, for it cannot be undone here without thawing what others froze."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "True", "True"]
