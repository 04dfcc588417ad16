"""The backend in memory, for tests and for one process: every promise of the contract but to outlive the process.

`locmem://` is a storage of its own for each Gator. `locmem://name` is shared by all in this process that say the same
name and namespace, and is gone with the last of them.
"""

from threading import Lock
from typing import Final
from weakref import WeakValueDictionary

from typedgator.backends.connect import Dsn, masked
from typedgator.backends.contract import Backend
from typedgator.backends.locmem.backend import LocmemBackend
from typedgator.clock import Clock
from typedgator.errors import ConfigurationError

__all__ = ["LocmemBackend", "from_dsn"]

_shared: Final[WeakValueDictionary[tuple[str, str], LocmemBackend]] = WeakValueDictionary()
_sharing: Final = Lock()


def from_dsn(dsn: Dsn, clock: Clock) -> Backend:
    """The backend of `locmem://`, its own storage, or of `locmem://name`, shared and on the clock of who came first.

    `?durability=memory` is the only one there is: all ends with the process.
    """
    dsn.choose("durability", ("memory",))
    dsn.done()
    name = dsn.url.netloc
    if dsn.url.path.strip("/") or dsn.url.fragment:
        raise ConfigurationError(f"DSN {masked(dsn.text)!r}: memory has no path; write locmem:// or locmem://name")
    if not name:
        return LocmemBackend(clock=clock, namespace=dsn.namespace)
    with _sharing:
        found = _shared.get((name, dsn.namespace))
        if found is None:
            found = _shared[name, dsn.namespace] = LocmemBackend(clock=clock, namespace=dsn.namespace)
    return found
