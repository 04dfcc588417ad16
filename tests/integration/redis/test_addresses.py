"""What a DSN of sentinels or of a cluster may say, and what is said of one that leads nowhere."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import closing
from shutil import which

import pytest

from tests.integration.redis.servers import (
    EXECUTABLE,
    Cluster,
    Sentinels,
    Server,
    free_port,
    needs_redis,
    needs_tls,
    until,
)
from typedgator.backends.connect import connect
from typedgator.backends.contract import ReceiptStatus
from typedgator.backends.redis import Place, RedisBackend
from typedgator.errors import BackendUnavailable, ConfigurationError
from typedgator.testing.contract import job


def place(dsn: str) -> Place:
    """As it was read."""
    backend = connect(dsn)
    assert isinstance(backend, RedisBackend)
    return backend.place


class TestSentinels:
    """`redis+sentinel://`."""

    def test_each_part_is_read(self) -> None:
        """All hosts, the service, the database; passwords of the servers and of the sentinels; ports have a default."""
        found = place(
            "redis+sentinel://ann:p%40ss@a.example:7000,[::1]:7001,b.example/my%20jobs/3"
            "?sentinel_username=bob&sentinel_password=s%26t&timeout=4"
        )

        assert list(map(str, found.nodes)) == ["a.example:7000", "[::1]:7001", "b.example:26379"]
        assert (found.service, found.db, found.username, found.password) == ("my jobs", 3, "ann", "p@ss")
        assert (found.sentinel_username, found.sentinel_password) == ("bob", "s&t")
        assert (found.timeout_s, found.connect_timeout_s, found.tls) == (4.0, 1.0, False)

    @pytest.mark.parametrize(
        ("dsn", "said"),
        [
            ("redis+sentinel://a:1,b:2", "names no service"),
            ("redis+sentinel://a:1,b:2/?timeout=3", "names no service"),
            ("redis+sentinel://a:1,,b:2/jobs", "'' is no host:port"),
            ("redis+sentinel://a:x/jobs", "'a:x' is no host:port"),
            ("redis+sentinel://a:70000/jobs", "'a:70000' is no host:port"),
            ("redis+sentinel://a..b:1/jobs", "'a..b' cannot be a host's name"),
            ("redis+sentinel://::1/jobs", "'::1' is no host:port"),
            ("redis+sentinel://a/jobs/x", "database 'x' is no number"),
            ("redis+sentinel://a/jobs/0?protocol=3", "leave protocol out"),
            ("redis+sentinel://a/jobs/0?decode_responses=1", "leave decode_responses out"),
            ("redis+sentinel://a/jobs/0?sentinel_pass=1", "unknown option sentinel_pass"),
        ],
    )
    def test_what_means_nothing_is_refused(self, dsn: str, said: str) -> None:
        """With what is wrong, before anybody is asked."""
        with pytest.raises(ConfigurationError, match=said):
            connect(dsn)

    def test_no_password_is_shown(self) -> None:
        """Neither that of the servers nor that of the sentinels."""
        dsn = f"redis+sentinel://ann:secret@127.0.0.1:{free_port()}/jobs?sentinel_password=hidden&timeout=0.1"
        with closing(connect(dsn)) as backend, pytest.raises(BackendUnavailable) as caught:
            backend.open()

        shown = f"{caught.value} {backend!r}"
        assert "secret" not in shown
        assert "hidden" not in shown
        assert "redis+sentinel://127.0.0.1" in shown


class TestCluster:
    """`redis+cluster://`."""

    def test_each_part_is_read(self) -> None:
        """All hosts and the password; database 0 may be said."""
        found = place("rediss+cluster://:secret@a.example:7000,b.example/0?connect_timeout=2")

        assert list(map(str, found.nodes)) == ["a.example:7000", "b.example:6379"]
        assert (found.cluster, found.password, found.tls, found.connect_timeout_s) == (True, "secret", True, 2.0)

    @pytest.mark.parametrize(
        ("dsn", "said"),
        [
            ("redis+cluster://a:1/2", "a cluster has 0 only"),
            ("redis+cluster://a:1?db=2", "a cluster has 0 only"),
            ("redis+cluster://a:1/jobs", "database 'jobs' is no number"),
            ("redis+cluster://", "'' is no host:port"),
            ("redis+cluster://a:1?sentinel_password=x", "unknown option sentinel_password"),
            ("redis://a:1,b:2/0", "redis[+]cluster://"),
        ],
    )
    def test_what_means_nothing_is_refused(self, dsn: str, said: str) -> None:
        """With what is wrong and the way out."""
        with pytest.raises(ConfigurationError, match=said):
            connect(dsn)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One that is neither a sentinel nor of a cluster."""
    with Server() as started:
        yield started


def refused(dsn: str, said: str) -> None:
    """So `open` ends, and a caller on an event loop."""
    with closing(connect(dsn)) as backend:
        assert isinstance(backend, RedisBackend)
        with pytest.raises(BackendUnavailable, match=said):
            backend.open()
        with pytest.raises(BackendUnavailable, match=said):
            asyncio.run(backend.aenqueue([job(1)]))


