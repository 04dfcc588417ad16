"""The mypy plugin: what registration refuses, reported at the `def`. Switched on by `plugins = typedgator.mypy_plugin`.

The rule is that of `wire/simple.py`, read from mypy's types instead of annotations, in the same words; what those types
do not tell (constraints, defaults, code that runs at import) is left to registration. This module imports mypy and
nothing of ours, and nobody imports it: `tests/typing/plugin/test_parity.py` holds the two rules together. Its errors
bear a code of their own, `gator-simple`. One file it is, because mypy's cache looks at one file to see that a plugin
has changed.
"""

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from mypy.checker import TypeChecker
from mypy.errorcodes import ErrorCode
from mypy.nodes import (
    ARG_NAMED,
    ARG_POS,
    CallExpr,
    Context,
    Decorator,
    Expression,
    FuncDef,
    LambdaExpr,
    MemberExpr,
    MypyFile,
    NameExpr,
    OverloadedFuncDef,
    RefExpr,
    StrExpr,
    SymbolNode,
    TypeInfo,
    Var,
)
from mypy.options import Options
from mypy.plugin import FunctionContext, MethodContext, Plugin, ReportConfigContext
from mypy.types import (
    AnyType,
    CallableType,
    FunctionLike,
    Instance,
    LiteralType,
    NoneType,
    Overloaded,
    Parameters,
    ProperType,
    TupleType,
    Type,
    TypeAliasType,
    TypedDictType,
    TypeOfAny,
    TypeType,
    TypeVarLikeType,
    UninhabitedType,
    UnionType,
    UnpackType,
    flatten_nested_unions,
    get_proper_type,
    has_type_vars,
)

__all__ = ["GatorPlugin", "plugin"]

SIMPLE: Final = ErrorCode("gator-simple", "A task, or an option, that typedgator refuses at run time", "typedgator")

GATOR: Final = "typedgator.gator.Gator"
REGISTRAR: Final = "typedgator.gator.Registrar.__call__"
TASK: Final = "typedgator.task.Hooked"

_WATCHERS: Final = ["_watchers"]
"""Where mypy keeps its error filters, newest last: an attribute without a promise, see `_unfiltered`."""

_RULE: Final = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]

_Call: TypeAlias = MethodContext | FunctionContext


# ---- what may be queued: the allow-list


class NotSimple(Exception):
    """A type that cannot be queued. Its text follows "parameter 'x' "."""


class Fit(NamedTuple):
    """What is known of a simple type: what it is, as what it is stored, where it may stand.

    `kinds` is empty when mypy does not know.
    """

    shape: Hashable
    kinds: frozenset[str] = frozenset()
    hashable: bool = True
    key: bool = False


@dataclasses.dataclass(frozen=True)
class Place:
    """Where the walk stands; `inside` holds what encloses it, `seen` gathers all classes that the verdict rests on."""

    root: str
    seen: set[TypeInfo]
    path: str = ""
    inside: tuple[object, ...] = ()

    def at(self, step: str, holder: object) -> "Place":
        return dataclasses.replace(self, path=self.path + step, inside=(*self.inside, holder))

    def no(self, found: Type | str, why: str) -> NotSimple:
        name = found if isinstance(found, str) else name_of(found)
        subject = f"holds {name} (at {self.root}{self.path}), which" if self.path else f"is {name}, which"
        return NotSimple(f"{subject} {why}")


_DEEPEST: Final = 16
_SCALARS: Final = {
    "builtins.bool": "boolean",
    "builtins.int": "integer",
    "builtins.float": "number",
    **dict.fromkeys(("builtins.str", "builtins.bytes", "uuid.UUID", "decimal.Decimal", "_decimal.Decimal"), "string"),
    **dict.fromkeys(("datetime.date", "datetime.datetime", "datetime.time", "datetime.timedelta"), "string"),
}
_ARRAYS: Final = frozenset({"builtins.list", "builtins.set", "builtins.frozenset", "builtins.tuple"})
_KEYS: Final = frozenset({"builtins.str", "builtins.int", "datetime.date", "uuid.UUID"})
_ANYTHING: Final = Fit("anything", key=True)
_NONE: Final = Fit("None", frozenset({"null"}))

