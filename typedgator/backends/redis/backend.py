"""The verbs over one Redis server: each one script, atomic there. What a script does stands in its own head.

Nothing here loads redis-py before a verb is used: a process that only declares tasks need not wait for it.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from typedgator.backends.checkup import Checkup
from typedgator.backends.contract import (
    Beat,
    CancelAnswer,
    Capabilities,
    Claimed,
    Counts,
    HeldKind,
    JobRecord,
    Page,
    Receipt,
    Settled,
    Upkeep,
    WorkerId,
)
from typedgator.backends.redis import accepting, reading
from typedgator.backends.redis.caller import Answer, Caller
from typedgator.backends.redis.canceling import canceling
from typedgator.backends.redis.driver import loading
from typedgator.backends.redis.place import Place
from typedgator.backends.redis.pressing import press
from typedgator.backends.redis.request import Request
from typedgator.backends.redis.series import accept_series
from typedgator.backends.redis.settling import AT_ONCE, SETTLED_AT_ONCE, words_of
from typedgator.clock import Clock, SystemClock
from typedgator.errors import ConfigurationError, NotReplicated, WorkerLapsed
from typedgator.wire.frame import Frame
from typedgator.wire.ids import JobId, new_id, shown_id
from typedgator.wire.mould import Series, Shape
from typedgator.wire.states import FINAL, JobState
from typedgator.wire.verdict import Settlement, Token

if TYPE_CHECKING:
    from typedgator.backends.redis.aio import AsyncRedis
    from typedgator.backends.redis.link import Link

__all__ = ["RedisBackend"]

logger: Final = logging.getLogger("typedgator.redis")

Ask: TypeAlias = Callable[[Request], object]
_CAN: Final = Capabilities(
    durable=True, shared=True, exchange=True, owned=True, wake=True, native_async=True, series=True
)
_LIMIT: Final = 1024
"""One claim is never larger, so that no script holds the server for long."""
_LOOK_S: Final = 5.0
"""Who waits looks up this often, whatever happens."""
_PURGEABLE: Final = frozenset(JobState) - {JobState.RUNNING, JobState.SUCCESS, JobState.CANCELED}


class RedisBackend:
    """One namespace of a Redis or Valkey server, for any number of processes and machines."""

    def __init__(self, place: Place, *, namespace: str = "default", clock: Clock | None = None) -> None:
        self.place = place
        self.namespace = namespace
        self.clock: Clock = clock or SystemClock()
        self.caller: Caller = Caller(place, namespace, self.clock)
        self._loops: AsyncRedis | None = None
        self._serving: dict[WorkerId, tuple[str, ...]] = {}
        self._quiet: dict[WorkerId, tuple[float, bool]] = {}
        self._woken: set[WorkerId] = set()

    def __repr__(self) -> str:
        return f"RedisBackend({str(self.place)!r}, namespace={self.namespace!r})"

    @property
    def link(self) -> "Link":
        """The way to the server, for threads."""
        return self.caller.link

    @cached_property
    def on_loops(self) -> "AsyncRedis":
        """The verbs of callers on an event loop."""
        with loading:  # loops that come at once have one between them
            from typedgator.backends.redis.aio import AsyncRedis

            self._loops = self._loops or AsyncRedis(self.caller)
        return self._loops

    @property
    def can(self) -> Capabilities:
        """What this backend promises."""
        return _CAN

    def open(self) -> None:
        """Connects, and checks that this server keeps what it is given."""
        with loading:
            from typedgator.backends.redis.opening import check

        check(self.caller)

    def examine(self, *, audit: bool | None = None) -> Checkup:
        """What this server would lose, and how it fares."""
        with loading:
            from typedgator.backends.redis.doctor import examine

        return examine(self, audit=audit)

    def close(self) -> None:
        """Hangs up, for all threads and event loops."""
        self.caller.close()
        if "on_loops" in vars(self):
            self.on_loops.close()

    # The core

    def enqueue(self, frames: Sequence[Frame], /) -> list[Receipt]:
        """Accepts all of the frames or none."""
        if not self.caller.trusted:
            self.open()
        return accepting.accept(self.caller, frames)

    def enqueue_series(self, series: Series, /) -> Iterator[list[int]]:
        """Accepts plain jobs that differ only in id and arguments, the next write on its way while one is looked at."""
        if not self.caller.trusted:
            self.open()
        return accept_series(self.caller, series)

    def press(self, shape: Shape, /) -> Callable[[bytes], JobId] | None:
        """What accepts one job of this shape after the other."""
        return press(self.caller, shape, self.open) if self.caller.presses else None

    def apress(self, shape: Shape, /) -> Callable[[bytes], Awaitable[JobId]] | None:
        """The same for event loops."""
        return self.on_loops.press(shape) if self.caller.presses else None

    def join(self, queues: Sequence[str], /, *, lease_ms: int) -> WorkerId:
        """A fresh identity; its lease starts now."""
        worker = WorkerId(new_id().hex())
        queues = tuple(dict.fromkeys(queues))
        self.caller.run("join", (self.caller.keys.own(worker),), (worker, lease_ms, " ".join(queues)))
        self._serving[worker] = queues
        return worker

    def leave(self, worker: WorkerId, /) -> None:
        """What it still held comes back, attempts given back."""
        (told,) = self.caller.run_whole("leave", self.caller.own(worker), (worker,))
        self._forget(worker)
        self.caller.tell(told)

    def claim(self, worker: WorkerId, /, *, limit: int, wait_ms: int, seen: Token) -> list[Claimed]:
        """Lost replies again, else new jobs, else waits for some. Raises WorkerLapsed."""
        ends = time.monotonic() + wait_ms / 1000
        until, alone = self._quiet.pop(worker, (0.0, False)) if wait_ms else (0.0, False)
        wait = self._waiting(worker, until, ends, alone=alone)
        while True:
            answer = self._claim(worker, limit, seen, wait)
            if answer[0] == b"jobs":
                return _claimed(answer)
            now = time.monotonic()
            until, alone = now + int(cast(bytes, answer[1])) / 1000, bool(answer[2])
            if worker in self._woken:
                # Only now: the token that ended the wait may have been that of a job, and woke nobody else.
                self._woken.discard(worker)
                return []
            if now >= ends:
                # Until then nothing can come that would not wake us: the next call may wait at once.
                self._quiet[worker] = until, alone
                return []
            wait = self._waiting(worker, until, ends, alone=alone)

    def _waiting(self, worker: WorkerId, until: float, ends: float, *, alone: bool) -> Ask | None:
        """How to ask for jobs after a wait for them; None when there is nothing to wait for."""
        seconds = min(until, ends) - time.monotonic()
        if seconds <= 0:
            return None
        lists = [self.caller.keys.idle(worker), *(() if alone else self._lists(worker))]
        return lambda request: self.link.wait_and_run(lists, seconds, request, sharp=until < ends)

    def _claim(self, worker: WorkerId, limit: int, seen: Token, wait: Ask | None = None) -> Answer:
        queues = self._queues(worker)
        words = worker, min(limit, _LIMIT), seen, int(wait is not None)
        while True:
            answer, told = self.caller.do(
                self.caller.whole("claim", self.caller.own(worker), lambda roster: (*words, *roster.serving(queues))),
                wait,
            )
            wait = None
            self.caller.tell(told)
            claim = cast(Answer, answer)
            if claim[0] == b"reap":
                self._reap(cast(list[bytes], claim[1]), AT_ONCE)
            elif claim[0] == b"lapsed":
                raise self._lapsed(worker)
            else:
                return claim

    def _lapsed(self, worker: WorkerId) -> WorkerLapsed:
        self._forget(worker)
        return WorkerLapsed(f"the lease of worker {worker} ended, or it left: join again before the next claim")

    def _forget(self, worker: WorkerId) -> None:
        self._serving.pop(worker, None)
        self._quiet.pop(worker, None)
        self._woken.discard(worker)

    def _queues(self, worker: WorkerId) -> tuple[str, ...]:
        """The queues that a worker serves, as it said when it joined. Raises WorkerLapsed."""
        queues = self._serving.get(worker)
        if queues is None:
            said = cast("bytes | None", self.link.ask("HGET", self.caller.keys.named("workers"), worker))
            # Nobody claims under an identity that is over; what it had is reaped by the next claim of another.
            queues = () if said is None else tuple(said.decode().split(" ")[1:])
            if said is not None:
                self._serving[worker] = queues
        return queues

    def _lists(self, worker: WorkerId) -> list[bytes]:
        return [self.caller.keys.wake(queue) for queue in self._queues(worker)]

    def _reap(self, workers: Sequence[bytes], limit: int) -> tuple[int, int]:
        names = list(dict.fromkeys(workers))
        own = [key for name in names for key in self.caller.own(WorkerId(name.decode()))]
        back, failed, told = self.caller.run_whole("reap", own, (limit, *names))
        self.caller.tell(told)
        return cast(int, back), cast(int, failed)

    def beat(self, worker: WorkerId, tokens: Sequence[Token], /) -> Beat:
        """The worker's lease starts anew, also when it ended and nobody noticed."""
        own = (self.caller.keys.own(worker),)
        lapsed, *rest = cast(Answer, self.caller.run("beat", own, (worker, *tokens)))
        if lapsed:
            return Beat(list(tokens), [], lapsed=True)
        lost, stopping = ([tokens[number - 1] for number in cast(list[int], numbers)] for numbers in rest)
        return Beat(lost, stopping)

    def settle(self, worker: WorkerId, settlements: Sequence[Settlement], /) -> list[Settled]:
        """Ends attempts."""
        answers: list[Settled] = []
        for start in range(0, len(settlements), SETTLED_AT_ONCE):
            some = settlements[start : start + SETTLED_AT_ONCE]
            lost, told = self.caller.run_whole("settle", self.caller.own(worker), (worker, *words_of(some)))
            answers += _settled(len(some), lost)
            self.caller.tell(told)
        return answers

    def exchange(
        self, worker: WorkerId, settlements: Sequence[Settlement], /, *, limit: int, seen: Token
    ) -> tuple[list[Settled], list[Claimed]]:
        """Settles and claims in one round trip."""
        settled: list[Settled] = []
        if len(settlements) > SETTLED_AT_ONCE:
            settled = self.settle(worker, settlements[:-SETTLED_AT_ONCE])
            settlements = settlements[-SETTLED_AT_ONCE:]
        queues, words = self._queues(worker), words_of(settlements)
        head = worker, min(limit, _LIMIT), seen

        def args(serving: list[str]) -> tuple[bytes | str | int, ...]:
            return *head, len(serving), *serving, *words

        lost, answer, told = self.caller.run_whole(
            "exchange", self.caller.own(worker), lambda roster: args(roster.serving(queues))
        )
        self.caller.tell(told)
        settled += _settled(len(settlements), lost)
        claim = cast(Answer, answer)
        if claim[0] == b"reap":
            claim = self._claim(worker, limit, seen)
        elif claim[0] == b"lapsed":
            raise self._lapsed(worker)
        return settled, _claimed(claim) if claim[0] == b"jobs" else []

    def cancel(self, job_id: JobId, /) -> CancelAnswer:
        """Ends a job that is not running; asks a running one to stop."""
        return self.caller.do(canceling(self.caller, job_id))

    def maintain(self, *, limit: int) -> Upkeep:
        """Up to `limit` of each kind; `more` when one of them reached it."""
        limit = min(limit, AT_ONCE)
        reclaimed = crashed = 0
        while True:
            answer = self.caller.run_whole("maintain", (), (limit, limit - crashed))
            promoted, expired, failed, forgotten, late, told = cast(
                "tuple[int, int, int, int, list[bytes], object]", tuple(answer)
            )
            self.caller.tell(told)
            if not late:
                break
            back, gone = self._reap(late, limit - reclaimed - crashed)
            reclaimed, crashed = reclaimed + back, crashed + gone
            if reclaimed + crashed >= limit:
                break
        return Upkeep(
            promoted=promoted,
            reclaimed=reclaimed,
            failed=crashed + failed,
            expired=expired,
            pruned=forgotten,
            more=limit in (promoted, reclaimed + crashed, crashed + failed, expired, forgotten),
        )

    # Results, Inspect

    def outcome(self, job_id: JobId, /, *, wait_ms: int) -> JobRecord | None:
        """The record once the state is final, or as it stands after `wait_ms`."""
        ends = time.monotonic() + wait_ms / 1000
        box = new_id().hex().encode()
        while True:
            record = self.find(job_id)
            left = ends - time.monotonic()
            if record is None or record.state in FINAL or left <= 0:
                return record
            if self.caller.run("watch", (), (job_id, box)) and not self.link.wait(
                [self.caller.keys.told(box)], min(left, _LOOK_S)
            ):
                self.caller.run("unwatch", (), (job_id, box))

    def counts(self) -> Counts:
        """How many jobs there are."""
        return reading.counts(self.caller)

    def find(self, job_id: JobId, /) -> JobRecord | None:
        """What is known of one job."""
        return reading.records(self.caller, [job_id])[0]

    def page(self, state: JobState, /, *, queue: str | None = None, after: str | None = None, limit: int = 100) -> Page:
        """Jobs in one state."""
        return reading.page(self.caller, state, queue, after, limit)

    # Operate

    def requeue(self, job_id: JobId, /) -> bool:
        """A dead letter or a held job begins again."""
        try:
            return bool(self.caller.run_whole("requeue", (), (job_id,), again=False)[0])
        except NotReplicated as error:
            raise error.about([shown_id(job_id)]) from None

    def purge(self, state: JobState, /, *, queue: str | None = None, limit: int) -> int:
        """Removes up to `limit` jobs in a state."""
        if state not in _PURGEABLE:
            raise ConfigurationError(
                f"jobs in state {state} cannot be purged: choose one of {', '.join(sorted(_PURGEABLE))}"
            )
        purged = 0
        while purged < limit:
            found = self.page(state, queue=queue, limit=min(limit - purged, AT_ONCE)).records
            if not found:
                break
            words = (state.value, *(record.job_id for record in found))
            count, told = self.caller.run_whole("purge", (), words, again=False)
            self.caller.tell(told)
            purged += cast(int, count)
        return purged

    def pause(self, queue: str, /) -> None:
        """The queue hands out nothing."""
        self._pause(queue, "1")

    def resume(self, queue: str, /) -> None:
        """The queue hands out again."""
        self._pause(queue, "0")

    def _pause(self, queue: str, how: str) -> None:
        keys = self.caller.keys
        self.caller.run("pause", (keys.ready(queue), keys.wake(queue)), (queue, how))

    def take(self, worker: WorkerId, job_id: JobId, /) -> Claimed | None:
        """Claims this one job. Raises WorkerLapsed."""
        answer, told = self.caller.run_whole("take", self.caller.own(worker), (worker, job_id), again=False)
        self.caller.tell(told)
        taken = cast(Answer, answer)
        if taken[0] == b"lapsed":
            raise self._lapsed(worker)
        return _claimed(taken)[0] if taken[0] == b"jobs" else None

    # Holding, Notes

    def held_kinds(self) -> list[HeldKind]:
        """What held jobs wait for."""
        return reading.held_kinds(self.caller)

    def release_held(self, kinds: Sequence[HeldKind], /) -> int:
        """Held jobs of these kinds become waiting."""
        wanted = list(dict.fromkeys(f"{kind.task}\0{kind.schema}" for kind in kinds))
        released, more = 0, bool(wanted)
        while more:
            some, left = self.caller.run_whole("release_held", (), (AT_ONCE, *wanted), again=False)
            released, more = released + cast(int, some), bool(left)
        return released

    def note(self, worker: WorkerId, token: Token, progress: bytes, /) -> bool:
        """Keeps progress beside a running job."""
        return bool(self.caller.run("note", (self.caller.keys.own(worker),), (worker, token, progress)))

    # Owning, Waking

    def owned(self, worker: WorkerId, /) -> list[tuple[JobId, Token]]:
        """What runs under this identity, by token."""
        found = cast(list[bytes], self.caller.run("owned", (self.caller.keys.own(worker),), (worker,)))
        pairs = zip(found[::2], found[1::2], strict=True)
        return sorted(((JobId(job_id), int(token)) for job_id, token in pairs), key=itemgetter(1))

    def wake(self, worker: WorkerId, /) -> None:
        """A claim of this worker that waits now answers."""
        if worker in self._serving:
            self._woken.add(worker)
            self.link.run(Request(self.caller.script("tell"), (self.caller.keys.idle(worker),), ("1",)))

    # AsyncBackend

    def aenqueue(self, frames: Sequence[Frame], /) -> Coroutine[object, None, list[Receipt]]:
        """Accepts all of the frames or none."""
        return self.on_loops.aenqueue(frames)

    def acancel(self, job_id: JobId, /) -> Coroutine[object, None, CancelAnswer]:
        """Ends a job that is not running; asks a running one to stop."""
        return self.on_loops.acancel(job_id)

    def aoutcome(self, job_id: JobId, /, *, wait_ms: int) -> Coroutine[object, None, JobRecord | None]:
        """The record once the state is final, or as it stands after `wait_ms`."""
        return self.on_loops.aoutcome(job_id, wait_ms=wait_ms)

    def aclose(self) -> Coroutine[object, None, None]:
        """Hangs up the lines of this event loop."""
        return self.on_loops.aclose()


def _settled(n: int, lost: object) -> list[Settled]:
    answers = [Settled.WRITTEN] * n
    for number in cast(list[int], lost):
        answers[number - 1] = Settled.LOST
    return answers


def _claimed(answer: Answer) -> list[Claimed]:
    tokens, ids, frames = cast("tuple[bytes | list[bytes], list[bytes], list[bytes]]", tuple(answer[1:4]))
    if isinstance(tokens, bytes):
        first = int(tokens)
        granted: Sequence[int] = range(first, first + len(ids))
    else:
        granted = [int(token) for token in tokens]
    if len(answer) == 4:
        return [
            Claimed(JobId(job_id), token, 1, 0, frame)
            for job_id, token, frame in zip(ids, granted, frames, strict=True)
        ]
    attempts, crashes = cast(list[list[int]], answer[4:6])
    return [
        Claimed(JobId(job_id), token, int(attempt), int(crash), frame)
        for job_id, token, frame, attempt, crash in zip(ids, granted, frames, attempts, crashes, strict=True)
    ]
