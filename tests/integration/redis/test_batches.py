"""A large claim is one field of its worker's hash, and every verb sees the jobs in it as it sees single ones."""

from collections.abc import Iterator, Sequence
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.redis.servers import Server, needs_redis
from typedgator.backends.contract import CancelAnswer, Claimed, ReceiptStatus, Settled, WorkerId
from typedgator.backends.redis import Place, RedisBackend
from typedgator.backends.redis.audit import faults
from typedgator.testing import FakeClock
from typedgator.wire.frame import Frame, FrameFlags
from typedgator.wire.ids import JobId, new_ids
from typedgator.wire.states import JobState
from typedgator.wire.verdict import (
    Canceled,
    Failed,
    Held,
    Released,
    RetryIn,
    Settlement,
    Snoozed,
    Succeeded,
    Verdict,
)

pytestmark = needs_redis
MANY = 100
_numbers = count()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One for all; each test empties it."""
    with Server() as started:
        yield started


@pytest.fixture
def backend(server: Server) -> Iterator[RedisBackend]:
    """A fresh one, on a clock that stands."""
    opened = RedisBackend(Place(path=str(server.path)), clock=FakeClock())
    opened.open()
    yield opened
    found = faults(opened)
    opened.link.ask("FLUSHALL")
    opened.close()
    assert found == []


def enqueued(backend: RedisBackend, number: int = MANY, flags: int = 0) -> list[JobId]:
    """Plain jobs."""
    ids = new_ids(number)
    receipts = backend.enqueue([Frame(job_id=each, queue="q", envelope=b"e", flags=FrameFlags(flags)) for each in ids])
    assert all(receipt.status is ReceiptStatus.NEW for receipt in receipts)
    return ids


def started(backend: RedisBackend, number: int = MANY) -> tuple[WorkerId, list[Claimed]]:
    """A worker that has them all."""
    enqueued(backend, number)
    worker = backend.join(["q"], lease_ms=30_000)
    return worker, backend.claim(worker, limit=number, wait_ms=0, seen=0)


def fields(backend: RedisBackend, worker: WorkerId) -> int:
    """Of the worker's hash: one is the last token, one the list of batches."""
    answer = backend.link.ask("HLEN", backend.caller.keys.own(worker))
    assert isinstance(answer, int)
    return answer


def ends(claimed: Sequence[Claimed], verdict: Verdict | None = None) -> list[Settlement]:
    """Of each the same."""
    return [Settlement(each.job_id, each.token, verdict or Succeeded()) for each in claimed]


def test_a_large_claim_is_one_field(backend: RedisBackend) -> None:
    worker, claimed = started(backend)
    assert len(claimed) == MANY
    assert fields(backend, worker) == 3


@pytest.mark.parametrize("flags", [0, FrameFlags.RESULT_WANTED])
def test_whoever_is_not_plain_is_a_field_of_its_own(backend: RedisBackend, flags: int) -> None:
    """Its settlement must look closer, and so must that of all who came with it."""
    enqueued(backend, MANY - 1)
    enqueued(backend, 1, flags)
    worker = backend.join(["q"], lease_ms=30_000)
    assert len(backend.claim(worker, limit=MANY, wait_ms=0, seen=0)) == MANY
    assert fields(backend, worker) == (1 + MANY if flags else 3)


def test_every_verb_sees_what_is_in_a_batch(backend: RedisBackend) -> None:
    worker, claimed = started(backend)
    token = claimed[40].token

    assert sorted(backend.owned(worker)) == sorted((each.job_id, each.token) for each in claimed)
    assert {record.job_id for record in backend.page(JobState.RUNNING, limit=MANY).records} == {
        each.job_id for each in claimed
    }
    for each in (claimed[0], claimed[40], claimed[-1]):
        record = backend.find(each.job_id)
        assert record is not None
        assert (record.state, record.token, record.worker) == (JobState.RUNNING, each.token, worker)
    assert backend.note(worker, token, b"half")
    assert not backend.note(worker, claimed[-1].token + 1, b"half")
    assert backend.cancel(claimed[40].job_id) is CancelAnswer.REQUESTED
    beat = backend.beat(worker, [each.token for each in claimed] + [claimed[-1].token + 1])
    assert (beat.lost, beat.cancels) == ([claimed[-1].token + 1], [token])
    assert fields(backend, worker) == 3

    assert backend.settle(worker, ends(claimed)) == [Settled.WRITTEN] * MANY
    assert fields(backend, worker) == 1


