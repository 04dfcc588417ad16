"""What a worker costs is read from the kernel."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.peers.machine import Monitor, Work, pss_mb, tree_cpu
from tests.integration.redis.servers import Server, needs_redis

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="it reads /proc")
CHILD = "import time\nwhile time.process_time() < 0.25: pass\nprint(1, flush=True); input()"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}])"


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[str]]:
    """A process whose child has used a quarter of a second of CPU, and waits."""
    words = [sys.executable, "-c", PARENT]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.stdin.close()
    process.wait()
    process.stdout.close()


def test_the_cpu_of_children_counts(parent: subprocess.Popen[str]) -> None:
    """A worker may be a supervisor and its processes."""
    found = tree_cpu(parent.pid)

    assert len(found) == 2
    assert sum(cpu for pid, cpu in found.items() if pid != parent.pid) >= 0.25


def test_cpu_is_finer_than_the_ticks_of_proc(parent: subprocess.Popen[str]) -> None:
    """A hundredth of a second is a thousand jobs."""
    cpu = tree_cpu(parent.pid)[parent.pid]

    assert cpu > 0
    assert round(cpu * 100, 6) % 1 != 0


def test_memory_counts_all_processes(parent: subprocess.Popen[str]) -> None:
    """Two interpreters hold more than one."""
    child = next(pid for pid in tree_cpu(parent.pid) if pid != parent.pid)

    assert pss_mb(parent.pid) > pss_mb(child) > 0


@needs_redis
def test_commands_inside_scripts_are_not_the_clients() -> None:
    """A round trip is what costs; what a script does is its own affair."""
    with Server() as server:
        work, monitor = Work(server.port), Monitor(server.port)
        assert monitor.commands == 0

        work.socket.sendall(b"EVAL \"redis.call('SET', 'a', 1) redis.call('SET', 'b', 1)\" 0\r\n")
        work.lines.readline()
        assert work.keys() == {"a", "b"}
        ends = time.monotonic() + 5
        while monitor.commands < 2 and time.monotonic() < ends:
            time.sleep(0.01)
        monitor.close()
        work.close()

    assert monitor.commands == 2
