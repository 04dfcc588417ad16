"""Terms as pydantic validators: always strict, everywhere.

Built from pydantic_core's schema functions, so that no default of pydantic's, no config on a user's class and no
`TypedDict` of the wrong module can loosen or break a rule. pydantic is imported when the first validator is built,
never before.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from typedgator.wire.marks import bounded
from typedgator.wire.terms import ArrayOf, DictOf, EnumOf, LiteralOf, OneOf, Record, Scalar, Term, TupleOf

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

__all__ = ["MEMBER", "validator", "validator_of_many"]

MEMBER: Final = "|"
"""How a union's members are labelled in a validation error's location: `|0`, `|1`, ..."""


def validator(term: Term, max_items: int | None) -> Callable[[object], Any]:
    """A function that gives the checked value, rebuilt from its parts, or raises pydantic's ValidationError.

    `max_items` limits every collection that has no limit of its own. A user's own validator may raise anything.
    Raises pydantic's errors when a constraint cannot be built (a pattern that is none).
    """
    return _validator(_Builder(max_items).core(term))


def validator_of_many(term: Term, max_items: int | None) -> Callable[[object], list[Any]]:
    """The same for a list of the arguments of calls, of which a binder has made each: it has its names and no other."""
    from pydantic_core import core_schema as cs

    return _validator(cs.list_schema(_Builder(max_items, bound=True).core(term), strict=True))


def _validator(schema: "CoreSchema") -> Callable[[object], Any]:
    from pydantic_core import CoreConfig, SchemaValidator

    config = CoreConfig(strict=True, revalidate_instances="always", extra_fields_behavior="forbid")
    return SchemaValidator(schema, config).validate_python


class _Builder:
    """Builds one core schema. Every node says `strict` itself: a config does not reach inside a dataclass."""

    def __init__(self, max_items: int | None, *, bound: bool = False) -> None:
        self._max_items = max_items
        # To look for names that cannot be there takes a third of the time.
        self._beyond: Literal["ignore", "forbid"] = "ignore" if bound else "forbid"

    def core(self, term: Term) -> "CoreSchema":
        schema = self._shape(term)
        if term.marks:
            schema = self._marked(schema, term.marks)
        if term.shape == Scalar(float):
            from pydantic_core import core_schema as cs

            # pydantic's strict float takes whatever has a __float__: a Decimal would lose its digits unheard.
            return cs.chain_schema([cs.is_instance_schema((float, int), cls_repr="float"), schema])
        return schema

    @staticmethod
    def _marked(schema: "CoreSchema", marks: tuple[object, ...]) -> "CoreSchema":
        from pydantic import TypeAdapter

        marked: Any = Annotated[(Any, _Given(schema), *marks)]
        adapter: TypeAdapter[object] = TypeAdapter(marked)
        return adapter.core_schema

    def _shape(self, term: Term) -> "CoreSchema":
        from pydantic_core import core_schema as cs

        match term.shape:
            case Scalar(cls):
                return _scalar(cls)
            case EnumOf(cls):
                return cs.is_instance_schema(cls)
            case LiteralOf(values):
                # True == 1 == 1.0, and pydantic takes one for the other.
                literal = cs.literal_schema(list(values))
                return cs.no_info_before_validator_function(_one_of_types(values), literal)
            case ArrayOf(cls, item):
                return self._array(cls, self.core(item), self._room(term))
            case TupleOf(items):
                return cs.tuple_schema([self.core(item) for item in items], strict=True)
            case DictOf(key, value):
                return cs.dict_schema(self.core(key), self.core(value), max_length=self._room(term), strict=True)
            case Record() as record:
                return self._record(record)
            case OneOf(members):
                return self._one_of(members)

    def _room(self, term: Term) -> int | None:
        return None if bounded(term) else self._max_items

    @staticmethod
    def _array(kind: type, item: "CoreSchema", most: int | None) -> "CoreSchema":
        from pydantic_core import core_schema as cs

        if kind is list:
            return cs.list_schema(item, max_length=most, strict=True)
        if kind is set:
            return cs.set_schema(item, max_length=most, strict=True)
        if kind is frozenset:
            return cs.frozenset_schema(item, max_length=most, strict=True)
        return cs.tuple_schema([item], variadic_item_index=0, max_length=most, strict=True)

    def _one_of(self, members: tuple[Term, ...]) -> "CoreSchema":
        from pydantic_core import core_schema as cs

        rest = [member for member in members if member.shape != Scalar(type(None))]
        if len(rest) == 1:
            inner = self.core(rest[0])
        else:
            inner = cs.union_schema([(self.core(member), f"{MEMBER}{i}") for i, member in enumerate(rest)])
        return inner if len(rest) == len(members) else cs.nullable_schema(inner)

    def _record(self, record: Record) -> "CoreSchema":
        from pydantic_core import core_schema as cs

        fields = {field.name: (self.core(field.term), field.required) for field in record.fields}
        match record.form:
            case "arguments" | "typeddict" as form:
                typed = {
                    name: cs.typed_dict_field(core, required=required) for name, (core, required) in fields.items()
                }
                beyond = self._beyond if form == "arguments" else "forbid"
                return cs.typed_dict_schema(typed, strict=True, extra_behavior=beyond)
            case "namedtuple":
                # The parts are checked as a tuple; a class without its own __new__ is rebuilt from them as they are.
                parts = cs.tuple_schema([core for core, _ in fields.values()], strict=True)
                whole: Any = record.cls
                made = cs.no_info_after_validator_function(whole._make, parts)
                return cs.no_info_before_validator_function(_exactly(record.cls), made)
            case "dataclass":
                args = cs.dataclass_args_schema(
                    record.cls.__name__, [cs.dataclass_field(name, core) for name, (core, _) in fields.items()]
                )
                whole = cs.dataclass_schema(
                    record.cls,
                    args,
                    list(fields),
                    post_init=hasattr(record.cls, "__post_init__"),
                    revalidate_instances="always",
                    strict=True,
                    frozen=True,
                    slots="__slots__" in vars(record.cls),
                )
                return cs.no_info_before_validator_function(_exactly(record.cls), whole)


class _Given:
    """A mark that hands pydantic a ready schema, to which it adds the constraints that follow."""

    def __init__(self, schema: "CoreSchema") -> None:
        self._schema = schema

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> "CoreSchema":
        return self._schema


def _exactly(cls: type) -> Callable[[object], object]:
    """Refuses subclasses too: they would arrive as their base."""
    from pydantic_core import PydanticCustomError

    def exactly(value: object) -> object:
        if type(value) is not cls:
            raise PydanticCustomError("exactly", "must be exactly {name}", {"name": cls.__name__})
        return value

    return exactly


def _one_of_types(values: tuple[object, ...]) -> Callable[[object], object]:
    from pydantic_core import PydanticCustomError

    kinds = frozenset(map(type, values))
    shown = ", ".join(map(repr, values))

    def one_of_types(value: object) -> object:
        if type(value) not in kinds:
            raise PydanticCustomError("literal", "must be one of {values}", {"values": shown})
        return value

    return one_of_types


def _scalar(cls: type) -> "CoreSchema":
    from datetime import date, datetime, time, timedelta
    from decimal import Decimal
    from uuid import UUID

    from pydantic_core import core_schema as cs

    made: dict[type, Callable[[], CoreSchema]] = {
        type(None): cs.none_schema,
        bool: lambda: cs.bool_schema(strict=True),
        int: lambda: cs.int_schema(strict=True),
        float: lambda: cs.float_schema(strict=True),
        str: lambda: cs.str_schema(strict=True),
        bytes: lambda: cs.bytes_schema(strict=True),
        datetime: lambda: cs.datetime_schema(strict=True),
        date: lambda: cs.date_schema(strict=True),
        # An aware time comes back without its zone's name, and a zone without a date has no offset to convert by.
        time: lambda: cs.time_schema(strict=True, tz_constraint="naive"),
        timedelta: lambda: cs.timedelta_schema(strict=True),
        UUID: lambda: cs.uuid_schema(strict=True),
        Decimal: lambda: cs.decimal_schema(strict=True),
    }
    return made[cls]()
