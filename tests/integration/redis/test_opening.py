"""What a DSN may say, and which servers are trusted with jobs."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from shutil import which
from threading import Barrier

import pytest

from tests.integration.redis.servers import Server, free_port, narrow, needs_redis, needs_tls
from typedgator import Gator, SyncTask
from typedgator.backends.connect import connect
from typedgator.backends.contract import Backend, Receipt, ReceiptStatus
from typedgator.backends.redis import Place, RedisBackend
from typedgator.backends.redis.opening import LAYOUT
from typedgator.backends.redis.straight import Line
from typedgator.errors import BackendUnavailable, ConfigurationError, NotReplicated
from typedgator.testing.contract import Hand, job
from typedgator.wire.states import JobState

pytestmark = needs_redis


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One server for all tests of this module."""
    with Server() as started:
        yield started


def opened(dsn: str) -> RedisBackend:
    """A backend by its DSN, open."""
    backend = connect(dsn)
    assert isinstance(backend, RedisBackend)
    backend.open()
    return backend


class TestDsn:
    """`redis://`, `rediss://`, `unix://`."""

    def test_tcp_and_unix_reach_the_same_jobs(self, server: Server) -> None:
        """One server by two roads: what comes by one is there by the other."""
        with closing(opened(server.dsn)) as tcp, closing(opened(server.unix_dsn)) as unix:
            tcp.enqueue([job(1)])

            assert unix.find(job(1).job_id) is not None

    def test_each_part_is_read(self) -> None:
        """User, password, host, port, database and timeouts; quoted characters are what they stand for."""
        backend = connect("redis://ann:p%40ss@db.example:7000/3?timeout=2&connect_timeout=1")

        assert isinstance(backend, RedisBackend)
        place = backend.place
        assert (place.username, place.password, place.host, place.port, place.db) == (
            *("ann", "p@ss", "db.example", 7000, 3),
        )
        assert (place.timeout_s, place.connect_timeout_s, place.tls) == (2.0, 1.0, False)

    @pytest.mark.parametrize("option", ["decode_responses=True", "protocol=3"])
    def test_what_would_change_the_answers_is_refused(self, option: str) -> None:
        """redis-py would obey these in a URL, whatever we say; so they are refused, with the reason."""
        with pytest.raises(ConfigurationError, match="out; "):
            connect(f"redis://localhost/0?{option}")

    @pytest.mark.parametrize(
        "dsn",
        [
            *("redis://localhost:x/0", "redis://localhost/jobs", "redis://localhost/0?timeout=soon"),
            *("redis://localhost/0?timeout=0", "unix://", "unix:///run/redis.sock?db=x", "redis://localhost/0?color=1"),
            *("redis://a..b/0", f"redis://{'a' * 64}/0", "redis://localhost:0/0"),
            "rediss://localhost/0?ssl_ca_certs=/nowhere/ca.pem",
        ],
    )
    def test_what_means_nothing_is_refused(self, dsn: str) -> None:
        """ConfigurationError, before any connection is tried."""
        with pytest.raises(ConfigurationError):
            connect(dsn)

    @pytest.mark.parametrize("user", ["ann", "ann:"])
    def test_a_user_without_a_password_is_that_user(self, user: str) -> None:
        """Threads and event loops alike: nobody works as `default` by accident."""

        async def whose(backend: RedisBackend) -> list[Receipt]:
            return await backend.aenqueue([job(1)])

        with Server() as server:
            server.ask("ACL", "SETUSER", "ann", "on", "nopass", "~*", "&*", "+@all")
            server.ask("ACL", "SETUSER", "default", "-@all", "+auth", "+select")
            with closing(opened(f"redis://{user}@127.0.0.1:{server.port}/0")) as backend:
                assert backend.link.ask("ACL", "WHOAMI") == b"ann"
                assert asyncio.run(whose(backend)) == [Receipt(ReceiptStatus.NEW, job(1).job_id)]

    @pytest.mark.parametrize("unblock", ["+client|unblock", "-client|unblock"])
    def test_few_rights_are_enough(self, unblock: str) -> None:
        """Those that the docs ask for; without CLIENT UNBLOCK what is due comes a moment later, and nothing fails."""
        with Server() as server:
            server.ask(*narrow("ann"), unblock)
            dsn = f"redis://ann:pw@127.0.0.1:{server.port}/0?durability=replicated&replica_timeout=0.01"
            with closing(opened(dsn)) as backend:
                hand = Hand(backend, ["all"], 60_000)
                with pytest.raises(NotReplicated):
                    backend.enqueue([job(1, delay_ms=400)])

                (claimed,) = hand.claim(wait_ms=5000)
                hand.succeed(claimed)

                record = backend.outcome(claimed.job_id, wait_ms=0)
                assert record is not None
                assert record.state is JobState.SUCCESS

    def test_a_password_is_never_shown(self) -> None:
        """Neither in an error nor in a repr."""
        backend = connect("redis://ann:secret@localhost:1/0?connect_timeout=1")

        with pytest.raises(BackendUnavailable) as caught:
            backend.open()

        assert "secret" not in f"{caught.value} {backend!r}"

    def test_tls_checks_the_name_of_the_host(self, server: Server) -> None:
        """A server without TLS is no `rediss://` server, and the certificate is always asked for."""
        with pytest.raises(BackendUnavailable):
            connect(f"rediss://127.0.0.1:{server.port}/0?timeout=1").open()


