"""When redis-py is loaded: by the first verb, and by one thread at a time.

Its modules import each other in circles. A thread that came while another one is loading them would find one half made,
and neither could go on.
"""

from threading import RLock
from typing import Final

__all__ = ["loading"]

loading: Final = RLock()
"""Held around every import, inside a function, of what needs redis-py."""
