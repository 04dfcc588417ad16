"""Many calls of one task in series: what it stores, what stops it, and what a broken line or a full server leaves."""

from collections.abc import Iterator
from contextlib import closing
from itertools import count

import msgspec
import pytest

from tests.integration.redis.servers import Server, needs_redis
from typedgator import BatchIncomplete, Gator, InvalidArguments, Job, Middleware
from typedgator.backends.contract import ATOMIC_BATCH
from typedgator.backends.redis import RedisBackend
from typedgator.backends.redis.series import Writes
from typedgator.bulk import send_series
from typedgator.errors import BackendUnavailable
from typedgator.events import JobEnqueued
from typedgator.producer import TaskSpec
from typedgator.testing.contract import Hand, job
from typedgator.testing.contract.bench import named
from typedgator.testing.contract.series import series
from typedgator.wire.envelope import Envelope, decode_envelope, encode_envelope
from typedgator.wire.frame import Frame, FrameFlags, open_frame, pack_frame
from typedgator.wire.ids import JobId, parse_id
from typedgator.wire.states import JobState
from typedgator.wire.verdict import Succeeded

pytestmark = needs_redis
_numbers = count()
MANY = 2 * ATOMIC_BATCH + 7


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One server for all tests that leave it as it was."""
    with Server() as started:
        yield started


def gator_on(server: Server, *layers: Middleware) -> Gator:
    """In a namespace of its own."""
    return Gator(server.unix_dsn, namespace=f"series-{next(_numbers)}", middleware=layers)


def redis_of(gator: Gator) -> RedisBackend:
    """Its backend."""
    assert isinstance(gator.backend, RedisBackend)
    return gator.backend


def note(number: int, text: str = "", *, tags: tuple[str, ...] = ()) -> int:
    """A task."""
    return number


class Seen(Middleware):
    """Changes nothing, and remembers what passed: no call goes in series."""

    def __init__(self) -> None:
        self.seen: list[Envelope] = []

    def enqueue(self, envelope: Envelope) -> Envelope:
        self.seen.append(envelope)
        return envelope


def stored(gator: Gator, job: Job[int]) -> bytes:
    """The frame as the server has it."""
    frame = redis_of(gator).link.ask("HGET", redis_of(gator).caller.keys.named("frames"), parse_id(job.id))
    assert isinstance(frame, bytes)
    return frame


def test_it_stores_what_any_other_way_would_store(server: Server) -> None:
    """Byte for byte what msgspec and `pack_frame` give, and the same as by way of middleware, but for id and times."""
    layer = Seen()
    made: list[list[tuple[Envelope, int, int, str]]] = []
    for gator in (gator_on(server), gator_on(server, layer)):
        with closing(gator):
            task = gator.register(name="note", priority=7, queue="notes", retries=2, headers={"tenant": "acme"})(note)
            jobs = gator.task_many(task, [(1,), (2, "é"), {"number": 3, "tags": ("a", "b")}])
            made.append([])
            for job in jobs:
                frame = stored(gator, job)
                head = open_frame(frame)
                envelope = decode_envelope(head.envelope)
                assert (envelope.id, encode_envelope(envelope)) == (parse_id(job.id), head.envelope)
                again = Frame(
                    job_id=JobId(envelope.id),
                    queue="notes",
                    envelope=head.envelope,
                    priority=7,
                    flags=FrameFlags(head.flags),
                )
                assert pack_frame(again, head.accepted_ms) == frame
                plain = msgspec.structs.replace(envelope, id=b"", enqueued_at=0)
                made[-1].append((plain, head.flags, head.priority, head.queue))

    assert made[0] == made[1]
    assert len(layer.seen) == 3
    assert [msgspec.msgpack.decode(envelope.args) for envelope, *_ in made[0]] == [
        *({"number": 1}, {"number": 2, "text": "é"}, {"number": 3, "tags": ["a", "b"]}),
    ]


def test_it_leaves_one_token_for_those_who_wait(server: Server) -> None:
    """For workers of its queue, and for those of every queue; none on top of one that lies there."""
    with closing(gator_on(server)) as gator:
        backend, task = redis_of(gator), gator.register(name="note", queue="notes")(note)

        def tokens() -> list[object]:
            return [backend.link.ask("LLEN", backend.caller.keys.wake(queue)) for queue in ("notes", "*", "all")]

        gator.task_many(task, [(number,) for number in range(MANY)])
        assert tokens() == [1, 1, 0]

        for taken in ("notes", "*"):
            backend.link.ask("DEL", backend.caller.keys.wake(taken))
            gator.task_many(task, [(1,)])
            assert tokens() == [1, 1, 0]


def test_handles_come_in_the_order_of_the_calls(server: Server) -> None:
    """Each is good: its job runs, and its result is read by the task's own schema."""
    with closing(gator_on(server)) as gator:
        task = gator.register(note)
        jobs = gator.task_many(task, [(number,) for number in range(MANY)])

        assert len(gator.queue()) == len(jobs) == MANY
        assert [job.id for job in jobs] == sorted(job.id for job in jobs)
        assert not any(job.duplicate for job in jobs)
        for number in (0, 1):
            done = gator.pop()
            assert done == jobs[number]
            assert jobs[number].result() == number
        assert jobs[-1].state() is JobState.WAITING


