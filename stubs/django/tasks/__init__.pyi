from collections.abc import Iterable

from django.tasks.backends.base import BaseTaskBackend
from django.tasks.base import TaskResultStatus as TaskResultStatus

class TaskBackendHandler:
    def all(self) -> Iterable[BaseTaskBackend]: ...

task_backends: TaskBackendHandler
