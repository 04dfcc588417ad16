"""Whether this process is a child of the one that looked before, also after a fork that Python was not told of.

uWSGI forks its workers without a word to the interpreter, unless `py-call-osafterfork` is set. What a child must not
share with its parent, such as a connection, or random bytes in store, is kept beside a `Mark`.
"""

import mmap
import os
import sys
from contextlib import suppress
from typing import Final
from weakref import WeakSet

__all__ = ["Mark"]

_WIPED_IN_CHILDREN: Final = 18
"""MADV_WIPEONFORK of Linux 4.14 and later, which Python has no name for."""


class Mark:
    """`here[0]` is 1 in the process that set the mark, and 0 in its children, until they `set` it.

    Looking is a tenth of the time that asking the system for the process's number takes.
    """

    __slots__ = ("__weakref__", "here")

    def __init__(self) -> None:
        private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if sys.platform == "linux" else {}
        self.here: Final = mmap.mmap(-1, mmap.PAGESIZE, **private)
        if private:
            with suppress(OSError):  # an old system: then a child knows by the hook below
                self.here.madvise(_WIPED_IN_CHILDREN)
        self.set()
        _marks.add(self)

    def set(self) -> None:
        """This process has seen to what it must not share."""
        self.here[0] = 1


_marks: Final[WeakSet[Mark]] = WeakSet()


def _forked() -> None:
    for mark in list(_marks):
        mark.here[0] = 0


os.register_at_fork(after_in_child=_forked)
