"""By an operator's hand: requeue, purge, pause, take; held jobs and notes."""

import pytest

from typedgator.backends.contract import CancelAnswer, Claimed, HeldKind, Receipt, ReceiptStatus, Settled
from typedgator.errors import ConfigurationError, WorkerLapsed
from typedgator.testing.contract.bench import KEY, LEASE_MS, Bench, Given, job, named, numbers, requires
from typedgator.wire.states import JobState
from typedgator.wire.verdict import Failed, Held, Released, RetryIn, Settlement, Snoozed, Succeeded

__all__ = ["Operating"]


class Operating(Given):
    """Operate, Holding, Notes, Exchange."""

    # requeue

    @requires("operate")
    def test_a_dead_letter_begins_again(self, bench: Bench) -> None:
        """`requeue` of a failed job: waiting, attempts and crashes at 0, the same frame, a greater token."""
        bench.accept(job(1))
        bench.crash()
        failed = bench.run(1, Failed(b"an error"))

        assert bench.operate.requeue(named(1))

        assert bench.state(1) is JobState.WAITING
        claimed = bench.hand().claim_one()
        assert (claimed.attempt, claimed.crashes, claimed.frame) == (1, 0, failed.frame)
        assert claimed.token > failed.token

    @requires("operate")
    def test_a_held_job_begins_again(self, bench: Bench) -> None:
        """`requeue` of a held job makes it waiting."""
        bench.accept(job(1))
        bench.run(1, Held("why", "t", "s"))

        assert bench.operate.requeue(named(1))

        assert numbers(bench.hand().claim()) == [1]

    @requires("operate")
    def test_nothing_else_begins_again(self, bench: Bench) -> None:
        """Waiting, running, retrying, finished well, canceled, purged or unknown: False, and nothing changed."""
        bench.accept(*(job(number) for number in range(1, 6)))
        hand = bench.hand()
        one, two, three, four = hand.claim(4)
        hand.settle(two, RetryIn(1000))
        hand.succeed(three)
        hand.settle(four, Failed(b"error"))
        bench.operate.purge(JobState.FAILED, limit=10)
        before = [bench.record(number) for number in range(1, 6)]

        assert [bench.operate.requeue(named(number)) for number in (1, 2, 3, 4, 5, 99)] == [False] * 6

        assert [bench.record(number) for number in range(1, 6)] == before
        assert hand.succeed(one) is Settled.WRITTEN

    @requires("operate", "expiry")
    def test_what_is_requeued_does_not_expire(self, bench: Bench) -> None:
        """An operator's wish counts more than an expiry that passed long ago."""
        bench.accept(job(1, expires_in_ms=1000))
        bench.run(1, Failed(b"error"))
        bench.clock.advance(5000)

        bench.operate.requeue(named(1))
        bench.maintain()

        assert numbers(bench.hand().claim()) == [1]

    @requires("operate", "unique")
    def test_a_requeued_job_has_its_unique_key_again(self, bench: Bench) -> None:
        """... when it is free; otherwise it runs without it, and the holder keeps it."""
        bench.accept(job(1, unique=KEY))
        bench.run(1, Failed(b"error"))
        bench.operate.requeue(named(1))

        assert bench.add(job(2, unique=KEY)) == [Receipt(ReceiptStatus.DUPLICATE, named(1))]
        bench.run(1, Failed(b"error"))
        bench.accept(job(3, unique=KEY))
        assert bench.operate.requeue(named(1))
        assert bench.add(job(4, unique=KEY)) == [Receipt(ReceiptStatus.DUPLICATE, named(3))]
        assert numbers(bench.hand().claim()) == [3, 1]

    # purge

    @requires("operate", "inspect")
    def test_purged_dead_letters_leave_only_their_ids(self, bench: Bench) -> None:
        """Failed jobs are forgotten but for their memory: not listed, not counted, but known; a repeat is DUPLICATE."""
        bench.accept(job(1), job(2))
        hand = bench.hand()
        hand.settle_all(hand.claim(), Failed(b"error"))

        assert bench.operate.purge(JobState.FAILED, limit=100) == 2

        assert bench.inspect.page(JobState.FAILED).records == []
        counts = bench.inspect.counts()
        assert (counts.queues.get("all", {}).get(JobState.FAILED, 0), counts.dropped) == (0, 0)
        record = bench.record(1)
        assert (record.state, record.frame) == (JobState.FAILED, None)
        assert bench.cancel(1) is CancelAnswer.TOO_LATE
        assert bench.add(job(1)) == [Receipt(ReceiptStatus.DUPLICATE, named(1))]

    @requires("operate")
    def test_a_purged_jobs_settlement_may_still_be_repeated(self, bench: Bench) -> None:
        """A failure whose reply was lost is WRITTEN also when an operator purged it meanwhile."""
        bench.accept(job(1))
        hand = bench.hand()
        claimed = hand.claim_one()
        hand.settle(claimed, Failed(b"error"))
        bench.operate.purge(JobState.FAILED, limit=1)

        assert hand.settle(claimed, Failed(b"error")) is Settled.WRITTEN
        assert hand.succeed(claimed) is Settled.LOST

    @requires("operate")
    @pytest.mark.parametrize(
        "state", [JobState.WAITING, JobState.SCHEDULED, JobState.BLOCKED, JobState.RETRYING, JobState.HELD]
    )
    def test_unfinished_jobs_that_are_purged_are_canceled(self, bench: Bench, state: JobState) -> None:
        """Canceled with reason `purged`, up to the limit; how many it were, 0 when none is left; other queues stay."""
        bench.accept(job(9, "elsewhere"))
        delay_ms, after = 1000 if state is JobState.SCHEDULED else 0, [9] if state is JobState.BLOCKED else []
        bench.accept(*(job(number, delay_ms=delay_ms, after=after) for number in (1, 2, 3)))
        bench.accept(job(4, "other", delay_ms=delay_ms, after=after))
        hand = bench.hand("all", "other")
        if state is JobState.RETRYING:
            hand.settle_all(hand.claim(), RetryIn(1000))
        elif state is JobState.HELD:
            hand.settle_all(hand.claim(), Held("why", "t", "s"))

        counts = [bench.operate.purge(state, queue="all", limit=2) for _ in range(3)]

        assert counts == [2, 1, 0]
        assert bench.states(1, 2, 3, 4) == [JobState.CANCELED] * 3 + [state]
        assert {bench.record(number).reason for number in (1, 2, 3)} == {"purged"}
        assert bench.operate.purge(state, limit=10) == (2 if state is JobState.WAITING else 1)

    @requires("operate", "dependencies")
    def test_purged_jobs_take_their_children_with_them(self, bench: Bench) -> None:
        """Dependents of what was purged are canceled with reason `dependency`, and not counted."""
        bench.accept(job(1), job(2, after=[1]))

        assert bench.operate.purge(JobState.WAITING, limit=10) == 1

        assert (bench.state(2), bench.record(2).reason) == (JobState.CANCELED, "dependency")

    @requires("operate")
    @pytest.mark.parametrize("state", [JobState.RUNNING, JobState.SUCCESS, JobState.CANCELED])
    def test_some_states_cannot_be_purged(self, bench: Bench, state: JobState) -> None:
        """ConfigurationError for running, success and canceled."""
        with pytest.raises(ConfigurationError):
            bench.operate.purge(state, limit=1)

    # pause, resume

    @requires("operate")
    def test_a_paused_queue_accepts_and_keeps(self, bench: Bench) -> None:
        """It hands out nothing until it is resumed; what runs may end, other queues go on, pausing twice is pausing."""
        bench.accept(job(1, "a"))
        hand = bench.hand("a", "b")
        running = hand.claim_one()
        bench.operate.pause("a")
        bench.operate.pause("a")
        bench.accept(job(2, "a"), job(3, "b"))

        assert numbers(hand.claim()) == [3]
        assert hand.settle(running, Released()) is Settled.WRITTEN
        assert hand.claim() == []
        bench.operate.resume("a")

        assert numbers(hand.claim()) == [1, 2]

    @requires("operate", "inspect")
    def test_paused_queues_are_listed(self, bench: Bench) -> None:
        """`counts` names the paused queues, also those that have no jobs."""
        bench.operate.pause("a")
        bench.operate.pause("b")
        bench.operate.resume("b")
        bench.operate.resume("never paused")

        assert bench.inspect.counts().paused == frozenset({"a"})

    @requires("operate")
    def test_pausing_holds_for_those_who_serve_every_queue(self, bench: Bench) -> None:
        """`*` does not reach into a paused queue."""
        bench.accept(job(1, "a"), job(2, "b"))
        bench.operate.pause("a")

        assert numbers(bench.hand("*").claim()) == [2]

    # take

    @requires("operate")
    def test_one_job_is_taken_before_its_turn(self, bench: Bench) -> None:
        """Waiting, scheduled or retrying, of whatever queue, paused or not: claimed, attempt and token as ever."""
        bench.accept(job(1), job(2), job(3, "other", delay_ms=5000), job(4))
        bench.run(1, RetryIn(5000))
        bench.operate.pause("other")
        hand = bench.hand()

        taken = [bench.operate.take(hand.id, named(number)) for number in (4, 3, 1)]

        claims = [each for each in taken if each is not None]
        assert numbers(claims) == [4, 3, 1]
        assert [each.attempt for each in claims] == [1, 1, 2]
        assert claims[0].token < claims[1].token < claims[2].token
        assert numbers(hand.claim_and_lose_the_reply()) == [4, 3, 1], "a lost reply is sent again"
        assert hand.settle_all(claims, Succeeded()) == [Settled.WRITTEN] * 3

    @requires("operate", "dependencies")
    def test_what_cannot_be_taken(self, bench: Bench) -> None:
        """Running, blocked, held, finished or unknown: None, and nothing changed."""
        bench.accept(job(1), job(2), job(3), job(4, after=[1]))
        hand = bench.hand()
        _, two, three = hand.claim()
        hand.settle(two, Held("why", "t", "s"))
        hand.succeed(three)
        states = bench.states(1, 2, 3, 4)

        assert [bench.operate.take(hand.id, named(number)) for number in (1, 2, 3, 4, 99)] == [None] * 5
        assert bench.states(1, 2, 3, 4) == states

    @requires("operate", "expiry")
    def test_an_expired_job_cannot_be_taken(self, bench: Bench) -> None:
        """It was not started in time, and it is canceled for that."""
        bench.accept(job(1, expires_in_ms=1000, delay_ms=2000))
        bench.clock.advance(1000)

        assert bench.operate.take(bench.hand().id, named(1)) is None
        assert (bench.state(1), bench.record(1).reason) == (JobState.CANCELED, "expired")

    @requires("operate")
    def test_who_was_reaped_takes_nothing(self, bench: Bench) -> None:
        """WorkerLapsed, as from `claim`."""
        bench.accept(job(1))
        hand = bench.hand()
        bench.clock.advance(LEASE_MS)
        bench.maintain()

        with pytest.raises(WorkerLapsed):
            bench.operate.take(hand.id, named(1))
        assert bench.state(1) is JobState.WAITING

    # held

    @requires("holding")
    def test_held_jobs_are_told_apart_by_what_they_wait_for(self, bench: Bench) -> None:
        """By task and fingerprint, with how many there are."""
        assert bench.holding.held_kinds() == []
        bench.accept(*(job(number) for number in range(1, 5)))
        hand = bench.hand()
        one, two, three, _ = hand.claim()
        hand.settle_all([one, three], Held("unknown task", "a.b", "1"))
        hand.settle(two, Held("other arguments", "a.b", "2"))

        kinds = bench.holding.held_kinds()

        assert sorted((kind.task, kind.schema, kind.jobs) for kind in kinds) == [("a.b", "1", 2), ("a.b", "2", 1)]

    @requires("holding", "inspect")
    def test_a_held_job_says_why_since_when_and_until_when(self, bench: Bench) -> None:
        """The latest reason, the first time, the bound from then on; and nothing of it once the job is free."""
        bench.accept(job(1))
        first_ms = bench.clock.now_ms()
        bench.run(1, Held("task a is unknown here", "a", "1", bound_ms=5000))
        bench.clock.advance(1000)
        bench.holding.release_held([HeldKind("a", "1")])
        assert (bench.record(1).reason, bench.record(1).held_ms, bench.record(1).due_ms) == ("", None, None)

        bench.run(1, Held("other arguments", "a", "1", bound_ms=8000))

        record = bench.record(1)
        assert (record.reason, record.held_ms, record.due_ms) == ("other arguments", first_ms, first_ms + 8000)

    @requires("holding")
    def test_held_jobs_are_released_to_who_knows_them(self, bench: Bench) -> None:
        """`release_held` frees those of the kinds named, however many it says there are, and tells how many."""
        bench.accept(*(job(number) for number in range(1, 4)))
        hand = bench.hand()
        one, two, three = hand.claim()
        hand.settle_all([one, three], Held("why", "a", "1"))
        hand.settle(two, Held("why", "a", "2"))

        assert bench.holding.release_held([HeldKind("a", "3"), HeldKind("b", "1")]) == 0
        assert bench.holding.release_held([]) == 0
        assert bench.holding.release_held([HeldKind("a", "1"), HeldKind("x", "y")]) == 2

        assert numbers(hand.claim()) == [1, 3]
        assert [kind.schema for kind in bench.holding.held_kinds()] == ["2"]

    def test_held_jobs_fail_at_last(self, bench: Bench) -> None:
        """After the bound a held job fails with what it was held for, is kept, and may be requeued."""
        bench.accept(job(1))
        bench.run(1, Held("task a.b is unknown here", "a.b", "1", bound_ms=1000))

        bench.clock.advance(999)
        bench.maintain()
        assert bench.state(1) is JobState.HELD
        bench.clock.advance(1)
        upkeep = bench.backend.maintain(limit=10)

        assert upkeep.failed == 1
        record = bench.record(1)
        assert (record.state, record.reason, record.attempt) == (JobState.FAILED, "task a.b is unknown here", 0)
        if bench.backend.can.operate:
            assert bench.operate.requeue(named(1))
            assert numbers(bench.hand().claim()) == [1]

    @requires("holding")
    def test_the_bound_goes_on_while_a_job_is_released_and_held_again(self, bench: Bench) -> None:
        """`bound_ms` counts from when the job was first held."""
        bench.accept(job(1))
        held = Held("why", "a", "1", bound_ms=1000)
        bench.run(1, held)
        bench.clock.advance(600)
        bench.holding.release_held([HeldKind("a", "1")])
        bench.run(1, held)

        bench.clock.advance(399)
        bench.maintain()
        assert bench.state(1) is JobState.HELD
        bench.clock.advance(1)
        bench.maintain()

        assert bench.state(1) is JobState.FAILED

    @requires("holding")
    def test_the_bound_begins_anew_once_the_job_ran(self, bench: Bench) -> None:
        """A worker that could run it was found; what follows is another matter."""
        bench.accept(job(1))
        held = Held("why", "a", "1", bound_ms=1000)
        bench.run(1, held)
        bench.holding.release_held([HeldKind("a", "1")])
        bench.run(1, Snoozed(900))
        bench.clock.advance(900)
        bench.run(1, held)

        bench.clock.advance(999)
        bench.maintain()

        assert bench.state(1) is JobState.HELD

    # notes

    @requires("notes")
    def test_progress_is_kept_beside_a_running_job(self, bench: Bench) -> None:
        """Up to 1 KiB of any bytes; the last note counts, and it ends with its attempt."""
        bench.accept(job(1))
        hand = bench.hand()
        claimed = hand.claim_one()

        assert bench.notes.note(hand.id, claimed.token, b"first")
        assert bench.notes.note(hand.id, claimed.token, bytes(range(256)) * 4)

        assert bench.record(1).progress == bytes(range(256)) * 4
        hand.settle(claimed, Released())
        hand.claim()
        assert bench.record(1).progress is None

    @requires("notes")
    def test_notes_are_fenced(self, bench: Bench) -> None:
        """False when the token is not this worker's: another's, spent, reaped, or nobody's."""
        bench.accept(job(1), job(2), job(3))
        hand, zombie = bench.hand(), bench.hand(lease_ms=1000)
        one, two = hand.claim(2)
        three = zombie.claim_one()
        hand.succeed(two)
        bench.clock.advance(1000)
        bench.maintain()

        answers = [
            bench.notes.note(zombie.id, one.token, b"x"),
            bench.notes.note(hand.id, two.token, b"x"),
            bench.notes.note(zombie.id, three.token, b"x"),
            bench.notes.note(hand.id, 0, b"x"),
        ]

        assert answers == [False] * 4
        assert bench.record(1).progress is None

    # exchange

    @requires("exchange")
    def test_an_exchange_settles_and_then_claims(self, bench: Bench) -> None:
        """`settle`, then `claim` without waiting, in one round trip."""
        bench.accept(job(1), job(2))
        hand = bench.hand()
        first = hand.claim_one()
        settlements = [_settlement(first)]

        settled, claimed = bench.exchange.exchange(hand.id, settlements, limit=5, seen=hand.seen)

        assert settled == [Settled.WRITTEN]
        assert numbers(claimed) == [2]
        again, none = bench.exchange.exchange(hand.id, settlements, limit=5, seen=claimed[0].token)
        assert (again, none) == ([Settled.WRITTEN], [])


def _settlement(claimed: Claimed) -> Settlement:
    return Settlement(claimed.job_id, claimed.token, Succeeded())
