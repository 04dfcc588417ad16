"""The backend over Redis or Valkey: for many machines. Only here is redis-py known, and only once a DSN asks for it."""

from typedgator.backends.connect import Dsn
from typedgator.backends.redis.backend import RedisBackend
from typedgator.backends.redis.place import Place, place_of
from typedgator.clock import Clock

__all__ = ["Place", "RedisBackend", "from_dsn"]


def from_dsn(dsn: Dsn, clock: Clock) -> RedisBackend:
    """The backend of `redis://[user:password@]host:port/db`, `rediss://…` or `unix:///path?db=`; opens nothing yet.

    `?timeout=5` and `?connect_timeout=5` in seconds; `?allow_eviction=1` to insist on a server that may evict jobs;
    `rediss` takes `ssl_ca_certs`, `ssl_certfile` and `ssl_keyfile`, and always checks the host's name.
    """
    return RedisBackend(place_of(dsn), namespace=dsn.namespace, clock=clock)
