"""What is known of finished jobs, for how long, and that nothing is known for ever."""

import pytest

from typedgator.backends.contract import DEAD_LETTERS, Receipt, ReceiptStatus, Settled
from typedgator.testing.contract.bench import Bench, Given, job, named, requires
from typedgator.wire.frame import FrameFlags
from typedgator.wire.ids import JobId
from typedgator.wire.states import JobState
from typedgator.wire.verdict import KEPT_FAILURE_MS, Canceled, Failed, Succeeded, Verdict

__all__ = ["Remembering"]

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


class Remembering(Given):
    """Memory."""

    @requires("memory")
    @pytest.mark.parametrize("verdict", [Succeeded(), Succeeded(keep_ms=0), Canceled()], ids=str)
    def test_every_end_is_known_for_a_minute(self, bench: Bench, verdict: Verdict) -> None:
        """At least 60 s after its end a job has a record, and a repeated enqueue is DUPLICATE."""
        bench.accept(job(1))
        bench.run(1, verdict)

        bench.clock.advance(MINUTE_MS - 1)
        bench.maintain()

        assert bench.state(1) in (JobState.SUCCESS, JobState.CANCELED)
        assert bench.add(job(1)) == [Receipt(ReceiptStatus.DUPLICATE, named(1))]

    @requires("caller_ids")
    @pytest.mark.parametrize("end", ["success", "canceled"])
    def test_a_callers_own_id_is_known_for_a_day(self, bench: Bench, end: str) -> None:
        """With a caller's id a finished job is known for at least 24 h."""
        mine = JobId(b"report-2026-01")
        bench.accept(job(mine))
        bench.run(mine, Succeeded() if end == "success" else Canceled())

        bench.clock.advance(DAY_MS - 1)
        bench.maintain()

        assert bench.state(mine) == end
        assert bench.add(job(mine)) == [Receipt(ReceiptStatus.DUPLICATE, mine)]

    @requires("memory")
    def test_an_end_that_somebody_wants_is_known_for_ten_minutes(self, bench: Bench) -> None:
        """With RESULT_WANTED a finished job is known for at least 10 min, also without a result."""
        bench.accept(job(1, flags=FrameFlags.RESULT_WANTED))
        bench.run(1, Succeeded())

        bench.clock.advance(10 * MINUTE_MS - 1)
        bench.maintain()

        assert bench.state(1) is JobState.SUCCESS

    @requires("memory")
    def test_the_end_is_known_for_as_long_as_the_verdict_asks(self, bench: Bench) -> None:
        """Asked to keep a result for a day, the backend does."""
        bench.accept(job(1))
        bench.run(1, Succeeded(b"a result", keep_ms=DAY_MS))

        bench.clock.advance(DAY_MS - 1)
        bench.maintain()

        assert bench.record(1).outcome == b"a result"

    @requires("memory")
    def test_nothing_is_known_for_ever(self, bench: Bench) -> None:
        """Long after its time a finished job is gone, and its id is as good as new."""
        bench.accept(job(1), job(2), job(3, flags=FrameFlags.RESULT_WANTED))
        hand = bench.hand()
        ends: list[Verdict] = [Succeeded(b"r", keep_ms=HOUR_MS), Canceled(), Succeeded()]
        for claimed, verdict in zip(hand.claim(), ends, strict=True):
            hand.settle(claimed, verdict)

        bench.clock.advance(3 * HOUR_MS)
        bench.maintain()

        assert [bench.find(number) for number in (1, 2, 3)] == [None, None, None]
        assert bench.add(job(1)) == [Receipt(ReceiptStatus.NEW, named(1))]

    @requires("memory")
    def test_what_was_kept_goes_with_its_result(self, bench: Bench) -> None:
        """A forgotten job's old settlement is LOST, not WRITTEN into nothing."""
        bench.accept(job(1))
        hand = bench.hand(lease_ms=10 * HOUR_MS)
        claimed = hand.claim_one()
        hand.succeed(claimed)

        bench.clock.advance(3 * HOUR_MS)
        bench.maintain()

        assert hand.succeed(claimed) is Settled.LOST

    @requires("caller_ids", "results")
    def test_a_result_does_not_stay_as_long_as_its_id(self, bench: Bench) -> None:
        """A caller's id is known for a day; that its result goes earlier does not make it unknown."""
        mine = JobId(b"mine")
        bench.accept(job(mine))
        bench.run(mine, Succeeded(b"a result", keep_ms=10 * MINUTE_MS))

        bench.clock.advance(10 * MINUTE_MS - 1)
        bench.maintain()
        assert bench.record(mine).outcome == b"a result"
        bench.clock.advance(5 * HOUR_MS)
        bench.maintain()

        assert bench.state(mine) is JobState.SUCCESS

    @requires("memory")
    def test_dead_letters_are_kept_for_a_week(self, bench: Bench) -> None:
        """Failed jobs are kept 7 days, frame and error included."""
        bench.accept(job(1))
        claimed = bench.run(1, Failed(b"an error"))

        bench.clock.advance(KEPT_FAILURE_MS - 1)
        bench.maintain()

        record = bench.record(1)
        assert (record.state, record.outcome) == (JobState.FAILED, b"an error")
        assert record.frame in (None, claimed.frame)

    @requires("inspect")
    def test_dead_letters_lost_to_age_are_counted(self, bench: Bench) -> None:
        """After 7 days a dead letter is dropped, and counted as dropped."""
        bench.accept(job(1))
        bench.run(1, Failed(b"an error"))

        bench.clock.advance(KEPT_FAILURE_MS + DAY_MS)
        bench.maintain()

        counts = bench.inspect.counts()
        assert counts.dropped == 1
        assert counts.queues.get("all", {}).get(JobState.FAILED, 0) == 0

    @requires("inspect")
    def test_the_newest_dead_letters_are_kept(self, bench: Bench) -> None:
        """10,000 dead letters are kept, the newest; those before are dropped and counted, their ids still known."""
        surplus = 5
        hand = bench.hand()
        for start in range(0, DEAD_LETTERS + surplus, 200):
            numbers = range(start, min(start + 200, DEAD_LETTERS + surplus))
            bench.accept(*(job(number, envelope=b"x") for number in numbers))
            bench.clock.advance(1)
            hand.settle_all(hand.claim(200), Failed(b"an error"))
        bench.maintain()

        counts = bench.inspect.counts()

        assert (counts.queues["all"][JobState.FAILED], counts.dropped) == (DEAD_LETTERS, surplus)
        newest = bench.inspect.page(JobState.FAILED, limit=5).records
        assert {record.job_id for record in newest} <= {
            named(number) for number in range(DEAD_LETTERS, DEAD_LETTERS + 5)
        }
        assert bench.record(named(surplus + 200)).frame is not None
        assert bench.add(job(0)) == [Receipt(ReceiptStatus.DUPLICATE, named(0))]
