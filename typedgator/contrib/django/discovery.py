"""Imports `tasks.py` of every installed app, so that a worker knows all tasks, and a web process every mistake.

Under `manage.py`, where system checks follow, what registration refuses is written down and the import goes on: `check`
then reports all of it. Everywhere else (WSGI, ASGI, scripts) the first refusal ends the start, as import errors do.
"""

import sys
from importlib import import_module
from types import FrameType
from typing import Final

from django.apps import apps
from django.utils.module_loading import module_has_submodule

from typedgator.contrib.django.gator import made
from typedgator.refusals import Refused, collecting

__all__ = ["discover", "refused"]

OURS: Final = "typedgator.contrib.django"
refused: Final[list[Refused]] = []
"""What registration refused when Django was set up."""


def discover() -> None:
    """Imports them. Raises what they raise, unless system checks will report it."""
    if not _checks_follow(sys._getframe()):  # pyright: ignore[reportPrivateUsage]  # the one way to know who asks
        _import_tasks()
        return
    with collecting() as found:
        _import_tasks()
    refused[:] = found
    if found:
        for gator in list(made):
            gator.refuse(found[0].message)


def _import_tasks() -> None:
    for config in apps.get_app_configs():
        if config.name != OURS and config.module is not None and module_has_submodule(config.module, "tasks"):
            import_module(f"{config.name}.tasks")


def _checks_follow(frame: FrameType | None) -> bool:
    """Whether a management command sets Django up."""
    while frame is not None:
        if frame.f_globals.get("__name__") == "django.core.management":
            return True
        frame = frame.f_back
    return False
