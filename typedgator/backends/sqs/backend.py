"""The verbs over SQS: a queue of ours is a queue of SQS, a worker's lease is how long its messages are hidden.

What SQS cannot keep stands in `can` (accepting.py), and what it keeps otherwise in docs/guide/sqs.md.
"""

import logging
import time
from collections.abc import Sequence
from threading import Lock, Thread
from typing import Final

from typedgator.backends.checkup import Checkup
from typedgator.backends.contract import (
    EVERY_QUEUE,
    Beat,
    CancelAnswer,
    Capabilities,
    Claimed,
    Receipt,
    Settled,
    Upkeep,
    WorkerId,
)
from typedgator.backends.sqs import accepting, doctor, settling
from typedgator.backends.sqs.crew import SHUNNED_S, Delivery, Finished, Member
from typedgator.backends.sqs.line import MOST_ENTRIES, Line, TurnedDown
from typedgator.backends.sqs.place import Place
from typedgator.backends.sqs.sorting import Sorted, sort
from typedgator.clock import Clock, SystemClock
from typedgator.errors import BackendUnavailable, Unsupported, WorkerLapsed
from typedgator.wire.frame import Frame
from typedgator.wire.ids import JobId, new_id
from typedgator.wire.verdict import Settlement, Token

__all__ = ["SqsBackend"]

logger: Final = logging.getLogger("typedgator.sqs")

SURE_S: Final = 1
"""Only a receive that waits looks at all the servers of a queue: so long before a queue is called empty."""
LOOK_AGAIN_S: Final = 30.0
"""How often a worker of every queue asks for new ones."""


