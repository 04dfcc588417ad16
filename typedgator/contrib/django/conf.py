"""What `settings.TYPEDGATOR` says, read in one place: unknown keys and bad values have names and a way out.

DSN         where the jobs are kept; left out or None: TYPEDGATOR_CONN, and without that a file in the working folder
NAMESPACE   the tenant of that server or file
GATOR       "myapp.gator:gator", the DjangoGator that serves this project; left out: the app makes one itself
OPTIONS     defaults for every task, and the limits of Gator
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final, Literal, TypedDict, cast

import msgspec
from django.conf import settings

from typedgator.errors import ConfigurationError
from typedgator.gator import Gator
from typedgator.policy.retry import RetryPolicy

__all__ = ["SETTING", "Configured", "GatorOptions", "configured", "problems"]

SETTING: Final = "TYPEDGATOR"
_KEYS: Final = ("DSN", "NAMESPACE", "GATOR", "OPTIONS")


class GatorOptions(TypedDict, total=False):
    """What OPTIONS may hold: the keywords of Gator that are no code."""

    queue: str
    durability: Literal["memory", "replicated", "process", "power"]
    retries: int | RetryPolicy
    backoff: float | timedelta
    is_async: bool
    expires: float | timedelta | None
    priority: int
    keep_result: bool | timedelta | None
    headers: Mapping[str, str]
    max_items: int
    max_payload: int
    show_values: bool
    hold_for: float | timedelta


class Configured(msgspec.Struct, frozen=True):
    """The settings, checked."""

    dsn: str | None = None
    namespace: str | None = None
    gator: str | None = None
    options: GatorOptions = msgspec.field(default_factory=GatorOptions)


def configured() -> Configured:
    """The settings. Raises ConfigurationError with the first that is wrong."""
    found = problems()
    if found:
        raise ConfigurationError(found[0])
    said = cast("Mapping[str, object]", getattr(settings, SETTING, {}))
    return Configured(
        cast("str | None", said.get("DSN")),
        cast("str | None", said.get("NAMESPACE")),
        cast("str | None", said.get("GATOR")),
        cast("GatorOptions", dict(cast("Mapping[str, object]", said.get("OPTIONS") or {}))),
    )


def problems() -> list[str]:
    """What is wrong with the settings, each with its way out; nothing is connected."""
    said: object = getattr(settings, SETTING, {})
    if not isinstance(said, Mapping):
        return [f'{SETTING} must be a dict such as {{"DSN": "redis://localhost:6379/0"}}, got {said!r:.100}']
    found = _unknown(cast("Mapping[object, object]", said), _KEYS, SETTING)
    for key in ("DSN", "NAMESPACE", "GATOR"):
        value: object = cast("Mapping[str, object]", said).get(key)
        if value is not None and not (isinstance(value, str) and value):
            found.append(f'{SETTING}["{key}"] must be text, or be left out, got {value!r:.100}')
    spec: object = cast("Mapping[str, object]", said).get("GATOR")
    if isinstance(spec, str) and spec and not _is_spec(spec):
        found.append(f'{SETTING}["GATOR"] is {spec!r}: write "module:name", for example "myapp.gator:gator"')
    options: object = cast("Mapping[str, object]", said).get("OPTIONS", {})
    if not isinstance(options, Mapping):
        return [*found, f'{SETTING}["OPTIONS"] must be a dict of options, got {options!r:.100}']
    found += _unknown(
        cast("Mapping[object, object]", options), tuple(GatorOptions.__annotations__), f'{SETTING}["OPTIONS"]'
    )
    return found or _refused(cast("Mapping[str, object]", said))


def _unknown(said: Mapping[object, object], known: tuple[str, ...], where: str) -> list[str]:
    return [f"{where} has an unknown key {key!r}: the keys are {', '.join(known)}" for key in said if key not in known]


def _is_spec(spec: str) -> bool:
    module, colon, name = spec.partition(":")
    names = [*module.split("."), *(name.split(".") if colon else [])]
    return all(part.isidentifier() for part in names)


def _refused(said: Mapping[str, object]) -> list[str]:
    """What Gator itself says of the values."""
    options = cast("GatorOptions", dict(cast("Mapping[str, object]", said.get("OPTIONS") or {})))
    try:
        Gator(cast("str | None", said.get("DSN")), namespace=cast("str | None", said.get("NAMESPACE")), **options)
    except ConfigurationError as error:
        return [f"{SETTING}: {error}"]
    return []
