"""A call that is sent again is one job: whether the first copy came, comes late, or never does."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from tests.integration.redis.door import Cut, Door, Fate
from tests.integration.redis.servers import Server, needs_redis
from typedgator import Gator, Job
from typedgator.backends.redis import RedisBackend
from typedgator.backends.redis.audit import faults
from typedgator.wire.ids import JobId, parse_id
from typedgator.wire.states import JobState
from typedgator.wire.verdict import Settlement, Succeeded

pytestmark = needs_redis
_numbers = count()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One for all; each test has a namespace of its own."""
    with Server() as started:
        yield started


def note(number: int) -> int:
    """A task."""
    return number


class Caller:
    """Somebody behind a door, in a thread or on a loop, and the same namespace without it."""

    def __init__(self, server: Server, door: Door, face: str) -> None:
        name = f"repeats-{next(_numbers)}"
        self.gator = Gator(door.dsn, namespace=name)
        self.task = self.gator.register(name="note")(note)
        self._runner = asyncio.Runner()
        self._face = face
        self.straight = Gator(server.dsn, namespace=name).backend
        self.call()
        self.run_all()

    @property
    def backend(self) -> RedisBackend:
        """Without the door."""
        assert isinstance(self.straight, RedisBackend)
        return self.straight

    @property
    def first_copy(self) -> bytes:
        """A word that only a call has that is sent for the first time."""
        return self.backend.caller.script("enqueue_new").sha

    def call(self) -> JobId:
        """One job."""
        made: Job[int] = self.task.task(1) if self._face == "thread" else self._runner.run(self.task.atask(1))
        assert not made.duplicate  # whatever became of its lines: it was this call that made the job
        return parse_id(made.id)

    def call_together(self, number: int) -> list[JobId]:
        """So many jobs in one turn of the loop."""

        async def calls() -> list[Job[int]]:
            return await asyncio.gather(*(self.task.atask(each) for each in range(number)))

        return [parse_id(job.id) for job in self._runner.run(calls())]

    def run_all(self) -> list[JobId]:
        """All jobs that wait are done."""
        worker = self.backend.join(["*"], lease_ms=30_000)
        claimed = self.backend.claim(worker, limit=100, wait_ms=0, seen=0)
        self.backend.settle(worker, [Settlement(each.job_id, each.token, Succeeded()) for each in claimed])
        self.backend.leave(worker)
        return [each.job_id for each in claimed]

    def noted(self) -> int:
        """For how many milliseconds more a repetition is known; -2: none is."""
        answer = self.backend.link.ask("PTTL", self.backend.caller.keys.named("resent"))
        assert isinstance(answer, int)
        return answer

    def is_over(self, job_id: JobId) -> bool:
        """It ended well, and nothing is left of it."""
        record = self.backend.find(job_id)
        assert faults(self.backend) == []
        return record is not None and record.state is JobState.SUCCESS and self.run_all() == []

    def close(self) -> None:
        """Both ways end."""
        self._runner.close()
        self.gator.close()
        self.backend.close()


@pytest.fixture(params=["thread", "loop"])
def made(server: Server, request: pytest.FixtureRequest) -> Iterator[tuple[Door, Caller]]:
    """A door and who goes through it; the scripts are known, the line stands."""
    with Door(server) as door:
        caller = Caller(server, door, request.param)
        yield door, caller
        caller.close()


def test_calls_whose_lines_hold_note_nothing(made: tuple[Door, Caller]) -> None:
    """Else each process that starts would slow down all others."""
    _, caller = made
    caller.call()
    assert caller.noted() == -2


@pytest.mark.parametrize("cut", [Cut.QUESTION, Cut.HALF_QUESTION])
def test_a_first_copy_that_comes_late_is_not_a_job(made: tuple[Door, Caller], cut: Cut, server: Server) -> None:
    """Held up on its way until the second one has run: whoever still delivers it delivers nothing."""
    door, caller = made
    door.expect(caller.first_copy, Fate(cut))
    job_id = caller.call()
    assert door.met
    assert caller.run_all() == [job_id]
    assert 0 < caller.noted() <= 60_000

    (first,) = door.heard
    assert job_id in first
    assert caller.backend.link.ask(*first) == 2
    assert caller.is_over(job_id)


@pytest.mark.parametrize("cut", [Cut.ANSWER, Cut.HALF_ANSWER])
def test_a_job_that_ran_before_its_caller_was_told_is_not_run_again(made: tuple[Door, Caller], cut: Cut) -> None:
    door, caller = made
    ran: list[JobId] = []
    door.expect(caller.first_copy, Fate(cut, after=lambda: ran.extend(caller.run_all())))
    job_id = caller.call()
    assert door.met
    assert ran == [job_id]
    assert caller.is_over(job_id)


def test_what_runs_or_waits_is_left_alone_when_the_first_of_its_company_is_forgotten(server: Server) -> None:
    """The answer to many calls of a loop comes so late that nobody knows the first any more: the others are known."""
    with Door(server) as door:
        caller = Caller(server, door, "loop")
        backend = caller.backend
        worker = backend.join(["*"], lease_ms=60_000)

        def end_and_forget() -> None:
            # The first of all goes alone, the second is the first of its company.
            *ended, _ = backend.claim(worker, limit=3, wait_ms=0, seen=0)
            backend.settle(worker, [Settlement(each.job_id, each.token, Succeeded()) for each in ended])
            backend.link.ask("DEL", *(backend.caller.keys.named(name) for name in ("done0", "done1", "late0", "late1")))

        door.expect(backend.caller.script("enqueue_plain").sha, Fate(Cut.ANSWER, after=end_and_forget))
        jobs = caller.call_together(9)
        assert door.met
        assert faults(backend) == []
        states = [record and record.state for record in map(backend.find, jobs)]
        assert states[2:] == [JobState.RUNNING] + [JobState.WAITING] * 6
        caller.close()


@pytest.mark.parametrize("forget", [lambda backend: None, lambda backend: backend.link.ask("SCRIPT", "FLUSH")])
def test_calls_after_a_repetition_are_taken_with_care(
    made: tuple[Door, Caller], forget: Callable[[RedisBackend], object]
) -> None:
    """Each is accepted once."""
    door, caller = made
    door.expect(caller.first_copy, Fate(Cut.ANSWER))
    jobs = [caller.call()]
    forget(caller.backend)
    jobs += [caller.call() for _ in range(3)]
    assert caller.run_all() == jobs
    assert all(caller.is_over(job_id) for job_id in jobs)


def test_while_calls_are_taken_with_care_each_is_asked_once(made: tuple[Door, Caller]) -> None:
    """One of many looks whether that is over, and then all go the short way again."""
    door, caller = made
    ask = caller.backend.link.ask
    ask("SET", caller.backend.caller.keys.named("resent"), 1, "PX", 60_000)
    ask("CONFIG", "RESETSTAT")

    jobs = [caller.call() for _ in range(100)]

    stats = ask("INFO", "commandstats")
    assert isinstance(stats, bytes)
    asked = [line for line in stats.split() if line.startswith(b"cmdstat_eval")]
    assert 100 < sum(int(line.split(b"=")[1].split(b",")[0]) for line in asked) < 110
    assert caller.run_all() == jobs

    ask("DEL", caller.backend.caller.keys.named("resent"))
    door.expect(caller.first_copy, *[Fate()] * 10)
    jobs = [caller.call() for _ in range(80)]
    assert door.met
    assert caller.run_all() == jobs
