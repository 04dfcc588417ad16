"""The Redis backend keeps the contract on a real server, and its raw keys are as they should be after each step."""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import count
from typing import ClassVar

import pytest

from tests.integration.redis.servers import Server, needs_redis
from typedgator.backends.contract import Backend, CancelAnswer, JobRecord, Receipt
from typedgator.backends.redis import Place, RedisBackend, settling
from typedgator.backends.redis.aio import AsyncRedis
from typedgator.backends.redis.audit import faults
from typedgator.backends.redis.caller import Caller
from typedgator.backends.redis.scripts import Script
from typedgator.clock import Clock, SystemClock
from typedgator.testing.contract import BackendContract, BackendModel, OnALoop
from typedgator.testing.flaky import FlakyOnLoops
from typedgator.wire.frame import Frame
from typedgator.wire.ids import JobId, new_id
from typedgator.wire.verdict import Settlement, Succeeded

pytestmark = needs_redis
_numbers = count()
_server: list[Server] = []
_loops: list[OnALoop] = []


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[Server]:
    """One server for all; each test has a namespace of its own."""
    with Server() as started:
        _server.append(started)
        yield started
    _server.clear()


def fresh(clock: Clock) -> RedisBackend:
    """A backend over a namespace that nobody used."""
    return RedisBackend(Place(path=str(_server[0].path)), namespace=f"test-{next(_numbers)}", clock=clock)


def again(backend: Backend) -> RedisBackend:
    """Another over the same namespace, with nothing kept in memory."""
    assert isinstance(backend, RedisBackend)
    return RedisBackend(backend.place, namespace=backend.namespace, clock=backend.clock)


class Strict(Caller):
    """Scripts that stop at a key that was not declared, read or written; two jobs of a worker make a batch."""

    guard: ClassVar = b"""
local declared = {}
for _, key in ipairs(KEYS) do declared[key] = true end
local C = function(command, ...)
  local key = ...
  if key and not declared[key] then error(command .. ' of a key that was not declared: ' .. key) end
  return redis.call(command, ...)
end
"""

    def script(self, name: str) -> Script:
        """The usual text, but for how it calls commands."""
        text = super().script(name).text.replace(b"local C = redis.call\n", self.guard)
        text = text.replace(b"local FEW = 32\n", b"local FEW = 2\n")
        return Script(name, text, hashlib.sha1(text).hexdigest().encode())


def strict(clock: Clock) -> RedisBackend:
    """A fresh backend whose scripts are guarded."""
    backend = fresh(clock)
    guard(backend)
    return backend


def guard(backend: RedisBackend) -> None:
    """Both faces run guarded scripts from now on."""
    backend.caller = Strict(backend.place, backend.namespace, backend.clock)
    backend.on_loops = AsyncRedis(backend.caller)


@pytest.fixture(scope="module", autouse=True)
def pairs(server: Server) -> Iterator[None]:
    """Two consecutive tokens are said by the first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settling, "_TOGETHER", 2)
        yield


def test_what_is_guarded_has_small_batches() -> None:
    backend = strict(SystemClock())
    backend.enqueue([Frame(job_id=new_id(), queue="q", envelope=b"e") for _ in range(4)])
    worker = backend.join(["q"], lease_ms=30_000)
    claimed = backend.claim(worker, limit=4, wait_ms=0, seen=0)
    own = backend.caller.keys.own(worker)
    assert backend.link.ask("HLEN", own) == 3
    assert "S+" in settling.words_of([Settlement(each.job_id, each.token, Succeeded()) for each in claimed[:2]])
    backend.settle(worker, [Settlement(each.job_id, each.token, Succeeded()) for each in claimed[:2]])
    assert backend.link.ask("HLEN", own) == 3
    assert faults(backend) == []


class RedisOnALoop(RedisBackend):
    """Callers go through the other face."""

    def __init__(self, place: Place, namespace: str, clock: Clock) -> None:
        super().__init__(place, namespace=namespace, clock=clock)
        self.loop = OnALoop()
        guard(self)

    def enqueue(self, frames: Sequence[Frame], /) -> list[Receipt]:
        """On the loop."""
        return self.loop.run(self.aenqueue(frames))

    def cancel(self, job_id: JobId, /) -> CancelAnswer:
        """On the loop."""
        return self.loop.run(self.acancel(job_id))

    def outcome(self, job_id: JobId, /, *, wait_ms: int) -> JobRecord | None:
        """On the loop."""
        return self.loop.run(self.aoutcome(job_id, wait_ms=wait_ms))

    def find(self, job_id: JobId, /) -> JobRecord | None:
        """On the loop."""
        return self.outcome(job_id, wait_ms=0)


class TestRedis(BackendContract):
    """Every test of the contract."""

    def make(self, clock: Clock) -> Backend:
        """A fresh namespace."""
        return fresh(clock)

    def reopen(self, backend: Backend) -> Backend | None:
        """The same namespace again."""
        return again(backend)

    def audit(self, backend: Backend) -> None:
        """Each job in one index, no key without an owner or an expiry."""
        assert isinstance(backend, RedisBackend)
        assert faults(backend) == []


class TestRedisDeclares(TestRedis):
    """The same, every key that a script touches being declared: a slot that moves to another node never tears one."""

    def make(self, clock: Clock) -> Backend:
        """A fresh namespace."""
        return strict(clock)


class TestRedisOnALoop(TestRedis):
    """The same for callers on an event loop, every key being declared."""

    @pytest.fixture(autouse=True)
    def loops(self) -> Iterator[None]:
        """Those that a test opened end with it."""
        yield
        while _loops:
            _loops.pop().close()

    def make(self, clock: Clock) -> Backend:
        """A fresh namespace."""
        return self.on_a_loop(fresh(clock))

    def on_a_loop(self, backend: RedisBackend) -> RedisBackend:
        """The same, whose callers are on a loop."""
        looping = RedisOnALoop(backend.place, backend.namespace, backend.clock)
        _loops.append(looping.loop)
        return looping


class TestFlakyRedis(TestRedis):
    """A backend that fails on demand keeps every facet of the one inside, as long as no fault was asked for."""

    def make(self, clock: Clock) -> Backend:
        """A fresh namespace."""
        return FlakyOnLoops(fresh(clock))

    def reopen(self, backend: Backend) -> Backend | None:
        """The same namespace again."""
        assert isinstance(backend, FlakyOnLoops)
        return again(backend.inner)

    def audit(self, backend: Backend) -> None:
        """Each job in one index."""
        assert isinstance(backend, FlakyOnLoops)
        super().audit(backend.inner)


class RedisModel(BackendModel):
    """Backend and model, side by side; the raw keys are looked at after each step, undeclared ones refused."""

    def make(self, clock: Clock) -> Backend:
        """A fresh namespace."""
        return strict(clock)

    def reopen(self, backend: Backend) -> Backend | None:
        """The same namespace again."""
        other = again(backend)
        guard(other)
        return other

    def audit(self, backend: Backend) -> None:
        """No key contradicts another."""
        assert isinstance(backend, RedisBackend)
        assert faults(backend) == []

    def teardown(self) -> None:
        """The namespace goes."""
        assert isinstance(self.backend, RedisBackend)
        link, prefix = self.backend.link, self.backend.caller.keys.prefix
        keys = link.ask("KEYS", prefix.replace("{", "\\{") + "*")
        assert isinstance(keys, list)
        if keys:
            link.ask("DEL", *keys)
        super().teardown()


TestRedisModel = pytest.mark.timeout(1800)(RedisModel.as_test())