def test_ids_that_end_alike_are_told_apart(backend: RedisBackend) -> None:
    """By their ends they are looked for in a batch, where they usually differ."""
    ids = [JobId(each[:9] + b"the end") for each in new_ids(MANY)]
    backend.enqueue([Frame(job_id=each, queue="q", envelope=b"e") for each in ids])
    claimed = backend.claim(backend.join(["q"], lease_ms=30_000), limit=MANY, wait_ms=0, seen=0)

    found = [backend.find(each) for each in ids]

    assert [record and (record.job_id, record.token) for record in found] == [
        (each.job_id, each.token) for each in claimed
    ]
    assert backend.find(JobId(bytes(9) + b"the end")) is None


@pytest.mark.parametrize("outcome", [None, b"a result"])
def test_what_ends_together_leaves_smaller_batches(backend: RedisBackend, outcome: bytes | None) -> None:
    """Few are single again."""
    worker, claimed = started(backend)
    good = Succeeded(outcome, 600_000 if outcome else 0)

    for some, left in ((claimed[40:60], 4), (claimed[:20], 3 + 20), (claimed[20:40], 3), (claimed[60:], 1)):
        assert backend.settle(worker, ends(some, good)) == [Settled.WRITTEN] * len(some)
        assert fields(backend, worker) == left
        assert faults(backend) == []
    # All over again, as after a reply that was lost.
    assert backend.settle(worker, ends(claimed, good)) == [Settled.WRITTEN] * MANY
    record = backend.find(claimed[7].job_id)
    assert record is not None
    assert (record.state, record.outcome) == (JobState.SUCCESS, outcome)


def test_a_lost_reply_comes_again_and_a_leaver_gives_all_back_in_order(backend: RedisBackend) -> None:
    worker, claimed = started(backend)
    assert backend.claim(worker, limit=MANY, wait_ms=0, seen=0) == claimed
    backend.settle(worker, ends(claimed[:10]))
    assert backend.claim(worker, limit=MANY, wait_ms=0, seen=0) == claimed[10:]
    backend.leave(worker)
    other = backend.join(["q"], lease_ms=30_000)
    assert [each.job_id for each in backend.claim(other, limit=MANY, wait_ms=0, seen=0)] == [
        each.job_id for each in claimed[10:]
    ]


def test_a_lapsed_worker_loses_its_batch_in_portions(backend: RedisBackend) -> None:
    """And settles nothing of it any more, neither what was taken back nor what was not yet."""
    worker, claimed = started(backend)
    assert isinstance(backend.clock, FakeClock)
    backend.clock.advance(30_001)
    assert backend.maintain(limit=30).reclaimed == 30
    assert backend.settle(worker, ends(claimed)) == [Settled.LOST] * MANY
    while backend.maintain(limit=30).more:
        assert faults(backend) == []
    other = backend.join(["q"], lease_ms=30_000)
    suspects = [backend.claim(other, limit=MANY, wait_ms=0, seen=0) for _ in range(1)]
    assert [each.job_id for each in suspects[0]] == [claimed[0].job_id]  # alone: it may be what killed the worker


def test_who_waits_for_another_job_takes_no_batch_apart(backend: RedisBackend) -> None:
    """What is beside other jobs (a waiter, a child, progress, a wish to cancel) costs these no look at each."""
    worker, claimed = started(backend)
    other = enqueued(backend, 1)[0]
    backend.enqueue([Frame(job_id=new_ids(1)[0], queue="q", envelope=b"e", parents=(other,))])
    assert backend.caller.run("watch", (), (other, b"box"))
    assert backend.cancel(claimed[-1].job_id) is CancelAnswer.REQUESTED
    assert backend.note(worker, claimed[-2].token, b"half")
    backend.link.ask("CONFIG", "RESETSTAT")

    assert backend.settle(worker, ends(claimed[:60])) == [Settled.WRITTEN] * 60

    assert calls_of(backend, "hmget") == 3 + 1  # waiters, wishes and notes, and where in time we are
    assert backend.settle(worker, ends(claimed[60:])) == [Settled.WRITTEN] * 40