_UNTOLD: Final = "does not say what it holds; write it out, e.g. list[int]"
_NOTHING_CHECKS: Final = "nothing checks; name the type"
_GENERIC: Final = "is generic; name the type"
_GENERIC_CLASS: Final = "is generic; write a class for the one type you pass"
_CODE: Final = "is code, not data; pass a value that says what to do"
_A_CLASS: Final = "is a class, not data; pass its name as a Literal or an Enum"
_READ_ONLY: Final = "says nothing about a value; write the type inside it"
_OPEN_FILE: Final = "is an open file; pass its path as str"
_ONCE: Final = "can be read only once; pass a list"
_MAPPING: Final = "does not come back as what it is; write dict[...]"
_LITERALS: Final = "may hold only str, int, bool and None; for an Enum, name the Enum itself"
_CIRCLE: Final = "holds itself; a queued value has a fixed depth: pass an id, or a flat list of parts"


def fit(found: Type, place: Place) -> Fit:
    """What is known of a simple type. Raises NotSimple."""
    if len(place.inside) > _DEEPEST:
        raise place.no(found, f"is nested deeper than {_DEEPEST} levels; flatten it")
    if isinstance(found, TypeAliasType) and found.alias is not None:
        if found.alias in place.inside:
            raise place.no(found.alias.name, _CIRCLE)
        if found.alias.python_3_12_type_alias and found.args:
            raise place.no(found, _otherwise(place.root))
        place = place.at("", found.alias) if found.is_recursive else place
    match get_proper_type(found):
        case AnyType() as anything:
            return _any(anything, place)
        case NoneType():
            return _NONE
        case LiteralType() as literal:
            return _literals([literal], place)
        case UnionType() as union:
            return _union(union, place)
        case TupleType() as items:
            return _tuple(items, place)
        case TypedDictType() as record:
            return _typeddict(record, place)
        case Instance() as instance:
            return _instance(instance, place)
        case other:
            raise place.no(other, _no_data(other, place.root))


def _any(found: AnyType, place: Place) -> Fit:
    while found.source_any is not None:
        found = found.source_any
    if found.type_of_any not in (TypeOfAny.explicit, TypeOfAny.unannotated, TypeOfAny.from_omitted_generics):
        return _ANYTHING  # an import that mypy cannot follow, or a line that it has reported already
    raise place.no("Any", _NOTHING_CHECKS)


def _literals(found: Sequence[LiteralType], place: Place) -> Fit:
    name = f"Literal[{', '.join(map(_literal_name, found))}]"
    kinds = [_SCALARS.get(each.fallback.type.fullname, "") for each in found]
    if not {"string", "integer", "boolean"}.issuperset(kinds) or any(_is_bytes(each) for each in found):
        raise place.no(name, _LITERALS)
    return Fit(name, frozenset(kinds), key=set(kinds) in ({"string"}, {"integer"}))


def _is_bytes(literal: LiteralType) -> bool:
    return literal.fallback.type.fullname == "builtins.bytes"


def _union(union: UnionType, place: Place) -> Fit:
    flat = [(item, get_proper_type(item)) for item in flatten_nested_unions(union.items)]
    literals = [proper for _, proper in flat if isinstance(proper, LiteralType)]
    fits = [fit(item, place) for item, proper in flat if not isinstance(proper, LiteralType)]
    if literals:
        fits.append(_literals(literals, place))
    members = {each.shape: each for each in fits}.values()
    for kind in ("string", "integer", "boolean", "null", "array", "map"):
        if sum(kind in member.kinds for member in members) > 1:
            raise place.no(
                union,
                f"has two members that look alike when stored (both as {kind}); "
                "take one of them, or a frozen dataclass with one field for each",
            )
    if len(members) == 1:
        return next(iter(members))
    shape = ("union", *(member.shape for member in members))
    known = all(member.kinds for member in members)
    kinds = frozenset(kind for member in members for kind in member.kinds) if known else frozenset[str]()
    return Fit(shape, kinds, all(member.hashable for member in members))


def _tuple(found: TupleType, place: Place) -> Fit:
    info = found.partial_fallback.type
    fields = next((cls.metadata["namedtuple"]["fields"] for cls in info.mro if "namedtuple" in cls.metadata), None)
    if fields is not None:
        return _record(found, info, dict(zip(fields, found.items, strict=False)), place, array=True)
    if info.fullname != "builtins.tuple" and not info.is_newtype:
        raise place.no(found, _way_out(found.partial_fallback, place.root))
    if any(isinstance(item, UnpackType) for item in found.items):
        raise place.no(found, "has a variable middle; use a list, or a frozen dataclass")
    items = [fit(item, place.at(f"[{n}]", found)) for n, item in enumerate(found.items)]
    return Fit(("tuple", *items), frozenset({"array"}), all(item.hashable for item in items))


