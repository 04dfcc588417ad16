"""Callers on an event loop: one line for all, answers in order, nobody gets another's."""

import asyncio
import gc
import os
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from time import monotonic

import pytest

from tests.forks import FORKS
from tests.integration.redis.servers import Server, needs_redis
from typedgator import BatchIncomplete, Gator
from typedgator.backends.contract import CancelAnswer, Receipt, ReceiptStatus
from typedgator.backends.redis import Place, RedisBackend
from typedgator.errors import BackendUnavailable, UnknownDependency
from typedgator.testing.contract import Hand, job
from typedgator.testing.contract.bench import named, numbers
from typedgator.testing.flaky import FlakyOnLoops
from typedgator.wire.states import JobState
from typedgator.wire.verdict import Succeeded

pytestmark = needs_redis
_numbers = count()
SOON_S = 10


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One server for all tests that leave it as it was."""
    with Server() as started:
        yield started


@pytest.fixture
def backend(server: Server) -> Iterator[RedisBackend]:
    """A namespace of its own."""
    with closing(RedisBackend(Place(port=server.port), namespace=f"aio-{next(_numbers)}")) as opened:
        opened.open()
        yield opened


def _connections(backend: RedisBackend) -> int:
    text = backend.link.ask("INFO", "clients")
    assert isinstance(text, bytes)
    facts = dict(line.split(":", 1) for line in text.decode().splitlines() if ":" in line)
    return int(facts["connected_clients"])


def test_many_callers_share_one_line(backend: RedisBackend) -> None:
    """A hundred coroutines that enqueue at once open one connection, and each has its own answer."""

    async def main() -> tuple[list[list[Receipt]], int]:
        before = _connections(backend)
        answers = await asyncio.gather(*(backend.on_loops.aenqueue([job(number % 50)]) for number in range(100)))
        opened = _connections(backend) - before
        await backend.on_loops.aclose()
        return answers, opened

    answers, opened = asyncio.run(main())

    assert opened == 1
    assert [receipt.job_id for (receipt,) in answers] == [named(number % 50) for number in range(100)]
    assert [receipt.status for (receipt,) in answers] == [ReceiptStatus.NEW] * 50 + [ReceiptStatus.DUPLICATE] * 50


def test_the_answer_of_a_cancelled_caller_is_nobodys(backend: RedisBackend) -> None:
    """Half of the callers give up after they asked: the others are answered rightly, and what was sent is there."""

    async def main() -> list[list[Receipt] | BaseException]:
        for number in (998, 999):  # the script is known: else one would be sent again, for a caller who has gone
            await backend.on_loops.aenqueue([job(number)])
        callers = [asyncio.create_task(backend.on_loops.aenqueue([job(number)])) for number in range(40)]
        await asyncio.sleep(0)
        for caller in callers[::2]:
            caller.cancel()
        answers = await asyncio.gather(*callers, return_exceptions=True)
        await backend.on_loops.aenqueue([job(1000)])
        await backend.on_loops.aclose()
        return list(answers)

    answers = asyncio.run(main())

    assert all(isinstance(answer, asyncio.CancelledError) for answer in answers[::2])
    expected = [[Receipt(ReceiptStatus.NEW, named(number))] for number in range(1, 40, 2)]
    assert answers[1::2] == expected
    assert sorted(numbers(Hand(backend, ["all"], 60_000).claim(100))) == [*range(40), 998, 999, 1000]


def test_a_cancelled_callers_answer_is_read_in_its_place() -> None:
    """The server answers after half of the callers have gone: each of the others has the answer to its own question."""
    with Server() as server, closing(RedisBackend(Place(path=str(server.path)))) as backend:
        backend.enqueue([job(number) for number in range(0, 40, 4)])

        async def main() -> list[object]:
            await backend.acancel(named(999))
            os.kill(server.pid, signal.SIGSTOP)
            try:
                callers = [asyncio.create_task(backend.acancel(named(number))) for number in range(40)]
                for _ in range(5):
                    await asyncio.sleep(0)
                for caller in callers[::3]:
                    caller.cancel()
                await asyncio.gather(*callers[::3], return_exceptions=True)
            finally:
                os.kill(server.pid, signal.SIGCONT)
            return list(await asyncio.gather(*callers, return_exceptions=True))

        answers = asyncio.run(main())
        states = [record and record.state for record in map(backend.find, map(named, range(40)))]

    for number, answer in enumerate(answers):
        if number % 3 == 0:
            assert isinstance(answer, asyncio.CancelledError)
        else:
            assert answer is (CancelAnswer.UNKNOWN if number % 4 else CancelAnswer.DONE)
    assert states == [None if number % 4 else JobState.CANCELED for number in range(40)]


def test_whoever_waits_is_told_at_once(backend: RedisBackend) -> None:
    """Many coroutines wait for the ends of some jobs; each gets its record as soon as it is final."""
    backend.enqueue([job(number) for number in range(10)])
    hand = Hand(backend, ["all"], 60_000)

    async def main() -> list[tuple[JobState, bytes | None] | None]:
        waiting = [
            asyncio.create_task(backend.on_loops.aoutcome(named(number % 10), wait_ms=60_000)) for number in range(20)
        ]
        while backend.link.ask("HLEN", backend.caller.keys.named("waiters")) != 10:  # noqa: ASYNC110 - it knows
            await asyncio.sleep(0)
        for each in hand.claim(10):
            hand.settle(each, Succeeded(b"result of " + each.job_id))
        async with asyncio.timeout(SOON_S / 2.5):
            records = await asyncio.gather(*waiting)
        await backend.on_loops.aclose()
        return [record and (record.state, record.outcome) for record in records]

    assert asyncio.run(main()) == [(JobState.SUCCESS, b"result of " + named(number % 10)) for number in range(20)]


def test_a_wait_ends_with_its_time(backend: RedisBackend) -> None:
    """The record as it stands; nothing is left of the wait. An unknown job is None at once."""
    backend.enqueue([job(1)])

    async def main() -> tuple[JobState | None, object]:
        record = await backend.on_loops.aoutcome(named(1), wait_ms=30)
        unknown = await backend.on_loops.aoutcome(named(2), wait_ms=60_000)
        await backend.on_loops.aclose()
        return record and record.state, unknown

    assert asyncio.run(main()) == (JobState.WAITING, None)
    assert backend.link.ask("HLEN", backend.caller.keys.named("waiters")) == 0


def test_all_kinds_of_jobs_are_accepted_and_canceled(backend: RedisBackend) -> None:
    """Delays, parents and unique keys, as from a thread; a refusal is the same refusal."""

    async def main() -> tuple[list[Receipt], list[CancelAnswer]]:
        loops = backend.on_loops
        receipts = await loops.aenqueue([job(1), job(2, after=[1]), job(3, delay_ms=60_000), job(1)])
        with pytest.raises(UnknownDependency):
            await loops.aenqueue([job(4, after=[99])])
        answers = [await loops.acancel(named(number)) for number in (1, 2, 3, 99)]
        await loops.aclose()
        return receipts, answers

    receipts, answers = asyncio.run(main())

    assert [receipt.status.value for receipt in receipts] == ["new", "new", "new", "duplicate"]
    assert answers == [CancelAnswer.DONE, CancelAnswer.DONE, CancelAnswer.DONE, CancelAnswer.UNKNOWN]


def test_a_loop_survives_what_a_server_forgets_and_cuts(backend: RedisBackend) -> None:
    """SCRIPT FLUSH and CLIENT KILL between two calls are not noticed."""

    async def main() -> list[ReceiptStatus]:
        found: list[ReceiptStatus] = []
        for number in range(3):
            found += [each.status for each in await backend.on_loops.aenqueue([job(number)])]
            backend.link.ask("SCRIPT", "FLUSH")
            found += [each.status for each in await backend.on_loops.aenqueue([job(10 + number)])]
            backend.link.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await backend.on_loops.aclose()
        return found

    assert asyncio.run(main()) == [ReceiptStatus.NEW] * 6


def test_a_frozen_server_keeps_no_loop_waiting() -> None:
    """Each call ends within the timeout; afterwards the loop works again."""
    with Server() as server, closing(RedisBackend(Place(path=str(server.path), timeout_s=0.3))) as backend:

        async def main() -> ReceiptStatus:
            await backend.on_loops.aenqueue([job(1)])
            os.kill(server.pid, signal.SIGSTOP)
            try:
                with pytest.raises(BackendUnavailable):
                    await backend.on_loops.aenqueue([job(2)])
            finally:
                os.kill(server.pid, signal.SIGCONT)
            receipts = await backend.on_loops.aenqueue([job(3)])
            await backend.on_loops.aclose()
            return receipts[0].status

        assert asyncio.run(main()) is ReceiptStatus.NEW


def test_another_loop_has_lines_of_its_own(backend: RedisBackend) -> None:
    """One backend, one loop after the other: a line of a loop that is closed is never used."""

    async def main(number: int) -> ReceiptStatus:
        receipts = await backend.on_loops.aenqueue([job(number)])
        await backend.on_loops.aclose()
        return receipts[0].status

    assert [asyncio.run(main(number)) for number in range(3)] == [ReceiptStatus.NEW] * 3


def test_a_loop_that_ends_hangs_up(backend: RedisBackend) -> None:
    """Nobody called `aclose`: both lines are closed all the same, by the loop's own end or with the backend."""
    before = _connections(backend)
    backend.enqueue([job(1)])

    async def main() -> None:
        ends = monotonic() + SOON_S
        # Whoever is slow to look for the first time has no time left to wait, and so to open the second line.
        while (lines := _connections(backend) - before) != 2:
            assert monotonic() < ends, lines
            await backend.on_loops.aoutcome(named(1), wait_ms=30)

    for _ in range(3):
        asyncio.run(main())

    _until(lambda: _connections(backend) == before)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # asyncio's word on such an end, whenever it is collected
