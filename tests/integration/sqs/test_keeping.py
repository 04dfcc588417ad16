"""What becomes of jobs in SQS between their attempts: on a real server process, whose clock the tests move."""

import threading
from collections.abc import Sequence

import pytest

from tests.integration.sqs.inside import failed, left, raw, sqs_of
from tests.integration.sqs.servers import Server, needs_sqs
from typedgator.backends.connect import connect
from typedgator.backends.contract import Beat, Settled
from typedgator.errors import BackendUnavailable, ConfigurationError
from typedgator.testing.contract.bench import LEASE_MS, Bench, Hand, job, named, numbers
from typedgator.wire.ids import shown_id
from typedgator.wire.verdict import Canceled, Failed, Held, Released, RetryIn, Snoozed, Succeeded

pytestmark = needs_sqs
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS


@pytest.mark.parametrize("end", [Succeeded(), Canceled(), Failed(b"error")], ids=lambda each: each.kind)
def test_what_is_over_is_deleted(bench: Bench, end: Succeeded | Canceled | Failed) -> None:
    """Nothing of it stays in the queue, however long one waits."""
    bench.accept(job(1))
    bench.run(1, end)

    assert left(bench) == (0, 0, 0)
    bench.clock.advance(HOUR_MS)
    assert bench.hand().claim() == []


def test_a_failed_job_is_kept_with_its_error(bench: Bench) -> None:
    """In the queue of failed jobs, as it was, with its attempts, a reason, and the outcome record."""
    bench.accept(job(1))
    hand = bench.hand()
    hand.settle(hand.claim_one(), RetryIn(0))
    hand.settle(hand.claim_one(), Failed(b"the record"))

    (message,) = failed(bench)

    attributes = message["MessageAttributes"]
    assert attributes["job_id"]["StringValue"] == shown_id(named(1))
    assert attributes["spent"]["StringValue"] == "2"
    assert attributes["reason"]["StringValue"] == "failed"
    assert attributes["outcome"]["BinaryValue"] == b"the record"


def test_a_failed_job_that_is_moved_back_begins_anew(bench: Bench) -> None:
    """As a redrive does: the message again, with all its attributes. Attempts and crashes are counted from 0."""
    bench.accept(job(1, crash_budget=0))
    bench.crash()
    assert bench.hand().claim() == []
    (message,) = failed(bench)
    assert message["MessageAttributes"]["reason"]["StringValue"] == "crashed"

    raw(bench).send_message(
        QueueUrl=sqs_of(bench).line.url_of("all"),
        MessageBody=message["Body"],
        MessageAttributes=message["MessageAttributes"],
    )

    claimed = bench.hand().claim_one()
    assert (claimed.job_id, claimed.attempt, claimed.crashes) == (named(1), 1, 0)


@pytest.mark.parametrize("delay_ms", [16 * MINUTE_MS, 15 * MINUTE_MS, 12 * HOUR_MS + 1000], ids=str)
def test_a_retry_may_wait_longer_than_sqs_delays(bench: Bench, delay_ms: int) -> None:
    """A delay of any length is kept in portions of 15 minutes, without an attempt being spent on the way."""
    bench.accept(job(1))
    hand = bench.hand(lease_ms=24 * HOUR_MS)
    hand.settle(hand.claim_one(), RetryIn(delay_ms))
    hand.leave()
    waited = 0
    while waited < delay_ms:
        waiting = bench.hand()
        assert waiting.claim() == []
        waiting.leave()
        step = min(15 * MINUTE_MS, delay_ms - waited)
        bench.clock.advance(step)
        waited += step

    claimed = bench.hand().claim_one()

    assert (claimed.attempt, claimed.crashes) == (2, 0)


def test_a_portion_that_nobody_saw_in_time_is_not_waited_for_twice(bench: Bench) -> None:
    """No worker for an hour: a job whose retry was due meanwhile runs at once."""
    bench.accept(job(1))
    bench.run(1, RetryIn(30 * MINUTE_MS))

    bench.clock.advance(HOUR_MS)

    assert numbers(bench.hand().claim()) == [1]


def test_counts_survive_being_sent_again(bench: Bench) -> None:
    """A crash, a retry, a snooze, a release: the fourth attempt knows of one crash, and of those that counted."""
    bench.accept(job(1))
    bench.crash()
    for verdict in (RetryIn(0), Snoozed(0), Released(), RetryIn(0)):
        bench.run(1, verdict)

    claimed = bench.hand().claim_one()

    assert (claimed.attempt, claimed.crashes) == (4, 1)


