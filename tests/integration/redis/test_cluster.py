"""A namespace is in one slot of a cluster: found, followed when it moves, and there when its master is killed."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import closing
from itertools import count

import pytest

from tests.integration.redis.load import Load
from tests.integration.redis.servers import Cluster, Server, needs_redis, until
from typedgator.backends.connect import connect
from typedgator.backends.redis import RedisBackend, aio, link
from typedgator.backends.redis.audit import faults
from typedgator.errors import BackendUnavailable
from typedgator.testing.contract import Hand, job
from typedgator.testing.contract.bench import named, numbers
from typedgator.wire.states import JobState

pytestmark = needs_redis
_numbers = count()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Three masters; slots may end up anywhere."""
    with Cluster(node_timeout_ms=15_000) as started:
        yield started


@pytest.fixture
def backend(cluster: Cluster) -> Iterator[RedisBackend]:
    """A namespace of its own."""
    with closing(opened(cluster.dsn, f"moves-{next(_numbers)}")) as found:
        yield found


def opened(dsn: str, namespace: str) -> RedisBackend:
    """Open."""
    backend = connect(dsn, namespace=namespace)
    assert isinstance(backend, RedisBackend)
    backend.open()
    return backend


def other_than(cluster: Cluster, server: Server) -> Server:
    """Another master."""
    return next(each for each in cluster.servers if each is not server)


def errors(server: Server, kind: str) -> int:
    """How often a server said so."""
    said = server.info("errorstats").get(f"errorstat_{kind}", "count=0")
    return int(said.removeprefix("count="))


def blocked(server: Server) -> int:
    """How many wait there for something to do."""
    return int(server.info("clients")["blocked_clients"])


class TestFinding:
    """Which node has the slot."""

    def test_any_node_leads_to_every_namespace(self, cluster: Cluster) -> None:
        """One address is enough, dead ones beside it do no harm, and namespaces are spread over the masters."""
        dsns = [f"redis+cluster://127.0.0.1:1,127.0.0.1:{server.port}" for server in cluster.servers]
        nodes: set[str] = set()
        for number in range(12):
            one, other = (opened(dsns[(number + n) % 3], f"spread-{number}") for n in range(2))
            with closing(one), closing(other):
                one.enqueue([job(1)])
                nodes.add(str(one.link.where.at))

                assert other.find(named(1)) is not None
                assert faults(other) == []

        assert len(nodes) == 3

    def test_what_open_checks_is_the_node_that_has_the_slot(self, cluster: Cluster) -> None:
        """A node that evicts is refused to those whose jobs it would throw away, and to no others."""
        server = cluster.owner(cluster.slot("evicted"))
        server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        try:
            with pytest.raises(Exception, match="allkeys-lru"):
                opened(cluster.dsn, "evicted")
            others = [n for n in range(20) if cluster.owner(cluster.slot(f"fine-{n}")) is not server]
            opened(cluster.dsn, f"fine-{others[0]}").close()
        finally:
            server.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")


class TestMoving:
    """A slot goes to another node."""

    def test_whoever_comes_late_follows(self, cluster: Cluster, backend: RedisBackend) -> None:
        """MOVED, to a thread and to an event loop that have a connection to the old node."""
        slot = cluster.slot(backend.namespace)

        async def main() -> None:
            await backend.aenqueue([job(1)])
            backend.enqueue([job(2)])
            await asyncio.to_thread(cluster.migrate, slot, other_than(cluster, cluster.owner(slot)))
            await backend.aenqueue([job(3)])
            await asyncio.to_thread(cluster.migrate, slot, other_than(cluster, cluster.owner(slot)))
            backend.enqueue([job(4)])
            await backend.aclose()

        asyncio.run(main())

        assert numbers(Hand(backend, ["all"], 60_000).claim()) == [1, 2, 3, 4]
        assert faults(backend) == []

    def test_nothing_is_lost_or_torn_under_load(self, cluster: Cluster) -> None:
        """Key by key, there and back, while callers enqueue and workers work: each job ends once, all keys agree."""
        namespace = f"moves-{next(_numbers)}"
        slot = cluster.slot(namespace)
        refusals = sum(errors(server, kind) for server in cluster.servers for kind in ("TRYAGAIN", "ASK"))
        with closing(opened(f"{cluster.dsn}?timeout=30", namespace)) as backend:
            with Load(backend) as load:
                for _ in range(4):
                    load.more(100)
                    cluster.migrate(slot, other_than(cluster, cluster.owner(slot)))
                load.more(100)
            assert load.unavailable == 0

            hand = Hand(backend, ["all"], 60_000)
            while rest := hand.claim(100):
                for each in rest:
                    hand.succeed(each)
                    load.written[each.job_id] += 1
            hand.leave()

            assert not load.errors
            assert set(load.accepted) == set(load.written)
            assert set(load.written.values()) == {1}
            assert faults(backend) == []
        # It was asked while keys were on both sides.
        assert sum(errors(server, kind) for server in cluster.servers for kind in ("TRYAGAIN", "ASK")) > refusals

    def test_a_move_that_takes_too_long_is_told_and_writes_nothing(self, cluster: Cluster) -> None:
        """BackendUnavailable after the timeout, to threads and event loops; afterwards all goes on."""
        namespace = f"moves-{next(_numbers)}"
        slot = cluster.slot(namespace)
        with closing(opened(f"{cluster.dsn}?timeout=0.3", namespace)) as backend:
            backend.enqueue([job(1)])
            with cluster.moving(slot, other_than(cluster, cluster.owner(slot))) as move:
                for expected in ("TRYAGAIN", "TRYAGAIN|ASK"):
                    with pytest.raises(BackendUnavailable, match=expected):
                        backend.enqueue([job(2)])
                    with pytest.raises(BackendUnavailable, match=expected):
                        asyncio.run(backend.aenqueue([job(3)]))
                    move(2)

            assert [backend.find(named(number)) for number in (2, 3)] == [None, None]
            backend.enqueue([job(2)])
            assert numbers(Hand(backend, ["all"], 60_000).claim()) == [1, 2]
            assert faults(backend) == []


