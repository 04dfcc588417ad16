"""A series in which one write goes wrong while the next is under way: none comes before its turn, each comes once."""

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import count

import pytest

from tests.forks import FORKS
from tests.integration.redis.door import Cut, Door, Fate
from tests.integration.redis.servers import Cluster, Server, needs_redis
from typedgator import BatchIncomplete, Gator, Job, JobState
from typedgator.backends.connect import connect
from typedgator.backends.contract import ATOMIC_BATCH
from typedgator.backends.redis import RedisBackend
from typedgator.backends.redis.audit import faults
from typedgator.errors import BackendUnavailable
from typedgator.testing.contract import Hand
from typedgator.testing.contract.bench import named
from typedgator.testing.contract.series import series
from typedgator.wire.ids import JobId, parse_id
from typedgator.wire.verdict import Succeeded

pytestmark = needs_redis
_numbers = count()
WRITES = 6
MANY = WRITES * ATOMIC_BATCH
UNDER_WAY = [Fate(), Fate(with_next=True)]
"""The first two writes; from the second on, the next one is always under way."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One for all that leave it as it was."""
    with Server() as started:
        yield started


@pytest.fixture
def door(server: Server) -> Iterator[Door]:
    """In front of it."""
    with Door(server) as opened:
        yield opened
        assert opened.met, "nothing went wrong: this test has tested nothing"


@pytest.fixture
def gator(door: Door) -> Iterator[Gator]:
    """In a namespace of its own, through the door."""
    with closing(Gator(door.dsn, namespace=f"series-cut-{next(_numbers)}")) as made:
        yield made
        assert faults(redis_of(made)) == []


def redis_of(gator: Gator) -> RedisBackend:
    """Its backend."""
    assert isinstance(gator.backend, RedisBackend)
    return gator.backend


def sha(backend: RedisBackend) -> bytes:
    """The word that only a write of a series has."""
    return backend.caller.script("enqueue_series").sha


def line(backend: RedisBackend) -> list[bytes]:
    """What waits, in the order of handing out."""
    found = backend.link.ask("ZRANGE", backend.caller.keys.ready("all"), 0, -1)
    assert isinstance(found, list)
    assert backend.link.ask("HLEN", backend.caller.keys.named("frames")) == len(found)
    return found


def ids(jobs: Sequence[Job[int]] | Sequence[str]) -> list[JobId]:
    """As they are stored."""
    return [parse_id(job if isinstance(job, str) else job.id) for job in jobs]


def note(number: int) -> int:
    """A task."""
    return number


def calls(number: int = MANY) -> list[tuple[int]]:
    """So many."""
    return [(each,) for each in range(number)]


@pytest.mark.parametrize("room", ["full", "no-such-right"])
def test_a_refused_write_takes_all_behind_it_along(server: Server, gator: Gator, door: Door, room: str) -> None:
    """The next one is under way, and finds a server that would take it: it does nothing, for its turn has not come."""
    task, backend = gator.register(note), redis_of(gator)
    gator.task_many(task, calls(ATOMIC_BATCH + 1))  # the script is known
    server.ask("DEL", *(backend.caller.keys.named(name) for name in ("frames", "ready:all")))
    refuse, allow = {
        "full": (("CONFIG", "SET", "maxmemory", 1), ("CONFIG", "SET", "maxmemory", 0)),
        "no-such-right": (("ACL", "SETUSER", "default", "-hexists"), ("ACL", "SETUSER", "default", "+@all")),
    }[room]
    wrong = Fate(before=lambda: server.ask(*refuse), after=lambda: server.ask(*allow), with_next=True)
    door.expect(sha(backend), *UNDER_WAY, wrong, Fate())

    with pytest.raises(BatchIncomplete) as caught:
        gator.task_many(task, calls())

    error = caught.value
    assert isinstance(error.__cause__, BackendUnavailable)
    assert (len(error.written), len(error.rest)) == (2 * ATOMIC_BATCH, MANY - 2 * ATOMIC_BATCH)
    assert line(backend) == ids(error.written)
    for _ in range(2):
        assert list(error.retry()) == list(error.rest)
        assert line(backend) == ids([*error.written, *error.rest])


@pytest.mark.parametrize("cut", Cut)
def test_a_cut_write_is_made_again_before_what_is_behind_it(gator: Gator, door: Door, cut: Cut) -> None:
    """Wherever the line is cut: the caller hears nothing of it, each job is there once, in the order of the calls."""
    task, backend = gator.register(note), redis_of(gator)
    gator.task(task, -1)
    door.expect(sha(backend), *UNDER_WAY, Fate(cut=cut), Fate(), Fate(cut=cut, with_next=True))

    jobs = gator.task_many(task, calls())

    assert not any(job.duplicate for job in jobs)
    assert line(backend)[1:] == ids(jobs)
    assert [job.state() for job in jobs[::ATOMIC_BATCH]] == [JobState.WAITING] * WRITES


@pytest.mark.parametrize("cut", [Cut.ANSWER, Cut.HALF_ANSWER, Cut.TWO_ANSWERS])
def test_what_was_worked_off_meanwhile_is_not_run_again(server: Server, gator: Gator, door: Door, cut: Cut) -> None:
    """The answer to a write is lost, and before it is made again its jobs have run and ended: that was it."""
    task, backend = gator.register(note), redis_of(gator)
    gator.task(task, -1)
    ended: list[bytes] = []
    with closing(Gator(server.dsn, namespace=backend.namespace)) as direct:
        hand = Hand(redis_of(direct), ["all"], 60_000)

        def end_all() -> None:
            while claimed := hand.claim(512):
                hand.settle_all(claimed, Succeeded())
                ended.extend(each.job_id for each in claimed)

        door.expect(sha(backend), *UNDER_WAY, Fate(cut=cut, after=end_all))
        jobs = gator.task_many(task, calls())
        end_all()

    assert ended[1:] == ids(jobs)
    assert {job.state() for job in jobs[::50]} == {JobState.SUCCESS}


