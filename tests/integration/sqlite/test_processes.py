"""One file, many processes: nothing is lost, whoever dies; a fork needs no care; other readers are no hindrance."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from typedgator.backends.contract import ReceiptStatus
from typedgator.backends.sqlite import SqliteBackend
from typedgator.backends.sqlite.audit import faults
from typedgator.testing.contract import job
from typedgator.wire.ids import JobId
from typedgator.wire.states import JobState
from typedgator.wire.verdict import Settlement, Succeeded

HERE = Path(__file__).parent
PATIENCE_S = 50


class Children(ExitStack):
    """Processes that end with the test, at the latest."""

    def start(self, script: str, *arguments: object) -> "subprocess.Popen[str]":
        """A python process that runs one of the scripts beside this file."""
        child = subprocess.Popen(
            [sys.executable, str(HERE / script), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.enter_context(child)
        self.callback(child.kill)
        return child


@pytest.fixture
def children() -> Generator[Children]:
    """Where processes are started."""
    with Children() as stack:
        yield stack


def line(child: "subprocess.Popen[str]") -> str:
    """The next line that a process says; empty when it ended."""
    assert child.stdout is not None
    return child.stdout.readline().strip()


def finished(child: "subprocess.Popen[str]") -> list[str]:
    """What a process has said when it ended, which must be well."""
    said, _ = child.communicate(timeout=PATIENCE_S)
    assert child.returncode == 0
    return said.split()


def test_a_killed_worker_loses_nothing(tmp_path: Path, children: Children) -> None:
    """Processes enqueue and claim at once; two claimers die by kill -9, one of them with ten jobs in its hands.

    Every accepted job succeeds; only jobs that a dead worker held run again, and they say so by their attempt.
    """
    path, journal = tmp_path / "jobs.db", tmp_path / "journal"
    dsn = f"sqlite:///{path}"
    producers = [children.start("producer.py", dsn, 300) for _ in range(2)]
    holder = children.start("claimer.py", dsn, journal, 1500, "hold")
    held = int(line(holder))
    holder.send_signal(signal.SIGKILL)
    victim = children.start("claimer.py", dsn, journal, 1500)
    for _ in range(3):
        line(victim)
    victim.send_signal(signal.SIGKILL)
    survivors = [children.start("claimer.py", dsn, journal, 1500) for _ in range(2)]

    accepted = {job_id for producer in producers for job_id in finished(producer)}
    for survivor in survivors:
        finished(survivor)

    backend = SqliteBackend(path)
    records = [backend.find(JobId(bytes.fromhex(job_id))) for job_id in accepted]
    assert len(accepted) == 600
    assert Counter(record.state for record in records if record) == {JobState.SUCCESS: 600}
    crashed = [record for record in records if record and record.crashes]
    assert held <= len(crashed) <= held + 10
    runs = Counter(entry.split()[0] for entry in journal.read_text().splitlines())
    assert set(runs) == accepted
    assert {job_id for job_id, times in runs.items() if times > 1} <= {record.job_id.hex() for record in crashed}
    assert faults(path) == []
    backend.close()


def test_what_was_accepted_outlives_the_process(tmp_path: Path, children: Children) -> None:
    """A producer that ends without closing anything leaves its jobs to whoever comes."""
    path = tmp_path / "jobs.db"
    producer = children.start("producer.py", f"sqlite:///{path}", 10_000)
    accepted = [line(producer) for _ in range(50)]
    producer.send_signal(signal.SIGKILL)
    producer.wait(PATIENCE_S)
    backend = SqliteBackend(path)
    assert None not in [backend.find(JobId(bytes.fromhex(job_id))) for job_id in accepted]
    backend.close()
    assert faults(path) == []


def test_another_process_wakes_a_waiting_claim(tmp_path: Path, children: Children) -> None:
    """Long before its wait is over: it polls one number in shared memory, not the jobs."""
    backend = SqliteBackend(tmp_path / "jobs.db")
    worker = backend.join(["all"], lease_ms=60_000)
    children.start("producer.py", f"sqlite:///{backend.path}", 1)
    claimed = backend.claim(worker, limit=1, wait_ms=PATIENCE_S * 1000, seen=0)
    assert len(claimed) == 1
    backend.close()


def test_a_forked_child_opens_the_file_anew(tmp_path: Path) -> None:
    """A connection carried over a fork corrupts the file; here each process has its own, whatever its threads did."""
    backend = SqliteBackend(tmp_path / "jobs.db")
    backend.enqueue([job(1)])
    worker = backend.join(["none"], lease_ms=60_000)
    forked = threading.Event()

    def enqueue_meanwhile() -> None:
        for number in range(1000, 100_000):
            backend.enqueue([job(number)])
            if forked.is_set():
                return

    threads = [
        threading.Thread(target=backend.claim, args=(worker,), kwargs={"limit": 1, "wait_ms": 1500, "seen": 0}),
        threading.Thread(target=enqueue_meanwhile),
    ]
    for thread in threads:
        thread.start()
    for number in range(2, 12):
        assert enqueue_in_a_child(backend, 1, number) == "duplicate new"
        assert backend.enqueue([job(number)])[0].status is ReceiptStatus.DUPLICATE
    forked.set()
    for thread in threads:
        thread.join()
    assert backend.enqueue([job(12)])[0].status is ReceiptStatus.NEW
    backend.close()
    assert faults(backend.path) == []


def enqueue_in_a_child(backend: SqliteBackend, *numbers: int) -> str:
    """What the receipts say when a forked child enqueues with its parent's backend."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            receipts = backend.enqueue([job(number) for number in numbers])
            backend.close()
            os.write(writing, " ".join(receipt.status.value for receipt in receipts).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return said


def test_an_idle_claim_does_not_take_the_write_lock(tmp_path: Path) -> None:
    """It looks first; so idle workers do not keep a producer waiting, nor each other."""
    backend = SqliteBackend(tmp_path / "jobs.db")
    worker = backend.join(["all", "*"], lease_ms=60_000)
    writer = sqlite3.connect(backend.path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    assert backend.claim(worker, limit=10, wait_ms=50, seen=0) == []
    writer.execute("ROLLBACK")
    writer.close()
    backend.close()


def test_a_long_reader_keeps_nobody_from_working(tmp_path: Path) -> None:
    """A backup or a dashboard reads its snapshot; jobs come and go beside it."""
    backend = SqliteBackend(tmp_path / "jobs.db")
    backend.enqueue([job(number) for number in range(20)])
    reader = sqlite3.connect(backend.path, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM tg_job WHERE state = 2").fetchone() == (20,)
    worker = backend.join(["all"], lease_ms=60_000)
    claimed = backend.claim(worker, limit=20, wait_ms=0, seen=0)
    backend.settle(worker, [Settlement(each.job_id, each.token, Succeeded()) for each in claimed])
    backend.maintain(limit=10)
    assert reader.execute("SELECT count(*) FROM tg_job WHERE state = 2").fetchone() == (20,)
    reader.close()
    assert backend.counts().queues == {}
    backend.close()


def test_threads_of_one_process_share_a_backend(tmp_path: Path) -> None:
    """Each has its own connection; together they enqueue, claim and settle each job once."""
    backend = SqliteBackend(tmp_path / "jobs.db")
    backend.open()
    done: list[JobId] = []
    start = threading.Barrier(6)

    def produce(first: int) -> None:
        start.wait(PATIENCE_S)
        for number in range(first, first + 100):
            backend.enqueue([job(number)])

    def consume() -> None:
        worker, seen = backend.join(["all"], lease_ms=60_000), 0
        start.wait(PATIENCE_S)
        settlements: list[Settlement] = []
        while len(done) < 300:
            _, claimed = backend.exchange(worker, settlements, limit=7, seen=seen)
            done.extend(each.job_id for each in claimed)
            settlements = [Settlement(each.job_id, each.token, Succeeded()) for each in claimed]
            seen = max([seen, *(each.token for each in claimed)])
        backend.settle(worker, settlements)
        backend.leave(worker)

    threads = [threading.Thread(target=produce, args=(first,)) for first in (0, 100, 200)]
    threads += [threading.Thread(target=consume) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert len(done) == len(set(done)) == 300
    assert backend.counts().queues == {}
    backend.close()
    assert faults(backend.path) == []
