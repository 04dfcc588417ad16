"""What stands in Django's tests where Django's own backends stood: ours, with what those tests ask of theirs.

Stored   for DummyBackend: enqueues and never runs. `results` is read back from the storage, not remembered.
Worked   for ImmediateBackend: a real worker runs the job before the caller goes on, and the result is read back.
InPlace  for ImmediateBackend, too: `is_async=False`, nothing stored. It is our backend as it stands.
"""

from asgiref.sync import sync_to_async

from typedgator.contrib.django.framework import TaskResult
from typedgator.contrib.django.tasks import TypedgatorBackend
from typedgator.wire.ids import shown_id
from typedgator.wire.states import JobState
from typedgator.worker import Worker


class Stored(TypedgatorBackend):
    @property
    def results(self) -> list[TaskResult]:
        backend = self.gator.backend
        records = [*backend.page(JobState.WAITING).records, *backend.page(JobState.SCHEDULED).records]
        return [self.get_result(shown_id(record.job_id)) for record in records]

    def clear(self) -> None:
        for state in (JobState.WAITING, JobState.SCHEDULED):
            while self.gator.backend.purge(state, limit=100):
                pass


class Worked(TypedgatorBackend):
    def enqueue(self, task, args, kwargs):
        return self._worked(super().enqueue(task, args, kwargs))

    async def aenqueue(self, task, args, kwargs):
        return await sync_to_async(self._worked)(await TypedgatorBackend.aenqueue(self, task, args, kwargs))

    def _worked(self, result: TaskResult) -> TaskResult:
        if self.gator.defaults.is_async is not False:
            Worker(self.gator, queues=("*",), concurrency=1, burst=True).run()
            result = self.get_result(result.id)
        return result


class InPlace(TypedgatorBackend):
    pass
