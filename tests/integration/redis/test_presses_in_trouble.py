"""Calls one by one while servers move, fail over, are full, forbid or forget: each is one job or a clear error."""

import asyncio
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Event
from types import TracebackType
from typing import Self

import pytest

from tests.forks import FORKS
from tests.integration.redis.servers import Cluster, Sentinels, Server, narrow, needs_redis, until
from typedgator import Gator, Job, Task
from typedgator.backends.contract import ATOMIC_BATCH
from typedgator.backends.redis import RedisBackend
from typedgator.backends.redis.audit import faults
from typedgator.errors import BackendUnavailable, BatchIncomplete
from typedgator.wire.ids import JobId, parse_id
from typedgator.wire.states import JobState

pytestmark = needs_redis
_numbers = count()
TOGETHER = 20
FORGETS = pytest.mark.parametrize("forgets", [False, True], ids=["scripts-known", "scripts-forgotten"])


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Three masters; slots may end up anywhere."""
    with Cluster(node_timeout_ms=15_000) as started:
        yield started


def note(number: int) -> int:
    """A task."""
    return number


class Callers:
    """A thread, a lone coroutine, and many together, who keep their lines from one call to the next."""

    def __init__(self, dsn: str) -> None:
        self.gator = Gator(dsn, namespace=f"trouble-{next(_numbers)}")
        self.task: Task[[int], int] = self.gator.register(name="note")(note)
        self.made: list[Job[int]] = []
        self._runner = asyncio.Runner()

    @property
    def backend(self) -> RedisBackend:
        """The gator's."""
        assert isinstance(self.gator.backend, RedisBackend)
        return self.gator.backend

    def call(self) -> None:
        """All of them, once; each call must be accepted."""
        self.made += [self.task.task(1), *self._runner.run(self._on_a_loop())]

    async def _on_a_loop(self) -> list[Job[int]]:
        alone = await self.task.atask(2)
        return [alone, *await asyncio.gather(*(self.task.atask(number) for number in range(TOGETHER)))]

    def refused(self) -> list[BackendUnavailable]:
        """All of them, once; what each is told. None may be accepted."""
        with pytest.raises(BackendUnavailable) as thread:
            self.task.task(3)
        with pytest.raises(BatchIncomplete) as series:
            self.gator.task_many(self.task, [(number,) for number in range(ATOMIC_BATCH + 1)])
        assert series.value.written == ()
        assert isinstance(series.value.__cause__, BackendUnavailable)
        return [thread.value, series.value.__cause__, *self._runner.run(self._refused_on_a_loop())]

    async def _refused_on_a_loop(self) -> list[BackendUnavailable]:
        with pytest.raises(BackendUnavailable) as alone:
            await self.task.atask(4)
        calls = (self.task.atask(number) for number in range(TOGETHER))
        told = await asyncio.gather(*calls, return_exceptions=True)
        errors = [each for each in told if isinstance(each, BackendUnavailable)]
        assert len(errors) == TOGETHER
        return [alone.value, *errors]

    def there(self) -> None:
        """What was accepted is there, once, and nothing else."""
        assert not any(job.duplicate for job in self.made)
        assert sorted(self.line()) == sorted(parse_id(job.id) for job in self.made)
        assert faults(self.backend) == []

    def line(self) -> list[JobId]:
        """What waits."""
        found = self.backend.link.ask("ZRANGE", self.backend.caller.keys.ready("all"), 0, -1)
        assert isinstance(found, list)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.close()
        self.gator.close()


@FORGETS
def test_a_slot_that_moved_is_followed(cluster: Cluster, forgets: bool) -> None:
    """MOVED, to each who has a line to the old node; the new one has never heard of the script, or has forgotten it."""
    with Callers(cluster.dsn) as callers:
        slot = cluster.slot(callers.backend.namespace)
        callers.call()
        for _ in range(2):
            old = cluster.owner(slot)
            new = next(each for each in cluster.servers if each is not old)
            before = errors(old, "MOVED")
            cluster.migrate(slot, new)
            if forgets:
                new.ask("SCRIPT", "FLUSH")

            callers.call()

            assert errors(old, "MOVED") > before, "nobody asked the old node"
            callers.there()


