"""Ending attempts. A job that is over is deleted; one that goes on is sent again, changed, and then deleted.

The copy is sent first: who dies in between has a job twice, not none. SQS never tells whether a handle was the newest,
so what ends a worker's right is its own lease: afterwards nothing is sent or deleted, and the answer is LOST.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, assert_never

import msgspec

from typedgator.backends.contract import Settled
from typedgator.backends.sqs.crew import Delivery, Finished, Held, Member
from typedgator.backends.sqs.line import Line, Refused
from typedgator.backends.sqs.parcel import MOST_BYTES, Parcel, packed, size_of
from typedgator.backends.sqs.shapes import SendEntry
from typedgator.errors import BackendUnavailable
from typedgator.wire import verdict as ends
from typedgator.wire.verdict import (
    Canceled,
    Failed,
    Released,
    RetryIn,
    Settlement,
    Snoozed,
    Succeeded,
    Token,
    Verdict,
)

__all__ = ["Post", "fail", "give_back", "send_on", "settle"]

HELD_AGAIN_MS: Final = 30_000
"""A job that its worker cannot run is tried by the next one after so long."""


class Post(msgspec.Struct, frozen=True):
    """A copy, where it is sent `to`, and the original that it stands for: its queue, and its handle."""

    to: str
    entry: SendEntry
    at: str
    handle: str


def settle(line: Line, member: Member, settlements: Sequence[Settlement], done: Finished) -> list[Settled]:
    """Ends attempts of a worker whose lease holds. Raises BackendUnavailable: say it again, nothing is done twice."""
    with member.settling:
        ending: dict[Token, Settlement] = {}
        answers = [_answer(member, each, ending) for each in settlements]
        lost = _end(line, member, list(ending.values()), done)
        return [
            Settled.LOST if answer is Settled.WRITTEN and each.token in lost else answer
            for each, answer in zip(settlements, answers, strict=True)
        ]


def give_back(line: Line, deliveries: Sequence[Delivery]) -> None:
    """Jobs that were received and not run go back as they are. Raises BackendUnavailable."""
    if refused := send_on(line, [Post(each.url, packed(each.parcel), each.url, each.handle) for each in deliveries]):
        raise BackendUnavailable(f"SQS did not take {len(refused)} jobs that go back: {refused[0].why}")


def send_on(line: Line, posts: Sequence[Post]) -> list[Refused]:
    """Sends the copies, then deletes the originals: of those alone that were sent. Raises BackendUnavailable."""
    sent: list[Post] = []
    try:
        return _send(line, [(post.to, post.entry) for post in posts], lambda place: sent.append(posts[place]))
    finally:
        _delete(line, [(post.at, post.handle) for post in sent])


def fail(parcel: Parcel, reason: str, outcome: bytes = b"") -> SendEntry:
    """What goes to the failed ones; without its error when that is too large."""
    failed = msgspec.structs.replace(parcel, reason=reason or "failed", outcome=outcome, rest_ms=0, held_ms=0)
    entry = packed(failed)
    return entry if size_of(entry) <= MOST_BYTES else packed(msgspec.structs.replace(failed, outcome=b""))


def _answer(member: Member, settlement: Settlement, ending: dict[Token, Settlement]) -> Settled:
    """What the answer will be; the first settlement of an attempt that is held is to be done."""
    token, kind = settlement.token, settlement.verdict.kind
    before = ending.get(token)
    if before is not None:
        same = before.job_id == settlement.job_id and before.verdict.kind == kind
        return Settled.WRITTEN if same else Settled.LOST
    if (spent := member.spent.find((token, settlement.job_id))) is not None:
        return Settled.WRITTEN if spent == kind else Settled.LOST
    held = member.held.get(token)
    if held is None or held.claimed.job_id != settlement.job_id or held.sent not in ("", kind):
        return Settled.LOST
    ending[token] = settlement
    return Settled.WRITTEN


def _end(line: Line, member: Member, settlements: Sequence[Settlement], done: Finished) -> set[Token]:
    """Does them: the copies, then the deletions. Those whose message was gone."""
    pairs = [(each, member.held[each.token]) for each in settlements if each.token in member.held]
    copies = [
        (held, each.verdict.kind, *copy)
        for each, held in pairs
        if not held.sent and (copy := _copy(line, held, each.verdict)) is not None
    ]

    def sent(place: int) -> None:
        held, kind, _, _ = copies[place]
        held.sent = kind

    if refused := _send(line, [(url, entry) for _, _, url, entry in copies], sent):
        raise BackendUnavailable(f"SQS did not take {len(refused)} jobs that go on: {refused[0].why}")
    gone = _delete(line, [(held.delivery.url, held.delivery.handle) for _, held in pairs])
    lost: set[Token] = set()
    with member.guard:
        for each, held in pairs:
            member.held.pop(each.token, None)
            if held.delivery.handle in gone and not held.sent:
                lost.add(each.token)
            else:
                member.spent.add((each.token, each.job_id), each.verdict.kind)
            if isinstance(each.verdict, Succeeded | Canceled):
                done.add(each.job_id)
        member.guard.notify_all()
    return lost


def _copy(line: Line, held: Held, verdict: Verdict) -> tuple[str, SendEntry] | None:
    """Where what is sent again; None: the job is over, and nothing is kept of it."""
    delivery = held.delivery
    ran = msgspec.structs.replace(delivery.parcel, spent=delivery.attempt, held_ms=0)
    match verdict:
        case Succeeded() | Canceled():
            return None
        case Failed(outcome=outcome):
            return line.failed_url, fail(ran, "failed", outcome)
        case RetryIn(delay_ms=delay_ms):
            return delivery.url, packed(ran, delay_ms)
        case Snoozed(delay_ms=delay_ms):
            return delivery.url, packed(msgspec.structs.replace(delivery.parcel, held_ms=0), delay_ms)
        case Released():
            return delivery.url, packed(delivery.parcel)
        case ends.Held(reason=reason, bound_ms=bound_ms):
            held_ms = delivery.parcel.held_ms + HELD_AGAIN_MS
            if held_ms > bound_ms:
                return line.failed_url, fail(delivery.parcel, reason)
            return delivery.url, packed(msgspec.structs.replace(delivery.parcel, held_ms=held_ms), HELD_AGAIN_MS)
        case _:
            assert_never(verdict)


def _send(line: Line, posts: Sequence[tuple[str, SendEntry]], kept: Callable[[int], object]) -> list[Refused]:
    """To each queue in their order; `kept` is told the place of each that SQS has."""
    refused: list[Refused] = []
    for url in dict.fromkeys(url for url, _ in posts):
        places = [place for place, (to, _) in enumerate(posts) if to == url]
        answer = line.send(url, [posts[place][1] for place in places], partial(_tell, kept, places))
        refused += [Refused(places[each.place], each.why) for each in answer]
    return refused


def _tell(kept: Callable[[int], object], places: Sequence[int], number: int) -> None:
    kept(places[number])


def _delete(line: Line, letters: Sequence[tuple[str, str]]) -> set[str]:
    """The handles, of these at their queues, that SQS does not know any more."""
    gone: set[str] = set()
    for url in dict.fromkeys(url for url, _ in letters):
        handles = [handle for at, handle in letters if at == url]
        gone |= {handles[refused.place] for refused in line.delete(url, handles)}
    return gone