def calls_of(backend: RedisBackend, command: str) -> int:
    """Since the counting began."""
    text = backend.link.ask("INFO", "commandstats")
    assert isinstance(text, bytes)
    return next(int(line.split(b"=")[1].split(b",")[0]) for line in text.split() if command.encode() + b":" in line)


def test_wrong_ids_and_tokens_settle_nothing(backend: RedisBackend) -> None:
    """Also where their number and their length are right."""
    worker, claimed = started(backend)
    swapped = [Settlement(a.job_id, b.token, Succeeded()) for a, b in zip(claimed[1:], claimed, strict=False)]
    assert backend.settle(worker, swapped) == [Settled.LOST] * (MANY - 1)
    beyond = [Settlement(each.job_id, each.token + 1, Succeeded()) for each in claimed]
    assert backend.settle(worker, beyond) == [Settled.LOST] * MANY
    assert backend.settle(backend.join(["q"], lease_ms=30_000), ends(claimed)) == [Settled.LOST] * MANY
    assert len(backend.owned(worker)) == MANY


VERDICTS = st.sampled_from(
    [
        *[Succeeded()] * 4,
        *[Succeeded(b"result", 600_000)] * 2,
        Succeeded(b"kept", 700_000),
        Failed(b"no"),
        RetryIn(60_000),
        Snoozed(60_000),
        Released(),
        Canceled(),
        Held("unknown", "task", "schema"),
    ]
)
STRETCH = st.tuples(st.integers(0, 200), st.integers(1, 80), VERDICTS, st.booleans())
CALL = st.lists(STRETCH, min_size=1, max_size=4)


@settings(max_examples=80, deadline=None)
@given(sizes=st.lists(st.integers(30, 100), min_size=1, max_size=3), calls=st.lists(CALL, min_size=1, max_size=5))
def test_whatever_ends_in_whatever_order_the_rest_stays(
    server: Server, sizes: list[int], calls: list[list[tuple[int, int, Verdict, bool]]]
) -> None:
    """Stretches of some claims end, some twice, some backwards: what did not is the worker's, and nothing else."""
    backend = RedisBackend(Place(path=str(server.path)), namespace=f"any-{next(_numbers)}", clock=FakeClock())
    enqueued(backend, sum(sizes))
    worker = backend.join(["q"], lease_ms=30_000)
    claimed: list[Claimed] = []
    for size in sizes:
        claimed += backend.claim(worker, limit=size, wait_ms=0, seen=claimed[-1].token if claimed else 0)
    left = {each.token: each for each in claimed}
    spent: dict[int, Verdict] = {}
    for stretches in calls:
        said: list[Settlement] = []
        for start, length, verdict, backwards in stretches:
            some = claimed[start : start + length]
            said += ends(some[::-1] if backwards else some, verdict)
        for each, answer in zip(said, backend.settle(worker, said), strict=True):
            first = spent.setdefault(each.token, each.verdict)
            assert left.pop(each.token, None) is None or answer is Settled.WRITTEN
            assert answer is Settled.WRITTEN or first != each.verdict
        assert sorted(backend.owned(worker)) == sorted((each.job_id, each.token) for each in left.values())
        assert faults(backend) == []
    backend.close()


OTHERS = [
    pytest.param(Succeeded(b"kept", 700_000), id="success"),
    pytest.param(Failed(b"no"), id="failure"),
    pytest.param(RetryIn(60_000, b"no"), id="retry"),
    pytest.param(Snoozed(60_000), id="snooze"),
    pytest.param(Released(), id="release"),
    pytest.param(Canceled(), id="cancel"),
    pytest.param(Held("unknown", "task", "schema"), id="held"),
]
"""Whatever is not told in a stretch of successes."""


def own_fields(backend: RedisBackend, worker: WorkerId) -> dict[bytes, bytes]:
    """The worker's hash, but for the last token."""
    words = backend.link.ask("HGETALL", backend.caller.keys.own(worker))
    assert isinstance(words, list)
    found = dict(zip(words[::2], words[1::2], strict=True))
    del found[b""]
    return found


