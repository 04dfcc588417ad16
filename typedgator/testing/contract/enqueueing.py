"""Accepting jobs: once, all or none, as they came."""

import pytest

from typedgator.backends.contract import ATOMIC_BATCH, CancelAnswer, Receipt, ReceiptStatus
from typedgator.errors import UnknownDependency, Unsupported
from typedgator.testing.contract.bench import KEY, Bench, Given, job, named, numbers, requires
from typedgator.wire.frame import MAX_FRAME_BYTES, FrameFlags, open_frame
from typedgator.wire.ids import JobId
from typedgator.wire.states import JobState
from typedgator.wire.verdict import Canceled, Failed, Held, Released, RetryIn, Snoozed, Succeeded, Verdict

__all__ = ["Enqueueing"]


class Enqueueing(Given):
    """`enqueue`."""

    def test_open_and_close_may_be_called_twice(self, bench: Bench) -> None:
        """`open` and `close` are idempotent; a call after `close` opens again, and what was accepted stayed."""
        bench.backend.open()
        bench.accept(job(1))

        bench.backend.close()
        bench.backend.close()

        assert numbers(bench.hand().claim()) == [1]

    def test_an_accepted_job_is_new(self, bench: Bench) -> None:
        """The answer to a frame that was accepted is NEW, with its own id; nothing in, nothing out."""
        assert bench.add() == []

        receipts = bench.add(job(1), job(2))

        assert receipts == [Receipt(ReceiptStatus.NEW, named(1)), Receipt(ReceiptStatus.NEW, named(2))]
        assert bench.states(1, 2) == [JobState.WAITING, JobState.WAITING]

    def test_frames_come_back_byte_for_byte(self, bench: Bench) -> None:
        """What was accepted is handed out as it was stored: `open_frame` gives every field and the same envelope."""
        envelope = bytes(range(256)) * 4
        frame = job(1, "images", envelope=envelope, flags=FrameFlags.RESULT_WANTED)
        bench.accept(frame)

        accepted_ms = bench.clock.now_ms()
        bench.clock.advance(5)
        head = open_frame(bench.hand("images").claim_one().frame)

        assert (head.envelope, head.queue, head.accepted_ms) == (envelope, "images", accepted_ms)
        assert (head.priority, head.crash_budget, head.expires_ms) == (100, 3, 0)
        assert head.flags == FrameFlags.RESULT_WANTED

    @requires("expiry")
    def test_expiry_is_written_by_the_backends_clock(self, bench: Bench) -> None:
        """The stored expiry counts from acceptance on the backend's clock."""
        bench.accept(job(1, expires_in_ms=7000))

        head = open_frame(bench.hand().claim_one().frame)

        assert head.expires_ms == head.accepted_ms + 7000 == bench.clock.now_ms() + 7000

    def test_the_largest_frame_is_kept(self, bench: Bench) -> None:
        """A frame may have up to `max_frame_bytes`, any bytes among them; a larger one than that is refused."""
        most = bench.backend.can.max_frame_bytes
        envelope = b"\x00\xff\n'\"" * ((most - 100) // 5)
        bench.accept(job(1, envelope=envelope))

        claimed = bench.hand().claim_one()

        assert open_frame(claimed.frame).envelope == envelope
        if most < MAX_FRAME_BYTES:
            with pytest.raises(Unsupported):
                bench.add(job(2, envelope=bytes(most)))

    def test_a_whole_batch_is_accepted_in_order(self, bench: Bench) -> None:
        """ATOMIC_BATCH frames in one call are accepted, and lists answer in the order asked."""
        frames = [job(number) for number in range(1, ATOMIC_BATCH + 1)]

        receipts = bench.add(*frames)

        assert [receipt.job_id for receipt in receipts] == [frame.job_id for frame in frames]
        assert numbers(bench.hand().claim(ATOMIC_BATCH)) == list(range(1, ATOMIC_BATCH + 1))

    @requires("memory")
    def test_a_repeated_enqueue_writes_nothing(self, bench: Bench) -> None:
        """A known id is DUPLICATE, so a call that got no answer is repeated blindly; the first frame stands."""
        bench.accept(job(1, envelope=b"first"))

        receipts = bench.add(job(1, envelope=b"second"), job(2), job(2))

        assert [receipt.status for receipt in receipts] == [
            ReceiptStatus.DUPLICATE,
            ReceiptStatus.NEW,
            ReceiptStatus.DUPLICATE,
        ]
        claimed = bench.hand().claim()
        assert numbers(claimed) == [1, 2]
        assert open_frame(claimed[0].frame).envelope == b"first"

    @requires("memory")
    @pytest.mark.parametrize(
        "verdict",
        [Succeeded(), Failed(b"error"), RetryIn(1000), Snoozed(1000), Released(), Canceled(), Held("why", "t", "s")],
        ids=lambda verdict: type(verdict).__name__,
    )
    def test_a_repeat_is_a_duplicate_whatever_became_of_the_job(self, bench: Bench, verdict: Verdict) -> None:
        """Running, settled or back in line: the id is known, and a repeat makes no second job."""
        bench.accept(job(1))
        hand = bench.hand()
        claimed = hand.claim_one()
        while_running = bench.add(job(1))
        hand.settle(claimed, verdict)

        afterwards = bench.add(job(1))

        assert while_running == afterwards == [Receipt(ReceiptStatus.DUPLICATE, named(1))]

    @requires("caller_ids")
    def test_a_callers_own_id_is_kept_as_it_is(self, bench: Bench) -> None:
        """A caller may choose the id: 1 to 128 ASCII characters, 16 of them too."""
        ids = [JobId(b"a"), JobId(b"cron:report:2026"), JobId(b"x" * 128)]

        bench.accept(*(job(each) for each in ids))

        assert [claimed.job_id for claimed in bench.hand().claim()] == ids

    @requires("unique")
    def test_a_held_unique_key_answers_with_its_holder(self, bench: Bench) -> None:
        """A unique key that an unfinished job holds is DUPLICATE with the holder's id, and the new id stays unknown."""
        bench.accept(job(1, unique=KEY))

        receipts = bench.add(job(2, unique=KEY), job(3, unique=b"another digest !"))

        assert receipts == [Receipt(ReceiptStatus.DUPLICATE, named(1)), Receipt(ReceiptStatus.NEW, named(3))]
        assert bench.find(2) is None

    @requires("unique")
    def test_a_unique_key_counts_within_one_call(self, bench: Bench) -> None:
        """Two frames of one call with the same key make one job."""
        receipts = bench.add(job(1, unique=KEY), job(2, unique=KEY))

        assert receipts == [Receipt(ReceiptStatus.NEW, named(1)), Receipt(ReceiptStatus.DUPLICATE, named(1))]

    @requires("unique")
    @pytest.mark.parametrize("end", ["succeeded", "failed", "canceled by its task", "canceled", "expired", "crashed"])
    def test_every_end_frees_the_unique_key(self, bench: Bench, end: str) -> None:
        """However a job ends, its unique key is free at once."""
        bench.accept(job(1, unique=KEY, expires_in_ms=1000 if end == "expired" else None, crash_budget=0))
        match end:
            case "canceled":
                assert bench.cancel(1) is CancelAnswer.DONE
            case "expired":
                bench.clock.advance(1000)
                bench.maintain()
            case "crashed":
                bench.crash()
            case _:
                verdicts: dict[str, Verdict] = {"succeeded": Succeeded(), "failed": Failed(b"error")}
                bench.run(1, verdicts.get(end, Canceled()))

        receipts = bench.add(job(2, unique=KEY))

        assert receipts == [Receipt(ReceiptStatus.NEW, named(2))]

    @requires("unique")
    @pytest.mark.parametrize(
        "verdict", [RetryIn(1000), Snoozed(1000), Released(), Held("why", "t", "s")], ids=lambda v: type(v).__name__
    )
    def test_a_job_that_will_run_again_keeps_its_unique_key(self, bench: Bench, verdict: Verdict) -> None:
        """Retrying, snoozed, released and held jobs are unfinished and hold their keys."""
        bench.accept(job(1, unique=KEY))
        bench.run(1, verdict)

        receipts = bench.add(job(2, unique=KEY))

        assert receipts == [Receipt(ReceiptStatus.DUPLICATE, named(1))]

    @requires("unique")
    def test_the_end_of_an_earlier_holder_leaves_the_key_alone(self, bench: Bench) -> None:
        """A key that changed hands is not freed by a repeat of the first holder's end."""
        bench.accept(job(1, unique=KEY))
        hand = bench.hand()
        claimed = hand.claim_one()
        hand.succeed(claimed)
        bench.accept(job(2, unique=KEY))

        hand.succeed(claimed)
        bench.cancel(1)

        assert bench.add(job(3, unique=KEY)) == [Receipt(ReceiptStatus.DUPLICATE, named(2))]

    @requires("dependencies")
    def test_an_unknown_parent_refuses_the_whole_call(self, bench: Bench) -> None:
        """UnknownDependency names the parent, and nothing of the call was written."""
        bench.accept(job(1))

        with pytest.raises(UnknownDependency) as refusal:
            bench.add(job(2), job(3, after=[1, 99]), job(4))

        assert refusal.value.parent == named(99).hex()
        assert [bench.find(number) for number in (2, 3, 4)] == [None, None, None]
        assert numbers(bench.hand().claim()) == [1]

    @requires("dependencies", "unique")
    def test_a_refused_call_leaves_no_unique_key_behind(self, bench: Bench) -> None:
        """What was not written holds no key."""
        with pytest.raises(UnknownDependency):
            bench.add(job(1, unique=KEY), job(2, after=[99]))

        assert bench.add(job(3, unique=KEY)) == [Receipt(ReceiptStatus.NEW, named(3))]

    @requires("dependencies")
    def test_a_job_cannot_wait_for_itself_or_for_a_later_one(self, bench: Bench) -> None:
        """A frame may depend on an earlier one of the same call, on no later one."""
        for frames in ([job(1, after=[1])], [job(2, after=[3]), job(3)]):
            with pytest.raises(UnknownDependency):
                bench.add(*frames)

    @requires("dependencies")
    def test_a_repeat_does_not_look_at_parents(self, bench: Bench) -> None:
        """A repeated enqueue is DUPLICATE also when its parent is long forgotten."""
        bench.accept(job(1), job(2, after=[1]))

        receipts = bench.add(job(2, after=[99]))

        assert receipts == [Receipt(ReceiptStatus.DUPLICATE, named(2))]

    def test_a_delayed_job_waits_for_its_time(self, bench: Bench) -> None:
        """A delay counts from acceptance on the backend's clock: scheduled, and at that millisecond handed out."""
        bench.accept(job(1, delay_ms=1000))
        hand = bench.hand()

        assert bench.state(1) is JobState.SCHEDULED
        bench.clock.advance(999)
        assert hand.claim() == []
        bench.clock.advance(1)

        assert numbers(hand.claim()) == [1]

    def test_the_longest_delay_is_kept_and_a_longer_one_refused(self, bench: Bench) -> None:
        """Up to `max_delay_ms`, a year when there is none; what is longer is refused with Unsupported."""
        longest_ms = bench.backend.can.max_delay_ms
        bench.accept(job(1, delay_ms=longest_ms or 365 * 24 * 3_600_000))

        if longest_ms is not None:
            with pytest.raises(Unsupported):
                bench.add(job(2, delay_ms=longest_ms + 1))
        bench.clock.advance(longest_ms or 365 * 24 * 3_600_000)
        assert numbers(bench.hand().claim()) == [1]

    @requires("inspect")
    def test_a_scheduled_job_says_when_it_is_due(self, bench: Bench) -> None:
        """The record of a scheduled job has its due time."""
        bench.accept(job(1, delay_ms=1000))

        assert bench.record(1).due_ms == bench.clock.now_ms() + 1000

    @requires("expiry")
    @pytest.mark.parametrize("delay_ms", [0, 500, 2000])
    def test_a_job_that_was_not_started_in_time_is_never_started(self, bench: Bench, delay_ms: int) -> None:
        """At its expiry an unstarted job is canceled with reason `expired`, waiting or scheduled."""
        bench.accept(job(1, expires_in_ms=1000, delay_ms=delay_ms), job(2))
        hand = bench.hand()

        bench.clock.advance(1000)

        assert numbers(hand.claim()) == [2]
        bench.maintain()
        assert (bench.state(1), bench.record(1).reason) == (JobState.CANCELED, "expired")

    @requires("expiry")
    def test_a_job_is_started_until_the_last_millisecond(self, bench: Bench) -> None:
        """One millisecond before its expiry a job is handed out, and then it may take its time."""
        bench.accept(job(1, expires_in_ms=1000))
        bench.clock.advance(999)
        hand = bench.hand()
        claimed = hand.claim_one()

        bench.clock.advance(1000)
        bench.maintain()

        assert bench.state(1) is JobState.RUNNING
        hand.settle(claimed, RetryIn(5000))
        bench.clock.advance(5000)
        assert numbers(hand.claim()) == [1], "a job that ran in time does not expire while it is retried"

    @requires("expiry")
    @pytest.mark.parametrize("given_back", ["released", "held", "its worker left"])
    def test_an_attempt_that_was_given_back_started_nothing(self, bench: Bench, given_back: str) -> None:
        """Released, Held and `leave` start nothing: the job still expires."""
        bench.accept(job(1, expires_in_ms=1000))
        hand = bench.hand()
        claimed = hand.claim_one()
        match given_back:
            case "released":
                hand.settle(claimed, Released())
            case "held":
                hand.settle(claimed, Held("why", "t", "s"))
            case _:
                hand.leave()

        bench.clock.advance(1000)
        bench.maintain()

        assert (bench.state(1), bench.record(1).reason) == (JobState.CANCELED, "expired")
