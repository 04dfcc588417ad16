"""Makes a connection of redis-py to an address, in the way that the DSN asks for: socket, TCP or TLS, with or without
a password."""

from typing import TypedDict

from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection

from typedgator.backends.redis.place import Address, Place

__all__ = ["dial"]


class _Common(TypedDict):
    db: int
    username: str | None
    password: str | None
    socket_timeout: float
    socket_connect_timeout: float
    protocol: int


def dial(place: Place, address: Address, *, timeout_s: float, of_sentinel: bool = False) -> Connection:
    """Not yet connected. Sentinels have passwords of their own, and no databases."""
    common: _Common = {
        "db": 0 if of_sentinel else place.db,
        "username": place.sentinel_username if of_sentinel else place.username,
        "password": place.sentinel_password if of_sentinel else place.password,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": place.connect_timeout_s,
        "protocol": 2,
    }
    if address.path is not None:
        return UnixDomainSocketConnection(path=address.path, **common)
    if not place.tls:
        return Connection(host=address.host, port=address.port, socket_keepalive=True, **common)
    return SSLConnection(
        host=address.host,
        port=address.port,
        socket_keepalive=True,
        ssl_cert_reqs="required",
        ssl_check_hostname=True,
        ssl_ca_certs=place.ca_certs,
        ssl_certfile=place.certfile,
        ssl_keyfile=place.keyfile,
        **common,
    )
