"""The memory backend keeps the contract, and keeps nothing that nobody owns."""

import gc
from collections import Counter

import pytest

from typedgator.backends.connect import connect
from typedgator.backends.contract import Backend, Exchange, Holding, Inspect, Notes, Operate, ReceiptStatus, Results
from typedgator.backends.locmem import LocmemBackend
from typedgator.backends.locmem.ledger import Ledger
from typedgator.clock import Clock
from typedgator.errors import ConfigurationError
from typedgator.testing.clock import FakeClock
from typedgator.testing.contract import BackendContract, BackendModel, Bench, job
from typedgator.wire.states import FINAL, JobState
from typedgator.wire.verdict import Failed, RetryIn, Succeeded


def ledger_of(backend: Backend) -> Ledger:
    """What lies in memory."""
    assert isinstance(backend, LocmemBackend)
    return backend._ledger


def faults(ledger: Ledger) -> list[str]:
    """What contradicts itself: a job in two indexes or none, a lease without an end, a key without a holder."""
    found: list[str] = []
    places: Counter[bytes] = Counter()
    places.update(job.id for line in ledger.lines.values() for job in line.after(-1, -1))
    places.update(ledger.due)
    places.update(ledger.held)
    places.update(list(ledger.dead))
    lapsing = {job_id for _, job_id in ledger.lapsed}
    held = [job for worker in ledger.workers.values() for job in worker.running.values()]
    places.update(job.id for job in held)
    for each in ledger.jobs.values():
        indexed = places.pop(each.id, 0) + (each.state is JobState.RUNNING and each.worker not in ledger.workers)
        wanted = each.state in (*set(JobState) - FINAL - {JobState.BLOCKED}, JobState.FAILED)
        if indexed != wanted and not (each.state is JobState.FAILED and each.frame is None and not indexed):
            found.append(f"{each.id!r} is {each.state} and in {indexed} indexes")
        if each.state is JobState.RUNNING and each.worker not in ledger.workers and each.id not in lapsing:
            found.append(f"{each.id!r} runs under a lease without an end")
        if each.state is JobState.BLOCKED and not all(
            each.id in (ledger.jobs[parent].children or ()) for parent in each.parents or ()
        ):
            found.append(f"{each.id!r} waits for a parent that does not know it")
        if (each.expires_ms is not None and each.state not in (*FINAL, JobState.RUNNING)) != (
            each.id in ledger.expiring
        ):
            found.append(
                f"{each.id!r} is {each.state}, its expiry {each.expires_ms} is not on the agenda, or is in vain"
            )
    found += [f"{job_id!r} is in an index, but no job" for job_id in places]
    found += [f"{worker} has no lease" for worker in ledger.workers if worker not in ledger.leases]
    for key, holder in ledger.unique.items():
        if holder not in ledger.jobs or ledger.jobs[holder].state in FINAL:
            found.append(f"the key {key!r} is held by nobody")
    tally = {queue: {state: n for state, n in states.items() if n} for queue, states in ledger.tally.items()}
    counted: dict[str, Counter[JobState]] = {}
    for each in ledger.jobs.values():
        if not (each.state is JobState.FAILED and each.frame is None):
            counted.setdefault(each.queue, Counter())[each.state] += 1
    if {queue: states for queue, states in tally.items() if states} != counted:
        found.append(f"counted {tally}, there are {counted}")
    return found


class TestLocmem(BackendContract):
    """Every test of the contract."""

    def make(self, clock: Clock) -> Backend:
        """A fresh storage in memory."""
        return LocmemBackend(clock=clock)

    def audit(self, backend: Backend) -> None:
        """Nothing contradicts itself."""
        assert faults(ledger_of(backend)) == []


class LocmemModel(BackendModel):
    """Backend and model, side by side."""

    make = TestLocmem.make
    audit = TestLocmem.audit


