"""The gator of this project: what `TYPEDGATOR["GATOR"]` names, or one that the app makes of the settings alone."""

from importlib import import_module
from threading import Lock
from typing import Final

from django.core.signals import setting_changed

from typedgator.contrib.django.conf import SETTING, configured
from typedgator.contrib.django.gator import DjangoGator
from typedgator.errors import ConfigurationError

__all__ = ["DEFAULT_NAME", "current_gator", "named_gator"]

DEFAULT_NAME: Final = "gator"
_own: Final[dict[str, DjangoGator]] = {}
_making: Final = Lock()


def current_gator() -> DjangoGator:
    """The gator of this project. Raises ConfigurationError when the settings name none that is there."""
    spec = configured().gator
    if spec is not None:
        return named_gator(spec, f'{SETTING}["GATOR"]')
    with _making:
        return _own.get("") or _own.setdefault("", DjangoGator())


def named_gator(spec: str, said_by: str) -> DjangoGator:
    """The gator that "module:name" or "module" names. Raises ConfigurationError, saying who named it."""
    path, _, name = spec.partition(":")
    try:
        found: object = import_module(path)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{path}.".startswith(f"{error.name}."):
            raise
        raise ConfigurationError(f"{said_by} is {spec!r}, but there is no module {error.name}") from None
    for part in (name or DEFAULT_NAME).split("."):
        if not hasattr(found, part):
            raise ConfigurationError(
                f"{said_by} is {spec!r}, but {path} has no {name or DEFAULT_NAME}: write "
                "`gator = DjangoGator()` there, above what imports it"
            )
        found = getattr(found, part)
    if not isinstance(found, DjangoGator):
        raise ConfigurationError(
            f"{said_by} is {spec!r}, which is a {type(found).__name__}: write `gator = DjangoGator()`, "
            "from typedgator.contrib.django"
        )
    return found


def _forget(*, setting: str, **others: object) -> None:
    """Tests change settings."""
    if setting == SETTING:
        _own.clear()


setting_changed.connect(_forget)
