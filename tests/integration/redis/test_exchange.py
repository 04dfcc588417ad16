"""The widest exchange there is, whose answer is lost: all of it is written, and handed out, exactly once."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from threading import Thread

import pytest

from tests.integration.redis.door import Cut, Door, Fate
from tests.integration.redis.servers import Server, needs_redis, until
from typedgator import Gator, Worker
from typedgator.backends.contract import Claimed, ReceiptStatus, Settled
from typedgator.backends.redis import Place, RedisBackend
from typedgator.backends.redis.audit import faults
from typedgator.errors import BackendUnavailable
from typedgator.events import JobEnded
from typedgator.testing.contract import Hand, job
from typedgator.testing.contract.bench import numbers
from typedgator.wire.states import JobState
from typedgator.wire.verdict import RetryIn, Settlement, Succeeded

pytestmark = needs_redis
_numbers = count()
WIDE = 512
"""So many settlements go with one claim of as many."""
LOST = pytest.mark.parametrize(
    "cuts",
    [
        pytest.param([Cut.ANSWER], id="all-of-it"),
        pytest.param([Cut.HALF_ANSWER], id="half-of-it"),
        pytest.param([Cut.HALF_ANSWER, Cut.ANSWER], id="twice"),
    ],
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One for all."""
    with Server() as started:
        yield started


@pytest.fixture
def door(server: Server) -> Iterator[Door]:
    """In front of it."""
    with Door(server) as opened:
        yield opened
        assert opened.met, "no answer was lost: this test has tested nothing"


@pytest.fixture
def backend(door: Door) -> Iterator[RedisBackend]:
    """A namespace of its own, through the door."""
    with closing(RedisBackend(Place(port=door.port), namespace=f"exchange-{next(_numbers)}")) as opened:
        opened.open()
        yield opened
        assert faults(opened) == []


def sha(backend: RedisBackend) -> bytes:
    """The word that only an exchange has."""
    return backend.caller.script("exchange").sha


def ends_of(claimed: list[Claimed], outcome: bytes | None) -> list[Settlement]:
    """All went well, but for each hundredth, which is to be tried again much later."""
    good, bad = Succeeded(outcome), RetryIn(3_600_000, b"an error")
    return [Settlement(each.job_id, each.token, bad if n % 100 == 7 else good) for n, each in enumerate(claimed)]


@LOST
@pytest.mark.parametrize("outcome", [None, b"a result"], ids=["no-results", "results"])
def test_it_is_done_once_though_its_answer_was_lost(
    backend: RedisBackend, door: Door, outcome: bytes | None, cuts: list[Cut]
) -> None:
    """The same settlements are written and the same jobs handed out, under the same tokens, in their first attempt; a
    job that waited for one of them is freed once; nothing is left for anybody else.
    """
    backend.enqueue([job(number) for number in range(WIDE)])
    backend.enqueue([job(9000, after=[0, 3])])
    backend.enqueue([job(number) for number in range(1000, 1000 + WIDE)])
    hand, other = Hand(backend, ["all"], 60_000), Hand(backend, ["all"], 60_000)
    first = hand.claim(WIDE)
    ends = ends_of(first, outcome)
    assert (len(first), backend.exchange(hand.id, (), limit=0, seen=hand.seen)) == (WIDE, ([], []))
    door.expect(sha(backend), *[Fate(cut=cut) for cut in cuts])

    if len(cuts) > 1:  # a line is mended once; whoever asked is told, and asks again
        with pytest.raises(BackendUnavailable):
            backend.exchange(hand.id, ends, limit=WIDE, seen=hand.seen)
    settled, second = backend.exchange(hand.id, ends, limit=WIDE, seen=hand.seen)

    assert settled == [Settled.WRITTEN] * WIDE
    assert numbers(second) == list(range(1000, 1000 + WIDE))
    assert {(each.attempt, each.crashes) for each in second} == {(1, 0)}
    assert [each.token for each in second] == sorted({each.token for each in second})
    assert numbers(other.claim(WIDE)) == [9000]
    hand.seen = second[-1].token
    assert backend.exchange(hand.id, ends_of(second, outcome), limit=WIDE, seen=hand.seen)[1] == []
    retried = sum(n % 100 == 7 for n in range(WIDE))
    assert backend.counts().queues == {"all": {JobState.RETRYING: 2 * retried, JobState.RUNNING: 1}}
    records = {each.job_id: backend.find(each.job_id) for each in (*first, *second)}
    assert {record and record.attempt for record in records.values()} == {1}
    assert Counter(record and record.state for record in records.values()) == {
        JobState.SUCCESS: 2 * (WIDE - retried),
        JobState.RETRYING: 2 * retried,
    }
    good = [record.outcome for record in records.values() if record and record.state is JobState.SUCCESS]
    assert set(good) == {outcome}
    # What ended is known as such: enqueued again it is not run again.
    again = backend.enqueue([job(number) for number in range(WIDE)])
    assert {receipt.status for receipt in again} == {ReceiptStatus.DUPLICATE}
    assert hand.settle_all(first[:7], RetryIn(0)) == [Settled.LOST] * 7


