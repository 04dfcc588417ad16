"""What is wrong with a value, in lines that people can act on: path, rule, and what was got instead."""

import dataclasses
import enum
import re
import reprlib
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias
from uuid import UUID

import msgspec

from typedgator.wire.remedies import meant, remedy
from typedgator.wire.strict import MEMBER
from typedgator.wire.terms import ArrayOf, DictOf, OneOf, Record, Shape, Term, TupleOf

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails, ValidationError
    from typing_extensions import TypeIs

__all__ = [
    "HIDDEN",
    "Show",
    "breaks_rules",
    "broken_rules",
    "shown_error",
    "shown_value",
    "unstorable",
    "without_value",
]

HIDDEN: Final = "<hidden>"
_WIDEST: Final = 60
_MOST_RULES: Final = 200  # beyond, nobody reads them, and telling them takes longer than finding them

Show: TypeAlias = Callable[[str], bool]
"""Whether the value of the argument of that name may be shown."""

_SHORT: Final = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = _WIDEST
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxset = _SHORT.maxfrozenset = _SHORT.maxdict = 10


def shown_value(value: object) -> str:
    """`repr`, at most 60 characters, and never an error."""
    try:
        # Only a prefix is turned into text: an argument may be a hundred megabytes long.
        text = repr(value[: _WIDEST + 1]) if isinstance(value, (str, bytes)) else _SHORT.repr(value)
    except Exception:  # a __repr__ is the user's code
        return f"<{type(value).__name__}>"
    text = " ".join(text.split())
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def shown_error(error: Exception) -> str:
    """An error's text in one line, and never another error."""
    try:
        return " ".join(str(error).split())
    except Exception:  # a __str__ is the user's code
        return "(it has no text)"


def without_value(error: msgspec.MsgspecError) -> str:
    """The decoder's words, without a value that it may repeat: the wrong one of an Enum, or what user's code said."""
    cause = error.__cause__
    if cause is not None:  # a __post_init__ refused, in words of its own
        where = re.search(r" - at `[^`]*`$", shown_error(error))
        return f"its __post_init__ raised {type(cause).__name__}{where[0] if where else ''}"
    return re.sub(r"(?s)^(Invalid enum value) .*?( - at `[^`]*`)?$", r"\1\2", shown_error(error))


def _got(value: object, show: bool) -> str:
    if value is None:
        return ", got None"
    name, text = type(value).__name__, shown_value(value) if show else HIDDEN
    return f", got {text}" if re.match(rf"(\w+\.)*{name}\(", text) else f", got {name} {text}"


# ---- what pydantic found

_RULES: Final[dict[str, str]] = {
    "none_required": "must be None",
    "bool_type": "must be True or False",
    "int_type": "must be an integer",
    "float_type": "must be a float",
    "string_type": "must be a string",
    "string_unicode": "must be text that UTF-8 can hold (no lone surrogates)",
    "string_sub_type": "must be a plain str",
    "bytes_type": "must be bytes",
    "list_type": "must be a list",
    "tuple_type": "must be a tuple",
    "set_type": "must be a set",
    "frozen_set_type": "must be a frozenset",
    "dict_type": "must be a dict",
    "datetime_type": "must be a datetime",
    "date_type": "must be a date",
    "time_type": "must be a time",
    "time_delta_type": "must be a timedelta",
    "uuid_type": "must be a UUID",
    "decimal_type": "must be a Decimal",
    "finite_number": "must be finite",
    "timezone_naive": "must be a time without time zone (pass UTC, and the zone's name as str)",
    "missing": "is missing",
    "missing_keyword_only_argument": "is missing",
    "extra_forbidden": "is not a key of it",
    "unexpected_keyword_argument": "is not a field of it",
    "unexpected_positional_argument": "is one part too many",
}
_WITHOUT_VALUE: Final = frozenset({"missing", "missing_keyword_only_argument", "too_long", "too_short"})


def breaks_rules(error: Exception) -> "TypeIs[ValidationError]":
    """Whether pydantic raised this about a value; then pydantic is loaded."""
    loaded: Any = sys.modules.get("pydantic_core")
    return loaded is not None and isinstance(error, loaded.ValidationError)


