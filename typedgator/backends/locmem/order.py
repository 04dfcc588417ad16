"""Who comes next: the line of a queue, what falls due, what may be forgotten. No locks, no clock, no states.

Each structure answers in O(log n) or better and keeps nothing for long that it was told to drop.
"""

from collections import OrderedDict
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

from typedgator.backends.locmem.job import Job
from typedgator.wire.ids import JobId

__all__ = ["Agenda", "Line", "Memory"]

K = TypeVar("K", bound=bytes | str)


class Line:
    """The waiting jobs of one queue: two lanes for each priority, those that came back before those that never left.

    A place is always the last of its lane, so that order needs no numbers but to say where a page ended.
    """

    __slots__ = ("_lanes", "_places")

    def __init__(self) -> None:
        self._lanes: dict[int, OrderedDict[JobId, Job]] = {}
        self._places = 0

    def __len__(self) -> int:
        return sum(map(len, self._lanes.values()))

    def add(self, job: Job, *, returned: bool) -> None:
        """The job takes the last place of its lane."""
        lane = 2 * (255 - job.priority) + (not returned)
        if lane not in self._lanes:
            self._lanes[lane] = OrderedDict()
            # Sorted once here, so that looking for the first needs no sorting.
            self._lanes = dict(sorted(self._lanes.items()))
        self._places += 1
        job.lane, job.place = lane, self._places
        self._lanes[lane][job.id] = job

    def drop(self, job: Job) -> None:
        """The job gives up its place."""
        del self._lanes[job.lane][job.id]

    def first(self) -> Job | None:
        """Who is next."""
        for jobs in self._lanes.values():
            if jobs:
                return next(iter(jobs.values()))
        return None

    def after(self, lane: int, place: int) -> Iterator[Job]:
        """Everyone behind a place, in order."""
        for number, jobs in self._lanes.items():
            if number >= lane:
                yield from (job for job in jobs.values() if number > lane or job.place > place)


class Agenda(Generic[K]):
    """When what falls due. `drop` leaves a void entry; void ones are swept when they are more than half."""

    __slots__ = ("_heap", "_when")

    def __init__(self) -> None:
        self._when: dict[K, int] = {}
        self._heap: list[tuple[int, K]] = []

    def __len__(self) -> int:
        return len(self._when)

    def __contains__(self, key: K) -> bool:
        return key in self._when

    def __iter__(self) -> Iterator[K]:
        return iter(self._when)

    def put(self, when_ms: int, key: K) -> None:
        """Falls due at `when_ms`, and no longer at what was said before."""
        self._when[key] = when_ms
        heappush(self._heap, (when_ms, key))
        if len(self._heap) > 2 * len(self._when) + 64:
            self._heap = [(when, key) for key, when in self._when.items()]
            heapify(self._heap)

    def drop(self, key: K) -> None:
        """Falls due no more."""
        self._when.pop(key, None)

    def next_ms(self) -> int | None:
        """When the next one falls due."""
        while self._heap:
            when, key = self._heap[0]
            if self._when.get(key) == when:
                return when
            heappop(self._heap)
        return None

    def pop(self, now_ms: int) -> K | None:
        """The one that fell due first, ties by key; None when nothing is due."""
        when = self.next_ms()
        if when is None or when > now_ms:
            return None
        key = heappop(self._heap)[1]
        del self._when[key]
        return key


class Memory:
    """Ids by the second after which they may go: one list for each second, since a finished job must cost little."""

    __slots__ = ("_ids", "_seconds")

    def __init__(self) -> None:
        self._ids: dict[int, list[JobId]] = {}
        self._seconds: list[int] = []

    def put(self, until_ms: int, job_id: JobId) -> None:
        """May go after `until_ms`, within a second."""
        second = until_ms // 1000 + 1
        ids = self._ids.get(second)
        if ids is None:
            ids = self._ids[second] = []
            heappush(self._seconds, second)
        ids.append(job_id)

    def pop(self, now_ms: int) -> JobId | None:
        """One that may go now; its owner asks whether that still holds."""
        while self._seconds and self._seconds[0] * 1000 <= now_ms:
            if ids := self._ids[self._seconds[0]]:
                return ids.pop()
            del self._ids[heappop(self._seconds)]
        return None
