"""Large jobs: neither a worker nor the server is filled by as many of them as of small ones."""

from collections.abc import Iterator
from contextlib import closing

import msgspec
import pytest

from tests.integration.redis.servers import Server, needs_redis
from typedgator.backends.connect import connect
from typedgator.backends.redis import RedisBackend
from typedgator.testing.contract import Hand
from typedgator.testing.contract.bench import named
from typedgator.testing.contract.series import series
from typedgator.wire.frame import FrameFlags
from typedgator.wire.verdict import Settlement, Succeeded

pytestmark = needs_redis
LARGE = bytes(1_000_000)
SMALL, MANY = 200, 300
MOST = 8 * 2**20 + 64 * 1_001_000
"""A claim is full at 8 MiB, and 64 jobs are read together."""


@pytest.fixture
def backend() -> Iterator[RedisBackend]:
    """Small jobs, and large ones behind them."""
    with Server() as server:
        backend = connect(server.unix_dsn)
        assert isinstance(backend, RedisBackend)
        with closing(backend):
            yield backend


def fill(backend: RedisBackend, *, flags: int) -> list[bytes]:
    """Their ids, in order."""
    for start in range(0, SMALL + MANY, 50):
        some = series(*range(start, start + 50), flags=flags)
        if start >= SMALL:
            some = msgspec.structs.replace(some, payloads=[LARGE] * 50)
        assert list(backend.enqueue_series(some)) == [[]]
    return [named(number) for number in range(SMALL + MANY)]


@pytest.mark.parametrize("flags", [0, FrameFlags.RESULT_WANTED])
def test_a_claim_takes_fewer_of_them(backend: RedisBackend, flags: int) -> None:
    """However many were asked for; each comes once, in order, by claim and by exchange alike."""
    ids, claims = fill(backend, flags=flags), []
    worker, seen = Hand(backend, ["all"], 60_000).id, 0
    while claimed := backend.claim(worker, limit=1000, wait_ms=0, seen=seen):
        claims.append(claimed)
        done = [Settlement(each.job_id, each.token, Succeeded()) for each in claimed]
        _, more = backend.exchange(worker, done, limit=1000, seen=claimed[-1].token)
        claims.append(more)
        seen = (more or claimed)[-1].token
        backend.settle(worker, [Settlement(each.job_id, each.token, Succeeded()) for each in more])

    assert [each.job_id for claim in claims for each in claim] == ids
    assert len(claims[0]) >= SMALL, "small ones still come together"
    assert max(sum(len(each.frame) for each in claim) for claim in claims) < MOST


def test_a_lost_reply_comes_again_in_parts(backend: RedisBackend) -> None:
    """The whole of many claims at once would be too much as well."""
    ids = fill(backend, flags=0)
    worker = Hand(backend, ["all"], 60_000).id
    claims = []
    seen = 0
    while claimed := backend.claim(worker, limit=1000, wait_ms=0, seen=seen):
        claims.append(claimed)
        seen = claimed[-1].token

    again, seen = [], 0
    while claimed := backend.claim(worker, limit=1000, wait_ms=0, seen=seen):
        again.append(claimed)
        seen = claimed[-1].token

    assert [each for claim in claims for each in claim] == [each for claim in again for each in claim]
    assert [each.job_id for claim in again for each in claim] == ids
    assert max(sum(len(each.frame) for each in claim) for claim in again) < MOST
