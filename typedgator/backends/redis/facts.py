"""What a server says of itself: INFO, and the settings that INFO does not tell, where CONFIG may be asked."""

from typing import Final, cast

import msgspec
from redis.exceptions import ResponseError

from typedgator.backends.redis.caller import Caller
from typedgator.errors import BackendUnavailable

__all__ = ["Facts", "facts_of"]

_SETTINGS: Final = (
    *("save", "appendfsync", "no-appendfsync-on-rewrite"),
    *("min-replicas-to-write", "min-replicas-max-lag"),
)


class Facts(msgspec.Struct, frozen=True):
    """`settings` is None where CONFIG is refused, as by managed servers and narrow ACLs."""

    info: dict[str, str]
    settings: dict[str, str] | None = None

    @property
    def has_aof(self) -> bool:
        """It keeps an append-only file."""
        return self.info.get("aof_enabled", "0") == "1"

    @property
    def takes_snapshots(self) -> bool | None:
        """It writes one now and then; None: it does not say."""
        return None if self.settings is None else bool(self.settings.get("save"))

    def number(self, name: str) -> int:
        """A field of INFO; 0 when it is not there."""
        return int(self.info.get(name, "0") or 0)

    def setting(self, name: str) -> str | None:
        """A setting, if it says."""
        return None if self.settings is None else self.settings.get(name)


def facts_of(caller: Caller, *sections: str) -> Facts:
    """Asks for these sections of INFO, and for what keeps jobs safe. Raises BackendUnavailable."""
    info: dict[str, str] = {}
    for section in sections:
        text = cast(bytes, caller.link.ask("INFO", section)).decode()
        info |= dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return Facts(info, _settings(caller))


def _settings(caller: Caller) -> dict[str, str] | None:
    try:
        pairs = cast("list[bytes]", caller.link.ask("CONFIG", "GET", *_SETTINGS))
    except BackendUnavailable as error:
        if isinstance(error.__cause__, ResponseError):
            return None
        raise
    words = [word.decode() for word in pairs]
    return dict(zip(words[::2], words[1::2], strict=True))