def test_a_loop_that_is_only_closed_is_forgotten(backend: RedisBackend) -> None:
    """`loop.close()` and nothing else: the next loop sweeps, and its line goes with the loop's own remains."""
    before = _connections(backend)
    for number in range(3):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(backend.aenqueue([job(number)]))
        loop.close()
    del loop

    assert len(backend.on_loops._desks) == 1  # the last one
    backend.on_loops.close()
    gc.collect()
    _until(lambda: _connections(backend) == before)


def test_close_hangs_up_all_loops(backend: RedisBackend) -> None:
    """From another thread; who waits looks again, and the loop works on with a new line."""
    backend.enqueue([job(1)])

    async def main() -> tuple[JobState | None, ReceiptStatus]:
        waiting = asyncio.create_task(backend.aoutcome(named(1), wait_ms=500))
        await backend.aoutcome(named(1), wait_ms=20)
        await asyncio.to_thread(backend.close)
        record = await waiting
        return record and record.state, (await backend.aenqueue([job(1)]))[0].status

    assert asyncio.run(main()) == (JobState.WAITING, ReceiptStatus.DUPLICATE)


@pytest.mark.parametrize("fork", FORKS)
def test_a_fork_has_lines_of_its_own(backend: RedisBackend, fork: Callable[[], int]) -> None:
    """The child of a process that had a loop opens its own line, and the parent's answers stay the parent's."""

    async def enqueue(number: int) -> ReceiptStatus:
        return (await backend.aenqueue([job(number)]))[0].status

    with asyncio.Runner() as runner:
        assert runner.run(enqueue(1)) is ReceiptStatus.NEW
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # a fork with threads
            child = fork()
        if child == 0:
            new = [asyncio.run(enqueue(number)) for number in (1, 2, 3)]
            backend.close()
            os._exit(0 if new == [ReceiptStatus.DUPLICATE, ReceiptStatus.NEW, ReceiptStatus.NEW] else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert runner.run(enqueue(2)) is ReceiptStatus.DUPLICATE


def test_a_write_that_is_interrupted_says_which_jobs_are_there(backend: RedisBackend) -> None:
    """From a loop as from a thread: BatchIncomplete, and its `retry` doubles nothing."""
    flaky = FlakyOnLoops(backend)
    gator = Gator(backend=flaky)
    task = gator.register(nothing)

    async def main() -> BatchIncomplete:
        await gator.atask(task, 0)
        flaky.lose_reply("enqueue", times=1)
        with pytest.raises(BatchIncomplete) as raised:
            await gator.atask_many(task, [(number,) for number in range(300)])
        assert flaky.calls["enqueue"] == 2
        flaky.fail("outcome", times=1)
        with pytest.raises(BackendUnavailable):
            await gator.job(raised.value.rest[0]).astate()
        return raised.value

    error = asyncio.run(main())

    assert (len(error.written), len(error.rest)) == (0, 300)
    assert list(error.retry()) == list(error.rest)
    assert len(gator.queue()) == 301


def nothing(number: int) -> None:
    """A task."""


def _until(holds: Callable[[], bool]) -> None:
    ends = monotonic() + SOON_S
    while not holds():
        assert monotonic() < ends


@pytest.mark.parametrize("replicated", [False, True])
def test_nobody_waits_for_ever_whatever_goes_wrong(replicated: bool) -> None:
    """A host that cannot even be looked up: all callers hear of it."""
    with closing(RedisBackend(Place(host="a..b", replicated=replicated))) as backend:

        async def main() -> list[object]:
            calls = (backend.on_loops.aenqueue([job(number)]) for number in range(3))
            return list(await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), SOON_S))

        assert [type(answer) for answer in asyncio.run(main())] == [UnicodeError] * 3
