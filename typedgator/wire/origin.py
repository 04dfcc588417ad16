"""Where the user's code stands: by which module's name another process would import it, and in which file and line.

The name is stored, so it must be the same there.

A script is `__main__` to itself and `__mp_main__` to a child that multiprocessing starts; everybody else imports it by
the name of its file.
"""

import asyncio
import concurrent.futures
import inspect
import linecache
import os
import sys
import threading
import types
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["Place", "calling_place", "importable_module", "place_of"]

_MAIN: Final = ("__main__", "__mp_main__")  # multiprocessing calls a script's second import by the other name


def importable_module(of: object) -> str | None:
    """The module that a worker started in the same folder would import; None when there is none (`python -c`)."""
    module = str(getattr(of, "__module__", None))
    if module not in _MAIN:
        return module
    # The function's own module: while multiprocessing imports a script again, sys.modules["__main__"] is another one.
    main: dict[str, object] = getattr(of, "__globals__", None) or vars(
        sys.modules.get(module) or sys.modules["__main__"]
    )
    spec, file = main.get("__spec__"), main.get("__file__")
    if isinstance(spec, ModuleSpec):
        return spec.name
    if isinstance(file, str) and Path(file).stem.isidentifier():
        return Path(file).stem
    return None


class Place(NamedTuple):
    """A line of the user's; as text it is `file:line`, the file as seen from the working folder."""

    file: str
    line: int

    @property
    def shown(self) -> str:
        """The file as seen from the working folder, when it is inside it."""
        try:
            relative = os.path.relpath(self.file)
        except (ValueError, OSError):  # another drive, or a working folder that is gone
            return self.file
        return self.file if self.file.startswith("<") or relative.startswith("..") else relative

    def __str__(self) -> str:
        return f"{self.shown}:{self.line}"


def place_of(fn: object) -> Place | None:
    """Where a function is defined: the line of its `def`, below its decorators."""
    code = getattr(inspect.unwrap(fn) if callable(fn) else fn, "__code__", None)
    if not isinstance(code, types.CodeType):
        return None
    line = code.co_firstlineno
    if code.co_name == "<lambda>":
        return Place(code.co_filename, line)
    for number, text in enumerate(linecache.getlines(code.co_filename)[line - 1 :], line):
        if text.lstrip().startswith(("def ", "async def ")):
            return Place(code.co_filename, number)
        if not text.strip():
            break  # a file that has changed meanwhile
    return Place(code.co_filename, line)


def calling_place() -> Place | None:
    """The line outside of typedgator that is being run; None where only an event loop or a thread called."""
    frame: types.FrameType | None = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    if frame is None or frame.f_code.co_filename.startswith(_NOBODYS):
        return None
    return Place(frame.f_code.co_filename, frame.f_lineno)


_OURS: Final = (str(Path(__file__).parents[1]) + os.sep, "<typedgator")
_NOBODYS: Final = (str(Path(asyncio.__file__).parent) + os.sep, threading.__file__, concurrent.futures.__path__[0])
