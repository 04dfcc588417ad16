"""Calls scripts with the keys that they write declared: knows the queues and workers, and asks anew when told to.

The scripts compare versions: a queue or a worker that the caller did not know of makes them answer with the list
instead, before anything is written.
"""

import logging
from collections.abc import Callable, Generator, Sequence
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar, cast

import msgspec

from typedgator.backends.contract import EVERY_QUEUE, WorkerId
from typedgator.backends.redis.driver import loading
from typedgator.backends.redis.keys import Keys
from typedgator.backends.redis.place import Place
from typedgator.backends.redis.request import Request, Word, pack
from typedgator.backends.redis.scripts import Script, script
from typedgator.clock import Clock, SystemClock
from typedgator.errors import BackendUnavailable

if TYPE_CHECKING:
    from typedgator.backends.redis.link import Link

__all__ = ["Answer", "Caller", "Crew", "Roster", "Steps"]

logger: Final = logging.getLogger("typedgator.redis")

T = TypeVar("T")
Answer: TypeAlias = list[object]
Steps: TypeAlias = Generator[Request, object, T]
"""Requests, each with its answer sent back: the same for a thread that blocks and for an event loop."""
_PROMISES: Final = frozenset({"enqueue", "cancel", "requeue", "purge", "pause"})
"""Scripts whose answer is a promise to the caller; `enqueue_plain` sees to itself."""
_ROUNDS: Final = 100
"""So often the list of queues or workers may change under one call."""


class Roster(msgspec.Struct, frozen=True):
    """The queues that there are, by name, and the version of this list."""

    version: bytes = b"0"
    queues: tuple[str, ...] = ()
    keys: tuple[bytes, ...] = ()

    def serving(self, queues: Sequence[str]) -> list[str]:
        """In the order of handing out; what is not there yet has nothing to give."""
        if EVERY_QUEUE not in queues:
            return [queue for queue in queues if queue in self.queues]
        listed = queues[: queues.index(EVERY_QUEUE)]
        return [*(queue for queue in listed if queue in self.queues), *(q for q in self.queues if q not in listed)]


class Crew(msgspec.Struct, frozen=True):
    """The workers that there are, and the version of this list."""

    version: bytes = b"0"
    workers: tuple[bytes, ...] = ()