def kept_as(*parts: Sequence[Claimed]) -> dict[bytes, bytes]:
    """What a worker's hash says of these: each part is a batch, or, being few, single fields."""
    said, firsts = dict[bytes, bytes](), list[bytes]()
    for part in parts:
        if len(part) >= 32:
            firsts.append(b"%d" % part[0].token)
            said[b"#" + firsts[-1]] = b"".join(each.job_id for each in part)
        else:
            said |= {each.job_id: b"%d" % each.token for each in part}
    return said | ({b"#": b" ".join(firsts)} if firsts else {})


@pytest.mark.parametrize("verdict", OTHERS)
@pytest.mark.parametrize("place", [0, 10, 40, 99])
def test_any_verdict_takes_its_job_alone_out_of_its_batch(backend: RedisBackend, place: int, verdict: Verdict) -> None:
    """What lies before and behind it stays as it was, and so does another batch."""
    worker, claimed = started(backend)
    enqueued(backend, 50)
    more = backend.claim(worker, limit=50, wait_ms=0, seen=claimed[-1].token)
    said = ends(claimed[place : place + 1], verdict)
    left = kept_as(claimed[:place], claimed[place + 1 :], more)

    assert backend.settle(worker, said) == [Settled.WRITTEN]
    assert own_fields(backend, worker) == left
    assert faults(backend) == []

    # Again, as after a reply that was lost, and as somebody else would have it.
    another = Canceled() if isinstance(verdict, Failed) else Failed(b"another")
    assert backend.settle(worker, said + ends(claimed[place : place + 1], another)) == [Settled.WRITTEN, Settled.LOST]
    assert own_fields(backend, worker) == left

    rest = claimed[:place] + claimed[place + 1 :] + more
    assert backend.settle(worker, ends(rest)) == [Settled.WRITTEN] * len(rest)
    assert own_fields(backend, worker) == {}


@pytest.mark.parametrize("verdict", OTHERS)
def test_no_verdict_reaches_a_neighbour_under_its_token(backend: RedisBackend, verdict: Verdict) -> None:
    """A job is its worker's under its own token: not under one beside it, before or behind the batch, or of another;
    neither in a batch nor as a single field.
    """
    worker, claimed = started(backend)
    backend.settle(worker, ends(claimed[10:20]))
    claimed = claimed[:10] + claimed[20:]
    whole = own_fields(backend, worker)
    some = (claimed[0], claimed[5], claimed[10], claimed[50], claimed[-1])
    wrong = [Settlement(each.job_id, each.token + by, verdict) for each in some for by in (-1, 1, MANY)]

    assert backend.settle(worker, wrong) == [Settled.LOST] * len(wrong)
    assert backend.settle(backend.join(["q"], lease_ms=30_000), ends(some, verdict)) == [Settled.LOST] * len(some)
    assert own_fields(backend, worker) == whole


@pytest.mark.parametrize("verdict", OTHERS)
def test_one_that_is_told_twice_in_a_call_ends_as_was_told_first(backend: RedisBackend, verdict: Verdict) -> None:
    """Before its neighbours, behind them, and in their midst."""
    worker, claimed = started(backend)
    one, good = slice(40, 41), Succeeded()
    first = claimed[:20] + claimed[30:60]
    said = ends(claimed[one], verdict) + ends(first, good) + ends(claimed[20:22], verdict) + ends(claimed[20:30], good)
    same = Settled.WRITTEN if isinstance(verdict, Succeeded) else Settled.LOST  # the kind is all that is compared
    expected = [Settled.WRITTEN] * (1 + len(first) + 12)
    expected[1 + first.index(claimed[40])] = expected[-10] = expected[-9] = same

    assert backend.settle(worker, said) == expected
    assert own_fields(backend, worker) == kept_as(claimed[60:])