def _typeddict(found: TypedDictType, place: Place) -> Fit:
    for name in sorted(found.readonly_keys):
        inner = place.at(f".{name}", found.fallback.type)
        raise inner.no(f"ReadOnly[{name_of(found.items[name])}]", _READ_ONLY)
    fields = {name: found.items[name] for name in sorted(found.items)}
    return _record(found, found.fallback.type, fields, place)._replace(hashable=False)


def _record(found: ProperType, info: TypeInfo, fields: dict[str, Type], place: Place, *, array: bool = False) -> Fit:
    place.seen.update(info.mro)
    if info in place.inside:
        raise place.no(found, _CIRCLE)
    if info.type_vars:
        raise place.no(found, _GENERIC_CLASS)
    for name, field in fields.items():
        if _unannotated(field):
            raise place.no(found, f"has a field {name!r} without annotation; annotate it (typing.NamedTuple)")
    fits = [fit(field, place.at(f".{name}", info)) for name, field in fields.items()]
    kinds = frozenset({"array" if array else "map"})
    return Fit(("record", info.fullname), kinds, all(each.hashable for each in fits))


def _instance(found: Instance, place: Place) -> Fit:
    info, args = found.type, found.args
    name = info.fullname
    if name in _SCALARS:
        return Fit(name, frozenset({_SCALARS[name]}), key=name in _KEYS)
    place.seen.update(info.mro)
    if info.is_enum:
        return _enum(found, place)
    if (name in _ARRAYS or name == "builtins.dict") and _omitted(found):
        raise place.no(found, _UNTOLD)
    if name in _ARRAYS:
        item = fit(args[0], place.at("[]", found))
        if name in ("builtins.set", "builtins.frozenset") and not item.hashable:
            raise place.no(found, "holds values that cannot be hashed; use a list")
        loose = name in ("builtins.list", "builtins.set")
        return Fit((name, item), frozenset({"array"}), item.hashable and not loose)
    if name == "builtins.dict":
        key = fit(args[0], place.at(".<key>", found))
        if not key.key:
            raise place.no(found, "needs str, int, date, UUID or Enum keys")
        return Fit((name, key, fit(args[1], place.at(".*", found))), frozenset({"map"}), hashable=False)
    if info.is_newtype:
        return fit(info.tuple_type or info.typeddict_type or info.bases[0], place)
    made = next((cls.metadata["dataclass"] for cls in info.mro if "dataclass" in cls.metadata), None)
    if made is not None and _is_dataclass(info):
        return _dataclass(found, made, place)
    if made is not None and made["frozen"] and not any(info.get(mark) for mark in _MARKED):
        return _ANYTHING  # of another library, whose decorator says that it makes dataclasses: it may make real ones
    raise place.no(found, _way_out(found, place.root))


def _enum(found: Instance, place: Place) -> Fit:
    info = found.type
    if info.has_base("enum.Flag"):
        raise place.no(found, "is a Flag, whose combinations are not members; pass its int, or a set of an Enum")
    kinds = _enum_kinds(info)
    if kinds is not None and not kinds:
        raise place.no(found, "has no members")
    if kinds is not None and kinds not in ({"string"}, {"integer"}):
        raise place.no(found, "has values that are not all str or all int; give its members plain values")
    if any(isinstance(value, int) and not -(2**63) <= value < 2**63 for value in _enum_values(info)):
        raise place.no(found, "has a value beyond 64 bits; give its members smaller values")
    return Fit(info.fullname, frozenset(kinds or ()), key=True)


def _enum_kinds(info: TypeInfo) -> set[str] | None:
    """As what the values of an Enum are stored, "" for what cannot be; None when only running its code would tell."""
    mixed = {"string"} if info.has_base("builtins.str") else {"integer"} if info.has_base("builtins.int") else None
    own = [cls for cls in info.mro if not cls.fullname.startswith(("builtins.", "enum."))]
    if any(name in cls.names for cls in own for name in ("__new__", "_value_", "_generate_next_value_")):
        return None
    members = [info.names[name].node for name in info.enum_members]
    if not members or mixed is not None:
        return mixed if members else set()
    types = [get_proper_type(node.type) if isinstance(node, Var) else None for node in members]
    if not all(isinstance(each, Instance) and each.type.fullname.startswith("builtins.") for each in types):
        return None
    names = {each.type.fullname for each in types if isinstance(each, Instance)}
    known = {"builtins.str": "string", "builtins.int": "integer"}
    return {known.get(name, "") for name in names}


