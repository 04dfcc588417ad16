"""Queue: how many jobs wait where, and what an operator does about it."""

from typing import Final

from typedgator.backends.contract import Backend, Inspect, Operate
from typedgator.errors import Unsupported
from typedgator.wire.states import JobState

__all__ = ["Queue", "inspecting", "operating"]

_SLICE: Final = 256


class Queue:
    """One queue of a gator, by name. It exists as soon as something is enqueued."""

    def __init__(self, backend: Backend, name: str) -> None:
        self._backend = backend
        self.name: Final = name

    def __len__(self) -> int:
        """How many jobs are due and wait for a worker."""
        return self.counts().get(JobState.WAITING, 0)

    def __bool__(self) -> bool:
        """A queue is always true, also when it is empty: ask `len(queue)`."""
        return True

    def counts(self) -> dict[JobState, int]:
        """How many jobs are in each state; states without a job are left out."""
        return dict(inspecting(self._backend).counts().queues.get(self.name, {}))

    @property
    def paused(self) -> bool:
        """Whether it hands out nothing. Asks the backend."""
        return self.name in inspecting(self._backend).counts().paused

    def pause(self) -> None:
        """Goes on accepting jobs, but hands out none."""
        operating(self._backend).pause(self.name)

    def resume(self) -> None:
        """Undoes `pause`."""
        operating(self._backend).resume(self.name)

    def purge(self, state: JobState = JobState.WAITING) -> int:
        """Removes every job that is in this state and has not started; failed ones are forgotten. How many it were."""
        backend = operating(self._backend)
        removed = 0
        while some := backend.purge(state, queue=self.name, limit=_SLICE):
            removed += some
        return removed

    def __repr__(self) -> str:
        return f"<Queue {self.name}>"


def inspecting(backend: Backend) -> Inspect:
    """The backend's reading face. Raises Unsupported when it has none."""
    if not isinstance(backend, Inspect):
        raise Unsupported(
            "this backend cannot be looked into, see its `can.inspect`; `typedgator doctor` tells what it knows"
        )
    return backend


def operating(backend: Backend) -> Operate:
    """The backend's operator's face. Raises Unsupported when it has none."""
    if not isinstance(backend, Operate):
        raise Unsupported("this backend cannot be operated by hand: see its `can.operate`")
    return backend