def errors(server: Server, *kinds: str) -> int:
    """How often it said so."""
    said = server.info("errorstats")
    return sum(int(said.get(f"errorstat_{kind}", "count=0").removeprefix("count=")) for kind in kinds)


def test_calls_wait_while_a_slot_is_on_its_way(cluster: Cluster) -> None:
    """Key by key, with threads and coroutines that call all the while: none is refused, none lost, none doubled."""
    with Callers(f"{cluster.dsn}?timeout=30") as callers, ThreadPoolExecutor(3) as pool:
        slot, over = cluster.slot(callers.backend.namespace), Event()
        callers.call()

        def in_a_thread() -> list[Job[int]]:
            return [callers.task.task(number) for number in until_told()]

        def until_told() -> Iterator[int]:
            for number in count():
                if over.is_set():
                    return
                yield number

        async def one() -> list[Job[int]]:
            return [await callers.task.atask(number) for number in until_told()]

        async def on_a_loop() -> list[Job[int]]:
            jobs = await asyncio.gather(*(one() for _ in range(4)))
            await callers.backend.aclose()
            return [job for some in jobs for job in some]

        def on_its_way() -> None:
            for _ in range(3):
                old = cluster.owner(slot)
                before = errors(old, "TRYAGAIN", "ASK")
                with cluster.moving(slot, next(each for each in cluster.servers if each is not old)) as move:
                    move(1)
                    until(lambda: errors(old, "TRYAGAIN", "ASK") > before + 6, "nobody calls")  # noqa: B023 - at once

        running = [*(pool.submit(in_a_thread) for _ in range(2)), pool.submit(asyncio.run, on_a_loop())]
        try:
            on_its_way()
        finally:
            over.set()
        for each in running:
            callers.made += each.result()

        callers.there()


def test_a_failover_is_a_pause() -> None:
    """The master is killed: each call waits for the next one, which has never heard of the script, and forgets it."""
    with Sentinels() as sentinels, Callers(f"{sentinels.dsn}?timeout=40") as callers:
        callers.call()
        sentinels.in_step()
        old = sentinels.kill_master()

        callers.call()

        new = sentinels.failed_over(old)
        callers.there()
        new.ask("SCRIPT", "FLUSH")
        callers.call()
        callers.there()


@FORGETS
@pytest.mark.parametrize(
    ("taken", "said"),
    [
        (("-evalsha", "-eval"), "no permissions to run the 'eval"),
        (("resetkeys", "~other:*"), "[Nn]o permissions to access (one of the keys|a key)"),
        (("-hsetnx", "-hexists", "-hmget"), "executing the script can't run this command|ACL failure in script"),
    ],
    ids=["scripts", "keys", "commands"],
)
def test_a_right_that_is_missing_is_said_and_nothing_written(taken: tuple[str, ...], said: str, forgets: bool) -> None:
    """To each caller by himself; on the same lines all goes on as soon as the right is given."""
    with Server() as server:
        server.ask(*narrow("ann"), "+keys")  # which the audit wants
        with Callers(f"redis://ann:pw@127.0.0.1:{server.port}/0") as callers:
            callers.call()
            before = dump(server)
            lines = clients(server)
            server.ask("ACL", "SETUSER", "ann", *taken)
            if forgets:
                server.ask("SCRIPT", "FLUSH")

            told = callers.refused()

            assert all(re.search(said, str(error)) for error in told), [str(error) for error in told]
            assert len({id(error) for error in told}) == len(told)
            assert dump(server) == before
            server.ask(*narrow("ann"), "+keys")
            callers.call()
            assert clients(server) == lines
            callers.there()


@FORGETS
def test_a_full_server_refuses_and_writes_nothing(forgets: bool) -> None:
    """OOM, to each caller by himself; on the same lines all goes on as soon as there is room."""
    with Server() as server, Callers(server.dsn) as callers:
        callers.call()
        before, lines = dump(server), clients(server)
        server.ask("CONFIG", "SET", "maxmemory", 1)
        if forgets:
            server.ask("SCRIPT", "FLUSH")

        told = callers.refused()

        assert {"maxmemory" in str(error) for error in told} == {True}, [str(error) for error in told]
        assert len({id(error) for error in told}) == len(told)
        assert dump(server) == before
        server.ask("CONFIG", "SET", "maxmemory", 0)
        callers.call()
        assert clients(server) == lines
        callers.there()


