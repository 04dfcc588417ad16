"""One library in its own environment, driven by the one who measures. Standard library only.

python -m benchmarks.peers.client NAME describe     what it is and how its workers are started, as JSON
python -m benchmarks.peers.client NAME enqueue      a line of JSON in, a line of JSON out
python -m benchmarks.peers.client NAME work         a worker, where the library has no command line
"""

import asyncio
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from benchmarks.peers.adapter import SETTING, Adapter

__all__: list[str] = []

BESIDE = ("redis", "hiredis", "uvloop", "pydantic", "msgspec", "coredis", "kombu", "taskiq-redis")
"""What is worth knowing the version of, where it is there."""


def loop_factory(adapter: Adapter) -> Callable[[], asyncio.AbstractEventLoop]:
    """The loop of its callers."""
    if not adapter.uvloop:
        return asyncio.new_event_loop
    loop: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module("uvloop").new_event_loop
    return loop


def describe(adapter: Adapter) -> dict[str, object]:
    """All that the one who measures has to know."""
    found = {}
    for name in (adapter.package, *BESIDE):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    if "typedgator" not in found and adapter.package == "typedgator":
        found["typedgator"] = importlib.import_module("typedgator").__version__
    return {
        "package": adapter.package,
        "versions": found,
        "python": ".".join(map(str, sys.version_info[:3])),
        "imports": adapter.imports,
        "kinds": list(adapter.kinds),
        "settings": dict(adapter.settings),
        "can": [name for name in ("one", "aone", "bulk", "abulk") if adapter.can(name)],
        "workers": {
            str(processes): {"words": command.words, "copies": command.copies}
            for processes in (1, 2)
            for command in (adapter.worker(processes),)
        },
        "enqueues": adapter.enqueues,
        "drains": adapter.drains,
    }


async def obey(adapter: Adapter, order: dict[str, object]) -> dict[str, object]:
    """One order."""
    verb, kind, first = str(order["do"]), str(order["kind"]), int(str(order["first"]))
    numbers = range(first, first + int(str(order["jobs"])))
    if verb == "latency":
        return await latency(adapter, kind, numbers)
    wall, cpu = time.perf_counter(), time.process_time()
    if verb == "one":
        for number in numbers:
            adapter.one(kind, number)
    elif verb == "aone":
        for number in numbers:
            await adapter.aone(kind, number)
    elif verb == "hundred":
        await adapter.at_once(kind, numbers)
    elif verb == "bulk" and adapter.can("bulk"):
        adapter.bulk(kind, numbers)
    elif verb == "bulk":
        await adapter.abulk(kind, numbers)
    else:
        await adapter.fill(kind, numbers)
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


async def latency(adapter: Adapter, kind: str, numbers: range) -> dict[str, object]:
    """One job every 20 ms; when each was begun to be enqueued, and when that was over."""
    called, done = [], []
    for number in numbers:
        if adapter.can("one"):
            time.sleep(0.02)  # noqa: ASYNC251 - nothing else runs on this loop
            called.append(time.perf_counter_ns())
            adapter.one(kind, number)
        else:
            await asyncio.sleep(0.02)
            called.append(time.perf_counter_ns())
            await adapter.aone(kind, number)
        done.append(time.perf_counter_ns())
    return {"called": called, "done": done}


def enqueue(adapter: Adapter) -> None:
    """Obeys until its input ends."""
    with asyncio.Runner(loop_factory=loop_factory(adapter)) as runner:
        runner.run(adapter.open())
        print(json.dumps({"ready": True}), flush=True)
        for line in sys.stdin:
            print(json.dumps(runner.run(obey(adapter, json.loads(line)))), flush=True)
        runner.run(adapter.close())


def main(name: str, verb: str) -> None:
    """The three verbs."""
    # Libraries log to standard output, where answers are read: it is theirs no more.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    sys.stdout = answers
    adapter: Adapter = importlib.import_module(f"benchmarks.peers.adapters.{name}").ADAPTER
    if verb == "describe":
        print(json.dumps(describe(adapter)), flush=True)
    elif verb == "work":
        with asyncio.Runner(loop_factory=loop_factory(adapter)) as runner:
            runner.run(adapter.work())
    else:
        assert verb == "enqueue", f"verb must be describe, enqueue or work, got {verb!r}"
        enqueue(adapter)


if __name__ == "__main__":
    assert SETTING in ("default", "best", "sleep"), f"there is no setting {SETTING!r}"
    main(*sys.argv[1:])