def test_nothing_is_sent_unless_all_are_valid(server: Server) -> None:
    """The last of many is wrong: its place is named, and not one of the others is there."""
    with closing(gator_on(server)) as gator:
        task = gator.register(note)
        calls: list[tuple[object, ...]] = [(number,) for number in range(MANY)]

        with pytest.raises(InvalidArguments, match=f"item {MANY} of the batch"):
            gator.task_many(task, [*calls, ("x",)])

        assert gator.counts().queues == {}


def test_what_is_more_than_plain_keeps_what_it_asks_for(server: Server) -> None:
    """A task of unique jobs that expire: each of many calls is unique, and expires."""
    with closing(gator_on(server)) as gator:
        task = gator.register(name="note", unique=True, expires=60)(note)

        jobs = gator.task_many(task, [(1,), (2,), (1,)])

        assert [job.duplicate for job in jobs] == [False, False, True]
        assert jobs[0].id == jobs[2].id
        assert len(gator.queue()) == 2
        head = open_frame(stored(gator, jobs[0]))
        assert head.expires_ms == head.accepted_ms + 60_000


def test_listeners_hear_of_each_job(server: Server) -> None:
    """JobEnqueued, as from one call; also when the listener came after other calls."""
    with closing(gator_on(server)) as gator:
        task = gator.register(note)
        gator.task_many(task, [(1,)])
        heard: list[JobEnqueued] = []
        gator.events.on(JobEnqueued, heard.append)

        jobs = gator.task_many(task, [(number,) for number in range(MANY)])

        assert [event.job_id for event in heard] == [job.id for job in jobs]
        assert {(event.task, event.queue, event.duplicate) for event in heard} == {(task.name, "all", False)}


def test_a_refused_write_stops_all_that_follow() -> None:
    """A server that is full: what is written is named, nothing after it is, and `retry` sends just the rest."""
    with Server() as server, closing(gator_on(server)) as gator:
        task = gator.register(note)
        gator.task(task, 0)
        calls = [(number, "x" * 8000) for number in range(6 * ATOMIC_BATCH)]
        info = server.ask("INFO", "memory")
        assert isinstance(info, bytes)
        used = int(info.split(b"used_memory:")[1].split()[0])
        server.ask("CONFIG", "SET", "maxmemory", used + 5_000_000)

        with pytest.raises(BatchIncomplete) as caught:
            gator.task_many(task, calls)

        error = caught.value
        assert isinstance(error.__cause__, BackendUnavailable)
        assert 0 < len(error.written) < len(calls)
        assert len(error.written) % ATOMIC_BATCH == 0
        assert len(gator.queue()) == 1 + len(error.written)
        assert gator.job(error.written[-1]).state() is JobState.WAITING
        server.ask("CONFIG", "SET", "maxmemory", 0)
        for _ in range(2):
            assert error.retry() == list(error.rest)
            assert len(gator.queue()) == 1 + len(calls)
        assert len(set(error.written) | set(error.rest)) == len(calls)


def test_a_broken_line_doubles_and_loses_nothing(server: Server) -> None:
    """It breaks while a write is under way: that is asked again, and what comes after it comes after it."""
    with closing(gator_on(server)) as gator:
        backend = redis_of(gator)
        answers = backend.enqueue_series(series(*range(4 * ATOMIC_BATCH)))
        assert next(answers) == []
        for _ in range(3):
            server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            next(answers)
        assert next(answers, None) is None

        assert backend.counts().queues == {"all": {JobState.WAITING: 4 * ATOMIC_BATCH}}
        line = backend.link.ask("ZRANGE", backend.caller.keys.ready("all"), 0, -1)
        assert line == [named(number) for number in range(4 * ATOMIC_BATCH)]


def test_what_a_broken_line_made_known_is_no_duplicate(server: Server) -> None:
    """Its first write was done, and its answer lost: the jobs are those of this call, not somebody's before."""
    with closing(gator_on(server)) as gator:
        backend, some = redis_of(gator), series(*range(MANY))
        backend.enqueue(some.frames(0, ATOMIC_BATCH))

        jobs = send_series(backend, backend, some, TaskSpec.read, lambda rest: [])  # type: ignore[arg-type]  # not read

        assert [parse_id(job.id) for job in jobs] == some.ids
        assert not any(job.duplicate for job in jobs)
        assert len(gator.queue()) == MANY


