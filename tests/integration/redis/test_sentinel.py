"""The master that sentinels name: found, followed when it dies, hangs or steps down, and never mistaken for another."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.integration.cli import project as cli
from tests.integration.redis.load import Load
from tests.integration.redis.servers import Sentinels, Server, needs_redis, until
from typedgator.backends.connect import connect
from typedgator.backends.contract import ReceiptStatus
from typedgator.backends.redis import RedisBackend, link, whereabouts
from typedgator.backends.redis.audit import faults
from typedgator.errors import BackendUnavailable
from typedgator.testing.contract import Hand, job
from typedgator.testing.contract.bench import named, numbers
from typedgator.wire.states import JobState

pytestmark = needs_redis


def opened(dsn: str) -> RedisBackend:
    """Open."""
    backend = connect(dsn)
    assert isinstance(backend, RedisBackend)
    backend.open()
    return backend


@pytest.fixture
def sentinels() -> Iterator[Sentinels]:
    """A master, a replica, three sentinels."""
    with Sentinels() as started:
        yield started


class TestDying:
    """The master is killed."""

    def test_what_a_replica_had_survives_under_load(self) -> None:
        """`durability=replicated`: each accepted job ends, and the keys of the new master agree."""
        with (
            Sentinels(replicas=2) as sentinels,
            closing(opened(f"{sentinels.dsn}?durability=replicated&timeout=30")) as backend,
        ):
            with Load(backend) as load:
                load.more(100)
                sentinels.failed_over(sentinels.kill_master())
                load.more(100)

            hand = Hand(backend, ["all"], 60_000)
            while rest := hand.claim(100):
                for each in rest:
                    hand.succeed(each)
            records = [backend.find(job_id) for job_id in load.accepted]

            assert not load.errors
            assert {record and record.state for record in records} == {JobState.SUCCESS}
            assert faults(backend) == []

    def test_a_failover_within_the_timeout_is_a_pause(self, sentinels: Sentinels) -> None:
        """No call fails, of threads or of event loops: nothing was done, so it is asked again."""
        with closing(opened(f"{sentinels.dsn}?timeout=40")) as backend, ThreadPoolExecutor() as pool:
            backend.enqueue([job(0)])
            sentinels.in_step()
            old = sentinels.kill_master()
            threads = [pool.submit(backend.enqueue, [job(number)]) for number in range(1, 4)]

            async def main() -> list[ReceiptStatus]:
                found = await asyncio.gather(*(backend.aenqueue([job(number)]) for number in range(4, 8)))
                await backend.aclose()
                return [receipt.status for (receipt,) in found]

            assert asyncio.run(main()) == [ReceiptStatus.NEW] * 4
            assert [thread.result()[0].status for thread in threads] == [ReceiptStatus.NEW] * 3
            assert sentinels.master is not old
            assert sorted(numbers(Hand(backend, ["all"], 60_000).claim())) == list(range(8))
            assert faults(backend) == []

    def test_a_failover_that_takes_longer_is_told(self, sentinels: Sentinels) -> None:
        """BackendUnavailable with the address, and once somebody is master all goes on."""
        for sentinel in sentinels.sentinels[1:]:
            sentinel.pause()
        with closing(opened(f"{sentinels.dsn}?timeout=0.3")) as backend:
            backend.enqueue([job(1)])
            old = sentinels.servers[0]
            old.kill()
            with pytest.raises(BackendUnavailable, match=r"redis\+sentinel://127"):
                backend.enqueue([job(2)])
            with pytest.raises(BackendUnavailable, match=r"redis\+sentinel://127"):
                asyncio.run(backend.aenqueue([job(2)]))
            for sentinel in sentinels.sentinels[1:]:
                sentinel.resume()
            sentinels.failed_over(old)

            assert backend.enqueue([job(2)])[0].status is ReceiptStatus.NEW

    def test_who_waits_is_woken(self, sentinels: Sentinels, monkeypatch: pytest.MonkeyPatch) -> None:
        """It looks again, and so finds the new master."""
        monkeypatch.setattr(link, "WAIT_S", 600.0)
        with closing(opened(sentinels.dsn)) as backend:
            ended: list[bool] = []
            lists = [backend.caller.keys.wake("all")]
            thread = threading.Thread(target=lambda: ended.append(backend.link.wait(lists, 600)))
            thread.start()
            until(lambda: sentinels.master.info("clients")["blocked_clients"] == "1", "nobody waits")

            sentinels.kill_master()
            thread.join()

            assert ended == [True]

    def test_a_worker_goes_on(self, sentinels: Sentinels, tmp_path: Path) -> None:
        """`typedgator worker`: jobs of before and after the failover end, and it stops when it is told to."""
        started: list[cli.subprocess.Popen[str]] = []
        project = cli.Project(tmp_path, started)
        project.env["TYPEDGATOR_CONN"] = f"{sentinels.dsn}?timeout=30"
        try:
            worker = project.start("worker", "app:gator")
            before = project.python("print(gator.task(double, 20).result(timeout=30))")
            sentinels.in_step()
            sentinels.failed_over(sentinels.kill_master())
            after = project.python("print(gator.task(double, 21).result(timeout=30))")
            assert (before, after) == ("40", "42")

            worker.terminate()
            assert worker.wait(cli.PATIENCE) == 0
        finally:
            for process in started:
                process.kill()
                process.communicate()


class TestSteppingDown:
    """The master is alive, and not the master any more."""

    def test_the_next_call_goes_to_the_new_one(self, sentinels: Sentinels, monkeypatch: pytest.MonkeyPatch) -> None:
        """SENTINEL FAILOVER: the old one would accept jobs for ten seconds more, and lose them; so sentinels are asked
        again while connections are used, by threads and event loops."""
        monkeypatch.setattr(whereabouts, "AGAIN_S", 0.0)
        with closing(opened(f"{sentinels.dsn}?timeout=40")) as backend:

            async def main() -> None:
                backend.enqueue([job(1)])
                await backend.aenqueue([job(2)])
                sentinels.in_step()
                old = sentinels.master
                sentinels.sentinels[0].ask("SENTINEL", "FAILOVER", sentinels.SERVICE)
                await asyncio.to_thread(sentinels.failed_over, old)
                backend.enqueue([job(3)])
                await backend.aenqueue([job(4)])
                await backend.aclose()

            asyncio.run(main())
            with closing(opened(sentinels.master.dsn)) as direct:
                assert [direct.find(named(number)) is not None for number in (1, 2, 3, 4)] == [True] * 4

    def test_one_that_wakes_up_is_not_believed(self, sentinels: Sentinels) -> None:
        """Frozen, replaced, thawed: a thread that knew it before asks the new one, since another thread heard of it."""
        with closing(opened(f"{sentinels.dsn}?timeout=1")) as backend, ThreadPoolExecutor(1) as pool:
            pool.submit(backend.enqueue, [job(1)]).result()
            sentinels.in_step()
            old = sentinels.master
            old.pause()
            try:
                new = sentinels.failed_over(old)
                until(lambda: _found(backend, 1), "the new master is not asked")
            finally:
                old.resume()  # the sentinels will tell it what it is now in 8 s
            pool.submit(backend.enqueue, [job(2)]).result()

            with closing(opened(new.dsn)) as direct:
                assert direct.find(named(2)) is not None

    def test_a_replica_is_never_taken_for_the_master(self) -> None:
        """Sentinels may be behind: who is named as the master is asked whether it is, by threads and event loops."""
        with Sentinels(replicas=0, down_after_ms=30_000) as sentinels, Server() as above:
            server = sentinels.master
            server.ask("REPLICAOF", "127.0.0.1", above.port)
            with closing(connect(f"{sentinels.dsn}?timeout=0.2")) as backend:
                assert isinstance(backend, RedisBackend)
                with pytest.raises(BackendUnavailable, match="says that it is a slave"):
                    backend.find(named(1))
                with pytest.raises(BackendUnavailable, match="says that it is a slave"):
                    asyncio.run(backend.aoutcome(named(1), wait_ms=0))
                server.ask("REPLICAOF", "NO", "ONE")
                assert backend.find(named(1)) is None


class TestSentinels:
    """Those who say who is the master."""

    def test_whoever_is_connected_needs_none(self, sentinels: Sentinels, monkeypatch: pytest.MonkeyPatch) -> None:
        """All of them are gone, the master is not: who has a connection goes on."""
        monkeypatch.setattr(whereabouts, "AGAIN_S", 0.0)
        with closing(opened(sentinels.dsn)) as backend:

            async def main() -> list[ReceiptStatus]:
                found = [*await backend.aenqueue([job(1)])]
                for sentinel in sentinels.sentinels:
                    sentinel.kill()
                for number in (2, 3):
                    found += [*backend.enqueue([job(number)]), *await backend.aenqueue([job(number + 2)])]
                await backend.aclose()
                return [receipt.status for receipt in found]

            backend.enqueue([job(0)])
            assert asyncio.run(main()) == [ReceiptStatus.NEW] * 5

    def test_one_of_them_is_enough(self, sentinels: Sentinels) -> None:
        """Also when those that were asked before are gone."""
        with closing(opened(sentinels.dsn)) as backend:
            for sentinel in sentinels.sentinels[:2]:
                sentinel.kill()
                backend.close()
                assert backend.enqueue([job(1)])
                assert asyncio.run(backend.aenqueue([job(1)]))


def _found(backend: RedisBackend, number: int) -> bool:
    try:
        return backend.find(named(number)) is not None
    except BackendUnavailable:
        return False
