"""A call is stored as the same bytes whichever road it takes: who reads them cannot tell a press from a frame.

The general road is that of releases before there were others, and of callers with middleware or a listener.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from itertools import count
from typing import Annotated, Final, TypeAlias

import pytest

from tests.integration.redis.servers import Server, needs_redis
from typedgator import AsyncTask, Gator, Middleware, RetryPolicy, Secret
from typedgator.backends.redis import RedisBackend
from typedgator.wire.envelope import Envelope
from typedgator.wire.ids import parse_id

pytestmark = needs_redis
_numbers = count()
LANE: Final = 1 << 45
"""So many places has a priority."""

Note: TypeAlias = AsyncTask[..., int]
Road: TypeAlias = Callable[[Gator, Note, dict[str, object]], str]
"""Makes the call; the job's id."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One for all."""
    with Server() as started:
        yield started


class Looks(Middleware):
    """Changes nothing: each call is prepared by itself."""

    def enqueue(self, envelope: Envelope) -> Envelope:
        return envelope


async def note(number: int = 0, text: str = "", *, tags: tuple[str, ...] = (), key: Annotated[str, Secret] = "") -> int:
    """A task."""
    return number


def by_call(gator: Gator, task: Note, call: dict[str, object]) -> str:
    """From a thread."""
    return task.task(**call).id


def by_coroutine(gator: Gator, task: Note, call: dict[str, object]) -> str:
    """Alone on its loop, once there is a line."""

    async def main() -> str:
        await task.atask()
        return (await task.atask(**call)).id

    return asyncio.run(main())


def by_company(gator: Gator, task: Note, call: dict[str, object]) -> str:
    """In one write with others."""

    async def main() -> str:
        await task.atask()
        return (await asyncio.gather(task.atask(1), task.atask(**call), task.atask(2)))[1].id

    return asyncio.run(main())


def by_many(gator: Gator, task: Note, call: dict[str, object]) -> str:
    """In the midst of others."""
    return gator.task_many(task, [(1,), call, (2,)])[1].id


def by_delay(gator: Gator, task: Note, call: dict[str, object]) -> str:
    """No plain job: it is due later."""
    with gator.options(delay_by=3600) as options:
        return options.task(task, **call).id


ROADS: Final[dict[str, tuple[tuple[Middleware, ...], Road]]] = {
    "general": ((Looks(),), by_call),
    "general, on a loop": ((Looks(),), by_coroutine),
    "general, on a loop, together": ((Looks(),), by_company),
    "general, many": ((Looks(),), by_many),
    "general, delayed": ((Looks(),), by_delay),
    "delayed": ((), by_delay),
    "pressed": ((), by_call),
    "pressed on a loop": ((), by_coroutine),
    "pressed on a loop, together": ((), by_company),
    "a series": ((), by_many),
}
TASKS: Final[dict[str, dict[str, object]]] = {
    "nothing-said": {},
    "much-said": {
        "queue": "q" * 128,
        "priority": 255,
        "retries": RetryPolicy(3, backoff=0.5, factor=1.5, jitter=False, on=(OSError,), never=(TimeoutError,)),
        "keep_result": timedelta(days=2),
        "time_limit": 30,
        "headers": {f"header-{number}": "é" * number for number in range(40)},
    },
    "little-said": {"queue": "x", "priority": 0, "retries": 1, "keep_result": False, "headers": {"a": ""}},
}
CALLS: Final[list[dict[str, object]]] = [
    {},
    {"number": -(2**63), "text": "\x00\r\n$3\r\n"},
    *({"text": "é" * (size // 2) + "x" * (size % 2)} for size in (31, 32, 255, 256, 65_535, 65_536, 300_000)),
    {"number": 2**63 - 1, "tags": tuple(map(str, range(16))), "key": "a secret"},
]


@pytest.mark.parametrize("said", TASKS)
def test_a_call_is_the_same_bytes_by_every_road(server: Server, said: str) -> None:
    """But for id and times; and it stands in the same line, at the same priority."""
    made: dict[str, list[tuple[bytes, object]]] = {}
    for road, (layers, call_by) in ROADS.items():
        gator = Gator(server.dsn, namespace=f"bytes-{next(_numbers)}", middleware=layers, max_payload=1 << 20)
        with closing(gator):
            task = gator.register(name="a.task", **TASKS[said])(note)  # type: ignore[call-overload]  # options by name
            assert isinstance(gator.backend, RedisBackend)
            made[road] = [stored(gator.backend, call_by(gator, task, call)) for call in CALLS]

    general = made["general"]
    for road, found in made.items():
        late = "delayed" in road
        assert [frame for frame, _ in found] == [frame for frame, _ in general], road
        assert [place for _, place in found] == [None if late else place for _, place in general], road


def stored(backend: RedisBackend, job_id: str) -> tuple[bytes, object]:
    """The frame as the server has it, without id and times, and which priority it waits at."""
    keys, name = backend.caller.keys, parse_id(job_id)
    frame = backend.link.ask("HGET", keys.named("frames"), name)
    assert isinstance(frame, bytes)
    assert frame.count(name) == 1
    queue = frame[21 : 21 + frame[20]].decode()
    place = backend.link.ask("ZSCORE", keys.ready(queue), name)
    bare, times = re.subn(rb"(?s)(?<=enqueued_at\xcf\x00\x00).{6}", bytes(6), frame.replace(name, bytes(16)))
    assert times == 1
    return bare[:4] + bytes(8) + bare[12:], None if place is None else int(float(str(place, "ascii"))) // LANE
