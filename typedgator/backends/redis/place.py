"""Where the server is: the DSN, read by us, since what redis-py takes out of a URL itself wins over our settings."""

from typing import Final
from urllib.parse import unquote

import msgspec

from typedgator.backends.connect import Dsn, masked
from typedgator.errors import ConfigurationError

__all__ = ["Place", "place_of"]

_REFUSED: Final = {
    "decode_responses": "jobs are bytes and must stay bytes",
    "protocol": "typedgator speaks the protocol that its scripts were tested with",
}


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A server and how to reach it; times in seconds."""

    host: str = "localhost"
    port: int = 6379
    path: str | None = None
    db: int = 0
    username: str | None = None
    password: str | None = None
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
        return f"{'rediss' if self.tls else 'redis'}://{self.host}:{self.port}/{self.db}"


def place_of(dsn: Dsn) -> Place:
    """`redis://[user:password@]host:port/db`, `rediss://…`, `unix:///path?db=`. Raises ConfigurationError."""
    for option, why in _REFUSED.items():
        if option in dsn.options:
            raise ConfigurationError(f"DSN {masked(dsn.text)!r}: leave {option} out; {why}")
    url = dsn.url
    unix = dsn.scheme == "unix"
    try:
        port = url.port or 6379
        db = int(dsn.take("db", "0") if unix else (url.path.strip("/") or dsn.take("db", "0")))
        timeout_s = float(dsn.take("timeout", "5"))
        connect_timeout_s = float(dsn.take("connect_timeout", str(timeout_s)))
    except ValueError as error:
        raise ConfigurationError(f"DSN {masked(dsn.text)!r}: port, db and timeouts are numbers: {error}") from error
    if unix and not url.path.strip("/"):
        raise ConfigurationError(f"DSN {masked(dsn.text)!r} names no socket: unix:///run/redis.sock?db=0")
    if timeout_s <= 0 or connect_timeout_s <= 0 or db < 0:
        raise ConfigurationError(f"DSN {masked(dsn.text)!r}: timeouts are more than 0, db is 0 or more")
    replicated = dsn.choose("durability", ("memory", "replicated")) == "replicated"
    tls = dsn.scheme == "rediss"
    place = Place(
        host=url.hostname or "localhost",
        port=port,
        path=unquote(url.path) if unix else None,
        db=db,
        username=unquote(url.username) if url.username else None,
        password=unquote(url.password) if url.password else None,
        tls=tls,
        ca_certs=_file(dsn, "ssl_ca_certs") if tls else None,
        certfile=_file(dsn, "ssl_certfile") if tls else None,
        keyfile=_file(dsn, "ssl_keyfile") if tls else None,
        timeout_s=timeout_s,
        connect_timeout_s=connect_timeout_s,
        allow_eviction=dsn.choose("allow_eviction", ("0", "1")) == "1",
        replicated=replicated,
        replica_timeout_s=_replica_timeout_s(dsn, timeout_s) if replicated else 1.0,
    )
    dsn.done()
    return place


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
