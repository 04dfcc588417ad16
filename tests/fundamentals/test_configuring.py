"""Configuring: where the jobs are kept, and what the environment may say."""

import copy
import logging
import os
import pickle
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from typedgator import ConfigurationError, Gator, GatorError, JobState, Middleware, RegistrationError
from typedgator.backends.connect import masked
from typedgator.backends.locmem import LocmemBackend
from typedgator.backends.sqlite import SqliteBackend
from typedgator.clock import SystemClock


def add(a: int, b: int) -> int:
    """A task."""
    return a + b


# ---- the DSN


def test_a_dsn_names_the_backend(tmp_path: Path) -> None:
    """Its scheme says which; nothing is connected yet."""
    assert isinstance(Gator("locmem://").backend, LocmemBackend)
    gator = Gator(f"sqlite:///{tmp_path / 'jobs.db'}")
    assert isinstance(gator.backend, SqliteBackend)
    assert list(tmp_path.iterdir()) == []


def test_without_a_dsn_the_environment_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """`TYPEDGATOR_CONN`; an argument goes before it."""
    monkeypatch.setenv("TYPEDGATOR_CONN", "locmem://from-the-environment")
    assert Gator().dsn == "locmem://from-the-environment"
    assert Gator("locmem://").dsn == "locmem://"


@pytest.mark.parametrize("unset", [None, ""])
def test_without_both_it_is_a_file_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture, unset: str | None
) -> None:
    """`sqlite:///typedgator.db`, in the working folder, with one line at INFO that says so. It just works."""
    monkeypatch.chdir(tmp_path)
    if unset is not None:
        monkeypatch.setenv("TYPEDGATOR_CONN", unset)
    with caplog.at_level(logging.INFO, logger="typedgator"):
        gator = Gator()
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "TYPEDGATOR_CONN is not set: jobs are kept in sqlite:///typedgator.db, in the working folder")
    ]
    job = gator.register(add).task(1, 2)
    gator.pop()
    assert job.result() == 3
    assert (tmp_path / "typedgator.db").exists()
    gator.close()


@pytest.mark.parametrize("dsn", ["nosuch://host", "localhost:6379", "sqlite", "/jobs.db", "://", ""])
def test_a_bad_dsn_fails_at_once(dsn: str) -> None:
    """At the `Gator(…)` line, not at the first job."""
    with pytest.raises(ConfigurationError):
        Gator(dsn)


def test_a_bad_dsn_names_the_schemes_that_exist() -> None:
    """And shows no password."""
    with pytest.raises(ConfigurationError, match=r"locmem://.*sqlite://") as caught:
        Gator("mysql://me:secret@host/db")
    assert "secret" not in str(caught.value)
    assert "mysql://me:•••@host/db" in str(caught.value)


@pytest.mark.parametrize(
    "dsn", ["locmem://?unknown=1", "sqlite:///x.db?durability=maybe", "sqlite:///x.db?a", "locmem://?namespace=a b"]
)
def test_what_a_dsn_says_in_vain_is_refused(dsn: str) -> None:
    """An option that nobody takes, or a value that it does not have."""
    with pytest.raises(ConfigurationError):
        Gator(dsn)


def test_namespaces_are_tenants_of_one_storage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By argument, by `?namespace=`, by `TYPEDGATOR_NAMESPACE`: the same id lives in each of them."""
    dsn = f"sqlite:///{tmp_path / 'jobs.db'}"
    one = Gator(dsn, namespace="one")
    two = Gator(f"{dsn}?namespace=two", namespace="ignored")
    monkeypatch.setenv("TYPEDGATOR_NAMESPACE", "one")
    again = Gator(dsn)
    job = one.options(job_id="mine").task(one.register(add), 1, 2)
    assert not two.options(job_id="mine").task(two.register(add), 1, 2).duplicate
    assert again.job("mine").state() is JobState.WAITING
    assert job == again.job("mine")
    assert (len(one.queue()), len(two.queue()), len(again.queue())) == (1, 1, 1)
    for gator in (one, two, again):
        gator.close()


def test_a_name_shares_memory_between_gators() -> None:
    """`locmem://name`: all in this process that say it; `locmem://` is each one's own."""
    first, second = Gator("locmem://shared"), Gator("locmem://shared")
    first.register(add).task(1, 2)
    assert len(second.queue()) == 1
    assert len(Gator("locmem://").queue()) == 0


# ---- other backends


