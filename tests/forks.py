"""How a process may fork: Python's way, and that of a server such as uWSGI, which says nothing to the interpreter."""

import ctypes
import os
import sys
from typing import Final

import pytest

__all__ = ["FORKS"]


def untold() -> int:
    """As `os.fork`, but no hook runs in the child."""
    return int(ctypes.PyDLL(None).fork())


FORKS: Final = [
    os.fork,
    pytest.param(untold, marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who was not told")),
]
