"""Django's tasks framework: `django.tasks` from Django 6 on, its backport `django-tasks` before."""

from typing import TYPE_CHECKING

import django

from typedgator.errors import ConfigurationError

if TYPE_CHECKING or django.VERSION >= (6, 0):
    # The ignores: there is no such module where the type checkers look, in Django 5.2.
    from django.tasks import TaskResultStatus, task_backends  # pyright: ignore[reportMissingModuleSource]
    from django.tasks.backends.base import BaseTaskBackend  # pyright: ignore[reportMissingModuleSource]
    from django.tasks.base import Task, TaskContext, TaskError, TaskResult  # pyright: ignore[reportMissingModuleSource]
    from django.tasks.exceptions import InvalidTask, TaskResultDoesNotExist  # pyright: ignore[reportMissingModuleSource]
    from django.tasks.signals import task_enqueued, task_finished, task_started  # pyright: ignore[reportMissingModuleSource]
    from django.utils.json import normalize_json  # pyright: ignore[reportMissingModuleSource]
else:
    try:
        from django_tasks import TaskResultStatus, task_backends
        from django_tasks.backends.base import BaseTaskBackend
        from django_tasks.base import Task, TaskContext, TaskError, TaskResult
        from django_tasks.exceptions import InvalidTaskError as InvalidTask
        from django_tasks.exceptions import TaskResultDoesNotExist
        from django_tasks.signals import task_enqueued, task_finished, task_started
        from django_tasks.utils import normalize_json
    except ModuleNotFoundError as error:
        if error.name != "django_tasks":
            raise
        raise ConfigurationError(
            "before Django 6, TASKS needs the backport of Django's tasks framework: pip install django-tasks"
        ) from None

__all__ = [
    "BaseTaskBackend",
    "InvalidTask",
    "Task",
    "TaskContext",
    "TaskError",
    "TaskResult",
    "TaskResultDoesNotExist",
    "TaskResultStatus",
    "normalize_json",
    "task_backends",
    "task_enqueued",
    "task_finished",
    "task_started",
]
