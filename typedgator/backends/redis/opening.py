"""What `open` asks of a server before it trusts it with jobs: layout, eviction, persistence."""

import logging
from typing import Final, cast

from typedgator.backends.redis.caller import Caller
from typedgator.errors import ConfigurationError

__all__ = ["LAYOUT", "check"]

logger: Final = logging.getLogger("typedgator.redis")

LAYOUT: Final = 1
"""The layout of the keys; a release refuses one that is newer than its own."""
_warned: set[str] = set()


def check(caller: Caller) -> None:
    """Raises ConfigurationError when this server cannot be trusted; warns once when it keeps nothing."""
    place = caller.link.place
    facts = _facts(caller)
    policy = facts.get("maxmemory_policy", "noeviction")
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
    if facts.get("aof_enabled", "1") == "0" and str(place) not in _warned:
        _warned.add(str(place))
        logger.warning(
            "%s has no append-only file: what was accepted since its last snapshot is lost when it crashes. "
            "Set appendonly yes",
            place,
        )


def _facts(caller: Caller) -> dict[str, str]:
    facts: dict[str, str] = {}
    for section in ("memory", "persistence"):
        text = cast(bytes, caller.link.ask("INFO", section)).decode()
        facts |= dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return facts
