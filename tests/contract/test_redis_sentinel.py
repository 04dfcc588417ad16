"""The Redis backend keeps the contract through sentinels, which name the master that has a replica."""

from collections.abc import Iterator
from itertools import count

import pytest

from tests.contract import test_redis as single
from tests.integration.redis.servers import Sentinels, needs_redis
from typedgator.backends.connect import connect
from typedgator.backends.contract import Backend
from typedgator.backends.redis import RedisBackend
from typedgator.clock import Clock

pytestmark = needs_redis
_numbers = count()
_sentinels: list[Sentinels] = []


@pytest.fixture(scope="module", autouse=True)
def sentinels() -> Iterator[Sentinels]:
    """Three of them for all; each test has a namespace of its own."""
    with Sentinels(down_after_ms=30_000) as started:
        _sentinels.append(started)
        yield started
    _sentinels.clear()


def fresh(clock: Clock) -> RedisBackend:
    """A backend over a namespace that nobody used, its scripts guarded."""
    backend = connect(_sentinels[0].dsn, namespace=f"test-{next(_numbers)}", clock=clock)
    assert isinstance(backend, RedisBackend)
    single.guard(backend)
    return backend


class TestRedisSentinel(single.TestRedis):
    """Every test of the contract."""

    def make(self, clock: Clock) -> Backend:
        """A fresh namespace."""
        return fresh(clock)


class TestRedisSentinelOnALoop(single.TestRedisOnALoop):
    """The same for callers on an event loop."""

    def make(self, clock: Clock) -> Backend:
        """A fresh namespace."""
        return self.on_a_loop(fresh(clock))


class SentinelModel(single.RedisModel):
    """Backend and model, side by side."""

    def make(self, clock: Clock) -> Backend:
        """A fresh namespace."""
        return fresh(clock)


TestRedisSentinelModel = pytest.mark.timeout(1800)(SentinelModel.as_test(runs=30))
