"""Where the server is: the DSN, read by us, since what redis-py takes out of a URL itself wins over our settings."""

import re
from typing import Final
from urllib.parse import unquote

import msgspec

from typedgator.backends.connect import Dsn, masked
from typedgator.errors import ConfigurationError

__all__ = ["Address", "Place", "place_of"]

_NODE: Final = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.%]+)\]|(?P<host>[^\[\]:/\s]+))(?::(?P<port>\d{1,5}))?")
_REFUSED: Final = {
    "decode_responses": "jobs are bytes and must stay bytes",
    "protocol": "typedgator speaks the protocol that its scripts were tested with",
}


class Address(msgspec.Struct, frozen=True):
    """Of one server: a host and a port, or the path of a socket."""

    host: str
    port: int
    path: str | None = None

    def __str__(self) -> str:
        """As in a DSN."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.path or f"{host}:{self.port}"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A server, sentinels and their service, or a cluster, and how to reach them; times in seconds."""

    host: str = "localhost"
    port: int = 6379
    path: str | None = None
    nodes: tuple[Address, ...] = ()
    """Instead of a host: sentinels, or some nodes of a cluster."""
    service: str | None = None
    """As the sentinels call it."""
    cluster: bool = False
    db: int = 0
    username: str | None = None
    password: str | None = None
    sentinel_username: str | None = None
    sentinel_password: str | None = None
    tls: bool = False
    ca_certs: str | None = None
    certfile: str | None = None
    keyfile: str | None = None
    timeout_s: float = 5.0
    connect_timeout_s: float = 5.0
    allow_eviction: bool = False
    replicated: bool = False
    """A write is answered for once a replica has it, too."""
    replica_timeout_s: float = 1.0

    def __str__(self) -> str:
        """As it may be shown."""
        if self.path is not None:
            return f"unix://{self.path}?db={self.db}"
        scheme, nodes = "rediss" if self.tls else "redis", ",".join(map(str, self.nodes))
        if self.service is not None:
            return f"{scheme}+sentinel://{nodes}/{self.service}/{self.db}"
        if self.cluster:
            return f"{scheme}+cluster://{nodes}"
        return f"{scheme}://{Address(self.host, self.port)}/{self.db}"


def place_of(dsn: Dsn) -> Place:
    """`redis://[user:password@]host:port/db`, `rediss://…`, `unix:///path?db=`, `redis+sentinel://host:port,…/service/db`,
    `redis+cluster://host:port,…`. Raises ConfigurationError."""
    for option, why in _REFUSED.items():
        if option in dsn.options:
            raise ConfigurationError(f"DSN {masked(dsn.text)!r}: leave {option} out; {why}")
    url = dsn.url
    scheme, _, kind = dsn.scheme.partition("+")
    tls = scheme == "rediss"
    where = _ONE_OR_MANY.get(kind, _one)(dsn)
    timeout_s = _seconds(dsn, "timeout", 5)
    replicated = dsn.choose("durability", ("memory", "replicated")) == "replicated"
    place = msgspec.structs.replace(
        where,
        username=unquote(url.username) if url.username else None,
        password=unquote(url.password) if url.password else None,
        tls=tls,
        ca_certs=_file(dsn, "ssl_ca_certs") if tls else None,
        certfile=_file(dsn, "ssl_certfile") if tls else None,
        keyfile=_file(dsn, "ssl_keyfile") if tls else None,
        timeout_s=timeout_s,
        # Where another server can step in, a host that is gone without a word must not use up the time to find it.
        connect_timeout_s=_seconds(dsn, "connect_timeout", min(timeout_s, 1) if kind else timeout_s),
        allow_eviction=dsn.choose("allow_eviction", ("0", "1")) == "1",
        replicated=replicated,
        replica_timeout_s=_replica_timeout_s(dsn, timeout_s) if replicated else 1.0,
    )
    dsn.done()
    return place


