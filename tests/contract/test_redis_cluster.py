"""The Redis backend keeps the contract on a cluster of three masters, every key of a namespace being in one slot."""

from collections.abc import Iterator
from itertools import count

import pytest

from tests.contract import test_redis as single
from tests.integration.redis.servers import Cluster, needs_redis
from typedgator.backends.connect import connect
from typedgator.backends.contract import Backend
from typedgator.backends.redis import RedisBackend
from typedgator.clock import Clock

pytestmark = needs_redis
_numbers = count()
_cluster: list[Cluster] = []


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[Cluster]:
    """One cluster for all; each test has a namespace of its own, in any slot."""
    with Cluster(node_timeout_ms=15_000) as started:
        _cluster.append(started)
        yield started
    _cluster.clear()


def fresh(clock: Clock) -> RedisBackend:
    """A backend over a namespace that nobody used, its scripts guarded."""
    backend = connect(_cluster[0].dsn, namespace=f"test-{next(_numbers)}", clock=clock)
    assert isinstance(backend, RedisBackend)
    single.guard(backend)
    return backend


class TestRedisCluster(single.TestRedis):
    """Every test of the contract."""

    def make(self, clock: Clock) -> Backend:
        """A fresh namespace."""
        return fresh(clock)


class TestRedisClusterOnALoop(single.TestRedisOnALoop):
    """The same for callers on an event loop."""

    def make(self, clock: Clock) -> Backend:
        """A fresh namespace."""
        return self.on_a_loop(fresh(clock))


class ClusterModel(single.RedisModel):
    """Backend and model, side by side."""

    def make(self, clock: Clock) -> Backend:
        """A fresh namespace."""
        return fresh(clock)


TestRedisClusterModel = pytest.mark.timeout(1800)(ClusterModel.as_test(runs=30))
