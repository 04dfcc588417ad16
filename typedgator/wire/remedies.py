"""What to send instead of a value that was refused: a few words that follow the rule it broke, `pass int(user_id)`.

Where values are hidden, what is said depends on types alone. Nothing of the user's is called: a class is looked at, a
value is not asked.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from difflib import get_close_matches
from enum import Enum
from pathlib import PurePath
from typing import Final, TypeAlias
from uuid import UUID

from typedgator.wire.terms import ArrayOf, DictOf, EnumOf, LiteralOf, Record, Scalar, Term

__all__ = ["meant", "remedy"]

_Way: TypeAlias = tuple[type | tuple[type, ...], str, re.Pattern[str] | None]
"""Of a value of this type: what makes the wanted one of it, and how its text must look."""

_INTEGER: Final = re.compile(r"\s*[+-]?\d{1,18}\s*")
_NUMBER: Final = re.compile(r"\s*[+-]?\d{1,30}(\.\d{1,30})?\s*")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_DATETIME: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*")
_TIME: Final = re.compile(r"\d\d:\d\d.*")
_UUID: Final = re.compile(r"\{?[0-9a-fA-F-]{32,36}\}?")

# The first that fits speaks: bool before int, datetime before date, Enum before str.
_WAYS: Final[dict[type, tuple[_Way, ...]]] = {
    bool: ((int, "pass bool({})", None),),
    int: (
        (bool, "pass int({})", None),
        (Enum, "pass {}.value", None),
        (str, "pass int({})", _INTEGER),
        ((float, Decimal), "round it: round({})", None),
    ),
    float: ((bool, "pass float({})", None), (Decimal, "pass float({})", None), (str, "pass float({})", _NUMBER)),
    Decimal: (
        (str, "pass Decimal({})", _NUMBER),
        (int, "pass Decimal({})", None),
        (float, "pass Decimal(str({}))", None),
    ),
    str: (
        (Enum, "pass {}.value", None),
        ((bytes, bytearray), "pass {}.decode()", None),
        ((datetime, date, time), "pass {}.isoformat()", None),
        ((PurePath, UUID, int, float, Decimal), "pass str({})", None),
    ),
    bytes: ((str, "pass {}.encode()", None), ((bytearray, memoryview), "pass bytes({})", None)),
    datetime: (
        (date, "pass datetime.combine({}, time())", None),
        (str, "pass datetime.fromisoformat({})", _DATETIME),
        ((int, float), "pass datetime.fromtimestamp({}, UTC)", None),
    ),
    date: ((datetime, "pass {}.date()", None), (str, "pass date.fromisoformat({})", _DATE)),
    time: ((datetime, "pass {}.time()", None), (str, "pass time.fromisoformat({})", _TIME)),
    timedelta: (((int, float), "pass timedelta(seconds={})", None),),
    UUID: ((str, "pass UUID({})", _UUID), (bytes, "pass UUID(bytes={})", None)),
}


def remedy(wanted: Term | None, path: str, value: object, shows: bool) -> str:
    """What to pass where `wanted` was and this value came; "" where the rule says enough."""
    if value is None or wanted is None:
        return "allow it with `| None`" if value is None and wanted is not None else ""
    match wanted.shape:
        case Scalar(cls):
            found = _scalar(cls, path, value, shows)
        case EnumOf(cls):
            found = _enum(cls, path, value, shows)
        case LiteralOf(values):
            found = meant(value, values, shows)
        case ArrayOf(cls, _):
            found = "" if type(value) is cls else _array(cls, path, value)
        case Record("dataclass" | "namedtuple", cls, _):
            found = _built(cls, path, value)
        case Record() | DictOf():
            found = "" if type(value) is dict else _dict(path, value)
        case _:
            found = ""
    return found or ("" if isinstance(value, _PLAIN) else _object(path, value))


_PLAIN: Final = (
    bool,
    int,
    float,
    str,
    bytes,
    date,
    time,
    timedelta,
    UUID,
    Decimal,
    Enum,
    list,
    tuple,
    set,
    frozenset,
    dict,
)


def meant(said: object, known: Iterable[object], shows: bool = True) -> str:
    """`did you mean …`, when something known is near."""
    if not shows or not isinstance(said, str) or len(said) > 200:
        return ""
    close = get_close_matches(said, [each for each in known if isinstance(each, str)], n=1)
    return f"did you mean {close[0]!r}" if close else ""


def _scalar(cls: type, path: str, value: object, shows: bool) -> str:
    if isinstance(value, cls) and isinstance(value, (float, Decimal)) and value != value:
        return "pass None where there is no number, and allow it with `| None`"
    if type(value) is cls:
        return ""
    for kinds, way, looks in _WAYS.get(cls, ()):
        if isinstance(value, kinds):
            fits = looks is None or (shows and isinstance(value, str) and looks.fullmatch(value[:100]) is not None)
            return way.format(path) if fits else ""
    return ""


def _enum(cls: type[Enum], path: str, value: object, shows: bool) -> str:
    if isinstance(value, Enum):
        return ""
    values = [member.value for member in cls]
    if not shows or not isinstance(value, (str, int)):
        return f"pass a member, as {cls.__name__}({path})" if isinstance(value, (str, int)) else ""
    if value in values:
        return f"pass {cls.__name__}({path})"
    if value in cls.__members__:
        return f"pass {cls.__name__}[{path}]"
    return f"its values are {', '.join(map(repr, values[:10]))}{', …' if len(values) > 10 else ''}"


def _array(cls: type, path: str, value: object) -> str:
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        return f"pass [{path}]" if cls is list and isinstance(value, (str, bytes)) else ""
    return f"pass {cls.__name__}({path})"


def _dict(path: str, value: object) -> str:
    for method in ("model_dump", "_asdict"):
        if _has(value, method):
            return f"pass {path}.{method}()"
    if _has(value, "__dataclass_fields__"):
        return f"pass dataclasses.asdict({path})"
    return f"pass dict({path})" if isinstance(value, Mapping) else ""


def _built(cls: type, path: str, value: object) -> str:
    if isinstance(value, (cls, str, bytes)):
        return ""
    if isinstance(value, Mapping):
        return f"pass {cls.__name__}(**{path})"
    if isinstance(value, (tuple, list)):
        return f"pass {cls.__name__}(*{path})"
    return f"pass {cls.__name__}(**{path}.model_dump())" if _has(value, "model_dump") else ""


def _object(path: str, value: object) -> str:
    """Of what can never be queued."""
    checks: tuple[tuple[Callable[[object], bool], str], ...] = (
        (inspect.iscoroutine, f"await it: pass await {path}"),
        (_is_job, f"pass {path}.id, or {path}.result() once it has ended"),
        (inspect.isgenerator, f"pass list({path})"),
        (
            lambda v: inspect.isroutine(v) or inspect.isclass(v),
            "code cannot be queued: pass a value that says what to do",
        ),
        (lambda v: isinstance(v, PurePath), f"pass str({path})"),
        (lambda v: _has(v, "pk"), f"pass {path}.pk, and load it in the task"),
        (lambda v: _has(v, "id"), f"pass {path}.id, and load it in the task"),
        (lambda v: _has(v, "read"), "pass its path, and open it in the task"),
    )
    return next((way for fits, way in checks if fits(value)), "pass an id, and load it in the task")


def _is_job(value: object) -> bool:
    return type(value).__module__ == "typedgator.job"


def _has(value: object, name: str) -> bool:
    """Without asking the value: a `__getattr__` is the user's code."""
    missing = object()
    return inspect.getattr_static(value, name, missing) is not missing
