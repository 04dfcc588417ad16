"""What becomes of jobs when the server forgets scripts, is full, hangs up, freezes or dies."""

import os
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from types import FrameType

import msgspec
import pytest

from tests.integration.redis.servers import Server, needs_redis
from typedgator import Gator
from typedgator.backends.contract import ReceiptStatus, Settled
from typedgator.backends.redis import Place, RedisBackend
from typedgator.backends.redis.audit import faults
from typedgator.clock import Clock
from typedgator.errors import BackendUnavailable
from typedgator.testing.contract import Hand, job
from typedgator.testing.contract.bench import named, numbers
from typedgator.wire.frame import FrameFlags
from typedgator.wire.states import JobState
from typedgator.wire.verdict import Canceled, Failed, Held, Released, RetryIn, Settlement, Succeeded, Verdict

pytestmark = needs_redis
_numbers = count()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One server for all tests that leave it as it was."""
    with Server() as started:
        yield started


@pytest.fixture
def backend(server: Server) -> Iterator[RedisBackend]:
    """A namespace of its own."""
    with closing(RedisBackend(Place(path=str(server.path)), namespace=f"faults-{next(_numbers)}")) as opened:
        opened.open()
        yield opened


def test_forgotten_scripts_are_sent_again(backend: RedisBackend) -> None:
    """SCRIPT FLUSH, a restart, a failover: the next call sends the whole script, once."""
    hand = Hand(backend, ["all"], 60_000)
    backend.link.ask("SCRIPT", "FLUSH")

    backend.enqueue([job(1)])
    backend.link.ask("SCRIPT", "FLUSH")

    assert numbers(hand.claim()) == [1]


def test_a_cut_line_is_mended(backend: RedisBackend) -> None:
    """CLIENT KILL between two calls: the next call connects again."""
    hand = Hand(backend, ["all"], 60_000)
    backend.enqueue([job(1)])
    for _ in range(3):
        backend.link.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no", again=True)

        backend.enqueue([job(1), job(2)])

    assert numbers(hand.claim()) == [1, 2]


def test_a_fork_connects_anew(backend: RedisBackend) -> None:
    """What its parent asks on is left alone: two processes on one line would read each other's answers."""
    parents = backend.link.ask("CLIENT", "ID")
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork with threads
        child = os.fork()
    if not child:
        try:
            os.write(write, b"%d" % backend.link.ask("CLIENT", "ID"))  # type: ignore[str-format]  # a number
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        childs = int(answer.read())

    assert childs != parents
    assert backend.link.ask("CLIENT", "ID") == parents


def test_a_handler_of_a_signal_asks_on_a_line_of_its_own() -> None:
    """It comes while its thread waits for an answer: neither reads that of the other, and one line is left."""
    with Server() as server, closing(RedisBackend(Place(port=server.port))) as backend:
        backend.open()
        backend.enqueue([job(1), job(2)])
        found: list[bytes] = []

        def hear(number: int, frame: FrameType | None) -> None:
            server.resume()
            backend.enqueue([job(3)])
            record = backend.find(named(2))
            assert record is not None
            found.append(record.job_id)

        before = signal.signal(signal.SIGALRM, hear)
        try:
            for _ in range(3):
                server.pause()
                signal.setitimer(signal.ITIMER_REAL, 0.02)
                record = backend.find(named(1))
                assert record is not None
                found.append(record.job_id)
        finally:
            signal.signal(signal.SIGALRM, before)

        assert found == [named(2), named(1)] * 3
        assert backend.counts().queues == {"all": {JobState.WAITING: 3}}
        assert int(server.info("clients")["connected_clients"]) == 2  # one is the one that asks this


