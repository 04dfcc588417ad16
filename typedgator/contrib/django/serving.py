"""Which queues a worker of this project serves when nobody says: the default one, and those of TASKS."""

from django.conf import settings

from typedgator.backends.contract import EVERY_QUEUE
from typedgator.policy.options import DEFAULT_QUEUE

__all__ = ["has_tasks", "served_queues"]


def has_tasks() -> bool:
    """Whether TASKS names any backend."""
    return bool(getattr(settings, "TASKS", None))


def served_queues() -> list[str]:
    """The default queue, and the queues of every TypedgatorBackend in TASKS; `*` when one of them takes any."""
    if not has_tasks():
        return [DEFAULT_QUEUE]
    from typedgator.contrib.django.framework import task_backends
    from typedgator.contrib.django.tasks import TypedgatorBackend

    found = [DEFAULT_QUEUE]
    for backend in task_backends.all():
        if isinstance(backend, TypedgatorBackend):
            found += sorted(backend.queues) or [EVERY_QUEUE]
    return [EVERY_QUEUE] if EVERY_QUEUE in found else list(dict.fromkeys(found))
