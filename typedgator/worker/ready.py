"""Before the first job of a process that does nothing but work: what jobs need is loaded, and then left alone.

Not for a worker inside somebody's own process, whose garbage is not ours to set aside.
"""

import gc

from typedgator.backends.contract import Backend
from typedgator.registry import Registry

__all__ = ["make_ready"]


def make_ready(backend: Backend, registry: Registry) -> None:
    """Loads driver and validators, and takes all that there is by now off the garbage collector's rounds.

    It would look through modules and classes again and again for the garbage that jobs make: a tenth of a no-op job.
    Raises what opening the backend raises.
    """
    backend.open()
    for task in registry:
        task.spec.arguments.build()
        break  # the others are built when they are called: this one has loaded what that takes
    gc.collect()
    gc.freeze()