class Caller:
    """A namespace of a server, and the scripts."""

    def __init__(self, place: Place, namespace: str, clock: Clock) -> None:
        self.place = place
        self.keys: Keys = Keys(namespace)
        self.clock = clock
        self.roster: Roster = Roster()
        self.crew: Crew = Crew()
        self.heads: dict[tuple[str, str], bytes] = {}
        """Of each script and queue that jobs are enqueued into one by one; filled by pressing.py."""
        self.careful: int = 0
        """So many calls more would ask in vain as if nothing had been sent twice lately; by pressing.py."""
        self.trusted: bool = False
        """The server was found to keep what it is given; by opening.py."""
        self._on_test_clock = not isinstance(clock, SystemClock)
        self._told_ms = -1
        self._clock_lock = Lock()
        self._made: Link | None = None
        self.confirm: tuple[Request, bytes] | None = None
        """Under `durability=replicated`: what is sent behind each write that ends in a promise to the caller."""
        if place.replicated:
            wait = pack((b"WAIT", 1, max(1, int(place.replica_timeout_s * 1000))))
            self.confirm = Request(self.script("fence"), (self.keys.named("meta"),), ()), wait

    @cached_property
    def link(self) -> "Link":
        """The way to the server. redis-py is loaded for it, which takes a while: not before somebody asks."""
        with loading:  # threads that come at once have one link between them
            from typedgator.backends.redis.link import Link

            self._made = self._made or Link(self.place, self.keys.named("meta"))
        return self._made

    def close(self) -> None:
        """Hangs up, if there is anything to hang up."""
        if self._made is not None:
            self._made.close()

    def script(self, name: str) -> Script:
        """A script that asks this backend's clock."""
        return script(name, clock_of_tests=self._on_test_clock)

    @property
    def presses(self) -> bool:
        """Whether a job can go without a Request: nothing is asked before it or behind it."""
        return self.confirm is None and not self._on_test_clock

    def tell_the_time(self) -> None:
        """The clock of a test is a key; the server's own needs no telling."""
        if self._on_test_clock:
            with self._clock_lock:
                now_ms = self.clock.now_ms()
                if now_ms != self._told_ms:
                    self.link.ask("SET", self.keys.fixed[-1], now_ms)
                    self._told_ms = now_ms

    def request(self, name: str, own: Sequence[bytes], args: Sequence[Word], *, again: bool = True) -> Request:
        """A script that touches the fixed keys and these."""
        confirm = self.confirm if name in _PROMISES else None
        return Request(self.script(name), (*self.keys.fixed, *own), args, again, confirm)

    def run(self, name: str, own: Sequence[bytes], args: Sequence[Word]) -> object:
        """The same, at once."""
        self.tell_the_time()
        return self.link.run(self.request(name, own, args))

    def whole(
        self,
        name: str,
        own: Sequence[bytes],
        args: Sequence[Word] | Callable[[Roster], Sequence[Word]],
        *,
        again: bool = True,
        crew: bool = False,
    ) -> Steps[Answer]:
        """A script that may touch every queue, and with `crew` read every worker's own: its answer after 'ok'."""
        for _ in range(_ROUNDS):
            roster, there = self.roster, self.crew
            keys = [*own, *roster.keys]
            words: list[Word] = [roster.version, there.version if crew else b""]
            if crew:
                keys += [self.keys.own(worker.decode()) for worker in there.workers]
                words += [len(there.workers), *there.workers]
            words += args(roster) if callable(args) else args
            answer = cast(Answer, (yield self.request(name, keys, words, again=again)))
            if answer[0] == b"ok":
                return answer[1:]
            _, version, names = cast(tuple[bytes, bytes, list[bytes]], answer)
            if answer[0] == b"crew":
                self.crew = Crew(version, tuple(names))
            else:
                self.learn(version, names)
        raise BackendUnavailable(f"{self.place}: the queues or workers changed under {name} {_ROUNDS} times")

    def run_whole(
        self,
        name: str,
        own: Sequence[bytes],
        args: Sequence[Word] | Callable[[Roster], Sequence[Word]],
        *,
        again: bool = True,
        crew: bool = False,
    ) -> Answer:
        """The same, at once."""
        return self.do(self.whole(name, own, args, again=again, crew=crew))

    def do(self, steps: Steps[T], first: Callable[[Request], object] | None = None) -> T:
        """Takes steps one after the other, on this thread's line; `first` takes the first of them."""
        self.tell_the_time()
        ask = first or self.link.run
        try:
            request = next(steps)
            while True:
                asking, ask = ask, self.link.run
                try:
                    answer = asking(request)
                except BackendUnavailable as error:
                    request = steps.throw(error)
                else:
                    request = steps.send(answer)
        except StopIteration as end:
            return cast(T, end.value)

    def learn(self, version: bytes, names: Sequence[bytes]) -> None:
        """Which queues there are."""
        queues = tuple(sorted(name.decode("ascii") for name in names))
        keys = tuple(key for queue in queues for key in (self.keys.ready(queue), self.keys.wake(queue)))
        self.roster = Roster(version, queues, keys)

    def tell(self, told: object) -> None:
        """Wakes those who wait for these ends."""
        if told:
            self.do(self.telling(told))

    def telling(self, told: object) -> Steps[None]:
        """`told` has pairs of id and mailboxes, as parts/ending.lua found them."""
        pairs = cast(list[bytes], told)
        words: dict[bytes, list[Word]] = {}
        for job_id, boxes in zip(pairs[::2], pairs[1::2], strict=True):
            for box in boxes.split():
                words.setdefault(box, []).append(job_id)
        for box, ids in words.items():
            try:
                yield Request(self.script("tell"), (self.keys.told(box),), ids)
            except BackendUnavailable as error:
                # What was written stays written; who waits looks again after a while.
                logger.debug("one who waits for outcomes could not be told: %s", error)

    def plain_keys(self, queue: str) -> tuple[bytes, ...]:
        """The keys of an enqueue of plain frames into one queue."""
        return *self.keys.plain, self.keys.ready(queue), self.keys.wake(queue)

    def own(self, worker: WorkerId) -> tuple[bytes, bytes]:
        """The keys of one worker."""
        return self.keys.own(worker), self.keys.idle(worker)