@LOST
def test_no_answer_of_an_exchange_makes_another_workers_job_its_own(
    backend: RedisBackend, door: Door, cuts: list[Cut]
) -> None:
    """Between what was done and what is asked again, others claim and settle: each job is handed out once."""
    backend.enqueue([job(number) for number in range(3 * WIDE)])
    hand, other = Hand(backend, ["all"], 60_000), Hand(backend, ["all"], 60_000)
    first = hand.claim(WIDE)
    theirs: list[Claimed] = []
    backend.exchange(hand.id, (), limit=0, seen=hand.seen)

    def claim() -> None:
        theirs.extend(other.claim(100))

    door.expect(sha(backend), *[Fate(cut=cut, after=claim) for cut in cuts])
    for _ in cuts[1:]:
        with pytest.raises(BackendUnavailable):
            backend.exchange(hand.id, ends_of(first, None), limit=WIDE, seen=hand.seen)
    settled, second = backend.exchange(hand.id, ends_of(first, None), limit=WIDE, seen=hand.seen)

    assert settled == [Settled.WRITTEN] * WIDE
    assert numbers(second) == list(range(WIDE, 2 * WIDE))
    assert numbers(theirs) == list(range(2 * WIDE, 2 * WIDE + 100 * len(cuts)))
    assert other.settle_all(theirs, Succeeded()) == [Settled.WRITTEN] * len(theirs)


@pytest.mark.parametrize("keeps", [False, True], ids=["no-results", "results"])
def test_a_worker_whose_answers_are_lost_runs_each_job_once(server: Server, keeps: bool) -> None:
    """Whole and half answers, one after the other and two in a row: each job runs once, and ends once."""
    jobs, ran, ended = 3000, Counter[int](), Counter[str]()
    with Door(server) as door, closing(Gator(door.dsn, namespace=f"exchange-{next(_numbers)}")) as gator:
        assert isinstance(gator.backend, RedisBackend)

        def note(number: int) -> int | None:
            ran[number] += 1
            return number if keeps else None

        task = gator.register(name="note")(note)
        gator.events.on(JobEnded, lambda event: ended.update([event.job_id]))
        made = gator.task_many(task, [(number,) for number in range(jobs)])
        lost = [Fate(cut=cut) for cut in (Cut.ANSWER, Cut.HALF_ANSWER)]
        door.expect(sha(gator.backend), Fate(), *lost, Fate(), lost[1], Fate(), lost[0], lost[0], lost[1])
        worker = Worker(gator, concurrency=2)
        thread = Thread(target=worker.run)
        thread.start()
        try:
            until(lambda: len(ended) == jobs, "not all ended")
        finally:
            worker.stop()
            thread.join(30)

        assert not thread.is_alive()
        assert door.met
        assert set(ran.values()) == set(ended.values()) == {1}
        assert (len(ran), worker.report.succeeded, worker.report.lost) == (jobs, jobs, 0)
        assert {job.state() for job in made[::100]} == {JobState.SUCCESS}
        assert [made[number].result() for number in (0, 999, 2999)] == ([0, 999, 2999] if keeps else [None] * 3)
        assert faults(gator.backend) == []