def test_a_backend_of_ones_own() -> None:
    """`Gator(backend=…)`: anything that keeps the contract; a DSN or namespace beside it is refused."""
    backend = LocmemBackend(clock=SystemClock())
    gator = Gator(backend=backend)
    assert gator.backend is backend
    assert gator.dsn is None
    assert repr(gator) == "<Gator LocmemBackend, 0 tasks>"
    with pytest.raises(ConfigurationError, match="not both"):
        Gator(backend=backend, namespace="mine")
    with pytest.raises(ConfigurationError, match="not both"):
        Gator("locmem://", backend=backend)


def test_a_backend_by_entry_point(tmp_path: Path) -> None:
    """A package that is installed with an entry point of the group `typedgator.backends` adds its scheme."""
    info = tmp_path / "shelf-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shelf\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[typedgator.backends]\nshelf = shelf:from_dsn\n")
    (tmp_path / "shelf.py").write_text(
        dedent("""
            from typedgator.backends.locmem import LocmemBackend

            class Shelf(LocmemBackend):
                pass

            def from_dsn(dsn, clock):
                assert dsn.take("size", "") == "3"
                dsn.done()
                return Shelf(clock=clock)
        """)
    )
    script = dedent("""
        from typedgator import ConfigurationError, Gator
        gator = Gator("shelf://?size=3")

        def add(a: int, b: int) -> int:
            return a + b

        job = gator.register(name="add")(add).task(1, 2)
        gator.pop()
        print(type(gator.backend).__name__, job.result())
        try:
            Gator("nosuch://")
        except ConfigurationError as error:
            print(error)
    """)
    told = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])},
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    ).stdout.splitlines()
    assert told[0] == "Shelf 3"
    assert "shelf://" in told[1]


# ---- TYPEDGATOR_ASYNC


