"""What `open` asks of a server before it trusts it with jobs: layout, eviction, persistence."""

import logging
from typing import Final, cast

from typedgator.backends.redis.caller import Caller
from typedgator.backends.redis.facts import Facts, facts_of
from typedgator.errors import ConfigurationError

__all__ = ["LAYOUT", "check"]

logger: Final = logging.getLogger("typedgator.redis")

LAYOUT: Final = 1
"""The layout of the keys; a release refuses one that is newer than its own."""
_warned: set[str] = set()


def check(caller: Caller) -> None:
    """Raises ConfigurationError when this server cannot be trusted; warns once of what it does not keep."""
    place = caller.link.place
    facts = facts_of(caller, "memory", "persistence")
    policy = facts.info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction" and not place.allow_eviction:
        raise ConfigurationError(
            f"{place} has maxmemory-policy {policy}: under memory pressure it would throw away jobs. "
            "Set it to noeviction, or add ?allow_eviction=1 to insist"
        )
    layout = int(cast(bytes, caller.run("open", (), (LAYOUT,))))
    if layout > LAYOUT:
        raise ConfigurationError(
            f"{place}: the jobs in namespace {caller.keys.prefix!r} were stored by a newer release (layout {layout}, "
            f"known here up to {LAYOUT}): upgrade typedgator"
        )
    caller.trusted = True
    warning = _warning(facts)
    if warning and str(place) not in _warned:
        _warned.add(str(place))
        logger.warning("%s %s; `typedgator doctor` says more", place, warning)


def _warning(facts: Facts) -> str:
    """What is less than an append-only file that is flushed each second."""
    if facts.has_aof:
        if facts.setting("appendfsync") != "no":
            return ""
        return (
            "has appendfsync no: what its system has not flushed yet, usually the last 30 s, is lost when the machine "
            "crashes. Set appendfsync everysec or always"
        )
    kept = {
        True: "only snapshots: what was accepted since the last one is lost when it crashes",
        False: "and no snapshots: everything is lost when it crashes",
        None: "so what was accepted since its last snapshot, if it takes any, is lost when it crashes",
    }[facts.takes_snapshots]
    return f"has no append-only file, {kept}. Set appendonly yes"
