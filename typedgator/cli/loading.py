"""From `MODULE:GATOR` to a Gator: imports the user's module as Python would from this folder.

Whatever goes wrong on the way is one sentence: a wrong path names the folder that was looked in, an error inside the
user's module its own last line.
"""

import importlib
import os
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Final

from typedgator.backends.connect import masked
from typedgator.cli.endings import Misuse, Refusal
from typedgator.gator import Gator
from typedgator.task import Hooked

__all__ = ["import_named", "load_gator"]

DEFAULT_NAME: Final = "gator"
_OURS: Final = str(Path(__file__).parents[1]) + os.sep


def load_gator(spec: str) -> Gator:
    """The gator that `MODULE` or `MODULE:GATOR` names. Raises Refusal."""
    if "://" in spec:  # as Alligator's latergator took it; such a worker would know no task
        raise Misuse(
            f"{masked(spec)!r} is a DSN, not a module: name the module that registers the tasks, for example "
            "myapp.tasks; its gator, or TYPEDGATOR_CONN, says where the jobs are"
        )
    path, colon, name = spec.partition(":")
    if colon and not name:
        raise Misuse(f"{spec!r} ends after the colon: write MODULE:GATOR, or MODULE alone")
    module = import_named(path)
    return _named(module, name) if colon else _only(module)


def import_named(path: str) -> ModuleType:
    """Imports a module, this folder first. Raises Refusal."""
    if not path or not all(part.isidentifier() for part in path.split(".")):
        raise Misuse(f"{path!r} is not a module's name: {_meant(path)}")
    here = os.getcwd()
    if here not in sys.path[:1]:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        # A part of the path itself is missing, unlike an import inside the module.
        if error.name is not None and f"{path}.".startswith(f"{error.name}."):
            raise Misuse(f"there is no module {error.name} in {here} or elsewhere on Python's path") from None
        raise Refusal(_told(path, error)) from error
    except (Exception, SystemExit) as error:  # a user's module may raise anything while it is imported
        raise Refusal(_told(path, error)) from error


def _meant(path: str) -> str:
    guess = path.removesuffix(".py").replace(os.sep, ".").strip(".")
    if guess != path and all(part.isidentifier() for part in guess.split(".")):
        return f"did you mean {guess}?"
    return "write it as in an import statement, for example myapp.tasks"


def _told(path: str, error: BaseException) -> str:
    """The user's own last line, and what happened there."""
    said = "".join(traceback.format_exception_only(error)).splitlines()[-1].strip()
    if isinstance(error, SyntaxError) and error.filename:
        place, said = f"{_shown(error.filename)}:{error.lineno}", f"{type(error).__name__}: {error.msg}"
    else:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith((_OURS, "<frozen"))]
        own = [frame for frame in frames if frame.filename != importlib.__file__]
        if not own:
            return f"importing {path} failed: {said}"
        last = own[-1]
        place = f"{_shown(last.filename)}:{last.lineno}"
        said = f"{said} (at: {last.line})" if last.line else said
    return f"importing {path} failed at {place}: {said}"


def _shown(filename: str) -> str:
    relative = os.path.relpath(filename)
    return filename if relative.startswith("..") else relative


def _named(module: ModuleType, name: str) -> Gator:
    found: object = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise Misuse(f"module {module.__name__} has no attribute {name}{_others(module)}")
        found = getattr(found, part)
    if isinstance(found, Gator):
        return found
    what = "a task" if isinstance(found, Hooked) else f"of type {type(found).__name__}"
    raise Misuse(f"{module.__name__}:{name} is {what}, not a Gator{_others(module)}")


def _only(module: ModuleType) -> Gator:
    default = getattr(module, DEFAULT_NAME, None)
    if isinstance(default, Gator):
        return default
    gators = dict(_gators(module))
    if len(set(map(id, gators.values()))) == 1:
        return next(iter(gators.values()))
    if gators:
        raise Misuse(f"module {module.__name__} has several gators{_others(module)}")
    raise Misuse(f"module {module.__name__} has no Gator: write `gator = Gator()` there, or name the module that does")


def _gators(module: ModuleType) -> Iterable[tuple[str, Gator]]:
    return ((name, value) for name, value in vars(module).items() if isinstance(value, Gator))


def _others(module: ModuleType) -> str:
    names = sorted(name for name, _ in _gators(module))
    return f"; did you mean {' or '.join(f'{module.__name__}:{name}' for name in names)}?" if names else ""