@pytest.mark.parametrize("more", [{}, {"delay_ms": 1000}, {"expires_in_ms": 1000, "flags": FrameFlags.EXPIRES}])
def test_what_another_client_put_in_the_place_of_a_queue_refuses_all(
    backend: RedisBackend, more: dict[str, object]
) -> None:
    """Nothing is written of any kind of job: sent again when the queue is there again, it is new."""
    frames = [msgspec.structs.replace(job(number), **more) for number in range(2)]
    backend.enqueue([job(7)])
    ready = backend.caller.keys.ready("all")
    backend.link.ask("RENAME", ready, ready + b"-kept")
    backend.link.ask("SET", ready, "another's")
    for some in (frames, frames[:1]):
        with pytest.raises(BackendUnavailable, match="WRONGTYPE"):
            backend.enqueue(some)
    assert backend.link.ask("HKEYS", backend.caller.keys.named("frames")) == [named(7)]
    backend.link.ask("RENAME", ready + b"-kept", ready)

    assert [receipt.status for receipt in backend.enqueue(frames)] == [ReceiptStatus.NEW] * 2
    assert faults(backend) == []


def test_a_handler_of_a_signal_does_not_speak_in_the_midst_of_a_series() -> None:
    """It comes while its thread is sending more than a socket holds: what it asks is not between two halves of that."""
    heard: list[str] = []

    def note(text: str) -> None:
        """A task."""

    with Server() as server, closing(Gator(server.unix_dsn)) as gator:
        task = gator.register(name="note")(note)
        task.task("the line stands")

        def hear(number: int, frame: FrameType | None) -> None:
            server.resume()
            heard.append(task.task("from a handler").id)

        before = signal.signal(signal.SIGALRM, hear)
        try:
            server.pause()
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            made = gator.task_many(task, [("x" * 15_000,)] * 250)
        finally:
            signal.signal(signal.SIGALRM, before)

        assert (len(heard), len(made)) == (1, 250)
        assert isinstance(gator.backend, RedisBackend)
        assert gator.backend.counts().queues == {"all": {JobState.WAITING: 252}}


def test_a_frozen_server_is_not_waited_for_forever() -> None:
    """Every call returns within its timeout; when the server goes on, so do we, and no answer is another's."""
    with (
        Server() as server,
        closing(RedisBackend(Place(path=str(server.path), timeout_s=0.2, connect_timeout_s=0.2))) as backend,
    ):
        backend.open()
        backend.enqueue([job(1)])
        os.kill(server.pid, signal.SIGSTOP)
        try:
            with pytest.raises(BackendUnavailable):
                backend.find(named(1))
        finally:
            os.kill(server.pid, signal.SIGCONT)

        record = backend.find(named(1))

        assert record is not None
        assert record.job_id == named(1)


def test_a_killed_server_loses_nothing_that_it_acknowledged() -> None:
    """kill -9 and restart with `appendfsync always`: waiting, running and finished jobs are what they were."""
    with Server(appendfsync="always") as server, closing(RedisBackend(Place(port=server.port))) as backend:
        backend.open()
        hand = Hand(backend, ["all"], 600_000)
        backend.enqueue([job(number) for number in range(4)])
        ended, running = hand.claim(2)
        hand.succeed(ended)

        server.kill()
        server.start()

        assert [record and record.state for record in map(backend.find, map(named, range(4)))] == [
            *(JobState.SUCCESS, JobState.RUNNING, JobState.WAITING, JobState.WAITING),
        ]
        assert hand.succeed(running) is Settled.WRITTEN
        assert numbers(hand.claim()) == [2, 3]
        assert faults(backend) == []