def broken_rules(error: "ValidationError", root: Term, show: Show, name: str = "", *, teach: bool = False) -> list[str]:
    """One line for each broken rule. `name` is what the root is called, "" for arguments: they have their own names.

    `teach`: say what to pass instead.
    """
    if error.error_count() > _MOST_RULES:
        return [f"{error.error_count()} rules are broken, in {name or 'the arguments'}"]
    found: dict[str, list[_Line]] = {}
    for detail in error.errors(include_url=False):
        owner = name or (str(detail["loc"][0]) if detail["loc"] else "")
        hidden = not show(owner)
        path, member_path, wanted, holder = _place(root, detail["loc"], name, hidden)
        got = "" if detail["type"] in _WITHOUT_VALUE else _got(detail["input"], not hidden)
        way = _way_out(detail, wanted, holder, path, not hidden) if teach else ""
        line = _Line(len(path), f"{path} {_rule(detail, hidden, wanted)}", got, way)
        found.setdefault(member_path or path, []).append(line)
    return [line for lines in found.values() for line in _merged(lines)]


class _Line(NamedTuple):
    """One broken rule: how deep it lies, path and rule, what was got, what to pass instead."""

    depth: int
    text: str
    got: str
    way: str


def _way_out(detail: "ErrorDetails", wanted: Term | None, holder: Shape | None, path: str, shows: bool) -> str:
    if detail["type"] in _WITHOUT_VALUE:
        return ""
    if detail["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        names = [field.name for field in holder.fields] if isinstance(holder, Record) else []
        return meant(detail["loc"][-1], names)
    return remedy(wanted, path, detail["input"], shows)


def _merged(lines: list[_Line]) -> Iterator[str]:
    """The members of a union each say why not: keep those that got furthest, and say "or" between equals."""
    deepest = max(line.depth for line in lines)
    by_value: dict[str, list[_Line]] = {}
    for line in lines:
        if line.depth == deepest:
            by_value.setdefault(line.got, []).append(line)
    for got, equals in by_value.items():
        first, *others = equals
        head = first.text.split(" must be ", 1)[0] + " must be "
        ways = dict.fromkeys(line.way for line in equals if line.way)
        text = first.text + "".join(f" or {other.text.removeprefix(head)}" for other in others) + got
        yield f"{text}; {next(iter(ways))}" if ways else text


def _place(
    term: Term, loc: tuple[int | str, ...], name: str, hidden: bool
) -> tuple[str, str, Term | None, Shape | None]:
    """A location as a path (`tags[1]`, `page.size`), the path of the outermost union, the term that is wanted there,
    and the shape that holds it. Where values are hidden, so are the keys of a dict: they are values.
    """
    path, union = name, ""
    here: Term | None = term
    before, holder = path, None
    for step in loc:
        if isinstance(step, str) and step.startswith(MEMBER) and here is not None and isinstance(here.shape, OneOf):
            rest = [member for member in here.shape.members if not _is_none(member)]
            here, union = rest[int(step[len(MEMBER) :])], union or path
            continue
        if here is not None and isinstance(here.shape, OneOf):
            rest = [member for member in here.shape.members if not _is_none(member)]
            here = rest[0] if len(rest) == 1 else None
        if step == "[key]" and isinstance(
            holder, DictOf
        ):  # pydantic's mark for the key, not the value, that stands there
            path, here = f"a key of {before}", None
            continue
        before, holder = path, here.shape if here is not None else None
        path, here = _step(path, here, step, hidden)
    if here is not None and isinstance(here.shape, OneOf):
        rest = [member for member in here.shape.members if not _is_none(member)]
        here = rest[0] if len(rest) == 1 else None
    return path, union, here, holder


def _is_none(term: Term) -> bool:
    return getattr(term.shape, "cls", None) is type(None)


def _step(path: str, here: Term | None, step: int | str, hidden: bool) -> tuple[str, Term | None]:
    match here.shape if here is not None else None:
        case Record(form, _, fields):
            field = next((f for i, f in enumerate(fields) if step in (i, f.name)), None)
            inner, word = (None, str(step)) if field is None else (field.term, field.name)
            if form == "typeddict":
                return f"{path}[{HIDDEN if hidden and inner is None else repr(word)}]", inner
            return f"{path}.{word}".lstrip("."), inner
        case ArrayOf(_, item):
            return f"{path}[{step}]", item
        case TupleOf(items):
            inside = items[step] if isinstance(step, int) and step < len(items) else None
            return f"{path}[{step}]", inside
        case DictOf(_, value):
            return f"{path}[{HIDDEN if hidden else shown_value(step)}]", value
        case _:
            return f"{path}[{HIDDEN if hidden else repr(step)}]", None


def _rule(detail: "ErrorDetails", hidden: bool, wanted: Term | None) -> str:
    kind, context = detail["type"], detail.get("ctx") or {}
    if kind in _RULES:
        return _RULES[kind]
    if kind == "is_instance_of":
        name = str(context.get("class"))
        return f"must be {'an' if name[:1] in 'AEIO' else 'a'} {name}"
    if kind in ("too_long", "too_short"):
        exactly = len(wanted.shape.items) if wanted is not None and isinstance(wanted.shape, TupleOf) else None
        return _too_long(detail, context, exactly)
    message = detail["msg"]
    if kind in ("value_error", "assertion_error"):
        # The text of a user's validator may repeat the value.
        return "was refused by its validator" + ("" if hidden else f" ({message.split(', ', 1)[-1]})")
    if kind in ("predicate_failed", "not_operation_failed"):
        predicate = next(iter(re.findall(r"'(.*)'", message)), "its predicate")
        return f"must {'' if kind == 'predicate_failed' else 'not '}satisfy {predicate}"
    return re.sub(r"^[A-Z][A-Za-z ]*? should ", "must ", message)


def _too_long(detail: "ErrorDetails", context: Mapping[str, Any], exactly: int | None) -> str:
    value: Any = detail["input"]
    size: object = len(value) if hasattr(value, "__len__") else context.get("actual_length")
    if exactly is not None:
        return f"has {size} elements, exactly {exactly} are wanted"
    if detail["type"] == "too_short":
        return f"has {size} elements, at least {context.get('min_length')} are needed"
    return (
        f"has {size} elements, at most {context.get('max_length')} are taken "
        "(store them and pass an id, or allow more with Annotated[..., MaxLen(n)])"
    )


# ---- what the encoder found

_PACK: Final = msgspec.msgpack.Encoder().encode
_PLAIN: Final = (bool, int, float, str, bytes, datetime, date, time, timedelta, UUID, Decimal)


def unstorable(named: Mapping[str, object], show: Show, name: str = "") -> list[str]:
    """Valid values that msgpack cannot hold, one line each: integers beyond 64 bits, subclasses of simple types, ..."""
    return [
        f"{path} {rule}{_got(value, show(owner))}"
        for owner, argument in named.items()
        for path, value, rule in _leaves(name or owner, argument, show(owner))
    ]


def _leaves(path: str, value: object, shows: bool) -> Iterator[tuple[str, object, str]]:
    whole = True
    for inner_path, inner in _inside(path, value, shows):
        whole = False
        yield from _leaves(inner_path, inner, shows)
    rule = _leaf(value) if whole else ""
    if rule:
        yield path, value, rule


def _inside(path: str, value: object, shows: bool) -> Iterator[tuple[str, object]]:
    """The parts of a collection or record, with their paths."""
    holder: Any = value
    if isinstance(value, dict):
        for key, inner in holder.items():
            yield f"a key of {path}", key
            yield f"{path}[{shown_value(key) if shows else HIDDEN}]", inner
    elif isinstance(value, tuple) and hasattr(holder, "_fields"):
        yield from ((f"{path}.{name}", inner) for name, inner in zip(holder._fields, holder, strict=True))
    elif isinstance(value, (list, tuple)):
        yield from ((f"{path}[{index}]", inner) for index, inner in enumerate(holder))
    elif isinstance(value, (set, frozenset)):
        yield from ((f"an element of {path}", inner) for inner in holder)
    elif dataclasses.is_dataclass(value):
        yield from ((f"{path}.{field.name}", getattr(value, field.name)) for field in dataclasses.fields(value))


def _leaf(value: object) -> str:
    try:
        _PACK(value)
    except Exception as error:  # whatever the encoder raises for this value is the reason
        if isinstance(error, UnicodeEncodeError):
            return _RULES["string_unicode"]
        if isinstance(value, int) and not isinstance(value, bool):
            return "must fit 64 bits (-2**63 to 2**64-1; annotate it as str and pass its text)"
        base = next((cls for cls in _PLAIN if isinstance(value, cls)), None)
        if base is datetime and type(value) is datetime:
            return "must lie further from year 1 and year 9999, to be stored in UTC"
        if base is not None and type(value) is not base and not isinstance(value, enum.Enum):
            return f"must be exactly {base.__name__}, not a subclass of it (convert it first)"
        return f"cannot be stored ({error})"
    return ""