async def _at_once(task: SyncTask[[int], None]) -> None:
    await asyncio.gather(*(task.atask(number) for number in range(20)))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for `localhost`, and for no other name; its key beside it."""
    if which("openssl") is None:
        pytest.skip("openssl was not found")
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    paths = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([*command.split(), *paths], check=True, capture_output=True)
    return folder / "cert.pem"


@needs_tls
class TestTls:
    """`rediss://`."""

    def test_only_the_host_that_was_meant_is_trusted(self, certificate: Path) -> None:
        """The name in the DSN must be in the certificate, and its signer known; from threads and from event loops."""
        port = free_port()
        key = certificate.with_name("key.pem")
        files = ("--tls-cert-file", str(certificate), "--tls-key-file", str(key))
        trust = ("--tls-ca-cert-file", str(certificate), "--tls-auth-clients", "no")
        with Server(settings=("--tls-port", str(port), *files, *trust)):
            query = f"ssl_ca_certs={certificate}&timeout=3"
            with closing(opened(f"rediss://localhost:{port}/0?{query}")) as backend:
                assert backend.enqueue([job(1)])
                assert asyncio.run(_on_a_loop(backend)) is ReceiptStatus.DUPLICATE

            for dsn in (f"rediss://127.0.0.1:{port}/0?{query}", f"rediss://localhost:{port}/0?timeout=3"):
                with closing(connect(dsn)) as stranger, pytest.raises(BackendUnavailable, match="certificate"):
                    stranger.open()
                with closing(connect(dsn)) as stranger, pytest.raises(BackendUnavailable, match="certificate"):
                    asyncio.run(_on_a_loop(stranger))

    def test_calls_one_by_one_and_in_series_take_lines_that_know_of_tls(self, certificate: Path) -> None:
        """A press, a coroutine, many together and a series: none goes past TLS, whose socket keeps its own time; a
        server that is frozen is told within the timeout, and all goes on when it is not.
        """
        port = free_port()
        files = ("--tls-cert-file", str(certificate), "--tls-key-file", str(certificate.with_name("key.pem")))
        trust = ("--tls-ca-cert-file", str(certificate), "--tls-auth-clients", "no")
        with Server(settings=("--tls-port", str(port), *files, *trust)) as server, asyncio.Runner() as runner:
            gator = Gator(f"rediss://localhost:{port}/0?ssl_ca_certs={certificate}&timeout=1")

            def note(number: int) -> None: ...

            task = gator.register(name="note")(note)
            with closing(gator):
                task.task(1)
                runner.run(_at_once(task))
                assert len(gator.task_many(task, [(number,) for number in range(600)])) == 600
                assert type(gator.backend.link._asking()) is Line  # type: ignore[attr-defined]  # Redis
                server.pause()
                try:
                    with pytest.raises(BackendUnavailable, match=r"[Tt]ime"):
                        task.task(2)
                    with pytest.raises(BackendUnavailable, match="no answer within 1 s"):
                        runner.run(_at_once(task))
                finally:
                    server.resume()
                jobs = [task.task(3), *gator.task_many(task, [(number,) for number in range(600)])]
                runner.run(_at_once(task))

                assert {job.state() for job in jobs[::100]} == {JobState.WAITING}
                assert len(gator.queue()) >= 2 * (1 + 20 + 600)


async def _on_a_loop(backend: Backend) -> ReceiptStatus:
    assert isinstance(backend, RedisBackend)
    receipts = await backend.on_loops.aenqueue([job(1)])
    await backend.on_loops.aclose()
    return receipts[0].status


class TestTrust:
    """What `open` looks at."""

    @pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
    def test_a_server_that_evicts_is_refused(self, policy: str) -> None:
        """Any policy but noeviction may throw jobs away; `?allow_eviction=1` insists."""
        with Server(settings=("--maxmemory", "64mb", "--maxmemory-policy", policy)) as server:
            with pytest.raises(ConfigurationError, match=policy):
                opened(server.dsn)

            opened(f"{server.dsn}?allow_eviction=1").close()

    @pytest.mark.parametrize("how", ["one", "many", "in a coroutine"])
    def test_who_only_enqueues_is_refused_too(self, how: str) -> None:
        """A producer opens nothing by itself: its first call looks, and nothing is stored."""
        with (
            Server(settings=("--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru")) as server,
            closing(Gator(server.dsn)) as gator,
        ):

            @gator.register(name="note")
            def note(number: int) -> None: ...

            ways: dict[str, Callable[[], object]] = {
                "one": lambda: note.task(1),
                "many": lambda: gator.task_many(note, [(number,) for number in range(300)]),
                "in a coroutine": lambda: asyncio.run(_at_once(note)),
            }
            with pytest.raises(ConfigurationError, match="allkeys-lru"):
                ways[how]()

            assert server.ask("DBSIZE") == 0

    def test_missing_persistence_is_told_once(self, caplog: pytest.LogCaptureFixture) -> None:
        """A server without an append-only file loses what it accepted when it crashes: one warning for each server."""
        with Server() as server, caplog.at_level(logging.WARNING, "typedgator.redis"):
            opened(server.dsn).close()
            opened(server.dsn).close()

        assert [record.getMessage().count("append-only") for record in caplog.records] == [1]

    @pytest.mark.parametrize(
        ("appendfsync", "settings", "says"),
        [
            (None, (), "no append-only file, and no snapshots: everything is lost when it crashes. Set appendonly yes"),
            (None, ("--save", "3600 1"), "only snapshots: what was accepted since the last one is lost"),
            ("no", (), "usually the last 30 s, is lost when the machine crashes. Set appendfsync everysec or always"),
        ],
    )
    def test_what_is_lost_is_told_as_it_is(
        self, caplog: pytest.LogCaptureFixture, appendfsync: str | None, settings: tuple[str, ...], says: str
    ) -> None:
        """By which crash, how much, and what to set; and who says more."""
        caplog.set_level(logging.WARNING, "typedgator.redis")
        with Server(appendfsync=appendfsync, settings=settings) as server:
            opened(server.dsn).close()

        (record,) = caplog.records
        assert says in record.getMessage()
        assert "typedgator doctor" in record.getMessage()

    @pytest.mark.parametrize("appendfsync", ["everysec", "always"])
    def test_a_server_that_keeps_everything_is_no_news(
        self, caplog: pytest.LogCaptureFixture, appendfsync: str
    ) -> None:
        """With an append-only file that is flushed nothing is said."""
        with Server(appendfsync=appendfsync) as server, caplog.at_level(logging.WARNING, "typedgator.redis"):
            opened(server.dsn).close()

        assert caplog.records == []

    def test_an_older_layout_becomes_ours(self, server: Server) -> None:
        """So that a process of the older release, started later, leaves alone what it may not understand."""
        with closing(opened(f"{server.dsn}?namespace=older")) as backend:
            layout = backend.caller.keys.named("meta"), "layout"
            backend.link.ask("HSET", *layout, LAYOUT - 1)

            backend.open()

            assert backend.link.ask("HGET", *layout) == b"%d" % LAYOUT

    def test_a_newer_layout_is_refused(self, server: Server) -> None:
        """Jobs that a newer release stored in another layout are left alone."""
        with closing(opened(f"{server.dsn}?namespace=newer")) as backend:
            backend.link.ask("HSET", backend.caller.keys.named("meta"), "layout", 99)

            with pytest.raises(ConfigurationError, match="layout 99"):
                backend.open()

    def test_nobody_there_is_said_with_its_cause(self, tmp_path: Path) -> None:
        """BackendUnavailable, the driver's error chained."""
        with pytest.raises(BackendUnavailable) as caught:
            connect(f"unix://{tmp_path}/nobody.sock").open()

        assert caught.value.__cause__ is not None