def test_a_full_server_does_everything_but_accept() -> None:
    """Under `maxmemory` an enqueue is refused and writes nothing; beats, settlements, claims and cancels go on."""
    verdicts: list[Verdict] = [
        *(Succeeded(), Succeeded(b"a result"), RetryIn(1000, b"an error"), Released(), Canceled(), Failed(b"an error")),
        Held("why", "t", "s"),
    ]
    with Server() as server, closing(RedisBackend(Place(port=server.port))) as backend:
        backend.open()
        backend.enqueue([job(number) for number in range(20)])
        hand = Hand(backend, ["all"], 60_000)
        first = hand.claim(len(verdicts))
        backend.link.ask("CONFIG", "SET", "maxmemory", "1mb")

        for refused in (job(99), job(99, delay_ms=1000)):
            with pytest.raises(BackendUnavailable, match="maxmemory"):
                backend.enqueue([refused])

        assert backend.find(named(99)) is None
        assert not hand.beat(*first).lapsed
        ends = [Settlement(each.job_id, each.token, verdict) for each, verdict in zip(first, verdicts, strict=True)]
        assert backend.settle(hand.id, ends) == [Settled.WRITTEN] * len(verdicts)
        more = hand.claim(5)
        assert len(more) == 5
        assert backend.note(hand.id, more[0].token, b"progress")
        assert backend.cancel(named(19)).value == "done"
        settled, claimed = backend.exchange(
            hand.id, [Settlement(more[0].job_id, more[0].token, Succeeded())], limit=1, seen=hand.seen
        )
        assert (settled, len(claimed)) == ([Settled.WRITTEN], 1)
        backend.maintain(limit=10)
        other = Hand(backend, ["all"], 60_000)
        hand.leave()
        assert other.claim(1)
        assert backend.requeue(first[5].job_id)
        assert faults(backend) == []


def test_nothing_is_left_of_a_queue_that_was_drained(backend: RedisBackend) -> None:
    """DBSIZE does not grow with the number of jobs."""

    def drain(first: int, jobs: int) -> int:
        backend.enqueue([job(number) for number in range(first, first + jobs)])
        hand = Hand(backend, ["all"], 60_000)
        for number, each in enumerate(hand.claim(jobs)):
            hand.settle(each, Succeeded(b"a result") if number % 2 else Succeeded())
        hand.leave()
        return len(backend.link.ask("KEYS", "tg:*" + backend.namespace + "*"))  # type: ignore[arg-type]  # an array

    assert drain(0, 10) == drain(1000, 200)


def test_a_delayed_job_is_late_by_little(backend: RedisBackend) -> None:
    """With idle workers only, a job that is delayed is handed out when it is due, not when the server comes by."""
    hands = [Hand(backend, ["all"], 60_000) for _ in range(2)]
    late_ms: list[float] = []
    for number in range(15):
        backend.enqueue([job(number, delay_ms=30)])
        due = time.monotonic() + 0.03
        claimed = hands[number % 2].claim(1, wait_ms=10_000)
        late_ms.append((time.monotonic() - due) * 1000)
        assert numbers(claimed) == [number]

    # The server alone ends waits ten times a second: the median would be about 50.
    assert sorted(late_ms)[7] < 25


def test_a_wait_costs_two_commands(backend: RedisBackend) -> None:
    """The wait, and the look behind it, which the server takes in the moment in which the wait ends."""
    hand = Hand(backend, ["all"], 60_000)
    backend.enqueue([job(0)])
    assert numbers(hand.claim()) == [0]
    hand.claim(wait_ms=20)
    before = _commands(backend)

    for _ in range(10):
        assert hand.claim(wait_ms=20) == []
    backend.enqueue([job(1)])
    assert numbers(hand.claim(wait_ms=10_000)) == [1]

    assert _commands(backend) - before == 2 * 11 + 1


def _commands(backend: RedisBackend) -> int:
    """Waits, and scripts that clients sent."""
    text = backend.link.ask("INFO", "commandstats")
    assert isinstance(text, bytes)
    facts = dict(line.split(":", 1) for line in text.decode().splitlines() if ":" in line)
    said = (facts.get(f"cmdstat_{name}", "calls=0,") for name in ("blpop", "evalsha", "eval"))
    return sum(int(each.split(",")[0].removeprefix("calls=")) for each in said)


@pytest.mark.parametrize("serves", ["mail", "*"])
def test_a_server_that_forgot_everything_gets_going_again(serves: str) -> None:
    """FLUSHALL, a restart without persistence: as many queues as before, and other ones, are not taken for the same."""
    with Server() as server, closing(RedisBackend(Place(port=server.port))) as backend:
        backend.open()
        backend.enqueue([job(1)])
        running = Hand(backend, ["all"], 600_000).claim()
        assert backend.counts().queues == {"all": {JobState.RUNNING: len(running)}}

        server.ask("FLUSHALL")
        hand = Hand(backend, [serves], 600_000)
        backend.enqueue([job(2, "mail")])

        assert numbers(hand.claim()) == [2]
        assert backend.counts().queues == {"mail": {JobState.RUNNING: 1}}
        record = backend.find(named(2))
        assert record is not None
        assert record.worker == hand.id


