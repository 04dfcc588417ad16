"""The app: imports every `tasks.py`, and tells `manage.py check` all that is wrong with them."""

from importlib import import_module
from typing import Final

from django.apps import AppConfig
from django.core import checks

from typedgator.contrib.django.checks import check_gator, check_settings, check_tasks
from typedgator.contrib.django.discovery import discover
from typedgator.contrib.django.serving import has_tasks

__all__ = ["TypedgatorConfig"]

TAG: Final = "typedgator"


class TypedgatorConfig(AppConfig):
    """`"typedgator.contrib.django"` in INSTALLED_APPS."""

    name = "typedgator.contrib.django"
    label = "typedgator"
    verbose_name = "typedgator"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Imports the tasks of all installed apps."""
        for check in (check_settings, check_gator, check_tasks):
            checks.register(check, TAG)
        discover()
        if has_tasks():
            # Django checks the backends of TASKS once this is imported, which a project without such tasks never does.
            import_module("typedgator.contrib.django.framework")