def test_threads_that_come_at_once_share_what_is_made_once(server: Server) -> None:
    """The way to the server is made by the first verb: `close` hangs up for all who were there at that moment."""
    for number in range(20):
        backend = RedisBackend(Place(port=server.port), namespace=f"at-once-{number}")
        start = Barrier(4)

        def link(backend: RedisBackend = backend, start: Barrier = start) -> tuple[int, int]:
            start.wait(10)
            return id(backend.link), id(backend.on_loops)

        with closing(backend), ThreadPoolExecutor(4) as pool:
            found = {asked.result() for asked in [pool.submit(link) for _ in range(4)]}

            assert found == {(id(backend.link), id(backend.on_loops))}


def test_closing_what_was_never_used_does_nothing() -> None:
    """No server is needed for that."""
    backend = RedisBackend(Place(port=1))

    backend.close()
    backend.close()


AT_ONCE = """
import asyncio, sys, threading, typedgator
gator = typedgator.Gator(sys.argv[1])
other = typedgator.Gator(sys.argv[1], namespace="other")
@gator.register(name="task")
def task(number: int) -> None: ...
start, failed = threading.Barrier(6), []
def use(first):
    start.wait()
    try:
        first()
    except BaseException as error:
        failed.append(repr(error))
firsts = [gator.backend.open, gator.counts, gator.backend.examine, other.counts,
          lambda: asyncio.run(task.atask(1)), lambda: gator.task_many(task, [(1,)])]
threads = [threading.Thread(target=use, args=(first,)) for first in firsts]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(failed)
"""


@pytest.mark.parametrize("_", range(3))
def test_threads_may_load_the_driver_at_once(server: Server, _: int) -> None:
    """Whatever the first verbs of a process are, and however many threads use one in the same moment: all go well."""
    done = subprocess.run([sys.executable, "-c", AT_ONCE, server.dsn], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
