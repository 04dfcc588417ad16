"""Calls one by one, each straight to bytes: what is stored, who still sees each, and what a broken line leaves."""

import asyncio
import os
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count

import msgspec
import pytest
import uvloop

from tests.forks import FORKS
from tests.integration.redis.servers import Server, needs_redis
from typedgator import AsyncTask, Gator, InvalidArguments, Job, Middleware
from typedgator.backends.redis import RedisBackend
from typedgator.errors import BackendUnavailable
from typedgator.events import JobEnqueued
from typedgator.testing.contract import job as plain
from typedgator.wire.envelope import Envelope, decode_envelope, encode_envelope
from typedgator.wire.frame import Frame, FrameFlags, open_frame, pack_frame
from typedgator.wire.ids import JobId, parse_id
from typedgator.wire.states import JobState

pytestmark = needs_redis
_numbers = count()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One server for all tests that leave it as it was."""
    with Server() as started:
        yield started


def gator_on(server: Server, *layers: Middleware) -> Gator:
    """In a namespace of its own."""
    return Gator(server.unix_dsn, namespace=f"pressing-{next(_numbers)}", middleware=layers)


def redis_of(gator: Gator) -> RedisBackend:
    """Its backend."""
    assert isinstance(gator.backend, RedisBackend)
    return gator.backend


async def note(number: int, text: str = "", *, tags: tuple[str, ...] = ()) -> int:
    """A task."""
    return number


class Seen(Middleware):
    """Changes nothing, and remembers what passed: no call is pressed."""

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


def four(task: AsyncTask[..., int]) -> list[Job[int]]:
    """From a thread, from a lone coroutine, and from two in company."""

    async def main() -> list[Job[int]]:
        alone = await task.atask(2, "é")
        return [alone, *await asyncio.gather(task.atask(3, tags=("a", "b")), task.atask(4, "x" * 300))]

    return [task.task(1), *asyncio.run(main())]


def test_it_stores_what_any_other_way_would_store(server: Server) -> None:
    """Byte for byte what msgspec and `pack_frame` give, and the same as by way of middleware, but for id and times."""
    layer = Seen()
    made: list[list[tuple[Envelope, int, int, str]]] = []
    for gator in (gator_on(server), gator_on(server, layer)):
        with closing(gator):
            task = gator.register(name="note", priority=7, queue="notes", retries=2, headers={"tenant": "acme"})(note)
            made.append([])
            for job in four(task):
                frame = stored(gator, job)
                head = open_frame(frame)
                envelope = decode_envelope(head.envelope)
                assert (envelope.id, encode_envelope(envelope)) == (parse_id(job.id), head.envelope)
                assert abs(envelope.enqueued_at - head.accepted_ms) < 5000
                again = Frame(
                    job_id=JobId(envelope.id),
                    queue="notes",
                    envelope=head.envelope,
                    priority=7,
                    flags=FrameFlags(head.flags),
                )
                assert pack_frame(again, head.accepted_ms) == frame
                assert not job.duplicate
                plain = msgspec.structs.replace(envelope, id=b"", enqueued_at=0)
                made[-1].append((plain, head.flags, head.priority, head.queue))

    assert made[0] == made[1]
    assert len(layer.seen) == 4


def test_a_wrong_call_is_refused_and_nothing_is_sent(server: Server) -> None:
    """Every way, the first call of a task and a later one."""
    with closing(gator_on(server)) as gator:
        task = gator.register(note)
        for _ in range(2):
            with pytest.raises(InvalidArguments, match="number"):
                task.task("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # meant
            with pytest.raises(InvalidArguments, match="number"):
                asyncio.run(task.atask("x"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # meant
            assert len(gator.queue()) in (0, 1)
            task.task(1)
        assert len(gator.queue()) == 2


def test_a_listener_that_comes_later_hears_of_each_job(server: Server) -> None:
    """JobEnqueued, in every way of calling, also after calls that nobody listened to."""
    with closing(gator_on(server)) as gator:
        task = gator.register(note)
        four(task)
        heard: list[JobEnqueued] = []
        gator.events.on(JobEnqueued, heard.append)

        jobs = four(task)

        assert {event.job_id for event in heard} == {job.id for job in jobs}
        assert len(heard) == len(jobs) == 4


def test_forgotten_scripts_and_cut_lines_lose_and_double_nothing(server: Server) -> None:
    """Each kind of call after each kind of trouble: accepted once, and no duplicate of itself."""
    with closing(gator_on(server)) as gator:
        task, jobs = gator.register(note), list[Job[int]]()
        for words in (("SCRIPT", "FLUSH"), ("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")) * 2:
            jobs += four(task)
            server.ask(*words)

            async def main() -> list[Job[int]]:
                first = [await task.atask(1), *await asyncio.gather(*(task.atask(number) for number in range(9)))]
                server.ask(*words)  # noqa: B023 - called in this round
                return [
                    *first,
                    *await asyncio.gather(*(task.atask(number) for number in range(9))),
                    await task.atask(2),
                ]

            jobs += [task.task(0), *asyncio.run(main())]

        assert not any(job.duplicate for job in jobs)
        assert len({job.id for job in jobs}) == len(jobs) == len(gator.queue())
        assert {job.state() for job in jobs[::7]} == {JobState.WAITING}


@pytest.mark.parametrize("face", ["thread", "loop"])
def test_a_forgotten_script_is_known_again_after_one_call(server: Server, face: str) -> None:
    """From then on a lone call is one command again, in each face; so is one that does not come out of a press."""
    with closing(gator_on(server)) as gator, asyncio.Runner() as runner:
        backend, task, jobs = redis_of(gator), gator.register(note), list[Job[int]]()

        def call(number: int) -> None:
            jobs.append(task.task(number) if face == "thread" else runner.run(task.atask(number)))
            frame = [msgspec.structs.replace(plain(number), queue="others")]
            backend.enqueue(frame) if face == "thread" else runner.run(backend.on_loops.aenqueue(frame))

        call(1)
        server.ask("SCRIPT", "FLUSH")
        call(2)

        assert server.ask("SCRIPT", "EXISTS", backend.caller.script("enqueue_one").sha) == [1]
        call(3)
        assert len(gator.queue()) == len(gator.queue("others")) == 3
        assert {job.state() for job in jobs} == {JobState.WAITING}


def test_many_coroutines_share_writes_and_each_has_its_own_job(server: Server) -> None:
    """Of several tasks and queues, more at once than one write holds, again and again; some give up meanwhile."""
    with closing(gator_on(server)) as gator:
        tasks = [gator.register(name=queue, queue=queue)(note) for queue in ("a", "b", "c")]

        async def call(number: int) -> list[Job[int]]:
            return [await tasks[(number + again) % 3].atask(number) for again in range(4)]

        async def main() -> list[Job[int]]:
            gone = [asyncio.ensure_future(call(number)) for number in range(20)]
            there = [asyncio.ensure_future(call(number)) for number in range(300)]
            await asyncio.sleep(0)
            for each in gone:
                each.cancel()
            return [job for jobs in await asyncio.gather(*there) for job in jobs]

        jobs = asyncio.run(main())

        assert len({job.id for job in jobs}) == len(jobs) == 1200
        frames = [open_frame(stored(gator, job)) for job in jobs]
        assert [msgspec.msgpack.decode(decode_envelope(frame.envelope).args)["number"] for frame in frames] == [
            number for number in range(300) for _ in range(4)
        ]
        assert [frame.queue for frame in frames] == ["abc"[(n + again) % 3] for n in range(300) for again in range(4)]
        assert 1200 <= sum(len(gator.queue(queue)) for queue in "abc") <= 1220


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_of_many_coroutines_one_half_goes_on_while_the_server_takes_the_other(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """No write has more than half of them: then server and loop would wait for each other."""
    with Server() as server, closing(gator_on(server)) as gator:
        task = gator.register(note)
        task.task(0)
        server.ask("CONFIG", "SET", "slowlog-log-slower-than", 0, "slowlog-max-len", 10_000)

        async def call() -> None:
            for number in range(30):
                await task.atask(number)

        async def main() -> None:
            await task.atask(0)
            await asyncio.gather(*[call() for _ in range(100)])

        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(main())

        written = writes(server, redis_of(gator).caller.script("enqueue_plain").sha)
        assert sum(written) > 2_000
        assert max(written) <= 50


def writes(server: Server, sha: bytes) -> list[int]:
    """How many jobs each call of this script had; the slow log keeps 31 words of a command, and says how many more."""
    noted = server.ask("SLOWLOG", "GET", -1)
    assert isinstance(noted, list)
    found: list[int] = []
    for words in [entry[3] for entry in noted if sha in entry[3]]:
        more = re.fullmatch(rb"\.\.\. \((\d+) more arguments\)", words[-1])
        number = len(words) - 1 + int(more[1]) if more else len(words)
        found.append((number - 4 - int(words[2])) // 3)
    return found


def test_a_loop_that_begins_with_many_calls_shares_writes_as_well() -> None:
    """There is no line yet when they come."""
    with Server() as server, closing(gator_on(server)) as gator:
        task = gator.register(note)
        task.task(0)
        server.ask("CONFIG", "RESETSTAT")

        async def main() -> list[Job[int]]:
            return await asyncio.gather(*[task.atask(number) for number in range(1000)])

        jobs = asyncio.run(main())

        assert len({job.id for job in jobs}) == 1000 == len(gator.queue()) - 1
        stats = str(server.ask("INFO", "commandstats"))
        calls = [int(number) for number in re.findall(r"cmdstat_eval(?:sha)?:calls=(\d+)", stats)]
        assert 0 < sum(calls) < 20


def test_a_server_that_is_gone_is_told_to_all() -> None:
    """To a thread and to each of many coroutines, also to those whose job was not sent yet."""
    with Server() as server, closing(gator_on(server)) as gator:
        task = gator.register(note)
        four(task)

        async def main() -> list[object]:
            await task.atask(0)
            calls = [asyncio.ensure_future(task.atask(number)) for number in range(60)]
            server.kill()
            return await asyncio.gather(*calls, return_exceptions=True)

        answers = asyncio.run(main())

        assert len(answers) == 60
        assert {type(answer) for answer in answers} <= {Job, BackendUnavailable}
        assert isinstance(answers[-1], BackendUnavailable)
        refused = [answer for answer in answers if isinstance(answer, BackendUnavailable)]
        assert len({id(error) for error in refused}) == len(refused), "one's traceback and notes are another's"
        assert all(error.__cause__ is not None for error in refused)
        with pytest.raises(BackendUnavailable):
            task.task(1)


def test_a_full_server_tells_each_of_many_by_himself() -> None:
    """What is refused together is another error for each, and nothing of it is written."""
    with Server() as full, closing(gator_on(full)) as gator:
        task = gator.register(note)
        task.task(0)
        full.ask("CONFIG", "SET", "maxmemory", 1)

        async def main() -> list[object]:
            return await asyncio.gather(*[task.atask(number) for number in range(60)], return_exceptions=True)

        answers = asyncio.run(main())

        assert [str(answer).partition("OOM")[1] for answer in answers] == ["OOM"] * 60
        assert len({id(answer) for answer in answers}) == 60
        full.ask("CONFIG", "SET", "maxmemory", 0)
        assert len(gator.queue()) == 1


@pytest.mark.parametrize("fork", FORKS)
def test_a_fork_presses_by_itself(server: Server, fork: Callable[[], int]) -> None:
    """On a line of its own, under ids of its own."""
    with closing(gator_on(server)) as gator:
        task = gator.register(note)
        task.task(1)
        child = fork()
        if not child:
            ended = 1
            try:
                for number in range(5):
                    task.task(number)
                ended = 0
            finally:
                os._exit(ended)
        for number in range(5):
            task.task(number)
        assert os.waitpid(child, 0)[1] == 0
        assert len(gator.queue()) == 11
