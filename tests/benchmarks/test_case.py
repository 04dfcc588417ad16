"""A library that cannot be installed, fails or hangs ends neither the run nor outlives its case."""

import os
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.peers.__main__ import PATIENCE, one
from benchmarks.peers.case import Case, described
from benchmarks.peers.environments import PEERS, ROOT, Uninstalled, prepare
from benchmarks.peers.measures import CASES, TURNS, Extent, rounds
from benchmarks.peers.records import Lines
from tests.integration.redis.servers import Server, needs_redis

pytestmark = [needs_redis, pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="it reads /proc")]
OURS = PEERS["typedgator"]
PYTHON = Path(sys.executable)
EXTENT = Extent(seconds=0.01, samples=10)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One for all of them, as in a run."""
    with Server() as started:
        yield started


def case_of(server: Server, words: list[str], most_s: float = 30) -> Case:
    """Ours, but its workers are started by these words."""
    said = described(OURS, PYTHON, "default", server.port)
    if words:
        said.workers.update({"1": {"words": words, "copies": 1}})
    return Case(OURS, PYTHON, {"default": said, "best": said, "sleep": said}, server.port, most_s)


def test_a_drain_counts_every_job_and_what_it_cost(server: Server) -> None:
    """The adapter of ours, end to end, in this environment."""
    found = one(case_of(server, []), "drain-sync-default-1", EXTENT)

    assert "error" not in found, found
    row = found["figures"]["drain-sync-default-1"]  # type: ignore[index]
    assert row["jobs"] == 400
    assert row["per_s"] > 0
    assert row["worker_us"] > 0
    assert row["cold_s"] > 0


def test_every_way_to_enqueue_is_measured(server: Server) -> None:
    """One caller, one coroutine, many, and one call."""
    found = one(case_of(server, []), "enqueue", EXTENT)

    assert "error" not in found, found
    assert list(found["figures"]) == ["one", "aone", "hundred", "bulk"]  # type: ignore[call-overload]


def test_a_worker_that_hangs_is_killed_and_noted(server: Server) -> None:
    """With its children."""
    sleeper = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)  # left'])"
    began = time.monotonic()

    found = one(case_of(server, [sys.executable, "-c", sleeper], most_s=2), "drain-sync-default-1", EXTENT)

    assert found["error"] == "it took longer than 2 s"
    assert time.monotonic() - began < 30
    ends = time.monotonic() + 10  # they are killed, but nobody waits for them
    while any(b"# left" in command_of(name) for name in os.listdir("/proc") if name.isdigit()):
        assert time.monotonic() < ends


def command_of(pid: str) -> bytes:
    """Its words, nothing when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_a_worker_that_ends_is_noted_with_its_last_words(server: Server) -> None:
    """They say more than its exit code."""
    found = one(
        case_of(server, [sys.executable, "-c", "raise SystemExit('no such broker')"]), "drain-sync-default-1", EXTENT
    )

    assert found["error"] == "no such broker (exit code 1)"


def test_a_job_that_runs_twice_spoils_the_case(server: Server) -> None:
    """A rate that counts jobs twice is no rate."""
    twice = (
        "from benchmarks.peers import effects\n"
        "for number in (*range(400), 7): effects.ran(number)\n"
        "import time; time.sleep(600)"
    )

    found = one(case_of(server, [sys.executable, "-c", twice]), "drain-sync-default-1", EXTENT)

    assert found["error"] == "1 of 400 jobs ran more than once"


def test_a_library_without_its_python_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """And how it can be named."""
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(Uninstalled, match=r"put python3\.99 on PATH or name it in TYPEDGATOR_PYTHON_3_99"):
        prepare("typedgator-of-nobody", "3.99")


def test_every_library_has_an_adapter_and_pinned_requirements() -> None:
    """Everything that is installed has a version."""
    for peer in PEERS.values():
        assert (ROOT / "benchmarks" / "peers" / "adapters" / f"{peer.adapter}.py").exists()
        pins = (ROOT / "benchmarks" / "peers" / "requirements" / f"{peer.environment}.txt").read_text().split()
        assert pins
        assert all("==" in pin for pin in pins)


def test_short_cases_have_turns_between_the_others() -> None:
    """Each once a repetition, those that a moment disturbs five times, and never two turns of one together."""
    order = rounds(list(CASES))

    assert {case: [turn for each, turn in order if each == case] for case in CASES} == {
        case: list(range(TURNS)) if case in ("enqueue", "sleep") else [0] for case in CASES
    }
    places = [place for place, (case, _) in enumerate(order) if case == "enqueue"]
    assert all(later - earlier > 2 for earlier, later in pairwise(places))
    assert rounds(["sleep"]) == [("sleep", turn) for turn in range(TURNS)]


def test_a_case_that_keeps_failing_is_given_up(tmp_path: Path) -> None:
    """A success in between starts the count anew."""
    lines = Lines(tmp_path / "lines", resume=False)
    record = {"record": "case", "peer": "huey", "case": "idle", "repetition": 0}

    for outcome in ({"error": "x"}, {"figures": {}}, *({"error": "x"},) * PATIENCE):
        lines.add(record | outcome)

    assert lines.failures("huey", "idle") == PATIENCE
    assert lines.failures("huey", "sleep") == 0
