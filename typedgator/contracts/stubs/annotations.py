"""Terms and values as Python source: `Annotated[int, Field(gt=0)] | None`, `Point(x=1, y=0.0)`.

Imports are by module and under a leading underscore, so that no parameter, field or class of the user's can hide one.
"""

import dataclasses
import enum
import keyword
import math
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from typedgator.errors import RegistrationError
from typedgator.wire.marks import constraints
from typedgator.wire.terms import ArrayOf, DictOf, EnumOf, Field, LiteralOf, OneOf, Record, Scalar, Term, TupleOf

__all__ = ["Source"]

_CONTAINERS: Final = (dict, list, tuple, set, frozenset)
_BUILTIN: Final = frozenset({bool, int, float, str, bytes})
_TEXT_SWITCHES: Final = ("strip_whitespace", "to_lower", "to_upper")
_BOUNDS: Final = ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern")
_FIELD: Final = (*_BOUNDS, "max_digits", "decimal_places", "allow_inf_nan")


class Source:
    """Collects what a module needs: its imports, and the definitions of value types in the order of their use."""

    def __init__(self, taken: Iterable[str]) -> None:
        """`taken` are names that the module has already."""
        self.imports: Final[set[str]] = set()
        self.definitions: Final[list[str]] = []
        self._taken = set(taken)
        self._names: dict[type, str] = {}

    def module(self, name: str) -> str:
        """The name under which a module is imported."""
        self.imports.add(name)
        return f"_{name.replace('.', '_')}"

    # ---- types

    def annotation(self, term: Term) -> str:
        """A term as it is written."""
        plain = self._shape(term)
        marks = self._marks(term)
        return f"{self.module('typing')}.Annotated[{', '.join([plain, *marks])}]" if marks else plain

    def _marks(self, term: Term) -> list[str]:
        said = constraints(term)
        fields = [f"{name}={self._setting(said[name])}" for name in _FIELD if name in said]
        switches = [f"{name}=True" for name in _TEXT_SWITCHES if said.get(name)]
        marks: list[str] = []
        if fields:
            marks.append(f"{self.module('pydantic')}.Field({', '.join(fields)})")
        if switches:
            marks.append(f"{self.module('pydantic')}.StringConstraints({', '.join(switches)})")
        if term.code:
            marks.append(f"{self.module('typedgator.remote')}.RunByWorker({term.code!r})")
        if term.secret and not isinstance(term.shape, OneOf):
            marks.append(f"{self.module('typedgator.remote')}.Secret")
        return marks

    def _setting(self, value: Any) -> str:
        return repr(getattr(value, "pattern", None) or value) if hasattr(value, "pattern") else self.value(value)

    def _shape(self, term: Term) -> str:
        match term.shape:
            case Scalar(cls):
                return self._scalar(cls)
            case EnumOf(cls):
                return self._class(cls, lambda name: self._enum(cls, name))
            case LiteralOf(values):
                return f"{self.module('typing')}.Literal[{', '.join(map(repr, values))}]"
            case ArrayOf(cls, item):
                return f"{cls.__name__}[{self.annotation(item)}{', ...' if cls is tuple else ''}]"
            case TupleOf(items):
                return f"tuple[{', '.join(map(self.annotation, items)) or '()'}]"
            case DictOf(key, value):
                return f"dict[{self.annotation(key)}, {self.annotation(value)}]"
            case Record() as record:
                return self._class(record.cls, lambda name: self._record(record, name))
            case OneOf(members):
                return " | ".join(map(self.annotation, members))

    def _scalar(self, cls: type) -> str:
        if cls is type(None):
            return "None"
        return cls.__name__ if cls in _BUILTIN else f"{self.module(cls.__module__)}.{cls.__name__}"

    def _class(self, cls: type, define: Callable[[str], str]) -> str:
        if cls not in self._names:
            name = cls.__name__
            while name in self._taken or keyword.iskeyword(name):
                name += "_"
            self._taken.add(name)
            self._names[cls] = name
            self.definitions.append(define(name))
        return self._names[cls]

    # ---- definitions

    def _enum(self, cls: type[enum.Enum], name: str) -> str:
        kind = next((base.__name__ for base in (enum.StrEnum, enum.IntEnum) if issubclass(cls, base)), "Enum")
        mixin = next((f"{base.__name__}, " for base in (str, int) if kind == "Enum" and issubclass(cls, base)), "")
        rows = [f"    {member} = {found.value!r}" for member, found in cls.__members__.items()]
        return "\n".join([f"class {name}({mixin}{self.module('enum')}.{kind}):", *rows])

    def _record(self, record: Record, name: str) -> str:
        match record.form:
            case "typeddict" | "arguments":
                return self._typeddict(record, name)
            case "namedtuple":
                return self._namedtuple(record, name)
            case "dataclass":
                return self._dataclass(record, name)

    def _typeddict(self, record: Record, name: str) -> str:
        typing = self.module("typing")
        parts = {field.name: self._entry(field) for field in record.fields}
        if all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
            rows = [f"    {part}: {kind}" for part, kind in parts.items()] or ["    pass"]
            return "\n".join([f"class {name}({typing}.TypedDict):", *rows])
        entries = ", ".join(f"{part!r}: {kind}" for part, kind in parts.items())
        return f"{name} = {typing}.TypedDict({name!r}, {{{entries}}})"

    def _entry(self, field: Field) -> str:
        kind = self.annotation(field.term)
        return kind if field.required else f"{self.module('typing')}.NotRequired[{kind}]"

    def _namedtuple(self, record: Record, name: str) -> str:
        cls: Any = record.cls
        rows = [
            f"    {field.name}: {self.annotation(field.term)}"
            + ("" if field.required else f" = {self._kept_default(cls, field, cls._field_defaults[field.name])}")
            for field in record.fields
        ]
        return "\n".join([f"class {name}({self.module('typing')}.NamedTuple):", *(rows or ["    pass"])])

    def _dataclass(self, record: Record, name: str) -> str:
        found = {field.name: field for field in dataclasses.fields(record.cls)}
        rows = [
            f"    {field.name}: {self.annotation(field.term)}"
            + self._field_default(found[field.name], field, record.cls)
            for field in record.fields
        ]
        decorator = f"@{self.module('dataclasses')}.dataclass(frozen=True)"
        return "\n".join([decorator, f"class {name}:", *(rows or ["    pass"])])

    def _field_default(self, field: "dataclasses.Field[Any]", kept: Field, cls: type) -> str:
        said: list[str] = []
        if field.default is not dataclasses.MISSING:
            said = [f"default={self._kept_default(cls, kept, field.default)}"]
        elif field.default_factory is not dataclasses.MISSING:
            first, second = field.default_factory(), field.default_factory()
            if first != second:
                raise RegistrationError(
                    f"{cls.__qualname__}.{field.name} has a default that is another one each time, which cannot be "
                    "written into a stub; make it required, or None, and let the task fill it in"
                )
            said = [f"default_factory=lambda: {self._kept_default(cls, kept, first)}"]
        if field.kw_only:
            said.append("kw_only=True")
        if not said:
            return ""
        if len(said) == 1 and said[0].startswith("default="):
            return f" = {said[0].removeprefix('default=')}"
        return f" = {self.module('dataclasses')}.field({', '.join(said)})"

    # ---- values

    def default(self, term: Term, value: object) -> str:
        """A parameter's default: of a secret one, what stands for it."""
        if any(part.secret for part in term.all()):
            return f"{self.module('typedgator.remote')}.DEFAULT"
        return self.value(value)

    def _kept_default(self, cls: type, field: Field, value: object) -> str:
        """A field's default, which whoever makes the value fills in, and so must have."""
        if any(part.secret for part in field.term.all()) and not _says_nothing(value):
            raise RegistrationError(
                f"{cls.__qualname__}.{field.name} is secret and has a default, which would stand in the stub; "
                "make it required, or None, and let the task fill it in"
            )
        return self.value(value)

    def value(self, value: object) -> str:
        """A default as Python makes it."""
        return self._value(value)

    def _value(self, value: Any) -> str:
        cls: Any = value.__class__
        if issubclass(cls, enum.Enum):
            return f"{self._names[cls]}[{value.name!r}]"
        if issubclass(cls, float) and not math.isfinite(value):
            return f"float({str(value)!r})"
        if issubclass(cls, (date, time, timedelta)):
            return self._instant(value)
        if issubclass(cls, (UUID, Decimal)):
            return f"{self.module(cls.__module__)}.{cls.__name__}({str(value)!r})"
        parts: Any = getattr(cls, "_fields", None) or getattr(cls, "__dataclass_fields__", None)
        if parts is not None:
            rows = ", ".join(f"{name}={self._value(getattr(value, name))}" for name in parts)
            return f"{self._names[cls]}({rows})"
        return self._container(cls, value) if issubclass(cls, _CONTAINERS) else repr(value)

    def _container(self, cls: Any, value: Any) -> str:
        if issubclass(cls, dict):
            rows = ", ".join(f"{self._value(key)}: {self._value(item)}" for key, item in value.items())
            return f"{{{rows}}}"
        items = [self._value(item) for item in value]
        if issubclass(cls, list):
            return f"[{', '.join(items)}]"
        if issubclass(cls, tuple):
            return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
        return f"{cls.__name__}([{', '.join(sorted(items))}])" if items else f"{cls.__name__}()"

    def _instant(self, value: date | time | timedelta) -> str:
        # repr names the module; a zone that is not of datetime's own has no source, and its instant is kept in UTC.
        if isinstance(value, datetime) and value.tzinfo is not None:
            value = datetime.fromtimestamp(value.timestamp(), tz=timezone.utc)  # noqa: UP017 # repr is to name timezone
        return repr(value).replace("datetime.", f"{self.module('datetime')}.")


def _says_nothing(value: Any) -> bool:
    return value is None or (issubclass(value.__class__, (str, bytes, *_CONTAINERS)) and not value)