@needs_redis
class TestWrongServers:
    """What stands at the other end is not what the DSN says: told at once, not after the time for a failover."""

    def test_no_cluster(self, server: Server) -> None:
        """A server alone."""
        refused(f"redis+cluster://127.0.0.1:{server.port}?timeout=600", "cluster support disabled; write redis://")

    def test_no_sentinel(self, server: Server) -> None:
        """A server alone."""
        refused(f"redis+sentinel://127.0.0.1:{server.port}/jobs?timeout=600", "unknown command")

    def test_no_such_service(self) -> None:
        """Sentinels that watch something else; and one who asks a sentinel for jobs."""
        with Sentinels(down_after_ms=30_000) as sentinels:
            refused(f"redis+sentinel://{sentinels.addresses}/others?timeout=600", "(watches no service 'others'.*){3}")
            refused(f"redis://127.0.0.1:{sentinels.sentinels[0].port}/0", r"sentinel.*write redis\+sentinel://")

    def test_a_node_of_a_cluster_alone(self) -> None:
        """`redis://` to a node that has other slots says which scheme finds the right one."""
        with Cluster(node_timeout_ms=15_000) as cluster:
            slot = cluster.slot("default")
            other = next(server for server in cluster.servers if server is not cluster.owner(slot))

            refused(other.dsn, r"write redis\+cluster://")

    def test_wrong_passwords(self) -> None:
        """Of the sentinels, of the servers; right ones open both, for threads and for event loops."""
        with Sentinels(down_after_ms=30_000, password="one", sentinel_password="two") as sentinels:
            rest = f"{sentinels.addresses}/{sentinels.SERVICE}"
            refused(f"redis+sentinel://:one@{rest}?timeout=600", "Authentication required")
            for wrong in ("", ":two@"):
                refused(f"redis+sentinel://{wrong}{rest}?sentinel_password=two&timeout=600", "(?i)auth|password")

            works(f"redis+sentinel://:one@{rest}?sentinel_password=two")

    def test_a_cluster_with_a_password(self) -> None:
        """Nodes are asked with it, too."""
        with Cluster(node_timeout_ms=15_000, password="one") as cluster:
            refused(f"{cluster.dsn}?timeout=600", "Authentication required")

            works(f"redis+cluster://:one@{cluster.addresses}")


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings of a server whose certificate is for 127.0.0.1 and no other name."""
    if which("openssl") is None:
        pytest.skip("openssl was not found")
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "cert.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=here -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*command.split(), "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    return {
        "tls-cert-file": str(certificate),
        "tls-key-file": str(key),
        "tls-ca-cert-file": str(certificate),
        "tls-auth-clients": "no",
        "tls-replication": "yes",
    }


@needs_tls
class TestTls:
    """`rediss+sentinel://`, `rediss+cluster://`."""

    def test_sentinels_and_servers_are_checked(self, tls: dict[str, str]) -> None:
        """Both must be named as in their certificates; from threads and from event loops."""
        ports = free_port(), free_port()
        settings = [word for name, value in tls.items() for word in (f"--{name}", value)]
        with Server(settings=("--tls-port", str(ports[0]), *settings)), Server() as sentinel:
            written = sentinel.folder / "sentinel.conf"
            lines = (f"port {sentinel.port}", f"tls-port {ports[1]}", *(f"{name} {tls[name]}" for name in tls))
            written.write_text("\n".join((*lines, f"sentinel monitor jobs 127.0.0.1 {ports[0]} 1")) + "\n")
            sentinel.kill()
            sentinel.become((EXECUTABLE, str(written), "--sentinel", "--bind", "127.0.0.1"))
            sentinel.start()
            query = f"jobs?ssl_ca_certs={tls['tls-ca-cert-file']}"

            works(f"rediss+sentinel://127.0.0.1:{ports[1]}/{query}&timeout=3")
            refused(f"rediss+sentinel://localhost:{ports[1]}/{query}&timeout=1", "certificate")

    def test_nodes_are_checked(self, tls: dict[str, str]) -> None:
        """A node that does not know its own address is where it was asked."""
        port = free_port()
        settings = [word for name, value in tls.items() for word in (f"--{name}", value)]
        cluster = ("--cluster-enabled", "yes", "--tls-cluster", "yes", "--cluster-port", str(free_port()))
        with Server(settings=("--tls-port", str(port), *settings, *cluster)) as server:
            server.ask("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            until(lambda: b"cluster_state:ok" in server.ask("CLUSTER", "INFO"), "the cluster is not well")  # type: ignore[operator]  # bytes
            query = f"?ssl_ca_certs={tls['tls-ca-cert-file']}"

            works(f"rediss+cluster://127.0.0.1:{port}{query}&timeout=3")
            refused(f"rediss+cluster://localhost:{port}{query}&timeout=1", "certificate")


def works(dsn: str) -> None:
    """A job is accepted, and known from the other face."""
    with closing(connect(dsn)) as backend:
        assert isinstance(backend, RedisBackend)
        backend.open()
        assert backend.enqueue([job(1)])[0].status is ReceiptStatus.NEW
        assert asyncio.run(backend.aenqueue([job(1)]))[0].status is ReceiptStatus.DUPLICATE