# A difference is worth the minutes that it takes to make it small.
TestLocmemModel = pytest.mark.timeout(1800)(LocmemModel.as_test())


def test_each_gator_has_a_storage_of_its_own() -> None:
    """`locmem://` twice is two storages."""
    one, other = connect("locmem://"), connect("locmem://")

    one.enqueue([job(1)])

    assert other.enqueue([job(1)])[0].status is ReceiptStatus.NEW


def test_a_named_storage_is_shared_within_the_process() -> None:
    """`locmem://name` is one storage for all who say the same name and namespace, and gone with the last of them."""
    one, other, elsewhere = connect("locmem://n"), connect("locmem://n"), connect("locmem://n", namespace="x")

    one.enqueue([job(1)])

    assert other.enqueue([job(1)])[0].status is ReceiptStatus.DUPLICATE
    assert elsewhere.enqueue([job(1)])[0].status is ReceiptStatus.NEW
    del one, other
    gc.collect()
    assert connect("locmem://n").enqueue([job(1)])[0].status is ReceiptStatus.NEW


@pytest.mark.parametrize("dsn", ["locmem://name/path", "locmem:///path", "locmem://?pool=3", "locmem://#x"])
def test_a_dsn_that_means_nothing_is_refused(dsn: str) -> None:
    """Memory has a name or none, and no other option."""
    with pytest.raises(ConfigurationError):
        connect(dsn)


def test_it_can_all_but_outlive_the_process() -> None:
    """`can`: all facets but Exchange; neither durable nor shared."""
    backend = LocmemBackend()

    assert not backend.can.durable
    assert not backend.can.shared
    assert all(isinstance(backend, facet) for facet in (Results, Inspect, Operate, Holding, Notes))
    assert not isinstance(backend, Exchange)


def test_memory_is_bounded_though_nobody_calls_maintain() -> None:
    """Each job that comes lets two go whose time is over."""
    bench = Bench(LocmemBackend(clock=(clock := FakeClock())), clock)
    for number in range(3000):
        bench.accept(job(number))
        bench.run(number, Succeeded(b"a result", keep_ms=60_000))
        clock.advance(1000)

    assert len(ledger_of(bench.backend).jobs) < 100


def test_what_was_dropped_from_an_agenda_is_swept() -> None:
    """Jobs delayed for a year and canceled leave no trail of void entries, nor do beats."""
    bench = Bench(LocmemBackend(clock=(clock := FakeClock())), clock)
    hand = bench.hand()
    for number in range(3000):
        bench.accept(job(number, delay_ms=31_536_000_000, expires_in_ms=31_536_000_001))
        bench.cancel(number)
        hand.beat()
        clock.advance(100)

    ledger = ledger_of(bench.backend)

    assert max(len(agenda._heap) for agenda in (ledger.due, ledger.expiring, ledger.leases)) < 100


def test_when_all_is_forgotten_nothing_is_left() -> None:
    """After the last job's memory is over, the storage is as empty as a new one."""
    bench = Bench(LocmemBackend(clock=(clock := FakeClock())), clock)
    bench.accept(job(1, "a", unique=b"k" * 16), job(2, "b", after=[1], expires_in_ms=5000), job(3, "c", delay_ms=10))
    bench.run(1, RetryIn(1), queue="a")
    clock.advance(10)
    bench.run(1, Failed(b"an error"), queue="a")
    bench.crash("c")
    bench.run(3, Succeeded(b"a result"), queue="c")

    clock.advance(30 * 24 * 3_600_000)
    bench.maintain()

    left, new = vars(ledger_of(bench.backend)), vars(Ledger())
    for name in ("jobs", "lines", "workers", "lapsed", "unique", "dead", "tally", "paused", "awaited"):
        assert left[name] == new[name], name
    assert [len(left[name]) for name in ("due", "expiring", "held", "leases")] == [0, 0, 0, 0]
    assert left["memory"]._ids == {}
