from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

class TaskResultStatus(Enum):
    READY = "READY"
    RUNNING = "RUNNING"
    FAILED = "FAILED"
    SUCCESSFUL = "SUCCESSFUL"

@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    func: Callable[..., object]
    priority: int
    backend: str
    queue_name: str
    run_after: datetime | None
    takes_context: bool
    @property
    def module_path(self) -> str: ...

@dataclass(frozen=True, slots=True, kw_only=True)
class TaskError:
    exception_class_path: str
    traceback: str

@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    task: Task
    id: str
    status: TaskResultStatus
    enqueued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    last_attempted_at: datetime | None
    args: list[object]
    kwargs: dict[str, object]
    backend: str
    errors: list[TaskError]
    worker_ids: list[str]

@dataclass(frozen=True, slots=True, kw_only=True)
class TaskContext:
    task_result: TaskResult