class SetClock(Clock):
    """The server's, set by hand."""

    def __init__(self) -> None:
        self.seconds = 2_000_000_000

    def now_ms(self) -> int:
        """As it was set."""
        return self.seconds * 1000

    def monotonic(self) -> float:
        """Nobody asks."""
        raise NotImplementedError


def test_a_clock_that_is_set_back_delays_nothing_for_as_long(server: Server) -> None:
    """A day back: the jobs of a dead worker come back within a lease from then, and what is finished is forgotten."""
    clock = SetClock()
    with closing(RedisBackend(Place(path=str(server.path)), namespace="set-back", clock=clock)) as backend:
        backend.open()
        backend.enqueue([job(1), job(2)])
        hand = Hand(backend, ["all"], 30_000)
        ended, left = hand.claim()
        hand.succeed(ended)

        clock.seconds -= 86_400
        backend.maintain(limit=100)
        for _ in range(3):
            clock.seconds += 60
            backend.maintain(limit=100)

        assert numbers(Hand(backend, ["all"], 30_000).claim()) == numbers([left])
        assert backend.find(ended.job_id) is None
        assert faults(backend) == []


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("recs", ("HSET", b"{key}", b"{id}", b"\xc1")),
        ("recs", ("HSET", b"{key}", b"{id}", b"\x01")),
        ("frames", ("HSET", b"{key}", b"{id}", b"")),
        ("frames", ("HSET", b"{key}", b"{id}", b"\x01" * 21 + b"\xff")),
        ("frames", ("HDEL", b"{key}", b"{id}")),
        ("delayed", ("ZADD", b"{key}", 1, b"nobody")),
        ("expiring", ("ZADD", b"{key}", 1, b"nobody")),
        ("held", ("ZADD", b"{key}", 1, b"nobody")),
        ("keep", ("ZADD", b"{key}", 1, b"nobody")),
        ("dead", ("ZADD", b"{key}", -1, b"nobody")),
    ],
)
def test_one_bad_entry_stops_nobody(backend: RedisBackend, key: str, words: tuple[bytes | str | int, ...]) -> None:
    """What an eviction or another client left behind: the jobs beside it are claimed, and upkeep goes on."""
    hand = Hand(backend, ["all"], 60_000)
    backend.enqueue([job(1)])
    named_key = backend.caller.keys.named(key)
    filled = [
        word.replace(b"{key}", named_key).replace(b"{id}", named(1)) if isinstance(word, bytes) else word
        for word in words
    ]
    backend.link.ask(*filled)
    backend.enqueue([job(2)])

    backend.maintain(limit=100)
    assert 2 in numbers(hand.claim())
    assert key in ("recs", "frames") or backend.link.ask("EXISTS", named_key) == 0


def test_a_running_job_without_a_frame_takes_no_neighbour_along(backend: RedisBackend) -> None:
    """An eviction: what it ends as is lost, what was beside it is written, and its worker may go."""
    hand = Hand(backend, ["all"], 60_000)
    backend.enqueue([job(1), job(2), job(3), job(4, after=[1]), job(5)])
    first, second, third, fifth = hand.claim()
    backend.link.ask("HDEL", backend.caller.keys.named("frames"), *map(named, (1, 3, 4)))
    verdicts: list[Verdict] = [Failed(b"an error"), RetryIn(0, b"an error")]

    settled = backend.settle(
        hand.id,
        [Settlement(each.job_id, each.token, verdict) for each, verdict in zip((first, second), verdicts, strict=True)],
    )
    backend.leave(hand.id)

    assert settled == [Settled.LOST, Settled.WRITTEN]
    assert numbers(Hand(backend, ["all"], 60_000).claim()) == [5, 2]
    assert third.token < fifth.token
