"""The words for what cannot be queued: each kind of annotation, why not, and the way out, in one clause.

The order of the table matters: the first that fits speaks.
"""

import io
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import Any, Final

__all__ = ["GENERIC", "name_of", "way_out"]

GENERIC: Final = frozenset({list, set, frozenset, dict})
"""Containers that mean nothing without the types of their elements."""


def name_of(annotation: object) -> str:
    """An annotation as a person would write it: `list[UUID]`, not `list[uuid.UUID]`."""
    if annotation is None or annotation is type(None):
        return "None"
    if isinstance(annotation, str):
        return annotation
    if annotation is ...:
        return "..."
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is None:
        return getattr(annotation, "__name__", None) or repr(annotation).replace("typing.", "")
    if origin in (typing.Union, types.UnionType):
        return " | ".join(name_of(arg) for arg in args)
    if origin is typing.Literal:
        return f"Literal[{', '.join(map(repr, args))}]"
    if origin is typing.Annotated:
        return name_of(args[0])
    inner = ", ".join(_several(arg) if isinstance(arg, list) else name_of(arg) for arg in args)
    name = getattr(annotation, "__name__", None) or getattr(origin, "__name__", None) or repr(origin)
    return f"{name}[{inner}]" if args else name


def _several(annotations: Any) -> str:
    return f"[{', '.join(name_of(annotation) for annotation in annotations)}]"


def way_out(annotation: object, root: str) -> str:
    """Why no value of this annotation can be queued and what to do instead: "nothing checks; name the type".

    `root` names the parameter, or is "result".
    """
    for fits, sentence in _REASONS:
        if fits(annotation):
            return sentence
    if root == "result":
        return "is not a simple type; return its id: `-> int`"
    return f"is not a simple type; pass its id and load the object in the task: `{root.removesuffix('_id')}_id: int`"


def _origin_in(*names: str) -> Callable[[object], bool]:
    return lambda annotation: (
        getattr(typing.get_origin(annotation) or annotation, "__name__", "") in names
        and getattr(typing.get_origin(annotation) or annotation, "__module__", "")
        in ("typing", "collections", "collections.abc", "typing_extensions", "types", "builtins")
    )


def _sub(*classes: type) -> Callable[[object], bool]:
    return lambda annotation: isinstance(annotation, type) and issubclass(annotation, classes)


def _has(*attributes: str) -> Callable[[object], bool]:
    return lambda annotation: isinstance(annotation, type) and any(hasattr(annotation, a) for a in attributes)


def _named(*names: str) -> Callable[[object], bool]:
    return lambda annotation: isinstance(annotation, type) and annotation.__name__ in names


def _bare(annotation: object) -> bool:
    plain = typing.get_origin(annotation) or annotation
    return not typing.get_args(annotation) and plain in (*GENERIC, tuple)


def _of_pydantic(annotation: object) -> bool:
    return isinstance(annotation, type) and annotation.__module__.startswith("pydantic")


_REASONS: Final[tuple[tuple[Callable[[object], bool], str], ...]] = (
    (lambda a: a is Any or a is object, "nothing checks; name the type"),
    (_origin_in("TypeVar", "ParamSpec"), "is generic; name the type"),
    (lambda a: isinstance(a, (typing.TypeVar, typing.ParamSpec)), "is generic; name the type"),
    (_origin_in("Self"), "is another type in each class; name the class"),
    (_origin_in("LiteralString"), "is a plain str at run time; write `str`"),
    (_origin_in("ReadOnly"), "says nothing about a value; write the type inside it"),
    (lambda a: type(typing.get_origin(a)).__name__ == "TypeAliasType", "is generic; name the type"),
    (lambda a: isinstance(a, (str, typing.ForwardRef)), "is a name that was not resolved; write the type itself"),
    (_bare, "does not say what it holds; write it out, e.g. list[int]"),
    (
        _origin_in("Sequence", "MutableSequence", "Collection", "Set", "AbstractSet", "MutableSet", "Mapping"),
        "does not say what comes back; write list[...], tuple[..., ...], set[...] or dict[...]",
    ),
    (
        _origin_in("MutableMapping", "OrderedDict", "defaultdict", "deque"),
        "does not come back as what it is; write dict[...] or list[...]",
    ),
    (
        _origin_in("Iterable", "Iterator", "Generator", "AsyncIterable", "AsyncIterator", "AsyncGenerator"),
        "can be read only once; pass a list",
    ),
    (_origin_in("Coroutine", "Awaitable"), "is still to be awaited; write `async def` and the type it gives"),
    (_origin_in("Callable"), "is code, not data; pass a value that says what to do"),
    (_sub(types.FunctionType, types.MethodType), "is code, not data; pass a value that says what to do"),
    (_origin_in("type"), "is a class, not data; pass its name as a Literal or an Enum"),
    (_origin_in("NoReturn", "Never"), "has no values; write `None`"),
    (_origin_in("IO", "TextIO", "BinaryIO"), "is an open file; pass its path as str"),
    (_sub(io.IOBase), "is an open file; pass its path as str"),
    (_sub(PurePath), "is not a simple type; pass it as str: `str(path)`"),
    (_sub(bytearray, memoryview), "is not a simple type; pass bytes"),
    (_sub(complex), "is not a simple type; pass two floats"),
    (
        lambda a: isinstance(a, type) and (a.__module__, a.__name__) == ("socket", "socket"),
        "is a connection; pass the address",
    ),
    (_has("__pydantic_validator__", "__pydantic_core_schema__"), "is a pydantic model; use a frozen dataclass"),
    (_has("__struct_fields__"), "is a msgspec Struct; use a frozen dataclass"),
    (_has("__attrs_attrs__"), "is an attrs class; use a frozen dataclass"),
    (_named("SecretStr", "SecretBytes"), "cannot be queued without showing it; write Annotated[str, Secret]"),
    (_named("DataFrame", "Series", "ndarray", "Tensor"), "is too large to be queued; store it and pass its path or id"),
    (_of_pydantic, "is a type of pydantic's; write the plain type and its constraint: `Annotated[str, Field(...)]`"),
    (_sub(Mapping), "does not come back as what it is; write dict[...]"),
    (_sub(Iterator), "can be read only once; pass a list"),
    (
        lambda a: typing.get_origin(a) is not None and isinstance(typing.get_origin(a), type),
        "is generic; write a class for the one type you pass",
    ),
)
