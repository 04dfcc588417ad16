"""`durability=replicated`: what was promised is on a replica, whatever becomes of the first server."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count

import pytest

from tests.integration.redis.servers import Server, needs_redis, until
from typedgator import BatchIncomplete, Gator, Job, NotReplicated, Task
from typedgator.backends.connect import connect
from typedgator.backends.contract import CancelAnswer, Receipt, ReceiptStatus
from typedgator.backends.redis import RedisBackend
from typedgator.errors import BackendUnavailable, ConfigurationError
from typedgator.testing.contract import Hand, job
from typedgator.testing.contract.bench import named, numbers
from typedgator.wire.frame import Frame
from typedgator.wire.ids import shown_id
from typedgator.wire.states import JobState
from typedgator.wire.verdict import Failed, Succeeded

pytestmark = needs_redis
_numbers = count()
QUICK: tuple[str, ...] = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")


class Pair:
    """A server and its replica."""

    def __init__(self, master: Server, replica: Server) -> None:
        self.master, self.replica = master, replica
        self.namespace = f"replicated-{next(_numbers)}"

    @property
    def dsn(self) -> str:
        """Of the first; impatient, so that tests are quick."""
        return f"{self.master.dsn}?namespace={self.namespace}&durability=replicated&replica_timeout=0.2"

    def backend(self) -> RedisBackend:
        """Open, and sure of its replica."""
        backend = connect(self.dsn)
        assert isinstance(backend, RedisBackend)
        backend.open()
        return backend

    def on_replica(self) -> RedisBackend:
        """What the replica has, as it is."""
        backend = connect(f"{self.replica.dsn}?namespace={self.namespace}")
        assert isinstance(backend, RedisBackend)
        return backend


def in_step(master: Server) -> bool:
    """Its first replica is connected and has said that it has all; of nothing it would say so too early."""
    facts = master.info("replication")
    if facts["master_repl_offset"] == "0":
        master.ask("SET", "first", "word")
        return False
    return f"state=online,offset={facts['master_repl_offset']}," in facts.get("slave0", "")


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Server, Server]]:
    """A master and its replica, for all tests that leave them as they were."""
    with Server(settings=QUICK) as master, Server(settings=(*QUICK, "--replicaof", "127.0.0.1", str(master.port))) as b:
        until(lambda: in_step(master), "the replica has what the master has")
        yield master, b


@pytest.fixture
def pair(servers: tuple[Server, Server]) -> Iterator[Pair]:
    """The two, and a namespace."""
    _, replica = servers
    yield Pair(*servers)
    replica.resume()


def child(number: int) -> Frame:
    """Not a plain job: it may expire."""
    return job(number, expires_in_ms=3_600_000)


class TestAccepted:
    """What `enqueue` returned for."""

    @pytest.mark.parametrize("frames", [[job(1)], [job(1), job(2)], [child(1)], [child(1), job(2)]])
    def test_is_on_the_replica(self, pair: Pair, frames: list[Frame]) -> None:
        """At once, however it came: one, many, plain or not."""
        with closing(pair.backend()) as backend, closing(pair.on_replica()) as replica:
            for _ in range(20):
                backend.enqueue(frames)
                there = replica.link.ask("HLEN", replica.caller.keys.named("frames"))
                assert there == len(frames)
                backend.link.ask("DEL", *(backend.caller.keys.named(name) for name in ("frames", "ready:all")))

    @pytest.mark.parametrize("frames", [[job(1)], [job(1), job(2)], [child(1)]])
    def test_is_nothing_while_the_replica_is_silent(self, pair: Pair, frames: list[Frame]) -> None:
        """NotReplicated, with the ids; again for the same ids, on the same line or another; then one job each."""
        with closing(pair.backend()) as backend:
            pair.replica.pause()
            for _ in range(2):
                with pytest.raises(NotReplicated) as caught:
                    backend.enqueue(frames)
                assert caught.value.job_ids == tuple(shown_id(frame.job_id) for frame in frames)
                backend.close()
            pair.replica.resume()

            again = backend.enqueue(frames)

            assert [receipt.status for receipt in again] == [ReceiptStatus.DUPLICATE] * len(frames)
            assert numbers(Hand(backend, ["all"], 60_000).claim(100)) == list(range(1, len(frames) + 1))

    def test_is_not_confirmed_by_a_line_that_wrote_nothing(self, pair: Pair) -> None:
        """The line breaks while the server waits for the replica: the next one waits anew, for the same job."""
        with closing(pair.backend()) as backend, ThreadPoolExecutor(1) as pool:
            pair.replica.pause()
            pair.master.ask("CONFIG", "RESETSTAT")
            answer = pool.submit(backend.enqueue, [job(1)])
            until(lambda: "blocked_clients:1" in str(pair.master.ask("INFO", "clients")), "it waits for the replica")
            pair.master.ask("CLIENT", "KILL", "TYPE", "normal")

            with pytest.raises(NotReplicated):
                answer.result()

    def test_is_confirmed_by_a_write_also_when_it_was_known(self, pair: Pair) -> None:
        """A line that only read has nothing to wait for: so a known job is answered for behind a write of its own."""
        with closing(pair.backend()) as backend:
            backend.enqueue([job(1)])
            backend.close()
            before = int(pair.master.info("replication")["master_repl_offset"])

            backend.enqueue([job(1)])

            assert int(pair.master.info("replication")["master_repl_offset"]) - before > 50  # not a ping: 14 bytes

    def test_needs_a_replica(self) -> None:
        """A server that has none confirms nothing."""
        with Server() as alone:
            backend = connect(f"{alone.dsn}?durability=replicated&replica_timeout=0.05")
            with closing(backend), pytest.raises(NotReplicated, match=r"no replica confirmed within 0.05 s"):
                backend.enqueue([job(1)])


class TestOtherPromises:
    """Answers of other verbs to a caller or an operator."""

    VERBS: tuple[tuple[str, Callable[[RedisBackend], object]], ...] = (
        ("cancel a waiting job", lambda backend: backend.cancel(named(1))),
        ("cancel it again", lambda backend: backend.cancel(named(1))),
        ("cancel a running job", lambda backend: backend.cancel(named(2))),
        ("requeue", lambda backend: backend.requeue(named(3))),
        ("purge", lambda backend: backend.purge(JobState.WAITING, limit=10)),
        ("pause", lambda backend: backend.pause("all")),
        ("resume", lambda backend: backend.resume("all")),
    )

    def test_wait_for_the_replica_too(self, pair: Pair) -> None:
        """Nothing that a caller was told is undone by a failover."""
        with closing(pair.backend()) as backend:
            hand = Hand(backend, ["all"], 60_000)
            backend.enqueue([job(2), job(3)])
            _, failing = hand.claim(2)
            hand.settle(failing, Failed(b"outcome"))
            backend.enqueue([job(1), job(4)])
            pair.replica.pause()

            for name, verb in self.VERBS:
                with pytest.raises(NotReplicated):
                    pytest.fail(f"{name} waited for nobody, and said {verb(backend)}")
            pair.replica.resume()

            assert backend.cancel(named(1)) is CancelAnswer.DONE

    def test_are_kept_once_also_when_the_server_forgot_what_confirms_them(self, pair: Pair) -> None:
        """A requeue that was done is not done again because another script behind it was not known."""
        with closing(pair.backend()) as backend:
            hand = Hand(backend, ["all"], 60_000)
            backend.enqueue([job(1)])
            hand.settle(hand.claim_one(), Failed(b"an error"))
            backend.link.ask("SCRIPT", "FLUSH")
            backend.link.ask("SCRIPT", "LOAD", backend.caller.script("requeue").text)

            assert backend.requeue(named(1))

    def test_say_which_job(self, pair: Pair) -> None:
        """`job_id`."""
        with closing(pair.backend()) as backend:
            pair.replica.pause()
            for verb in (backend.cancel, backend.requeue):
                with pytest.raises(NotReplicated) as caught:
                    verb(named(7))
                assert caught.value.job_id == shown_id(named(7))

    def test_are_not_those_of_workers(self, pair: Pair) -> None:
        """Claim, beat and settle go on without a replica: what a failover forgets of them is run again."""
        with closing(pair.backend()) as backend:
            backend.enqueue([job(1)])
            pair.replica.pause()
            hand = Hand(backend, ["all"], 60_000)

            (claimed,) = hand.claim(1)
            hand.backend.beat(hand.id, [claimed.token])
            hand.settle(claimed, Succeeded())

            record = backend.find(named(1))
            assert record is not None
            assert record.state is JobState.SUCCESS


class TestOnLoops:
    """The same from event loops."""

    def test_each_caller_has_its_own_answer(self, pair: Pair) -> None:
        """Many at once share a WAIT; while the replica is silent each is told of its own job, and states are still
        answered; afterwards there is one job each."""

        async def main(backend: RedisBackend) -> tuple[list[object], list[object]]:
            loops = backend.on_loops
            await loops.aenqueue([job(0)])
            pair.replica.pause()
            callers = [asyncio.create_task(loops.aenqueue([job(number)])) for number in range(1, 51)]
            callers += [asyncio.create_task(loops.aenqueue([child(51)]))]
            record = await loops.aoutcome(named(0), wait_ms=0)
            assert record is not None
            assert record.state is JobState.WAITING
            assert not any(caller.done() for caller in callers)
            refused: list[object] = list(await asyncio.gather(*callers, return_exceptions=True))
            pair.replica.resume()
            again = await asyncio.gather(*(loops.aenqueue([job(number)]) for number in range(1, 52)))
            await loops.aclose()
            return refused, [receipt for (receipt,) in again]

        with closing(pair.backend()) as backend:
            refused, again = asyncio.run(main(backend))

            assert [e.job_id for e in refused if isinstance(e, NotReplicated)] == [
                shown_id(named(number)) for number in range(1, 52)
            ]
            assert again == [Receipt(ReceiptStatus.DUPLICATE, named(number)) for number in range(1, 52)]
            assert sorted(numbers(Hand(backend, ["all"], 60_000).claim(100))) == list(range(52))

    def test_what_was_accepted_is_on_the_replica(self, pair: Pair) -> None:
        """Alone or together, from a server that does not know the scripts."""

        async def main(backend: RedisBackend, replica: RedisBackend) -> None:
            for start in range(0, 200, 10):
                if start == 100:
                    pair.master.ask("SCRIPT", "FLUSH")
                await asyncio.gather(*(backend.on_loops.aenqueue([job(start + n)]) for n in range(10)))
                there = replica.link.ask("HLEN", replica.caller.keys.named("frames"))
                assert there == start + 10
            await backend.on_loops.aclose()

        with closing(pair.backend()) as backend, closing(pair.on_replica()) as replica:
            asyncio.run(main(backend, replica))

    def test_a_cancel_waits_too(self, pair: Pair) -> None:
        """`acancel`."""

        async def main(backend: RedisBackend) -> None:
            with pytest.raises(NotReplicated):
                await backend.on_loops.acancel(named(1))
            await backend.on_loops.aclose()

        with closing(pair.backend()) as backend:
            backend.enqueue([job(1)])
            pair.replica.pause()
            asyncio.run(main(backend))


def twice(number: int) -> int:
    """A task."""
    return number * 2


def made(pair: Pair) -> tuple[Gator, Task[[int], int]]:
    """A gator, and its task."""
    gator = Gator(pair.dsn)
    return gator, gator.register(name="twice")(twice)


class TestCallers:
    """What `task()` does with it."""

    def test_a_call_can_be_made_again_by_its_error(self, pair: Pair) -> None:
        """The id that typedgator made is in the error, and `retry()` sends the same job again: there is one."""
        gator, double = made(pair)

        with closing(gator):
            pair.replica.pause()
            with pytest.raises(NotReplicated) as caught:
                double.task(21)
            with pytest.raises(NotReplicated) as repeated:
                caught.value.retry()
            pair.replica.resume()

            assert repeated.value.job_id == caught.value.job_id
            assert caught.value.retry() == [caught.value.job_id]
            done = gator.pop()
            assert done is not None
            assert (done.id, done.result()) == (caught.value.job_id, 42)
            assert gator.pop() is None

    def test_so_can_one_under_an_own_id(self, pair: Pair) -> None:
        """The same `job_id` again: one job, and its handle says that it was there."""
        gator, double = made(pair)

        with closing(gator):
            pair.replica.pause()
            for _ in range(2):
                with pytest.raises(NotReplicated), gator.options(job_id="order-1") as options:
                    options.task(double, 1)
            pair.replica.resume()
            with gator.options(job_id="order-1") as options:
                job = options.task(double, 1)

            assert job.duplicate
            assert gator.pop() is not None
            assert gator.pop() is None

    def test_a_batch_is_made_again_as_ever(self, pair: Pair) -> None:
        """BatchIncomplete, its cause NotReplicated."""
        gator, double = made(pair)

        with closing(gator):
            pair.replica.pause()
            with pytest.raises(BatchIncomplete) as caught:
                gator.task_many(double, [(number,) for number in range(300)])
            pair.replica.resume()

            assert isinstance(caught.value.__cause__, NotReplicated)
            assert len(caught.value.retry()) == 300
            assert len(gator.queue()) == 300

    def test_async_code_is_told_the_same(self, pair: Pair) -> None:
        """`atask`."""
        gator, double = made(pair)

        async def main() -> None:
            pair.replica.pause()
            with pytest.raises(NotReplicated) as caught:
                await double.atask(21)
            pair.replica.resume()
            assert await asyncio.to_thread(caught.value.retry) == [caught.value.job_id]

        with closing(gator):
            asyncio.run(main())
            assert len(gator.queue()) == 1

    def test_no_call_takes_a_road_that_confirms_nothing(self, pair: Pair) -> None:
        """From a thread, alone on a loop and together, also when calls before were confirmed: each is told of its own
        job, and sends it again by its error.
        """
        gator, double = made(pair)

        async def together() -> list[object]:
            return list(await asyncio.gather(*(double.atask(n) for n in range(20)), return_exceptions=True))

        with closing(gator), asyncio.Runner() as runner:
            ids = [double.task(0).id, runner.run(double.atask(0)).id]
            assert {type(job) for job in runner.run(together())} == {Job}
            pair.replica.pause()
            with pytest.raises(NotReplicated) as thread:
                double.task(1)
            with pytest.raises(NotReplicated) as alone:
                runner.run(double.atask(2))
            errors = [thread.value, alone.value, *runner.run(together())]
            pair.replica.resume()
            for error in errors:
                assert isinstance(error, NotReplicated)
                assert error.retry() == [error.job_id]
                ids.append(error.job_id)

            assert len(set(ids)) == len(ids) == 24
            assert {gator.job(job_id).state() for job_id in ids} == {JobState.WAITING}
            assert len(gator.queue()) == 44


class TestAsked:
    """How it is asked for."""

    @pytest.mark.parametrize(
        ("dsn", "says"),
        [
            ("redis://localhost/0?durability=power", "none of memory, replicated"),
            ("sqlite:///jobs.db?durability=replicated", "none of power, process"),
            ("locmem://?durability=replicated", "none of memory"),
            ("redis://localhost/0?durability=replicated&replica_timeout=9", "less than timeout=5"),
            ("redis://localhost/0?durability=replicated&replica_timeout=soon", "replica_timeout='soon'"),
            ("redis://localhost/0?replica_timeout=1", "unknown option replica_timeout"),
        ],
    )
    def test_what_a_backend_does_not_know_is_refused(self, dsn: str, says: str) -> None:
        """Naming those that it knows."""
        with pytest.raises(ConfigurationError, match=says):
            connect(dsn)

    def test_a_gator_may_say_it_beside_its_dsn(self) -> None:
        """`Gator(…, durability=)` is the DSN's `?durability=`; two that differ are refused."""
        gator = Gator("redis://localhost/0", durability="replicated")

        assert isinstance(gator.backend, RedisBackend)
        assert gator.backend.place.replicated
        with pytest.raises(ConfigurationError, match="say it in one place"):
            Gator("redis://localhost/0?durability=memory", durability="replicated")
        with pytest.raises(ConfigurationError, match="none of power, process"):
            Gator("sqlite:///jobs.db", durability="replicated")


def test_a_server_that_is_gone_is_not_called_unreplicated(pair: Pair) -> None:
    """Nobody there is BackendUnavailable, as ever: NotReplicated says that the server has it."""
    with closing(connect(f"redis://127.0.0.1:{1}/0?durability=replicated")) as backend:
        with pytest.raises(BackendUnavailable) as caught:
            backend.enqueue([job(1)])
        assert not isinstance(caught.value, NotReplicated)