def _enum_values(info: TypeInfo) -> Iterator[object]:
    for name in info.enum_members:
        node = info.names[name].node
        found = get_proper_type(node.type) if isinstance(node, Var) else None
        if isinstance(found, Instance) and found.last_known_value is not None:
            yield found.last_known_value.value


def _is_dataclass(info: TypeInfo) -> bool:
    """Whether it was made by `dataclasses`, and not by another library that says its classes are like dataclasses."""
    mark = info.get("__dataclass_fields__")
    declared = get_proper_type(mark.node.type) if mark is not None and isinstance(mark.node, Var) else None
    field = get_proper_type(declared.args[1]) if isinstance(declared, Instance) and len(declared.args) == 2 else None
    return isinstance(field, Instance) and field.type.fullname == "dataclasses.Field"


def _dataclass(found: Instance, made: dict[str, Any], place: Place) -> Fit:
    info = found.type
    if not made["frozen"]:
        raise place.no(found, "is a dataclass that can change; write @dataclass(frozen=True)")
    if any(field["is_init_var"] for field in made["attributes"]):
        raise place.no(found, "has an InitVar, which is not kept in the value; make it a field")
    if any(not field["is_in_init"] for field in made["attributes"]):
        raise place.no(found, "has a field(init=False), which cannot be rebuilt; compute it in a property")
    fields: dict[str, Type] = {}
    for field in made["attributes"]:
        symbol = info.get(field["name"])
        if symbol is not None and symbol.type is not None:
            fields[field["name"]] = symbol.type
    return _record(found, info, fields, place)


# ---- the words: those of wire/reasons.py


_NAMED: Final = {
    "builtins.object": _NOTHING_CHECKS,
    "builtins.type": _A_CLASS,
    "builtins.function": _CODE,
    **dict.fromkeys(
        (f"typing.{n}" for n in ("Sequence", "MutableSequence", "Collection", "AbstractSet", "MutableSet", "Mapping")),
        "does not say what comes back; write list[...], tuple[..., ...], set[...] or dict[...]",
    ),
    **dict.fromkeys(
        ("typing.MutableMapping", "collections.OrderedDict", "collections.defaultdict", "collections.deque"),
        "does not come back as what it is; write dict[...] or list[...]",
    ),
    **dict.fromkeys(
        (f"typing.{a}{n}" for a in ("", "Async") for n in ("Iterable", "Iterator", "Generator")),
        _ONCE,
    ),
    **dict.fromkeys(
        ("typing.Coroutine", "typing.Awaitable"), "is still to be awaited; write `async def` and the type it gives"
    ),
    **dict.fromkeys(("typing.IO", "typing.TextIO", "typing.BinaryIO"), _OPEN_FILE),
}
_DERIVED: Final = {
    "types.FunctionType": _CODE,
    "types.MethodType": _CODE,
    "io.IOBase": _OPEN_FILE,
    "_io._IOBase": _OPEN_FILE,
    "pathlib.PurePath": "is not a simple type; pass it as str: `str(path)`",
    "builtins.bytearray": "is not a simple type; pass bytes",
    "builtins.memoryview": "is not a simple type; pass bytes",
    "builtins.complex": "is not a simple type; pass two floats",
}
_MARKED: Final = {
    "__pydantic_validator__": "is a pydantic model; use a frozen dataclass",
    "__pydantic_core_schema__": "is a pydantic model; use a frozen dataclass",
    "__struct_fields__": "is a msgspec Struct; use a frozen dataclass",
    "__attrs_attrs__": "is an attrs class; use a frozen dataclass",
}
_CALLED: Final = {
    **dict.fromkeys(("SecretStr", "SecretBytes"), "cannot be queued without showing it; write Annotated[str, Secret]"),
    **dict.fromkeys(
        ("DataFrame", "Series", "ndarray", "Tensor"), "is too large to be queued; store it and pass its path or id"
    ),
}
_PYDANTIC: Final = "is a type of pydantic's; write the plain type and its constraint: `Annotated[str, Field(...)]`"


