"""Which file a DSN names, and what is refused, each in one sentence that says the way out."""

import logging
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from typedgator.backends.connect import connect
from typedgator.backends.contract import Backend, Inspect, ReceiptStatus
from typedgator.backends.sqlite import SqliteBackend, connections, place
from typedgator.backends.sqlite.audit import faults
from typedgator.backends.sqlite.layout import LAYOUT
from typedgator.errors import BackendUnavailable, ConfigurationError
from typedgator.testing.contract import job
from typedgator.wire.states import JobState


def backend_at(path: Path, query: str = "") -> SqliteBackend:
    """The backend that a DSN with an absolute path names."""
    backend = connect(f"sqlite:///{path}{query}")
    assert isinstance(backend, SqliteBackend)
    return backend


def test_three_slashes_are_relative_and_four_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative to the folder in which the DSN was read, also when the process goes elsewhere later."""
    monkeypatch.chdir(tmp_path)
    relative, absolute = connect("sqlite:///jobs.db"), connect("sqlite:////var/lib/jobs%20of%20mine.db")
    monkeypatch.chdir("/")
    assert isinstance(relative, SqliteBackend)
    assert relative.path == tmp_path / "jobs.db"
    assert isinstance(absolute, SqliteBackend)
    assert absolute.path == Path("/var/lib/jobs of mine.db")


@pytest.mark.parametrize(
    ("dsn", "says"),
    [
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite:///:memory:", "locmem://"),
        ("sqlite://jobs.db", "write sqlite:///jobs.db"),
        ("sqlite://folder/jobs.db", "write sqlite:///folder/jobs.db"),
        ("sqlite:////var/lib/", "no name of a file"),
        ("sqlite:///jobs.db#1", "%23"),
        ("sqlite:///jobs.db?durability=maybe", "none of power, process"),
        ("sqlite:///jobs.db?speed=high", "unknown option speed"),
    ],
)
def test_a_dsn_that_names_no_file_is_refused(dsn: str, says: str) -> None:
    """When it is read, not when it is first used."""
    with pytest.raises(ConfigurationError, match=says):
        connect(dsn)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """It is not made: a misspelt path should not become a new, empty queue."""
    with pytest.raises(ConfigurationError, match=r"the folder .*/nowhere does not exist"):
        backend_at(tmp_path / "nowhere" / "jobs.db").open()


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="it is a folder"):
        backend_at(tmp_path).open()


def test_another_kind_of_file_is_left_alone(tmp_path: Path) -> None:
    """A wrong path must not cost somebody a document."""
    path = tmp_path / "letter.txt"
    path.write_text("Dear reader, " * 1000)
    with pytest.raises(ConfigurationError, match="not an SQLite database"):
        backend_at(path).open()
    assert path.read_text() == "Dear reader, " * 1000


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_file_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    path.touch(0o400)
    with pytest.raises(ConfigurationError, match="may not write to it"):
        backend_at(path).open()


def test_a_file_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    """Rather than written to by a release that does not know its tables."""
    backend = backend_at(tmp_path / "jobs.db")
    backend.open()
    backend.close()
    db = sqlite3.connect(backend.path)
    db.execute("UPDATE tg_layout SET version = ?", (LAYOUT + 1,))
    db.commit()
    db.close()
    with pytest.raises(ConfigurationError, match=f"has layout {LAYOUT + 1}.*upgrade it"):
        backend.open()


def test_an_old_sqlite_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "OLDEST", (99, 0, 0))
    with pytest.raises(ConfigurationError, match=r"99\.0\.0 or newer is needed"):
        backend_at(tmp_path / "jobs.db").open()


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "9p", "virtiofs", "fuse.sshfs"])
def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """The log of SQLite needs memory that all who open the file share; `?filesystem=any` insists."""
    monkeypatch.setattr(place, "filesystem_of", lambda _: kind)
    with pytest.raises(ConfigurationError, match=rf"network file system \({kind}\).*filesystem=any"):
        backend_at(tmp_path / "jobs.db").open()
    insisting = backend_at(tmp_path / "jobs.db", "?filesystem=any")
    insisting.open()
    insisting.close()


def test_the_file_system_is_that_of_the_nearest_mount(tmp_path: Path) -> None:
    """As Linux lists them: the longest mount point that holds the path, the last one when there are two."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 254:1 / / rw,relatime - ext4 /dev/vda rw\n"
        f"36 22 0:30 / {tmp_path} rw - xfs /dev/vdb rw\n"
        f"37 36 0:31 /a\\040b {tmp_path}/a\\040b rw shared:1 - nfs4 host:/export rw\n"
        f"38 22 0:32 / {tmp_path}/a rw - tmpfs none rw\n"
        "not a line of this kind\n"
    )
    found = [place.filesystem_of(path, mounts) for path in (Path("/"), tmp_path / "x", tmp_path / "a b" / "jobs.db")]
    assert found == ["ext4", "xfs", "nfs4"]
    assert place.filesystem_of(tmp_path, tmp_path / "missing") == ""