def test_a_held_job_is_tried_again_and_fails_after_its_bound(bench: Bench) -> None:
    """Every 30 s by whichever worker; after the bound it is with the failed ones, no attempt spent."""
    bench.accept(job(1))
    tries = 0
    while claimed := (hand := bench.hand()).claim():
        tries += 1
        assert claimed[0].attempt == 1
        hand.settle(claimed[0], Held("unknown task", "a.b", "1", bound_ms=90_000))
        bench.clock.advance(30_000)

    assert tries == 4
    assert [each["MessageAttributes"]["reason"]["StringValue"] for each in failed(bench)] == ["unknown task"]


def test_a_beat_hides_jobs_for_another_lease(bench: Bench) -> None:
    """Nobody else receives them as long as their worker beats; it keeps what it does not mention, too."""
    bench.accept(*(job(number) for number in range(25)))
    hand = bench.hand()
    claimed = hand.claim(25)
    for _ in range(4):
        bench.clock.advance(LEASE_MS - 1)
        assert hand.beat(claimed[3]) == Beat()
        assert bench.hand().claim() == []

    assert hand.settle_all(claimed, Succeeded()) == [Settled.WRITTEN] * 25
    assert left(bench) == (0, 0, 0)


def test_a_lease_that_sqs_does_not_prolong_is_lost(bench: Bench) -> None:
    """Twelve hours after it was received, or when somebody deleted it: the beat says so, the others are kept."""
    bench.accept(job(1), job(2))
    hand = bench.hand()
    one, two = hand.claim()
    member = sqs_of(bench)._crew[hand.id]
    raw(bench).delete_message(
        QueueUrl=sqs_of(bench).line.url_of("all"), ReceiptHandle=member.held[one.token].delivery.handle
    )

    assert hand.beat(one, two) == Beat(lost=[one.token])
    assert hand.succeed(one) is Settled.LOST
    assert hand.succeed(two) is Settled.WRITTEN


def test_a_lapsed_worker_neither_deletes_nor_sends(bench: Bench) -> None:
    """At the end of its lease it is over, by its own clock: what it then says changes nothing in SQS."""
    bench.accept(job(1), job(2))
    zombie = bench.hand()
    one, two = zombie.claim()
    bench.clock.advance(LEASE_MS)

    answers = [zombie.succeed(one), zombie.settle(two, RetryIn(0))]

    assert answers == [Settled.LOST, Settled.LOST]
    assert zombie.beat(one).lapsed
    assert left(bench) == (2, 0, 0)


def test_a_second_copy_is_not_run_where_the_first_one_succeeded(bench: Bench) -> None:
    """SQS may deliver twice, and an enqueue may be repeated: a process deletes copies of what it has just done."""
    bench.accept(job(1))
    bench.run(1, Succeeded())
    bench.accept(job(1))

    assert bench.hand().claim() == []
    assert left(bench) == (0, 0, 0)


def test_a_message_that_is_delivered_twice_is_handed_out_once(bench: Bench) -> None:
    """SQS may show a hidden message too early: its worker keeps the newest handle, and deletes by that."""
    bench.accept(job(1))
    hand = bench.hand()
    claimed = hand.claim_one()
    held = sqs_of(bench)._crew[hand.id].held[claimed.token]
    before = held.delivery.handle
    sqs_of(bench).line.hide(held.delivery.url, [before], 0)

    assert hand.claim() == []
    assert held.delivery.handle != before
    assert hand.succeed(claimed) is Settled.WRITTEN
    assert left(bench) == (0, 0, 0)


def test_what_is_no_job_does_not_stop_the_others(bench: Bench) -> None:
    """A message that somebody else sent goes to the failed ones, as it is, with the reason."""
    bench.accept(job(1))
    raw(bench).send_message(QueueUrl=sqs_of(bench).line.url_of("all"), MessageBody="hello <there>")
    bench.accept(job(2))

    assert numbers(bench.hand().claim()) == [1, 2]

    (message,) = failed(bench)
    assert message["Body"] == "hello <there>"
    assert "no job of typedgator" in message["MessageAttributes"]["reason"]["StringValue"]


def test_many_and_large_jobs_fit_into_calls(bench: Bench) -> None:
    """Ten to a call, and never more than 256 KiB: 23 jobs of 60 KB and 30 small ones, in their order."""
    sizes = [60_000] * 23 + [10] * 30
    bench.accept(*(job(number, envelope=bytes([number]) * size) for number, size in enumerate(sizes)))

    claimed = [each for _ in range(53) for each in bench.hand().claim(1)]

    assert numbers(claimed) == list(range(53))
    assert [len(each.frame) > 60_000 for each in claimed] == [size == 60_000 for size in sizes]