def _way_out(found: Instance, root: str) -> str:
    """Why no value of this class can be queued and what to do instead; the first reason that fits speaks."""
    info = found.type
    if info.fullname in _NAMED:
        return _NAMED[info.fullname]
    if info.type_vars and not _omitted(found):
        return _GENERIC_CLASS
    bases = {cls.fullname for cls in info.mro}
    reasons = (
        *((base in bases, why) for base, why in _DERIVED.items()),
        (info.fullname == "socket.socket", "is a connection; pass the address"),
        *((info.get(mark) is not None, why) for mark, why in _MARKED.items()),
        ("attrs" in info.metadata, _MARKED["__attrs_attrs__"]),
        *((info.name == name, why) for name, why in _CALLED.items()),
        (info.fullname.startswith("pydantic"), _PYDANTIC),
        ("typing.Mapping" in bases, _MAPPING),
        (info.get("__iter__") is not None and info.get("__next__") is not None, _ONCE),
    )
    return next((why for fits, why in reasons if fits), _otherwise(root))


def _no_data(found: ProperType, root: str) -> str:
    """The same for what is no class."""
    if isinstance(found, FunctionLike):
        return _CODE
    if isinstance(found, TypeType):
        return _A_CLASS
    if isinstance(found, UninhabitedType):
        return "has no values; write `None`"
    if isinstance(found, TypeVarLikeType):
        return _GENERIC
    return _otherwise(root)


def _otherwise(root: str) -> str:
    if root == "result":
        return "is not a simple type; return its id: `-> int`"
    return f"is not a simple type; pass its id and load the object in the task: `{root.removesuffix('_id')}_id: int`"


def name_of(found: Type) -> str:
    """A type as a person would write it."""
    if isinstance(found, TypeAliasType) and found.alias is not None and found.is_recursive:
        return found.alias.name
    match get_proper_type(found):
        case AnyType():
            return "Any"
        case NoneType():
            return "None"
        case UninhabitedType():
            return "Never"
        case UnionType() as union:
            return _union_name(union)
        case CallableType() as function:
            return _callable_name(function)
        case TypeType() as cls:
            return f"type[{name_of(cls.item)}]"
        case TypeVarLikeType() as variable:
            return variable.name
        case Instance() | TupleType() | TypedDictType() as instance:
            return _class_name(instance)
        case LiteralType() as literal:
            return f"Literal[{_literal_name(literal)}]"
        case other:
            return str(other)


def _union_name(union: UnionType) -> str:
    items = list(map(get_proper_type, flatten_nested_unions(union.items)))
    literals = [item for item in items if isinstance(item, LiteralType)]
    names = [name_of(item) for item in items if not isinstance(item, LiteralType)]
    if literals:
        first = next(n for n, item in enumerate(items) if isinstance(item, LiteralType))
        names.insert(first, f"Literal[{', '.join(map(_literal_name, literals))}]")
    return " | ".join(names)


def _literal_name(literal: LiteralType) -> str:
    if literal.is_enum_literal():
        return f"{literal.fallback.type.name}.{literal.value}"
    return f"b{literal.value!r}" if _is_bytes(literal) else repr(literal.value)


def _callable_name(found: CallableType) -> str:
    result = get_proper_type(found.ret_type)
    if isinstance(result, AnyType) and _left_out(result):
        return "Callable"
    said = "..." if found.is_ellipsis_args else f"[{', '.join(map(name_of, found.arg_types))}]"
    return f"Callable[{said}, {name_of(result)}]"


def _class_name(found: Instance | TupleType | TypedDictType) -> str:
    if isinstance(found, TypedDictType):
        return found.fallback.type.name
    if isinstance(found, TupleType):
        name = found.partial_fallback.type.name
        return f"tuple[{', '.join(map(name_of, found.items))}]" if name == "tuple" else name
    name = "Set" if found.type.fullname == "typing.AbstractSet" else found.type.name
    if not found.args or _omitted(found):
        return name
    more = ", ..." if found.type.fullname == "builtins.tuple" else ""
    return f"{name}[{', '.join(map(name_of, found.args))}{more}]"


def _omitted(found: Instance) -> bool:
    """Whether a generic class was written without its arguments."""
    written = [
        arg
        for arg, variable in zip(map(get_proper_type, found.args), found.type.defn.type_vars, strict=False)
        if not (isinstance(arg, AnyType) and (variable.has_default() or _left_out(arg)))
        and not (variable.has_default() and arg == variable.default)
    ]
    return bool(found.args) and not written


def _left_out(found: AnyType) -> bool:
    return found.type_of_any == TypeOfAny.from_omitted_generics