class TestWaiting:
    """Those who wait are not forgotten on the old node."""

    def test_a_worker_is_woken_by_a_move(
        self, cluster: Cluster, backend: RedisBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It looks again, and waits where the slot is now."""
        monkeypatch.setattr(link, "WAIT_S", 600.0)
        slot = cluster.slot(backend.namespace)
        old = cluster.owner(slot)
        new = other_than(cluster, old)
        ended: list[bool] = []
        lists = [backend.caller.keys.wake("all")]
        thread = threading.Thread(target=lambda: ended.append(backend.link.wait(lists, 600)))
        thread.start()
        until(lambda: blocked(old) == 1, "nobody waits")

        cluster.migrate(slot, new)
        thread.join()

        assert ended == [True]
        found: list[list[int]] = []
        thread = threading.Thread(
            target=lambda: found.append(numbers(Hand(backend, ["all"], 60_000).claim(wait_ms=30_000)))
        )
        thread.start()
        until(lambda: blocked(new) == 1, "nobody waits on the new node")
        backend.enqueue([job(1)])
        thread.join()
        assert found == [[1]]

    def test_a_coroutine_is_told_after_a_move(
        self, cluster: Cluster, backend: RedisBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its mailbox goes with the slot."""
        monkeypatch.setattr(aio, "WAIT_S", 600.0)
        slot = cluster.slot(backend.namespace)
        old = cluster.owner(slot)
        new = other_than(cluster, old)
        hand = Hand(backend, ["all"], 60_000)
        backend.enqueue([job(1)])
        (claimed,) = hand.claim()

        async def main() -> JobState | None:
            waiting = asyncio.create_task(backend.aoutcome(named(1), wait_ms=600_000))
            await asyncio.to_thread(until, lambda: blocked(old) == 1, "nobody waits")
            await asyncio.to_thread(cluster.migrate, slot, new)
            await asyncio.to_thread(until, lambda: blocked(new) == 1, "nobody waits on the new node")
            await asyncio.to_thread(hand.succeed, claimed)
            record = await waiting
            await backend.aclose()
            return record and record.state

        assert asyncio.run(main()) is JobState.SUCCESS

    def test_nobody_else_is_unblocked_on_the_new_node(self, cluster: Cluster, backend: RedisBackend) -> None:
        """A number of a connection means something on its own node only."""
        old = cluster.owner(cluster.slot(backend.namespace))
        new = other_than(cluster, old)
        new.ask("CONFIG", "RESETSTAT")
        thread = threading.Thread(target=lambda: backend.link.wait([backend.caller.keys.wake("all")], 1.0, sharp=True))
        thread.start()
        until(lambda: blocked(old) == 1, "nobody waits")
        backend.link.where.moved(f"127.0.0.1:{new.port}", None)
        thread.join()

        assert "cmdstat_client|unblock" not in new.info("commandstats")
        backend.enqueue([job(1)])


class TestDying:
    """A master is killed, its replica takes over."""

    def test_a_failover_within_the_timeout_is_a_pause(self) -> None:
        """No call fails, of threads or of event loops; the dead one stays dead."""
        with Cluster(replicas=1) as cluster, closing(opened(f"{cluster.dsn}?timeout=40", "dying")) as backend:
            backend.enqueue([job(1)])
            cluster.in_step()
            old = cluster.owner(cluster.slot("dying"))
            old.kill()

            assert backend.enqueue([job(2)])
            assert asyncio.run(backend.aenqueue([job(3)]))
            assert cluster.failed_over(old, cluster.slot("dying")).port == getattr(backend.link.where.at, "port", None)
            assert numbers(Hand(backend, ["all"], 60_000).claim()) == [1, 2, 3]
            assert faults(backend) == []

    def test_what_a_replica_had_survives_under_load(self) -> None:
        """`durability=replicated`: each accepted job ends, and the call waits instead of failing."""
        with (
            Cluster(replicas=1) as cluster,
            closing(opened(f"{cluster.dsn}?durability=replicated&timeout=30", "dying")) as backend,
        ):
            slot = cluster.slot("dying")
            with Load(backend) as load:
                load.more(100)
                old = cluster.owner(slot)
                old.kill()
                new = cluster.failed_over(old, slot)
                # A write counts when a replica has it: the one that is left is master, so the old one comes back.
                old.start()
                until(lambda: old.info("replication").get("master_port") == str(new.port), "it does not follow")
                load.more(100)

            hand = Hand(backend, ["all"], 60_000)
            while rest := hand.claim(100):
                for each in rest:
                    hand.succeed(each)
            records = [backend.find(job_id) for job_id in load.accepted]

            assert not load.errors
            assert {record and record.state for record in records} == {JobState.SUCCESS}
            assert faults(backend) == []