class SqsBackend:
    """One prefix and namespace of one region, for any number of processes and machines."""

    def __init__(self, place: Place, *, clock: Clock | None = None) -> None:
        self.place = place
        self.clock: Clock = clock or SystemClock()
        self.line: Line = Line(place)
        self._crew: dict[WorkerId, Member] = {}
        self._done = Finished()
        """Jobs that ended here: another copy of one is deleted unrun."""
        self._sent = Finished()
        """Jobs of calls that were interrupted, and were sent all the same."""
        self._every: tuple[float, list[str]] = (0.0, [])
        self._looking = Lock()

    def __repr__(self) -> str:
        return f"SqsBackend({str(self.place)!r}, namespace={self.place.namespace!r})"

    @property
    def can(self) -> Capabilities:
        """What this backend promises."""
        return accepting.CAN

    def open(self) -> None:
        """Connects, and makes the queue of failed jobs unless it is there: so its rights are seen."""
        try:
            _ = self.line.failed_url
        except BackendUnavailable as error:
            raise BackendUnavailable(f"{self.place} cannot be used: {error}") from error

    def close(self) -> None:
        """Hangs up, and lets no claim wait."""
        for worker in list(self._crew):
            self.wake(worker)
        self.line.close()

    def examine(self, *, audit: bool | None = None) -> Checkup:
        """What would be lost, and how the queues fare; there is nothing to audit."""
        return doctor.examine(self.line)

    def enqueue(self, frames: Sequence[Frame], /) -> list[Receipt]:
        """Sends them, not all or none: when it raises BackendUnavailable, those in `kept` were sent, and others may
        have been. The same call again sends none of `kept` twice.
        """
        return accepting.accept(self.line, frames, self.clock, self._sent)

    def join(self, queues: Sequence[str], /, *, lease_ms: int) -> WorkerId:
        """A fresh identity of this process."""
        worker = WorkerId(new_id().hex())
        for queue in queues:
            if queue != EVERY_QUEUE:
                self.line.url_of(queue)
        self._crew[worker] = Member(worker, queues, lease_ms, self.clock.monotonic())
        return worker

    def leave(self, worker: WorkerId, /) -> None:
        """What it held is sent again as it was; what arrives later, as soon as it does."""
        member = self._member(worker)
        if member is not None:
            self._crew.pop(worker, None)
            with member.settling:
                settling.give_back(self.line, member.take_all())

    # Claiming

    def claim(self, worker: WorkerId, /, *, limit: int, wait_ms: int, seen: Token) -> list[Claimed]:
        """Lost replies again, else new jobs, else waits for some. Raises WorkerLapsed."""
        ends = time.monotonic() + wait_ms / 1000
        member = self._present(worker)
        with member.guard:
            if again := member.lost_replies(seen, limit):
                return again
        is_first = True  # afterwards long polls find what there is: asking twice would cost twice
        while True:
            if claimed := self._deal(member, limit):
                return claimed
            if not member.has_suspect:
                if is_first:
                    self._fetch(member, limit)
                    is_first = False
                if claimed := self._deal(member, limit):
                    return claimed
                if wait_ms == 0:
                    self._fetch(member, limit, wait_s=SURE_S)
                    return self._deal(member, limit) or member.unless_shunned()
                self._start_polls(member, limit)
            if not self._waited(member, ends):
                return self._deal(member, limit)
            self._present(worker)

    def _deal(self, member: Member, limit: int) -> list[Claimed]:
        with member.guard:
            if member.has_suspect:
                return []
            order = {self.line.known_url(queue): place for place, queue in enumerate(self._queues(member))}
            member.inbox.sort(key=lambda each: order.get(each.url, len(order)))
            claimed, back = member.deal(limit, self.clock)
        if back:
            self._give_back(back)
        return claimed

    def _queues(self, member: Member) -> Sequence[str]:
        """Those that it serves, in order, with those that came since."""
        if EVERY_QUEUE not in member.queues:
            return member.queues
        with self._looking:
            if time.monotonic() >= self._every[0]:
                self._every = time.monotonic() + LOOK_AGAIN_S, self.line.every_queue()
            every = self._every[1]
        before, _, after = (list(member.queues[: member.queues.index(EVERY_QUEUE)]), None, member.queues)
        return [*before, *(queue for queue in every if queue not in (*before, *after)), *after[len(before) + 1 :]]

    def _fetch(self, member: Member, limit: int, *, wait_s: int = 0) -> None:
        """Receives from one queue after the other, as many as are wanted. One that SQS turns down is left alone for a
        while, and the others are asked all the same; raises what it said when no other is left.
        """
        queues = self._queues(member)
        for queue in queues:
            if member.is_shunned(queue):
                continue
            try:
                self._fetch_from(queue, member, limit, wait_s)
            except TurnedDown as error:
                self._shun(member, queue, error)
            if member.inbox and (wait_s or member.careful or len(member.inbox) >= limit):
                return
        if queues and not member.inbox and all(map(member.is_shunned, queues)):
            member.unless_shunned()

    def _shun(self, member: Member, queue: str, why: TurnedDown) -> None:
        self._every = self._every[0], [each for each in self._every[1] if each != queue]
        member.shun(queue, why)
        if member.queues != (queue,):
            logger.warning("queue %s is not served for %d s: %s", queue, SHUNNED_S, why)

    def _fetch_from(self, queue: str, member: Member, limit: int, wait_s: int) -> None:
        url = self.line.url_of(queue)
        while (want := limit - len(member.inbox)) > 0 and url not in member.polls and not member.has_suspect:
            most = 1 if member.careful else min(want, MOST_ENTRIES)
            found = self._receive(member, url, most, wait_s)
            if found < most or member.careful:
                return

    def _receive(self, member: Member, url: str, most: int, wait_s: int) -> int:
        """How many messages came; those that can be run are in the inbox."""
        failed_url = self.line.failed_url  # known before anything is in hand
        messages = self.line.receive(url, most, hide_s=member.hide_s, wait_s=wait_s)
        with member.guard:  # SQS may deliver a message twice, which is no crash of the one that is here
            new = [each for each in messages if not member.renewed(each["MessageId"], each["ReceiptHandle"])]
        mail = sort(url, failed_url, new, lambda job_id: self._done.find(job_id) is not None)
        with member.guard:
            over = member.over
            if not over:
                member.careful = any(each.crashes for each in mail.ready) or (member.careful and not mail.ready)
                member.inbox += mail.ready
            member.guard.notify_all()
        if over:
            settling.give_back(self.line, mail.ready)
        self._put_away(url, mail)
        return len(messages)

    def _put_away(self, url: str, mail: Sorted) -> None:
        """What cannot be run now: to the failed ones, or to its queue for later, and off this one."""
        for refused in settling.send_on(self.line, mail.on):
            logger.error("a message stays in %s that cannot be run, nor sent elsewhere: %s", url, refused.why)
        self.line.delete(url, mail.over)

    def _give_back(self, deliveries: Sequence[Delivery]) -> None:
        try:
            settling.give_back(self.line, deliveries)
        except BackendUnavailable as error:
            logger.warning(
                "%d jobs could not be given back, they wait for the end of the lease: %s", len(deliveries), error
            )

    def _start_polls(self, member: Member, limit: int) -> None:
        """One thread waits at each queue, and goes on when the claim that wanted it has ended."""
        queues = self._queues(member)
        if queues and all(map(member.is_shunned, queues)):
            member.unless_shunned()
        for queue in queues:
            if member.is_shunned(queue):
                continue
            url = self.line.url_of(queue)
            with member.guard:
                if member.over or url in member.polls:
                    continue
                member.polls.add(url)
            most = 1 if member.careful else min(limit, MOST_ENTRIES)
            poll = Thread(target=self._poll, args=(member, queue, url, most), name="typedgator-sqs-poll", daemon=True)
            try:
                poll.start()
            except RuntimeError as error:
                member.polls.discard(url)
                raise BackendUnavailable(f"no thread can be started to wait at {queue}: {error}") from error

    def _poll(self, member: Member, queue: str, url: str, most: int) -> None:
        trouble: Exception | None = None
        try:
            self._receive(member, url, most, self.place.poll_s)
        except TurnedDown as error:
            self._shun(member, queue, error)
        except Exception as error:  # in a thread that nobody looks at: the claim that waits for it raises it
            trouble = error
        with member.guard:
            member.polls.discard(url)
            member.trouble = trouble or member.trouble
            member.guard.notify_all()

    def _waited(self, member: Member, ends: float) -> bool:
        """Waits until there is something to look at. False: the time is over, or the worker was woken."""
        with member.guard:
            suspect, polls = member.has_suspect, len(member.polls)
            member.guard.wait_for(
                lambda: (
                    member.woken
                    or member.over
                    or member.trouble is not None
                    or (bool(member.inbox) and not member.has_suspect)
                    or member.has_suspect != suspect
                    or len(member.polls) < polls
                ),
                max(0.0, ends - time.monotonic()),
            )
            woken, member.woken = member.woken, False
            trouble, member.trouble = member.trouble, None
        if trouble is not None:
            raise trouble
        return not woken and time.monotonic() < ends

    def wake(self, worker: WorkerId, /) -> None:
        """Its claim that waits now, or else the next that would, does not wait any longer."""
        if (member := self._crew.get(worker)) is not None:
            with member.guard:
                member.woken = True
                member.guard.notify_all()

    # Keeping and ending

    def beat(self, worker: WorkerId, tokens: Sequence[Token], /) -> Beat:
        """Hides all that it has for another lease."""
        member = self._member(worker)
        if member is None:
            return Beat(lost=list(tokens), lapsed=True)
        now = self.clock.monotonic()
        with member.guard:
            mine = [*(held.delivery for held in member.held.values()), *member.inbox]
        for url in dict.fromkeys(each.url for each in mine):
            handles = [each.handle for each in mine if each.url == url]
            refused = self.line.hide(url, handles, member.hide_s)
            member.lose(handles[each.place] for each in refused)
        member.ends = now + member.lease_s
        return Beat(lost=[token for token in tokens if token not in member.held])

    def settle(self, worker: WorkerId, settlements: Sequence[Settlement], /) -> list[Settled]:
        """Ends attempts; LOST once the worker's lease is over."""
        member = self._member(worker)
        if member is None:
            return [Settled.LOST] * len(settlements)
        return settling.settle(self.line, member, settlements, self._done)

    def cancel(self, job_id: JobId, /) -> CancelAnswer:
        """Not here: SQS finds no message by what is in it."""
        raise Unsupported(
            "SQS cannot cancel a job: let the task look whether it is still wanted and raise Cancel, "
            "or use redis:// or sqlite://"
        )

    def maintain(self, *, limit: int) -> Upkeep:
        """SQS does it: what is due or was left behind comes again by itself. Only lapsed workers are forgotten."""
        for worker in list(self._crew):
            self._member(worker)
        return Upkeep()

    def _present(self, worker: WorkerId) -> Member:
        member = self._member(worker)
        if member is None:
            raise WorkerLapsed(f"worker {worker} is over: its lease ended, it left, or it never joined here")
        return member

    def _member(self, worker: WorkerId) -> Member | None:
        """Who it is; None once its lease is over: what it had may be with others."""
        member = self._crew.get(worker)
        if member is not None and self.clock.monotonic() >= member.ends:
            self._crew.pop(worker, None)
            member.take_all()
            return None
        return member
