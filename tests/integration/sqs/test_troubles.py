"""What SQS does not do, or says it did not, and what others put into its queues: nothing is lost, and nothing doubled
that SQS has confirmed. On a real server process that fails on demand."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.integration.sqs.inside import client_of, failed, left, raw, sqs_of
from tests.integration.sqs.servers import Server, needs_sqs
from typedgator import BatchIncomplete, Gator
from typedgator.backends.connect import connect
from typedgator.backends.contract import EVERY_QUEUE, Beat, ReceiptStatus, Settled
from typedgator.backends.sqs.backend import SqsBackend
from typedgator.backends.sqs.line import ANSWER_S, TurnedDown
from typedgator.backends.sqs.parcel import MOST_BYTES, MOST_TEXT, Parcel, packed, size_of, stray, unpacked
from typedgator.backends.sqs.settling import fail
from typedgator.errors import BackendUnavailable, ConfigurationError
from typedgator.testing.contract.bench import Bench, job, named, numbers
from typedgator.wire.frame import pack_frame
from typedgator.wire.ids import shown_id
from typedgator.wire.verdict import Failed, Released, RetryIn, Settlement, Snoozed, Succeeded

pytestmark = needs_sqs
GONE = [{"action": "SendMessageBatch", "status": 503}] * 3
"""A call with all its tries."""


def well(action: str = "SendMessageBatch") -> dict[str, object]:
    """One request that takes nothing."""
    return {"action": action, "entries": []}


def none_is_missing_or_twice(bench: Bench, count: int) -> None:
    """What is waiting now: each job once."""
    assert sum(left(bench)) == count
    hand = bench.hand()
    claimed = [each for _ in range(count) for each in hand.claim(1)]
    assert sorted(numbers(claimed)) == list(range(count))


# What is said again is not done again


@pytest.mark.parametrize("verdict", [RetryIn(0), Snoozed(0), Released()], ids=lambda each: each.kind)
def test_a_settlement_that_is_said_again_doubles_nothing(
    bench: Bench, server: Server, verdict: RetryIn | Snoozed | Released
) -> None:
    """Ten of 25 were sent when SQS went away: the second time the other 15 are, and only those."""
    bench.accept(*map(job, range(25)))
    hand = bench.hand()
    claimed = hand.claim(25)
    server.fail(well(), *GONE)

    with pytest.raises(BackendUnavailable):
        hand.settle_all(claimed, verdict)
    assert hand.settle_all(claimed, verdict) == [Settled.WRITTEN] * 25

    hand.leave()
    none_is_missing_or_twice(bench, 25)


def test_an_entry_that_fails_again_does_not_double_its_neighbours(bench: Bench, server: Server) -> None:
    """One of five is not taken, nor when it is tried alone."""
    bench.accept(*map(job, range(5)))
    hand = bench.hand()
    claimed = hand.claim(5)
    server.fail(
        {"action": "SendMessageBatch", "entries": [2, 4]}, {"action": "SendMessageBatch", "entries": [0]}, well()
    )

    with pytest.raises(BackendUnavailable, match="InternalError"):
        hand.settle_all(claimed, RetryIn(0))
    assert hand.settle_all(claimed, RetryIn(0)) == [Settled.WRITTEN] * 5

    hand.leave()
    none_is_missing_or_twice(bench, 5)


def test_failed_jobs_are_kept_once(bench: Bench, server: Server) -> None:
    """Among others that are retried, whose call fails."""
    bench.accept(job(0), job(1))
    hand = bench.hand()
    one, two = hand.claim(2)
    server.fail(well(), *GONE)
    both = [Settlement(one.job_id, one.token, Failed(b"error")), Settlement(two.job_id, two.token, RetryIn(0))]

    with pytest.raises(BackendUnavailable):
        bench.backend.settle(hand.id, both)
    assert bench.backend.settle(hand.id, both) == [Settled.WRITTEN] * 2

    assert [each["MessageAttributes"]["job_id"]["StringValue"] for each in failed(bench)] == [shown_id(named(0))]
    assert sum(left(bench)) == 1


def test_what_a_worker_that_leaves_could_give_back_is_there_once(bench: Bench, server: Server) -> None:
    """The others wait for the end of their lease."""
    bench.accept(*map(job, range(15)))
    hand = bench.hand()
    hand.claim(15)
    server.fail(well(), *GONE)

    with suppress(BackendUnavailable):
        hand.leave()

    assert left(bench) == (10, 5, 0)


def test_an_enqueue_that_is_repeated_sends_the_rest(bench: Bench, server: Server) -> None:
    """What SQS has confirmed is told, and not sent again: it is DUPLICATE."""
    frames = list(map(job, range(25)))
    sqs_of(bench).line.url_of("all")
    server.fail(well(), *GONE)

    with pytest.raises(BackendUnavailable) as caught:
        bench.backend.enqueue(frames)
    again = bench.backend.enqueue(frames)

    assert caught.value.kept == tuple(shown_id(frame.job_id) for frame in frames[:10])
    assert [each.status for each in again] == [ReceiptStatus.DUPLICATE] * 10 + [ReceiptStatus.NEW] * 15
    none_is_missing_or_twice(bench, 25)


def test_an_interrupted_batch_names_what_is_written(server: Server) -> None:
    """And does not promise that its retry doubles nothing: SQS knows no ids."""
    gator = Gator(server.fail().go_on().dsn())

    @gator.register(name="t")
    def task(n: int) -> None: ...

    task.task(0)
    server.fail(well(), well(), *GONE)

    with pytest.raises(BatchIncomplete) as caught:
        gator.task_many(task, [(n,) for n in range(50)])
    error = caught.value
    ids = error.retry()

    assert (len(error.written), len(error.rest)) == (20, 30)
    assert error.rest == tuple(ids)
    assert not set(error.written) & set(error.rest)
    assert "may double one that was enqueued after all" in str(error)
    assert "never" not in str(error)
    assert isinstance(gator.backend, SqsBackend)
    url = gator.backend.line.url_of("all")
    asked = {"QueueUrl": url, "AttributeNames": ["ApproximateNumberOfMessages"]}
    assert client_of(gator.backend).get_queue_attributes(**asked)["Attributes"] == {asked["AttributeNames"][0]: "51"}
    gator.close()


# Queues that come and go


def test_a_queue_of_others_does_not_stop_a_worker_of_every_queue(bench: Bench) -> None:
    """A FIFO queue whose name begins as ours do."""
    name = sqs_of(bench).place.begin + "mails.fifo"
    raw(bench).create_queue(QueueName=name, Attributes={"FifoQueue": "true"})
    bench.accept(job(1))

    assert numbers(bench.hand(EVERY_QUEUE).claim()) == [1]


@pytest.mark.parametrize("queues", [("gone", "all"), (EVERY_QUEUE,)], ids=["named", "every"])
def test_a_queue_that_is_deleted_does_not_keep_others_waiting(bench: Bench, queues: tuple[str, ...]) -> None:
    """Nor is one made anew for a worker of every queue."""
    bench.accept(job(1, queue="gone"), job(2))
    hand = bench.hand(*queues)
    line = sqs_of(bench).line
    if queues == (EVERY_QUEUE,):
        sqs_of(bench)._queues(sqs_of(bench)._crew[hand.id])  # it has looked, and knows both
    raw(bench).delete_queue(QueueUrl=line.url_of("gone"))

    assert numbers(hand.claim()) == [2]
    if queues == (EVERY_QUEUE,):
        assert line.every_queue() == ["all"]


def test_a_worker_all_of_whose_queues_are_turned_down_says_so(bench: Bench, server: Server) -> None:
    """... and asks again the next time."""
    bench.accept(job(1), job(2, queue="other"))
    hand = bench.hand("all", "other")
    server.fail(*[{"action": "ReceiveMessage", "code": "AccessDenied"}] * 2)

    with pytest.raises(BackendUnavailable, match="look at the credentials and the IAM policy"):
        hand.claim()
    assert numbers(hand.claim()) == [1, 2]


def test_a_queue_that_was_deleted_is_made_by_the_next_call(bench: Bench) -> None:
    """The call that finds it missing says so."""
    bench.accept(job(1))
    raw(bench).delete_queue(QueueUrl=sqs_of(bench).line.url_of("all"))

    with pytest.raises(BackendUnavailable, match="NonExistentQueue"):
        bench.add(job(2))
    bench.accept(job(3))

    assert numbers(bench.hand().claim()) == [3]


def test_a_queue_that_is_turned_down_while_others_wait_keeps_none_waiting(bench: Bench, server: Server) -> None:
    """It is polled like the others; what becomes of that poll is its own."""
    hand = bench.hand("forbidden", "all")
    line = sqs_of(bench).line
    receive: Callable[..., Any] = line.receive

    def forbid(url: str, most: int, *, hide_s: int, wait_s: int) -> Any:
        if wait_s and url == line.known_url("forbidden"):
            bench.accept(job(1))
            raise TurnedDown("it is forbidden")
        return receive(url, most, hide_s=hide_s, wait_s=wait_s)

    line.receive = forbid  # type: ignore[method-assign]  # after a first look that went well
    server.go_on()

    assert numbers(hand.claim(wait_ms=60_000)) == [1]


def test_an_idle_worker_asks_once_in_a_long_poll(bench: Bench, server: Server) -> None:
    """A first look, and then nothing but polls, one after the other."""
    server.go_on()
    hand = bench.hand()
    line = sqs_of(bench).line
    receive: Callable[..., Any] = line.receive
    waits: list[int] = []

    def told(url: str, most: int, *, hide_s: int, wait_s: int) -> Any:
        waits.append(wait_s)
        if len(waits) == 4:
            bench.accept(job(1))
        return receive(url, most, hide_s=hide_s, wait_s=wait_s)

    line.receive = told  # type: ignore[method-assign]  # it only counts

    assert numbers(hand.claim(wait_ms=60_000)) == [1]
    assert waits == [0, 1, 1, 1]


# What others put in, and what SQS does twice

STRANGE = ["-1", "1.5", "1e3", "1_0", "٣", "9" * 16, ""]


@pytest.mark.parametrize("name", ["spent", "crashes", "rest_ms", "held_ms"])
@pytest.mark.parametrize("count", STRANGE)
def test_counts_that_are_none_make_no_job(name: str, count: str) -> None:
    """No attempt is negative, no delay lasts for ever: such a message goes to the failed ones."""
    entry = packed(unpacked(arrived_as(packed_job())))
    attributes = {**entry["MessageAttributes"], name: {"DataType": "String", "StringValue": count}}

    with pytest.raises(ValueError, match="is no job of typedgator"):
        unpacked({**arrived_as(entry), "MessageAttributes": attributes})  # type: ignore[typeddict-item]


def packed_job() -> Any:
    """A job as it is sent."""
    return packed(Parcel(job_id=named(1), frame=pack_frame(job(1), 0)))


def arrived_as(entry: Any) -> Any:
    """What is received of it."""
    return {
        "MessageId": "m",
        "ReceiptHandle": "h",
        "Body": entry["MessageBody"],
        "MessageAttributes": entry["MessageAttributes"],
    }


def test_a_stray_that_leaves_no_room_for_a_reason_goes_as_it_came() -> None:
    """Too large with it, or with ten attributes already; else it would come again and again."""
    text = {"DataType": "String", "StringValue": "x"}
    large: Any = {"MessageId": "m", "ReceiptHandle": "h", "Body": "ü" * (MOST_BYTES // 2)}
    full: Any = {**large, "Body": "x", "MessageAttributes": {f"a{n}": text for n in range(10)}}
    small: Any = {**large, "Body": "x", "MessageAttributes": {"a": text}}

    assert stray(large, "why")["MessageAttributes"] == {}
    assert size_of(stray(large, "why")) == MOST_BYTES
    assert stray(full, "why")["MessageAttributes"] == full["MessageAttributes"]
    assert set(stray(small, "why")["MessageAttributes"]) == {"a", "reason"}


def test_a_reason_is_what_sqs_takes() -> None:
    """No control characters, no half surrogates, and no more than fits beside a job."""
    parcel = unpacked(arrived_as(packed_job()))
    reason = fail(parcel, "a\x00b\ud800c\ufffe" + "d" * 9000)["MessageAttributes"]["reason"]["StringValue"]

    assert reason.startswith("a\ufffdb\ufffdc\ufffdd")
    assert len(reason) == MOST_TEXT


def test_a_job_that_is_delivered_twice_to_its_worker_has_not_crashed(bench: Bench) -> None:
    """Not even one without any crash budget: it runs here."""
    bench.accept(job(1, crash_budget=0))
    hand = bench.hand()
    claimed = hand.claim_one()
    held = sqs_of(bench)._crew[hand.id].held[claimed.token]
    sqs_of(bench).line.hide(held.delivery.url, [held.delivery.handle], 0)

    assert hand.claim() == []
    assert failed(bench) == []
    assert hand.beat(claimed) == Beat()
    assert hand.succeed(claimed) is Settled.WRITTEN
    assert left(bench) == (0, 0, 0)


def test_what_befalls_a_poll_is_told_and_the_queue_is_polled_again(bench: Bench) -> None:
    """Whatever it is: a queue that nobody asks any more would be silent for ever."""
    hand = bench.hand()
    line = sqs_of(bench).line
    receive: Callable[..., Any] = line.receive

    def stumble(*args: Any, wait_s: int, **kwargs: Any) -> Any:
        if wait_s:
            raise LookupError("nobody thought of it")
        return receive(*args, wait_s=wait_s, **kwargs)

    line.receive = stumble  # type: ignore[method-assign]  # what may go wrong there is not known
    with pytest.raises(LookupError):
        hand.claim(wait_ms=30_000)
    line.receive = receive  # type: ignore[method-assign]
    bench.accept(job(1))

    assert numbers(hand.claim(wait_ms=30_000)) == [1]
    assert hand.settle_all([], Succeeded()) == []


# Clients


def test_nobody_waits_for_an_answer_as_long_as_for_a_poll(server: Server) -> None:
    """A request is somebody's, a heartbeat has its lease; a long poll has 20 s more."""
    backend = connect(server.dsn(more="&poll=20"))
    assert isinstance(backend, SqsBackend)
    clients: dict[bool, Any] = {patient: backend.line._ask(patient=patient) for patient in (False, True)}

    assert clients[False].meta.config.read_timeout == ANSWER_S < 10
    assert clients[True].meta.config.read_timeout == ANSWER_S + 20


def test_an_aws_configuration_that_cannot_be_read_is_no_outage(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A profile that is not there, a file that is no configuration: waiting helps neither."""
    monkeypatch.setenv("AWS_PROFILE", "absent")
    with pytest.raises(ConfigurationError, match="absent"):
        connect(server.dsn()).open()
    monkeypatch.delenv("AWS_PROFILE")
    (tmp_path / "config").write_text("no configuration [[[\n", encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with pytest.raises(ConfigurationError, match="Unable to parse config file"):
        connect(server.dsn()).open()