def test_a_new_file_is_for_its_owner_only(tmp_path: Path) -> None:
    """Arguments of jobs may be private. A file that is there keeps its mode."""
    backend = backend_at(tmp_path / "jobs.db")
    backend.enqueue([job(1)])
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    backend.close()
    assert modes == {0o600}


@pytest.mark.parametrize(("query", "synchronous"), [("", 2), ("?durability=power", 2), ("?durability=process", 1)])
def test_durability_says_whether_each_commit_is_flushed(tmp_path: Path, query: str, synchronous: int) -> None:
    """`power` flushes, so that what was accepted survives a loss of power; `process` leaves it to the system."""
    backend = backend_at(tmp_path / "jobs.db", query)
    backend.open()
    with backend.storage.look() as db:
        assert db.execute("PRAGMA synchronous").fetchone() == (synchronous,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    backend.close()


def test_a_log_that_cannot_be_kept_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where WAL is impossible SQLite stays silently in another mode; then nothing is accepted."""
    path = tmp_path / "jobs.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA locking_mode = exclusive")
    db.execute("CREATE TABLE other (x)")
    db.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr(connections, "BUSY_S", 0.05)
    with pytest.raises(BackendUnavailable, match="held it for more than"):
        backend_at(path).open()
    db.rollback()
    db.close()


def test_tables_of_others_are_left_alone(tmp_path: Path) -> None:
    """A file may be shared with an application: every table of ours begins with `tg_`."""
    path = tmp_path / "app.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE job (x)")
    db.execute("INSERT INTO job VALUES (1)")
    db.commit()
    backend = backend_at(path)
    backend.enqueue([job(1)])
    backend.close()
    names = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert db.execute("SELECT x FROM job").fetchall() == [(1,)]
    db.close()
    assert {name for name in names if not name.startswith(("tg_", "sqlite_"))} == {"job"}


def test_namespaces_of_one_file_do_not_see_each_other(tmp_path: Path) -> None:
    """Not their jobs, ids, keys, workers or queues."""
    path = tmp_path / "jobs.db"
    one, two = backend_at(path, "?namespace=one"), backend_at(path, "?namespace=two")
    frames = [job(1, unique=b"a key of 16 byte"), job(2, delay_ms=1)]
    assert [receipt.status for receipt in one.enqueue(frames)] == [ReceiptStatus.NEW] * 2
    assert [receipt.status for receipt in two.enqueue(frames[:1])] == [ReceiptStatus.NEW]
    theirs = two.join(["*"], lease_ms=1000)
    assert len(two.claim(theirs, limit=9, wait_ms=0, seen=0)) == 1
    assert two.counts().queues == {"all": {JobState.RUNNING: 1}}
    assert one.counts().queues["all"][JobState.WAITING] >= 1
    assert one.beat(theirs, []).lapsed
    one.pause("all")
    assert two.counts().paused == frozenset()
    for backend in (one, two):
        backend.close()
    assert faults(path) == []


def test_a_call_after_close_opens_again(tmp_path: Path) -> None:
    """Also many times, and close may be called twice."""
    backend: Backend = backend_at(tmp_path / "jobs.db")
    for number in range(3):
        backend.enqueue([job(number)])
        backend.close()
        backend.close()
    assert isinstance(backend, Inspect)
    assert backend.counts().queues == {"all": {JobState.WAITING: 3}}
    backend.close()


OPEN_AND_ENQUEUE = """
import sys
from typedgator.backends.connect import connect
from typedgator.testing.contract import job
backend = connect(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
backend.open()
backend.enqueue([job(int(sys.argv[2]))])
backend.close()
"""


def test_processes_that_open_a_fresh_file_at_once_agree_on_it(tmp_path: Path) -> None:
    """One makes the tables, the others wait and find them."""
    path = tmp_path / "jobs.db"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN_AND_ENQUEUE, f"sqlite:///{path}", str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(6)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        child.communicate(timeout=30)
        assert child.returncode == 0
    backend = backend_at(path)
    assert backend.counts().queues == {"all": {JobState.WAITING: 6}}
    backend.close()
    assert faults(path) == []


def test_a_long_log_is_told_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever reads one snapshot for hours keeps the log from being emptied; better told now than by a full disk."""
    monkeypatch.setattr("typedgator.backends.sqlite.backend.LONG_LOG_BYTES", 10_000)
    backend = backend_at(tmp_path / "jobs.db")
    backend.open()
    reader = sqlite3.connect(backend.path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM tg_job").fetchone()
    for number in range(20):
        backend.enqueue([job(number)])
    with caplog.at_level(logging.WARNING):
        backend.maintain(limit=1)
        backend.maintain(limit=1)
    assert [record.getMessage().partition(" has ")[0] for record in caplog.records] == [
        f"the write-ahead log of {backend.path}"
    ]
    reader.close()
    backend.close()