def test_what_is_beside_a_neighbour_stays_when_one_ends(backend: RedisBackend) -> None:
    """Progress, a wish to cancel, who waits for it."""
    worker, claimed = started(backend)
    pair = claimed[40:42]
    for each in pair:
        assert backend.cancel(each.job_id) is CancelAnswer.REQUESTED
        assert backend.note(worker, each.token, b"half")
        assert backend.caller.run("watch", (), (each.job_id, b"box"))

    assert backend.settle(worker, ends(pair[:1], RetryIn(60_000))) == [Settled.WRITTEN]

    for name in ("cancels", "notes", "waiters"):
        assert backend.link.ask("HKEYS", backend.caller.keys.named(name)) == [pair[1].job_id], name
    told = backend.caller.keys.told(b"box")
    assert backend.link.ask("LRANGE", told, 0, -1) == [pair[0].job_id]
    record, other = backend.find(pair[0].job_id), backend.find(pair[1].job_id)
    assert record is not None
    assert other is not None
    assert (record.state, record.reason) == (JobState.CANCELED, "canceled")
    assert (other.state, other.token, other.progress) == (JobState.RUNNING, pair[1].token, b"half")
    assert backend.beat(worker, [each.token for each in pair]).cancels == [pair[1].token]
    # A success that must be looked at more closely leaves its neighbours in their batches, too.
    assert backend.settle(worker, ends(claimed[39:43])) == [Settled.WRITTEN, Settled.LOST, *[Settled.WRITTEN] * 2]
    assert own_fields(backend, worker) == kept_as(claimed[:39], claimed[43:])


def test_a_batch_with_a_gap_comes_back_in_order(backend: RedisBackend) -> None:
    """When its worker leaves, and when it lapses: all but the one that had ended."""
    worker, claimed = started(backend)
    backend.settle(worker, ends(claimed[40:41], Failed(b"no")))
    left = [each.job_id for each in claimed[:40] + claimed[41:]]
    assert [each.job_id for each in backend.claim(worker, limit=MANY, wait_ms=0, seen=0)] == left
    backend.leave(worker)
    other = backend.join(["q"], lease_ms=30_000)
    again = backend.claim(other, limit=MANY, wait_ms=0, seen=0)
    assert [each.job_id for each in again] == left

    backend.settle(other, ends(again[60:61], RetryIn(3_600_000)))
    assert isinstance(backend.clock, FakeClock)
    backend.clock.advance(30_001)
    assert backend.maintain(limit=MANY).reclaimed == len(left) - 1
    waiting = backend.page(JobState.WAITING, queue="q", limit=MANY).records
    assert [record.job_id for record in waiting] == left[:60] + left[61:]


def test_one_that_is_told_with_its_neighbours_and_alone_ends_once(backend: RedisBackend) -> None:
    """In one call: what lies behind it stays."""
    worker, claimed = started(backend)
    said = ends(claimed[:40]) + ends(claimed[5:6])
    assert backend.settle(worker, said) == [Settled.WRITTEN] * 41
    assert sorted(backend.owned(worker)) == sorted((each.job_id, each.token) for each in claimed[40:])


def test_ids_of_another_length_are_fields_of_their_own(backend: RedisBackend) -> None:
    """Callers make some; joined, they may be as long as ours are."""
    ids = [JobId(b"%0*d" % (15 + number % 3, number)) for number in range(99)]
    backend.enqueue([Frame(job_id=each, queue="q", envelope=b"e") for each in ids])
    worker = backend.join(["q"], lease_ms=30_000)
    claimed = backend.claim(worker, limit=99, wait_ms=0, seen=0)
    assert fields(backend, worker) == 1 + 99
    assert sorted(backend.owned(worker)) == sorted((each.job_id, each.token) for each in claimed)


@pytest.mark.parametrize("number", [0, 1])
def test_bytes_of_two_neighbours_are_not_a_third(backend: RedisBackend, number: int) -> None:
    """A job whose id lies across two ids of a batch is another worker's."""
    ids = [JobId(bytes([1 + place]) * 8 + bytes([101 + place]) * 8) for place in range(MANY)]
    across = JobId(ids[40][8:] + ids[41][:8])
    workers = [backend.join([queue], lease_ms=30_000) for queue in ("one", "many")][:: 1 if number else -1]
    alone, batched = workers if number else workers[::-1]
    backend.enqueue([Frame(job_id=each, queue="many", envelope=b"e") for each in ids])
    backend.enqueue([Frame(job_id=across, queue="one", envelope=b"e")])
    backend.claim(batched, limit=MANY, wait_ms=0, seen=0)
    (other,) = backend.claim(alone, limit=1, wait_ms=0, seen=0)
    assert fields(backend, batched) == 3
    record = backend.find(across)
    assert record is not None
    assert (record.worker, record.token) == (alone, other.token)
