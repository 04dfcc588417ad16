"""From a DSN to a Backend: the only place that knows which schemes exist.

A driver is imported when its scheme is first used.
"""

import re
from collections.abc import Callable
from importlib import import_module
from typing import Final, Protocol, cast
from urllib.parse import SplitResult, parse_qsl, urlsplit

from typedgator.backends.contract import Backend
from typedgator.clock import Clock, SystemClock
from typedgator.errors import ConfigurationError

__all__ = ["ENTRY_POINT_GROUP", "Dsn", "connect", "masked"]

ENTRY_POINT_GROUP: Final = "typedgator.backends"
"""Third parties add a scheme by an entry point of this group: its name is the scheme, its value an `Opener`."""

_BUILT_IN: Final = {
    "locmem": "typedgator.backends.locmem",
    "redis": "typedgator.backends.redis",
    "redis+cluster": "typedgator.backends.redis",
    "redis+sentinel": "typedgator.backends.redis",
    "rediss": "typedgator.backends.redis",
    "rediss+cluster": "typedgator.backends.redis",
    "rediss+sentinel": "typedgator.backends.redis",
    "sqlite": "typedgator.backends.sqlite",
    "sqs": "typedgator.backends.sqs",
    "unix": "typedgator.backends.redis",
}
"""Scheme -> a module with a function `from_dsn(dsn: Dsn, clock: Clock) -> Backend`."""

_NAMESPACE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


_SECRET: Final = re.compile(r"(?i)([?&][^=&]*(?:pass|secret|token|credential|auth)[^=&]*=)[^&#]*")


class Opener(Protocol):
    """Makes a backend; opens nothing yet."""

    def __call__(self, dsn: "Dsn", clock: Clock, /) -> Backend: ...


class Dsn:
    """A parsed DSN: `scheme://…`, its query as `options`, and the namespace, which `?namespace=` overrides.

    `durability` is as if the DSN said `?durability=`.

    `take` hands out one option and strikes it off; `done` refuses what nobody took.
    """

    def __init__(self, text: str, namespace: str = "default", durability: str | None = None) -> None:
        self.text = text
        try:
            self.url: SplitResult = urlsplit(text)
        except ValueError:  # its text may show the password
            raise ConfigurationError(
                f"DSN {masked(text)!r} cannot be read: look at its host, and at the brackets of an IPv6 address"
            ) from None
        self.scheme: str = self.url.scheme.lower()
        try:
            pairs = parse_qsl(self.url.query, keep_blank_values=True, strict_parsing=bool(self.url.query))
        except ValueError as error:
            raise ConfigurationError(f"DSN {masked(text)!r}: the part after '?' is not key=value: {error}") from error
        self.options: dict[str, str] = dict(pairs)
        if len(self.options) != len(pairs):
            raise ConfigurationError(f"DSN {masked(text)!r} gives an option twice")
        if durability is not None and self.options.setdefault("durability", durability) != durability:
            raise ConfigurationError(
                f"DSN {masked(text)!r} says otherwise than durability={durability!r}: say it in one place"
            )
        self.namespace: str = self.options.pop("namespace", namespace)
        if not _NAMESPACE.fullmatch(self.namespace):
            raise ConfigurationError(f"namespace {self.namespace!r}: use 1 to 64 of the characters A-Z a-z 0-9 _ . -")

    def take(self, option: str, default: str) -> str:
        """The value of `?option=`, or `default`."""
        return self.options.pop(option, default)

    def choose(self, option: str, choices: tuple[str, ...]) -> str:
        """The value of `?option=`, one of `choices`; the first when not given."""
        value = self.take(option, choices[0])
        if value not in choices:
            raise ConfigurationError(f"DSN {masked(self.text)!r}: {option}={value!r} is none of {', '.join(choices)}")
        return value

    def done(self) -> None:
        """Raises ConfigurationError when the DSN has an option that nobody took."""
        if self.options:
            raise ConfigurationError(f"DSN {masked(self.text)!r}: unknown option {', '.join(sorted(self.options))}")


def masked(dsn: str) -> str:
    """A DSN that may be shown: its passwords are replaced by dots, also one with `/`, `?` or `@` left unquoted."""
    shown = re.sub(r"(?<=://)([^/?#@:]*:).*(?=@)", r"\1•••", dsn, flags=re.DOTALL)
    return re.sub(_SECRET, r"\1•••", shown)


def connect(
    dsn: str, *, namespace: str = "default", durability: str | None = None, clock: Clock | None = None
) -> Backend:
    """The backend that a DSN names; nothing is opened yet. Raises ConfigurationError, naming the schemes that exist."""
    parsed = Dsn(dsn, namespace, durability)
    if module := _BUILT_IN.get(parsed.scheme):
        opener = cast(Opener, import_module(module).from_dsn)
    elif load := _third_party().get(parsed.scheme):
        opener = cast(Opener, load())
    else:
        known = ", ".join(f"{scheme}://" for scheme in sorted({*_BUILT_IN, *_third_party()}))
        raise ConfigurationError(f"DSN {masked(dsn)!r} names no backend; the schemes here are {known}")
    return opener(parsed, clock or SystemClock())


def _third_party() -> dict[str, Callable[[], object]]:
    from importlib.metadata import entry_points  # costs a tenth of the whole import, and is rarely needed

    return {point.name: point.load for point in entry_points(group=ENTRY_POINT_GROUP)}