def _unannotated(found: Type) -> bool:
    proper = get_proper_type(found)
    return isinstance(proper, AnyType) and proper.type_of_any == TypeOfAny.unannotated


# ---- what is registered


class Found(NamedTuple):
    """What a gator is given to register, and where to report it.

    `definition` is its `def`, where that can be seen; without it there is only a type. `named`: whether it gets a name
    with `name=`; None when that cannot be seen.
    """

    task: str
    type: ProperType
    definition: FuncDef | LambdaExpr | None
    where: Context
    named: bool | None
    has_time_limit: bool
    untyped_is_reported: bool


def _found(ctx: _Call, api: TypeChecker, *, bare: bool) -> Found | None:
    """`bare`: nothing but the function was said, as in `@gator.register`."""
    if not ctx.arg_types or ctx.arg_kinds[0] != [ARG_POS]:
        return None
    at, expression, kind = ctx.context, ctx.args[0][0], get_proper_type(ctx.arg_types[0][0])
    definition = _definition(at if isinstance(at, Decorator) else expression)
    if definition is None and isinstance(kind, CallableType) and not kind.is_type_obj():
        definition = _definition(kind.definition)
    said = None if bare else _said(at)
    here = (
        isinstance(at, Decorator)
        or definition is None
        or definition.fullname == f"{api.tree.fullname}.{definition.name}"
    )
    # In another file the line of the `def` would mean nothing, and a task's own is no news.
    where = definition if isinstance(definition, FuncDef) and here and not _is_task(kind) else at
    name = _argument(said, "name")
    return Found(
        task=name.value if isinstance(name, StrExpr) else _qualified(definition, expression, api),
        type=kind,
        definition=definition,
        where=where,
        named=False if bare else None if said is None or None in said.arg_names else name is not None,
        has_time_limit=_is_value(_argument(said, "time_limit")),
        untyped_is_reported=api.options.disallow_untyped_defs,
    )


def _qualified(definition: FuncDef | LambdaExpr | None, expression: Expression, api: TypeChecker) -> str:
    """The name that registration would give it; of what it cannot name, the qualified name inside its module."""
    if isinstance(definition, FuncDef) and "." in definition.fullname:
        return definition.fullname
    if definition is None:
        return f"{api.tree.fullname}.{expression.name if isinstance(expression, (NameExpr, MemberExpr)) else '?'}"
    outer = api.tscope.current_full_target().removeprefix(api.tree.fullname).removeprefix(".")
    own = definition.name if isinstance(definition, FuncDef) else "<lambda>"
    return f"{outer}.<locals>.{own}" if outer else own


def _definition(node: Context | SymbolNode | None) -> FuncDef | LambdaExpr | None:
    """The `def` behind an expression. A decorated one is judged as it was written: so does registration, by
    `__wrapped__`.
    """
    if isinstance(node, RefExpr):
        node = node.node
    if isinstance(node, Decorator):
        node = node.func
    return node if isinstance(node, (FuncDef, LambdaExpr)) else None


def _said(at: Context) -> CallExpr | None:
    """The call `gator.register(…)` that the function stands under, where it can be seen."""
    calls = at.decorators if isinstance(at, Decorator) else [at.callee] if isinstance(at, CallExpr) else []
    found = (call for call in calls if isinstance(call, CallExpr))
    return next((c for c in found if isinstance(c.callee, MemberExpr) and c.callee.name == "register"), None)


def _is_task(found: ProperType) -> bool:
    return isinstance(found, Instance) and found.type.has_base(TASK)


def _argument(call: CallExpr | None, name: str) -> Expression | None:
    if call is None or name not in call.arg_names:
        return None
    return call.args[call.arg_names.index(name)]


def _is_value(argument: Expression | None) -> bool:
    return argument is not None and not (isinstance(argument, NameExpr) and argument.name in ("None", "UNSET"))


def _refusals(found: Found, seen: set[TypeInfo]) -> Iterator[str]:
    """All that registration would refuse, in its words."""
    if _is_task(found.type):
        yield f"{found.task} is a task already: register the plain function"
        return
    why = _no_task(found)
    if why:
        yield f"{found.task} cannot be a task: {why}"
        return
    for parameter, reason in _unfit(found, seen):
        what = "its result" if parameter == "return" else f"parameter {parameter!r}"
        yield f"{found.task} cannot be a task: {what} {reason}"
    if found.has_time_limit and isinstance(found.definition, FuncDef) and not found.definition.is_coroutine:
        yield (
            f"{found.task}: time_limit needs an `async def`: a `def` runs in a thread, and a thread cannot be stopped"
        )


