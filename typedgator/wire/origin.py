"""By which module's name another process would import a function or class; it is stored, so it must be the same there.

A script is `__main__` to itself and `__mp_main__` to a child that multiprocessing starts; everybody else imports it by
the name of its file.
"""

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Final

__all__ = ["importable_module"]

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
