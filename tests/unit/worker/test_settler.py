"""The settler by itself: gathers, writes, tries again, and lets no settlement hold up the others."""

from collections.abc import Sequence
from threading import Event

import pytest

from typedgator.backends.contract import Claimed, Settled
from typedgator.backends.locmem import LocmemBackend
from typedgator.testing.contract import job
from typedgator.testing.flaky import FlakyBackend
from typedgator.wire.verdict import Settlement, Succeeded
from typedgator.worker import settler as module
from typedgator.worker.desk import Finished
from typedgator.worker.settler import FULL, Settler

PATIENCE = 10.0


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> FlakyBackend:
    """In memory; waits between tries are short."""
    monkeypatch.setattr(module, "RETRY_SECONDS", (0.001,))
    return FlakyBackend(LocmemBackend())


class Answers:
    """What the settler told."""

    def __init__(self) -> None:
        self.all: list[tuple[int, Settled]] = []
        self.some = Event()

    def __call__(self, batch: Sequence[Finished], answers: Sequence[Settled]) -> None:
        self.all += [(finished.settlement.token, answer) for finished, answer in zip(batch, answers, strict=True)]
        self.some.set()


@pytest.fixture
def answers() -> Answers:
    """What the settler told."""
    return Answers()


def finished(backend: FlakyBackend, count: int) -> list[Finished]:
    """So many jobs, claimed and done."""
    for at in range(0, count, 100):
        backend.enqueue([job(number) for number in range(at, min(count, at + 100))])
    worker = backend.join(["all"], lease_ms=30_000)
    claimed: list[Claimed] = backend.claim(worker, limit=count, wait_ms=0, seen=0)
    assert len(claimed) == count
    return [Finished(worker, Settlement(one.job_id, one.token, Succeeded())) for one in claimed]


def test_what_is_added_is_written_soon_and_told_once(backend: FlakyBackend, answers: Answers) -> None:
    """At once when nothing else runs."""
    settler = Settler(backend, busy=lambda: False, after=answers)
    settler.start()
    (one,) = finished(backend, 1)
    settler.add(one)
    assert answers.some.wait(PATIENCE)
    settler.stop(1.0)
    assert answers.all == [(one.settlement.token, Settled.WRITTEN)]
    assert (settler.settled, settler.unstarted) == (1, 1)


def test_many_leave_in_full_batches(backend: FlakyBackend, answers: Answers) -> None:
    """One round trip for a hundred."""
    settler = Settler(backend, busy=lambda: True, after=answers)
    for one in finished(backend, 350):
        settler.add(one)
    while settler.settled < 350:
        settler.tick()
    assert backend.calls["settle"] == 4
    assert len(answers.all) == 350


def test_batches_that_fail_get_smaller_and_grow_again(backend: FlakyBackend, answers: Answers) -> None:
    """So that one bad settlement, whatever its driver makes of it, comes to stand alone."""
    settler = Settler(backend, busy=lambda: True, after=answers)
    for one in finished(backend, 300):
        settler.add(one)
    backend.fail("settle", times=4)
    sizes: list[int] = []
    while settler.settled < 300:
        before = len(answers.all)
        settler.tick()
        sizes.append(len(answers.all) - before)
    assert sizes[:4] == [0, 0, 0, 0]
    assert sizes[4:8] == [6, 12, 24, 48]
    assert max(sizes) <= FULL
    assert len({token for token, _ in answers.all}) == len(answers.all) == 300


def test_what_was_taken_along_and_put_back_is_next(backend: FlakyBackend, answers: Answers) -> None:
    """The claimer's exchange failed: nothing is lost, nothing is told."""
    settler = Settler(backend, busy=lambda: True, after=answers)
    batch = finished(backend, 3)
    for one in batch:
        settler.add(one)
    taken = settler.take(2)
    assert (len(taken), settler.settled) == (2, 0)
    settler.put_back(taken)
    settler.tick()
    assert [token for token, _ in answers.all] == [one.settlement.token for one in batch]


def test_who_comes_by_takes_them_and_the_settler_lets_them_be(
    backend: FlakyBackend, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are: one transaction less, and no thread woken."""
    monkeypatch.setattr(module, "RIDE_SECONDS", 10 * PATIENCE)
    settler = Settler(backend, busy=lambda: False, after=answers)
    settler.start()
    settler.ride(True)
    for one in finished(backend, 2 * FULL):
        settler.add(one)
    batch = settler.take(3 * FULL)
    settler.written(batch, [Settled.WRITTEN] * len(batch))
    settler.stop(PATIENCE)
    assert len(batch) == 2 * FULL
    assert backend.calls["settle"] == 0


def test_who_stays_away_is_not_waited_for(backend: FlakyBackend, answers: Answers) -> None:
    """A claim that hangs holds up no settlement."""
    settler = Settler(backend, busy=lambda: True, after=answers)
    settler.start()
    settler.ride(True)
    (one,) = finished(backend, 1)
    settler.add(one)
    assert answers.some.wait(PATIENCE)
    settler.stop(1.0)
    assert answers.all == [(one.settlement.token, Settled.WRITTEN)]


def test_what_is_left_to_nobody_is_written(
    backend: FlakyBackend, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who came by goes to wait, and says so: the settler need not look at the clock."""
    monkeypatch.setattr(module, "RIDE_SECONDS", 10 * PATIENCE)
    settler = Settler(backend, busy=lambda: False, after=answers)
    settler.start()
    settler.ride(True)
    (one,) = finished(backend, 1)
    settler.add(one)
    settler.ride(False)
    assert answers.some.wait(PATIENCE)
    settler.stop(1.0)


def test_a_stop_writes_what_is_left(backend: FlakyBackend, answers: Answers) -> None:
    """Also what comes in one moment before."""
    settler = Settler(backend, busy=lambda: True, after=answers)
    settler.start()
    for one in finished(backend, 500):
        settler.add(one)
    settler.stop(PATIENCE)
    assert [answer for _, answer in answers.all] == [Settled.WRITTEN] * 500


def test_a_stop_gives_up_in_time(backend: FlakyBackend, answers: Answers) -> None:
    """What was not written is told as lost."""
    settler = Settler(backend, busy=lambda: True, after=answers)
    settler.start()
    backend.fail("settle")
    for one in finished(backend, 150):
        settler.add(one)
    settler.stop(0.05)
    assert [answer for _, answer in answers.all] == [Settled.LOST] * 150
    assert settler.settled == 150


def test_settlements_of_two_identities_are_written_each_under_its_own(backend: FlakyBackend, answers: Answers) -> None:
    """After a lapse both may be on their way; the old one's are lost."""
    settler = Settler(backend, busy=lambda: True, after=answers)
    old = finished(backend, 1)
    backend.leave(old[0].identity)
    worker = backend.join(["all"], lease_ms=30_000)
    (again,) = backend.claim(worker, limit=1, wait_ms=0, seen=0)
    settler.add(old[0])
    settler.add(Finished(worker, Settlement(again.job_id, again.token, Succeeded())))
    settler.tick()
    assert answers.all == [(old[0].settlement.token, Settled.LOST), (again.token, Settled.WRITTEN)]