def _no_task(found: Found) -> str:
    """Why this cannot be a task, whatever it takes; "" when it can."""
    kind, definition = found.type, found.definition
    if isinstance(kind, CallableType) and kind.is_type_obj():
        return "it is a class; register a function"
    if isinstance(kind, Overloaded):
        return "it is overloaded; register one function for each signature"
    if isinstance(kind, CallableType) and kind.is_bound:
        return "it is a method of an object, which cannot be queued; write a function that takes what it needs"
    if definition is not None and "." not in definition.fullname and found.named is False:
        return (
            "a lambda or nested function cannot be found by a worker; move it to the top of its module, "
            "or give name= and register it where the worker's import runs"
        )
    if not isinstance(definition, FuncDef):
        return ""
    if definition.is_generator or definition.is_async_generator:
        return f"it is {'an async' if definition.is_coroutine else 'a'} generator; return a list"
    first = definition.arguments[0] if definition.arguments else None
    if definition.info and first and first.variable.name in ("self", "cls") and first.type_annotation is None:
        return (
            f"it is a method, and `{first.variable.name}` cannot be queued; write a function that takes what it needs"
        )
    return ""


def _unfit(found: Found, seen: set[TypeInfo]) -> Iterator[tuple[str, str]]:
    """The parameters that cannot be queued, "return" for the result, each with the reason."""
    definition = found.definition
    declared = definition.type if isinstance(definition, FuncDef) else found.type
    if isinstance(definition, LambdaExpr) or (definition is not None and declared is None):
        yield from _missing(found, [*definition.arg_names, "return"])
    if isinstance(definition, LambdaExpr) or not isinstance(declared, CallableType):
        return
    parameters = zip(declared.arg_names, declared.arg_types, strict=True)
    for name, kind in [*parameters, ("return", _result(declared, definition))]:
        if name is None or (definition is None and _stands_for_another(kind)):
            continue
        if _unannotated(kind):
            yield from _missing(found, [name])
            continue
        root = "result" if name == "return" else name
        place = Place(root, seen)
        try:
            if declared.unpack_kwargs and kind is declared.arg_types[-1]:
                raise place.no(f"Unpack[{name_of(kind)}]", _otherwise(root))
            fit(kind, place)
        except NotSimple as refusal:
            yield name, str(refusal)


def _missing(found: Found, names: Sequence[str | None]) -> Iterator[tuple[str, str]]:
    """Parameters without annotation, unless mypy was told to report them itself."""
    if isinstance(found.definition, LambdaExpr) or not found.untyped_is_reported:
        for name in names:
            yield str(name), f"has no annotation; name its type: `{'-> None' if name == 'return' else f'{name}: int'}`"


def _stands_for_another(kind: Type) -> bool:
    """In a factory, `fn: Callable[P, R]`: the task is registered under another type than this one."""
    return has_type_vars(kind) or isinstance(get_proper_type(kind), AnyType)


def _result(declared: CallableType, definition: FuncDef | LambdaExpr | None) -> Type:
    """What the function gives; of an `async def`, what awaiting it gives."""
    result = get_proper_type(declared.ret_type)
    awaited = not isinstance(definition, FuncDef) or definition.is_coroutine
    if awaited and isinstance(result, Instance) and result.type.fullname in ("typing.Coroutine", "types.CoroutineType"):
        return result.args[2]
    return declared.ret_type


# ---- the plugin


