"""System checks: what `manage.py check` says of the settings, of the gator and of every task."""

from collections.abc import Sequence

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's name

from typedgator.contrib.django.conf import SETTING, problems
from typedgator.contrib.django.current import current_gator
from typedgator.contrib.django.discovery import refused
from typedgator.contrib.django.gator import made
from typedgator.errors import ConfigurationError

__all__ = ["check_gator", "check_settings", "check_tasks"]


def check_settings(app_configs: Sequence[AppConfig] | None = None, **others: object) -> list[CheckMessage]:
    """E001: a key or value of TYPEDGATOR that cannot mean anything."""
    return [Error(problem, hint=f"Look at {SETTING} in your settings.", id="typedgator.E001") for problem in problems()]


def check_gator(app_configs: Sequence[AppConfig] | None = None, **others: object) -> list[CheckMessage]:
    """E002: GATOR names nothing that serves. E005: tasks that no worker of this project has. W001: jobs are kept in the
    memory of each process.
    """
    if problems():
        return []
    try:
        gator = current_gator()
    except ConfigurationError as error:
        return [Error(str(error), id="typedgator.E002")]
    if gator.defaults.is_async is False:
        return []
    found: list[CheckMessage] = []
    if not gator.backend.can.shared and not settings.DEBUG:
        found.append(
            Warning(
                f"{SETTING} keeps jobs in the memory of each process: no worker sees them, and they end with it.",
                hint='Use "redis://…" or "sqlite:///…", or "OPTIONS": {"is_async": False}.',
                id="typedgator.W001",
            )
        )
    strangers = sorted(task.spec.name for other in made if other is not gator for task in other.registry)
    if strangers:
        found.append(
            Error(
                f"registered with another gator than that of this project, whose worker cannot run them: "
                f"{', '.join(strangers)}",
                hint=f'Make one `gator = DjangoGator()`, and name it: {SETTING}["GATOR"] = "myapp.gator:gator".',
                id="typedgator.E005",
            )
        )
    return found


def check_tasks(app_configs: Sequence[AppConfig] | None = None, **others: object) -> list[CheckMessage]:
    """E003: what registration refuses, such as a parameter that is a model; its sentence has the way out."""
    known = problems()  # E001 says those
    return [
        Error(each.message, obj=f"{each.file}:{each.line}", id="typedgator.E003")
        for each in refused
        if each.message not in known
    ]