@pytest.mark.parametrize("said", ["false", "False", "FALSE", "0", "no", "off", " no "])
def test_jobs_run_here_when_the_environment_says_so(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    """`TYPEDGATOR_ASYNC=false`, as people write it: "False" and "0" mean no."""
    monkeypatch.setenv("TYPEDGATOR_ASYNC", said)
    gator = Gator("locmem://")
    assert gator.register(add).task(1, 2).state() is JobState.SUCCESS


@pytest.mark.parametrize("said", ["true", "True", "1", "yes", "on", ""])
def test_jobs_are_queued_otherwise(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    """True in words, or empty."""
    monkeypatch.setenv("TYPEDGATOR_ASYNC", said)
    assert Gator("locmem://").register(add).task(1, 2).state() is JobState.WAITING


@pytest.mark.parametrize("said", ["maybe", "2", "fasle", "None"])
def test_what_is_neither_is_refused(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    """Not taken for true, as any non-empty text would be."""
    monkeypatch.setenv("TYPEDGATOR_ASYNC", said)
    with pytest.raises(ConfigurationError, match="TYPEDGATOR_ASYNC must be true or false"):
        Gator("locmem://")


def test_an_argument_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`Gator(is_async=True)` is the house's word."""
    monkeypatch.setenv("TYPEDGATOR_ASYNC", "false")
    assert Gator("locmem://", is_async=True).register(add).task(1, 2).state() is JobState.WAITING


# ---- limits


def many(numbers: list[int]) -> int:
    """A task that takes a collection."""
    return len(numbers)


@pytest.mark.parametrize(
    ("limits", "numbers", "says"),
    [({"max_items": 3}, [1, 2, 3, 4], "at most 3"), ({"max_payload": 64}, list(range(90)), "at most 64")],
)
def test_a_house_has_its_limits(limits: dict[str, Any], numbers: list[int], says: str) -> None:
    """`max_items` bounds collections, `max_payload` all arguments together; what is larger belongs in a store."""
    gator = Gator("locmem://", **limits)
    task = gator.register(many)
    task.task(numbers[:3])
    with pytest.raises(TypeError, match=says):
        task.task(numbers)
    assert len(gator.queue()) == 1


@pytest.mark.parametrize("limits", [{"max_payload": 0}, {"max_payload": 2 << 20}])
def test_a_limit_that_means_nothing_is_refused(limits: dict[str, Any]) -> None:
    """1 MiB is the most that any job may carry."""
    with pytest.raises(ConfigurationError, match="max_payload"):
        Gator("locmem://", **limits)


WRONG_ARGUMENTS: list[dict[str, Any]] = [
    *({"max_items": wrong} for wrong in (0, -1, True, "5", 1.5, None)),
    *({"max_payload": wrong} for wrong in (True, "5", 1.5, None)),
    *({"show_values": wrong} for wrong in ("no", 0, None)),
    *({"middleware": wrong} for wrong in (Middleware(), [Middleware], ["x"], "x", None, 3)),
    *({"clock": wrong} for wrong in (3, object(), SystemClock)),
    *({"namespace": wrong} for wrong in (3, " a", "a\n", b"a", "\ud800")),
    *({"backend": wrong} for wrong in (3, "locmem://", LocmemBackend, object())),
]


@pytest.mark.parametrize("wrong", WRONG_ARGUMENTS)
def test_an_argument_that_means_nothing_is_refused_by_name(wrong: dict[str, Any]) -> None:
    """At the `Gator(…)` line."""
    (name,) = wrong
    with pytest.raises(ConfigurationError, match=f"^{name} "):
        Gator(*([] if name == "backend" else ["locmem://"]), **wrong)


@pytest.mark.parametrize("dsn", [3, b"locmem://", " locmem://", "locmem://\n", "redis://[::1", "redis://[x]:1/0"])
def test_a_dsn_that_cannot_be_read_is_refused(dsn: Any) -> None:
    """Not by whatever Python raises there."""
    with pytest.raises(ConfigurationError, match="DSN"):
        Gator(dsn)


def test_a_call_of_the_gator_that_means_nothing_is_refused() -> None:
    """Ids are text, calls come in lists, a batch takes options."""
    gator: Any = Gator("locmem://")
    task = gator.register(add)
    for wrong in (3, None, b"id", "half\ud800"):
        for ask in (gator.get, gator.job):
            with pytest.raises(ConfigurationError, match="job_id"):
                ask(wrong)
    for wrong in (3, None, "ab", {"a": 1}):
        with pytest.raises(ConfigurationError, match=r"task_many takes calls.* Nothing was enqueued"):
            gator.task_many(task, wrong)
    with pytest.raises(ConfigurationError, match="batch"):
        gator.batch(3)
    with pytest.raises(RegistrationError, match="name 3 cannot"):
        gator.register(name=3)(add)


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("redis://u:p@h:6379/0", "redis://u:•••@h:6379/0"),
        ("redis://:p/a@ss?w#d@h:6379/0", "redis://:•••@h:6379/0"),
        ("redis://:12/34@h/0", "redis://:•••@h/0"),
        ("redis://u:p@[::1]:6379/0", "redis://u:•••@[::1]:6379/0"),
        ("redis://h/0?password=p/w@x&db=1", "redis://h/0?password=•••&db=1"),
        ("redis://h/0?db=1&client_secret=s#f", "redis://h/0?db=1&client_secret=•••#f"),
        ("redis://u@h:6379/0?timeout=5", "redis://u@h:6379/0?timeout=5"),
        ("redis://h:6379/0", "redis://h:6379/0"),
        ("sqlite:////tmp/a:b@c.db", "sqlite:////tmp/a:b@c.db"),
    ],
)
def test_passwords_are_not_shown(dsn: str, shown: str) -> None:
    """Whatever characters they have, and wherever they stand."""
    assert masked(dsn) == shown


@Gator("locmem://").register
def decorated(x: int) -> int:
    """A task."""
    return x


def test_a_gator_and_a_job_are_not_pickled() -> None:
    """They hold connections; the error says what to send instead. A task is pickled as a function is: by its name."""
    gator = Gator("locmem://")
    with pytest.raises(GatorError, match="import it where it is needed"):
        pickle.dumps(gator)
    with pytest.raises(GatorError, match=r"send job\.id"):
        pickle.dumps(gator.register(add).task(1, 2))
    assert pickle.loads(pickle.dumps(decorated)) is decorated
    assert copy.deepcopy([decorated]) == [decorated]


def test_a_gator_shows_what_it_is() -> None:
    """For logs and shells; a password in the DSN is not shown."""
    gator = Gator("locmem://")
    gator.register(add)
    assert repr(gator) == "<Gator locmem://, 1 tasks>"


def test_a_closed_gator_opens_again(tmp_path: Path) -> None:
    """`close()` lets go of connections; the jobs stay, and the next call connects again."""
    gator = Gator(f"sqlite:///{tmp_path / 'jobs.db'}")
    job = gator.register(add).task(1, 2)
    gator.close()
    gator.pop()
    gator.close()
    assert job.result() == 3
    gator.close()