def test_a_script_that_ends_half_way_is_told_to_all() -> None:
    """Somebody else wrote into a key of ours: no job is said to be accepted that stands in no line."""
    with Server() as server, Callers(server.dsn) as callers:
        for _ in range(2):  # then each has a line, and the scripts are known
            callers.call()
        ready = callers.backend.caller.keys.ready("all")
        kept = server.ask("DUMP", ready)
        assert isinstance(kept, bytes)
        server.ask("SET", ready, "another's")

        told = callers.refused()

        assert {"WRONGTYPE" in str(error) for error in told} == {True}, [str(error) for error in told]
        server.ask("RESTORE", ready, 0, kept, "REPLACE")
        callers.call()
        assert sorted(callers.line()) == sorted(parse_id(job.id) for job in callers.made)


def test_what_ended_half_way_is_whole_once_it_is_sent_again() -> None:
    """Under its own id, from a thread and a loop, and as the rest of a series or of a batch."""
    with Server() as server, Callers(server.dsn) as callers, asyncio.Runner() as runner:
        gator, task = callers.gator, callers.task
        for _ in range(2):
            callers.call()

        def ordered(number: int) -> str:
            with gator.options(job_id=f"order-{number}") as options:
                return options.task(task, number).id

        async def ordered_on_a_loop(number: int) -> str:
            with gator.options(job_id=f"order-{number}") as options:
                return (await options.atask(task, number)).id

        calls = [(number,) for number in range(3)]
        server.ask("RENAME", callers.backend.caller.keys.ready("all"), "kept")
        server.ask("SET", callers.backend.caller.keys.ready("all"), "another's")
        with pytest.raises(BackendUnavailable):
            ordered(1)
        for _ in range(2):
            with pytest.raises(BackendUnavailable):
                runner.run(ordered_on_a_loop(2))
        with pytest.raises(BatchIncomplete) as series:
            gator.task_many(task, calls)
        with pytest.raises(BatchIncomplete) as batch:
            runner.run(gator.atask_many(task, calls))
        server.ask("RENAME", "kept", callers.backend.caller.keys.ready("all"))

        again = [ordered(1), runner.run(ordered_on_a_loop(2)), *series.value.retry(), *batch.value.retry()]

        line = callers.line()
        assert {parse_id(job_id) for job_id in again} < set(line)
        assert len(line) == len(set(line)) == len(callers.made) + 2 + 2 * len(calls)
        assert faults(callers.backend) == []


def clients(server: Server) -> set[bytes]:
    """The lines to it that have asked for scripts: those of the callers."""
    listed = server.ask("CLIENT", "LIST")
    assert isinstance(listed, bytes)
    found = {line.split()[0] for line in listed.splitlines() if b" cmd=eval" in line or b" cmd=script" in line}
    assert len(found) == 2
    return found


def dump(server: Server) -> dict[bytes, object]:
    """All that it keeps, byte for byte."""
    keys = server.ask("KEYS", "*")
    assert isinstance(keys, list)
    return {key: server.ask("DUMP", key) for key in keys}


@FORGETS
@pytest.mark.parametrize("fork", FORKS)
def test_a_child_calls_on_lines_of_its_own(fork: Callable[[], int], forgets: bool) -> None:
    """From its thread, from an event loop of its own, and in series; its parent's lines and loop are as they were."""
    with Server() as server, Callers(server.dsn) as callers:
        callers.call()
        if forgets:
            server.ask("SCRIPT", "FLUSH")
        child = fork()
        if not child:
            ended = 1
            try:
                callers._runner = asyncio.Runner()
                callers.call()
                callers.gator.task_many(callers.task, [(number,) for number in range(ATOMIC_BATCH + 1)])
                ended = 0
            finally:
                os._exit(ended)
        for _ in range(5):
            callers.call()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        callers.call()

        ours = {parse_id(job.id) for job in callers.made}
        found = callers.line()
        assert len(found) == len(set(found)) == len(ours) + TOGETHER + 2 + ATOMIC_BATCH + 1
        assert ours < set(found)
        assert {job.state() for job in callers.made} == {JobState.WAITING}
        assert faults(callers.backend) == []