def test_forgotten_scripts_are_sent_again_in_their_turn(server: Server) -> None:
    """SCRIPT FLUSH between two writes: none is lost, none comes before the other."""
    with closing(gator_on(server)) as gator:
        backend = redis_of(gator)
        for _ in backend.enqueue_series(series(*range(4 * ATOMIC_BATCH))):
            server.ask("SCRIPT", "FLUSH")

        line = backend.link.ask("ZRANGE", backend.caller.keys.ready("all"), 0, -1)
        assert line == [named(number) for number in range(4 * ATOMIC_BATCH)]


def test_a_server_that_dies_ends_it() -> None:
    """BackendUnavailable with the write that got no answer; after a restart the rest is accepted, and nothing twice."""
    with Server(appendfsync="always") as server, closing(gator_on(server)) as gator:
        backend, some = redis_of(gator), series(*range(3 * ATOMIC_BATCH))
        answers = backend.enqueue_series(some)
        assert next(answers) == []
        server.kill()
        with pytest.raises(BackendUnavailable):
            list(answers)
        server.start()

        known = [place for places in backend.enqueue_series(some) for place in places]

        assert known[:ATOMIC_BATCH] == list(range(ATOMIC_BATCH))
        assert len(known) in (ATOMIC_BATCH, 2 * ATOMIC_BATCH)
        assert backend.counts().queues == {"all": {JobState.WAITING: 3 * ATOMIC_BATCH}}


@pytest.mark.parametrize("first_is", ["waiting", "running", "finished", "finished a while ago"])
def test_a_write_that_is_repeated_is_known_whatever_became_of_its_first_job(server: Server, first_is: str) -> None:
    """Of a write whose ids were made for it one job answers for all."""
    with closing(gator_on(server)) as gator:
        backend, some = redis_of(gator), msgspec.structs.replace(series(*range(ATOMIC_BATCH)), is_new=True)
        assert list(backend.enqueue_series(some)) == [[]]
        hand = Hand(backend, ["all"], 60_000)
        if first_is != "waiting":
            (first,) = hand.claim(1)
            assert first.job_id == some.ids[0]
        if first_is.startswith("finished"):
            hand.settle(first, Succeeded())
        if first_is == "finished a while ago":
            for older, newer in (("late0", "done0"), ("late1", "done1")):
                if backend.link.ask("EXISTS", backend.caller.keys.named(newer)):
                    backend.link.ask("RENAME", backend.caller.keys.named(newer), backend.caller.keys.named(older))

        assert list(backend.enqueue_series(some)) == [list(range(ATOMIC_BATCH))]
        assert len(hand.claim(ATOMIC_BATCH)) == ATOMIC_BATCH - (first_is != "waiting")


def test_a_write_whose_forerunner_is_not_known_does_nothing(server: Server) -> None:
    """It says so, wherever that job would have to be; once that is known, also of a finished one, it is accepted."""
    with closing(gator_on(server)) as gator:
        backend, some = redis_of(gator), series(*range(ATOMIC_BATCH + 1))
        backend.open()
        behind = Writes(backend.caller, some).of(ATOMIC_BATCH, some.ids[ATOMIC_BATCH - 1])

        assert backend.link.run(behind) == 0
        assert backend.counts().queues == {}

        backend.enqueue([job(ATOMIC_BATCH - 1)])
        assert backend.link.run(behind) == []
        assert backend.link.run(behind) == [1]
        hand = Hand(backend, ["all"], 60_000)
        for claimed in hand.claim():
            hand.settle(claimed, Succeeded())
        assert backend.link.run(behind) == [1]


def test_a_forerunner_that_was_thrown_away_stops_nothing(server: Server) -> None:
    """It was accepted, and so the others must be: eviction, or another client, may have taken it since."""
    with closing(gator_on(server)) as gator:
        backend, keys = redis_of(gator), redis_of(gator).caller.keys
        answers = backend.enqueue_series(series(*range(6 * ATOMIC_BATCH)))
        assert [next(answers), next(answers)] == [[], []]
        server.ask("DEL", keys.named("frames"), keys.ready("all"))

        assert list(answers) == [[]] * 4

        line = backend.link.ask("ZRANGE", keys.ready("all"), 0, -1)
        assert isinstance(line, list)
        assert line[-3 * ATOMIC_BATCH :] == [named(number) for number in range(3 * ATOMIC_BATCH, 6 * ATOMIC_BATCH)]


def test_one_connection_does_for_all_of_it(server: Server) -> None:
    """What is asked meanwhile needs a second one for that while, and the first is the thread's again thereafter."""
    with closing(gator_on(server)) as gator:
        backend = redis_of(gator)
        before = backend.link.ask("CLIENT", "ID")
        for _ in backend.enqueue_series(series(*range(3 * ATOMIC_BATCH))):
            pass

        assert backend.link.ask("CLIENT", "ID") == before