def test_no_queue_is_made_where_others_make_them(server: Server) -> None:
    """`?create=0`: it says which one is missing."""
    backend = connect(server.dsn("absent", "&create=0"))

    with pytest.raises(ConfigurationError, match="absent_default-failed does not exist in eu-central-1"):
        backend.open()


def test_without_credentials_it_is_said_where_boto3_looks(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is sent."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere/credentials")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere/config")

    with pytest.raises(ConfigurationError, match="AWS credentials were not found"):
        connect(server.dsn()).open()


def test_a_server_that_is_gone_is_unavailable(server: Server) -> None:
    """Driver errors leave as BackendUnavailable with their cause."""
    gone = Server()
    backend = connect(gone.dsn())

    with pytest.raises(BackendUnavailable) as caught:
        backend.open()
    assert caught.value.__cause__ is not None


FAULTS: Sequence[dict[str, object]] = [{"status": 503}, {"code": "ThrottlingException"}, {"code": "RequestThrottled"}]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_short_trouble_is_a_pause(bench: Bench, server: Server, fault: dict[str, object]) -> None:
    """The driver asks again."""
    sqs_of(bench).line.url_of("all")
    server.fail({"action": "SendMessageBatch", **fault})

    bench.accept(job(1))

    assert numbers(bench.hand().claim()) == [1]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_longer_trouble_is_told(bench: Bench, server: Server, fault: dict[str, object]) -> None:
    """... three times; then BackendUnavailable says what was asked, and a settlement may be said again."""
    bench.accept(job(1))
    hand = bench.hand()
    claimed = hand.claim_one()
    server.fail(*[{"action": "DeleteMessageBatch", **fault}] * 3)

    with pytest.raises(BackendUnavailable, match="DeleteMessageBatch"):
        hand.succeed(claimed)
    assert hand.succeed(claimed) is Settled.WRITTEN
    assert left(bench) == (0, 0, 0)


@pytest.mark.parametrize("action", ["SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"])
def test_entries_that_went_wrong_are_tried_alone(bench: Bench, server: Server, action: str) -> None:
    """Two of ten fail by SQS's own fault: each is done in a call of its own, and nothing is done twice."""
    sqs_of(bench).line.url_of("all")
    server.fail({"action": action, "entries": [1, 7]})
    bench.accept(*(job(number) for number in range(10)))
    hand = bench.hand()
    claimed = hand.claim(20)

    assert sorted(numbers(claimed)) == list(range(10))
    assert hand.beat(*claimed) == Beat()
    assert hand.settle_all(claimed, Succeeded()) == [Settled.WRITTEN] * 10
    assert left(bench) == (0, 0, 0)


def test_entries_that_sqs_never_takes_are_told(bench: Bench, server: Server) -> None:
    """By their own fault: no second try, and the others were sent."""
    sqs_of(bench).line.url_of("all")
    server.fail({"action": "SendMessageBatch", "entries": [1], "sender": True})

    with pytest.raises(BackendUnavailable, match="did not take 1 of 3 jobs for queue all"):
        bench.add(job(1), job(2), job(3))
    assert numbers(bench.hand().claim()) == [1, 3]


def test_a_copy_is_sent_once_though_the_original_stays(bench: Bench, server: Server) -> None:
    """A retry whose deletion went wrong is said again by its worker: only the deletion is done anew."""
    bench.accept(job(1))
    hand = bench.hand()
    claimed = hand.claim_one()
    server.fail(*[{"action": "DeleteMessageBatch", "status": 503}] * 3)

    with pytest.raises(BackendUnavailable):
        hand.settle(claimed, RetryIn(0))
    copy = hand.claim_one()
    assert hand.settle(claimed, RetryIn(0)) is Settled.WRITTEN
    assert hand.succeed(claimed) is Settled.LOST
    assert sum(left(bench)) == 1

    assert (copy.attempt, copy.crashes) == (2, 0)
    assert hand.succeed(copy) is Settled.WRITTEN
    assert left(bench) == (0, 0, 0)


def test_what_arrives_after_its_worker_left_is_given_back(server: Server) -> None:
    """The poll of a worker that stopped goes on for a while: what it still receives is sent again, unspent."""
    backend = connect(server.go_on().dsn(more="&poll=20"))
    backend.open()
    hand = Hand(backend, ["all"], LEASE_MS)
    assert hand.claim(wait_ms=1) == []
    (poll,) = [thread for thread in threading.enumerate() if thread.name == "typedgator-sqs-poll"]
    hand.leave()

    backend.enqueue([job(1)])
    poll.join(30)

    claimed = Hand(backend, ["all"], LEASE_MS).claim(wait_ms=20_000)
    assert [(each.attempt, each.crashes) for each in claimed] == [(1, 0)]