def _one(dsn: Dsn) -> Place:
    """One server, by TCP or by a socket."""
    url, shown = dsn.url, masked(dsn.text)
    if "," in url.netloc.rpartition("@")[2]:
        raise ConfigurationError(
            f"DSN {shown!r} names several hosts: write redis+sentinel://host:port,host:port/service/db for sentinels, "
            "redis+cluster://host:port,host:port for a cluster"
        )
    if dsn.scheme == "unix":
        if not url.path.strip("/"):
            raise ConfigurationError(f"DSN {shown!r} names no socket: unix:///run/redis.sock?db=0")
        return Place(path=unquote(url.path), db=_database(dsn, dsn.take("db", "0")))
    try:
        port = 6379 if url.port is None else url.port
    except ValueError as error:
        raise ConfigurationError(f"DSN {shown!r}: the port is a number up to 65535: {error}") from error
    if not port:
        raise ConfigurationError(f"DSN {shown!r}: nothing listens on port 0")
    return Place(
        host=_host(dsn, url.hostname or "localhost"),
        port=port,
        db=_database(dsn, url.path.strip("/") or dsn.take("db", "0")),
    )


def _sentinels(dsn: Dsn) -> Place:
    """`host:port,host:port/service/db`."""
    service, _, db = dsn.url.path.strip("/").partition("/")
    if not service:
        raise ConfigurationError(
            f"DSN {masked(dsn.text)!r} names no service: write what the sentinels call it after the hosts, "
            f"{dsn.scheme}://host:26379,host:26379/service/0"
        )
    return Place(
        nodes=_nodes(dsn, 26379),
        service=unquote(service),
        db=_database(dsn, db or dsn.take("db", "0")),
        sentinel_username=dsn.take("sentinel_username", "") or None,
        sentinel_password=dsn.take("sentinel_password", "") or None,
    )


def _cluster(dsn: Dsn) -> Place:
    """`host:port,host:port`."""
    if db := _database(dsn, dsn.url.path.strip("/") or dsn.take("db", "0")):
        raise ConfigurationError(
            f"DSN {masked(dsn.text)!r} asks for database {db}, and a cluster has 0 only: leave it out, and keep "
            "tenants apart by ?namespace="
        )
    return Place(nodes=_nodes(dsn, 6379), cluster=True)


_ONE_OR_MANY: Final = {"sentinel": _sentinels, "cluster": _cluster}


def _nodes(dsn: Dsn, default_port: int) -> tuple[Address, ...]:
    found: list[Address] = []
    for node in dsn.url.netloc.rpartition("@")[2].split(","):
        parts = _NODE.fullmatch(node)
        port = int(parts["port"] or default_port) if parts else 0
        if parts is None or not 0 < port < 65536:
            raise ConfigurationError(
                f"DSN {masked(dsn.text)!r}: {node!r} is no host:port; write {dsn.scheme}://host:{default_port},…, "
                "an IPv6 address in brackets"
            )
        found.append(Address(parts["ipv6"] or _host(dsn, parts["host"]), port))
    return tuple(dict.fromkeys(found))


def _host(dsn: Dsn, name: str) -> str:
    try:
        name.encode("idna")  # as whoever looks it up will do
    except UnicodeError as error:
        raise ConfigurationError(f"DSN {masked(dsn.text)!r}: {name!r} cannot be a host's name: {error}") from error
    return name


def _database(dsn: Dsn, said: str) -> int:
    if not said.isascii() or not said.isdecimal():
        raise ConfigurationError(f"DSN {masked(dsn.text)!r}: database {said!r} is no number, 0 or more")
    return int(said)


def _seconds(dsn: Dsn, option: str, default: float) -> float:
    said = dsn.take(option, str(default))
    try:
        seconds = float(said)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ConfigurationError(f"DSN {masked(dsn.text)!r}: {option}={said!r} must be seconds, more than 0")
    return seconds


def _replica_timeout_s(dsn: Dsn, timeout_s: float) -> float:
    """How long a replica may take, within what the server may take."""
    said = dsn.take("replica_timeout", f"{min(1.0, timeout_s / 2):g}")
    try:
        seconds = float(said)
    except ValueError:
        seconds = 0.0
    if not 0.001 <= seconds < timeout_s:
        raise ConfigurationError(
            f"DSN {masked(dsn.text)!r}: replica_timeout={said!r} must be seconds, from 0.001 to less than "
            f"timeout={timeout_s:g}"
        )
    return seconds


def _file(dsn: Dsn, option: str) -> str | None:
    path = dsn.take(option, "")
    if not path:
        return None
    try:
        with open(path, "rb"):
            return path
    except OSError as error:
        raise ConfigurationError(f"DSN {masked(dsn.text)!r}: {option} cannot be read: {error}") from error