class GatorPlugin(Plugin):
    """Looks at every call of `register` and `options` on a Gator, and at every function that makes a task."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        # By module, the classes that its verdicts rest on.
        self._seen: defaultdict[str, set[TypeInfo]] = defaultdict(set)

    def get_method_hook(self, fullname: str) -> Callable[[MethodContext], Type] | None:
        # mypy names a method after the class that it is called on, MyGator.register: its bases are looked at then.
        if fullname == REGISTRAR:
            return self._registrar
        match fullname.rpartition(".")[2]:
            case "register":
                return self._register
            case "options":
                return self._options
            case _:
                return None

    def get_function_hook(self, fullname: str) -> Callable[[FunctionContext], Type] | None:
        symbol = self.lookup_fully_qualified(fullname)
        node = symbol.node if symbol is not None else None
        return self._factory if isinstance(node, (FuncDef, OverloadedFuncDef)) and _makes_a_task(node) else None

    def report_config_data(self, ctx: ReportConfigContext) -> str:
        """Stored with each module: what another version of this rule has said of it is not believed.

        mypy itself forgets a change of the plugin after one run, and believes its cache of the modules not in that run.
        """
        return _RULE

    def get_additional_indirect_deps(self, file: MypyFile) -> set[str]:
        """The modules of all classes inside the parameters: the verdict is asked for again when one of them changes."""
        return {info.module_name for info in self._seen.get(file.fullname, ())}

    def _register(self, ctx: MethodContext) -> Type:
        if isinstance(ctx.type, Instance) and ctx.type.type.has_base(GATOR):
            self._report(ctx, bare=True)
        return ctx.default_return_type

    def _registrar(self, ctx: MethodContext) -> Type:
        self._report(ctx, bare=False)
        return ctx.default_return_type

    def _factory(self, ctx: FunctionContext) -> Type:
        if _is_made_of(ctx):
            self._report(ctx, bare=False)
        return ctx.default_return_type

    def _options(self, ctx: MethodContext) -> Type:
        said = {
            name
            for name, kinds, types in zip(ctx.callee_arg_names, ctx.arg_kinds, ctx.arg_types, strict=True)
            if kinds == [ARG_NAMED] and _surely_said(types[0])
        }
        on_gator = isinstance(ctx.type, Instance) and ctx.type.type.has_base(GATOR)
        if on_gator and {"delay_by", "delay_until"} <= said:
            with _unfiltered(ctx):
                ctx.api.fail("delay_by and delay_until exclude each other: give one of them", ctx.context, code=SIMPLE)
        return ctx.default_return_type

    def _report(self, ctx: _Call, *, bare: bool) -> None:
        api = ctx.api
        found = _found(ctx, api, bare=bare) if isinstance(api, TypeChecker) else None
        if found is None or not isinstance(api, TypeChecker):
            return
        seen: set[TypeInfo] = set()
        refusals = list(_refusals(found, seen))
        self._depend(api, seen)
        with _unfiltered(ctx):
            for refusal in refusals:
                ctx.api.fail(refusal, found.where, code=SIMPLE)

    def _depend(self, api: TypeChecker, seen: set[TypeInfo]) -> None:
        """A change of these classes is a reason to look again: for the cache by module, for the daemon by class."""
        self._seen[api.tree.fullname] |= seen
        target = api.tscope.current_target()
        for info in seen:
            for changed in ("", "[wildcard]", *(f".{name}" for name in info.names)):
                api.tree.plugin_deps.setdefault(f"<{info.fullname}{changed}>", set()).add(target)


def _makes_a_task(node: FuncDef | OverloadedFuncDef) -> bool:
    declared = get_proper_type(node.type)
    items = declared.items if isinstance(declared, FunctionLike) else []
    results = [get_proper_type(item.ret_type) for item in items]
    return any(map(_is_task, results))


def _is_made_of(ctx: FunctionContext) -> bool:
    """Whether the task that a function gives takes what the function that it was given takes."""
    task = get_proper_type(ctx.default_return_type)
    given = get_proper_type(ctx.arg_types[0][0]) if ctx.arg_types and ctx.arg_types[0] else None
    taken = get_proper_type(task.args[0]) if isinstance(task, Instance) and task.args else None
    return isinstance(given, CallableType) and isinstance(taken, Parameters) and taken.arg_types == given.arg_types


def _surely_said(found: Type) -> bool:
    """Whether a value is given, and not None or UNSET, which may also be inside an Optional."""
    proper = get_proper_type(found)
    items = [get_proper_type(item) for item in proper.items] if isinstance(proper, UnionType) else [proper]
    return all(isinstance(item, Instance) and item.type.name != "UnsetType" for item in items)


@contextmanager
def _unfiltered(ctx: _Call) -> Generator[None]:
    """Lets an error through while mypy tries the overloads of `register`.

    It does that under a filter, which drops errors and takes the overload for one that does not match. In a mypy
    without the attribute no mistake passes either, but some are then told as "No overload variant matches".
    """
    errors: object = getattr(ctx.api, "errors", None)
    name = _WATCHERS[0]
    saved: object = getattr(errors, name, None)
    if saved is None:
        yield
        return
    setattr(errors, name, [])
    try:
        yield
    finally:
        setattr(errors, name, saved)


def plugin(version: str) -> type[Plugin]:
    """The entry point that mypy calls with its own version."""
    return GatorPlugin
