"""The workers that joined through one backend: what each holds, until when, and what it has settled.

SQS knows no workers. Their leases are kept here, by this process's own clock: messages are hidden from others for at
least as long, so whoever counts as lapsed here may have lost them, and nobody loses them before.
"""

import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from threading import Condition, Lock
from typing import Final

import msgspec

from typedgator.backends.contract import Claimed, WorkerId
from typedgator.backends.sqs.parcel import Parcel
from typedgator.clock import Clock
from typedgator.wire.verdict import Token

__all__ = ["Delivery", "Finished", "Held", "Member", "next_token"]

LONGEST_LEASE_S: Final = 43_200.0
"""So long at most a message is hidden."""
KNOWN_S: Final = 600.0
"""Settled attempts and finished jobs are known so long, in this process."""
SHUNNED_S: Final = 5.0
"""A queue that SQS turns down is left alone for so long."""
_granting: Final = Lock()
_granted: list[Token] = [0]


def next_token(clock: Clock) -> Token:
    """Microseconds since the epoch, and greater than any before in this process: as good as the machines' clocks."""
    with _granting:
        _granted[0] = max(_granted[0] + 1, clock.now_ms() * 1000)
        return _granted[0]


class Delivery(msgspec.Struct):
    """A job as it was received, and the handle by which it is ours."""

    url: str
    message_id: str
    """The same for each delivery of one message; another one for a copy that was sent."""
    handle: str
    parcel: Parcel
    """As it is sent again when this attempt is given back."""
    attempt: int
    crashes: int


class Held(msgspec.Struct):
    """A delivery that was handed out. `sent`: the kind of verdict whose copy was sent, its deletion still to come."""

    delivery: Delivery
    claimed: Claimed
    sent: str = ""


class Finished:
    """What was done in this process, for `KNOWN_S`: by its key, the oldest first."""

    def __init__(self) -> None:
        self._known: OrderedDict[object, tuple[float, str]] = OrderedDict()
        self._guard: Final = Lock()

    def add(self, key: object, words: str = "") -> None:
        """From now on it is known."""
        now = time.monotonic()
        with self._guard:
            self._known[key] = now + KNOWN_S, words
            while self._known and next(iter(self._known.values()))[0] < now:
                self._known.popitem(last=False)

    def find(self, key: object) -> str | None:
        """What was said of it; None: not known."""
        found = self._known.get(key)
        return None if found is None or found[0] < time.monotonic() else found[1]


class Member:
    """One identity. `guard` is held for its fields, never for a call; `settling` while attempts are ended."""

    def __init__(self, worker: WorkerId, queues: Sequence[str], lease_ms: int, now: float) -> None:
        self.worker: Final = worker
        self.queues: Final = tuple(dict.fromkeys(queues))
        self.lease_s: Final = min(lease_ms / 1000, LONGEST_LEASE_S)
        self.ends: float = now + self.lease_s
        """On the clock's monotonic time."""
        self.guard: Final = Condition()
        self.settling: Final = Lock()
        self.held: Final[dict[Token, Held]] = {}
        self.inbox: list[Delivery] = []
        """Received, and not handed out yet."""
        self.polls: Final[set[str]] = set()
        """Queues that are being waited at, with nothing heard yet."""
        self.spent: Final = Finished()
        self.woken: bool = False
        self.over: bool = False
        self.careful: bool = False
        """There are suspects about: jobs are received one by one, lest they share a crash."""
        self.trouble: Exception | None = None
        """What a wait ended with."""
        self._shunned: Final[dict[str, tuple[float, Exception]]] = {}

    @property
    def hide_s(self) -> int:
        """How long others do not see what this worker receives: its lease, in whole seconds."""
        return -int(-self.lease_s // 1)

    @property
    def has_suspect(self) -> bool:
        """Whether a job is in hand that has a crash behind it."""
        return any(held.claimed.crashes for held in list(self.held.values()))

    def shun(self, queue: str, why: Exception) -> None:
        """Asks nothing of this queue for a while."""
        self._shunned[queue] = time.monotonic() + SHUNNED_S, why

    def is_shunned(self, queue: str) -> bool:
        """Whether that while lasts."""
        found = self._shunned.get(queue)
        return found is not None and time.monotonic() < found[0]

    def unless_shunned(self) -> list[Claimed]:
        """Nothing; but raises the newest reason where a queue is shunned, and from then on none is."""
        now = time.monotonic()
        why = [reason for until, reason in list(self._shunned.values()) if now < until]
        self._shunned.clear()
        if why:
            raise why[-1]
        return []

    def lost_replies(self, seen: Token, limit: int) -> list[Claimed]:
        """What was handed out and not heard of."""
        return [held.claimed for token, held in sorted(self.held.items()) if token > seen][:limit]

    def renewed(self, message_id: str, handle: str) -> bool:
        """Whether this worker has the message already: then this is its handle from now on."""
        mine = (*(held.delivery for held in self.held.values()), *self.inbox)
        for each in mine:
            if each.message_id == message_id:
                each.handle = handle
                return True
        return False

    def deal(self, limit: int, clock: Clock) -> tuple[list[Claimed], list[Delivery]]:
        """Hands out what is in the inbox: up to the first suspect, or a suspect alone; and what had better go back.

        Nothing stays beside a suspect: it would share its crash.
        """
        count = next((n for n, each in enumerate(self.inbox) if each.crashes), None)
        if count is None:
            ready, self.inbox = self.inbox[:limit], self.inbox[limit:]
            back: list[Delivery] = []
        else:
            ready = self.inbox[: min(limit, max(count, 1))]
            back, self.inbox = self.inbox[len(ready) :], []
            self.careful = True
        return [self._hand_out(each, clock) for each in ready], back

    def take_all(self) -> list[Delivery]:
        """It is over: all that it had."""
        with self.guard:
            self.over = True
            mine = [*(held.delivery for held in self.held.values() if not held.sent), *self.inbox]
            self.held.clear()
            self.inbox = []
            self.guard.notify_all()
        return mine

    def lose(self, handles: Iterable[str]) -> None:
        """These are not ours any more."""
        gone = frozenset(handles)
        with self.guard:
            for token in [token for token, held in self.held.items() if held.delivery.handle in gone]:
                del self.held[token]
            self.inbox = [each for each in self.inbox if each.handle not in gone]
            self.guard.notify_all()

    def _hand_out(self, delivery: Delivery, clock: Clock) -> Claimed:
        claimed = Claimed(
            job_id=delivery.parcel.job_id,
            token=next_token(clock),
            attempt=delivery.attempt,
            crashes=delivery.crashes,
            frame=delivery.parcel.frame,
        )
        self.held[claimed.token] = Held(delivery, claimed)
        return claimed