@pytest.mark.parametrize("cut", [Cut.ANSWER, Cut.HALF_ANSWER, Cut.TWO_ANSWERS])
@pytest.mark.parametrize("scripts_are_known", [True, False])
def test_what_runs_or_waits_is_left_alone_when_the_first_of_its_write_is_forgotten(
    server: Server, gator: Gator, door: Door, cut: Cut, scripts_are_known: bool
) -> None:
    """The answer to a write comes so late that nobody knows its first job any more: the others are still known."""
    task, backend = gator.register(note), redis_of(gator)
    gator.task(task, -1)
    with closing(Gator(server.dsn, namespace=backend.namespace)) as direct:
        hand, ask = Hand(redis_of(direct), ["all"], 60_000), redis_of(direct).link.ask

        def end_and_forget() -> None:
            hand.settle_all(hand.claim(2 * ATOMIC_BATCH + 10), Succeeded())
            assert len(hand.claim(10)) == 10
            ask("DEL", *(backend.caller.keys.named(name) for name in ("done0", "done1", "late0", "late1")))
            if not scripts_are_known:
                ask("SCRIPT", "FLUSH")

        door.expect(sha(backend), *UNDER_WAY, Fate(cut=cut, after=end_and_forget))
        jobs = gator.task_many(task, calls())

        assert faults(backend) == []
        states = [job.state() for job in jobs[2 * ATOMIC_BATCH + 9 : 3 * ATOMIC_BATCH]]
        assert states == [JobState.RUNNING] * 10 + [JobState.WAITING] * (ATOMIC_BATCH - 19)


@pytest.mark.parametrize("cut", Cut)
def test_a_write_that_is_cut_twice_is_told_and_made_again_by_retry(gator: Gator, door: Door, cut: Cut) -> None:
    """BatchIncomplete: what it says is written is there; after `retry` each job is there once, in the order of the
    calls.
    """
    task, backend = gator.register(note), redis_of(gator)
    gator.task(task, -1)
    door.expect(sha(backend), *UNDER_WAY, Fate(cut=cut, with_next=True), Fate(cut=Cut.QUESTION))

    with pytest.raises(BatchIncomplete) as caught:
        gator.task_many(task, calls())

    error = caught.value
    assert len(error.written) == 2 * ATOMIC_BATCH
    there = line(backend)[1:]
    assert there == ids([*error.written, *error.rest])[: len(there)]
    for _ in range(2):
        assert list(error.retry()) == list(error.rest)
        assert line(backend)[1:] == ids([*error.written, *error.rest])


def test_a_move_that_is_called_off_tears_nothing() -> None:
    """The slot is on its way when one write comes, and stays after all before the next, under way by then, comes."""
    with Cluster(masters=2, node_timeout_ms=15_000) as cluster:
        namespace = "series-cut"
        slot = cluster.slot(namespace)
        old = cluster.owner(slot)
        new = next(each for each in cluster.servers if each is not old)
        to = cluster.name(new)
        with Door(old) as door:
            old.ask("CONFIG", "SET", "cluster-announce-port", door.port)
            backend = connect(f"redis+cluster://127.0.0.1:{door.port}?timeout=10", namespace=namespace)
            assert isinstance(backend, RedisBackend)
            with closing(backend):
                backend.open()
                wrong = Fate(
                    before=lambda: old.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", to),
                    after=lambda: old.ask("CLUSTER", "SETSLOT", slot, "STABLE"),
                    with_next=True,
                )
                door.expect(sha(backend), *UNDER_WAY, wrong, Fate(), Fate())

                assert [place for places in backend.enqueue_series(series(*range(MANY))) for place in places] == []

                assert door.met
                said = old.info("errorstats")
                assert said.keys() & {"errorstat_TRYAGAIN", "errorstat_ASK"}, "nothing was refused"
                assert line(backend) == [named(number) for number in range(MANY)]
                assert faults(backend) == []


@pytest.mark.parametrize("fork", FORKS)
def test_a_fork_in_the_middle_leaves_the_series_to_the_parent(server: Server, fork: Callable[[], int]) -> None:
    """The child neither reads its answers nor hangs up, and makes series of its own."""
    with closing(Gator(server.dsn, namespace=f"series-cut-{next(_numbers)}")) as gator:
        backend, some = redis_of(gator), series(*range(MANY))
        answers = backend.enqueue_series(some)
        assert [next(answers), next(answers)] == [[], []]
        child = fork()
        if not child:
            ended = 1
            try:
                answers.close()  # type: ignore[attr-defined]  # a generator
                del answers
                gc.collect()
                theirs = backend.enqueue_series(series(*range(MANY, 2 * MANY)))
                ended = 0 if list(theirs) == [[]] * WRITES else 2
            finally:
                os._exit(ended)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

        assert list(answers) == [[]] * (WRITES - 2)

        found = line(backend)
        assert len(found) == 2 * MANY
        for first in (0, MANY):
            mine = [named(number) for number in range(first, first + MANY)]
            assert [each for each in found if each in set(mine)] == mine
