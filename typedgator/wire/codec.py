"""One term in both directions, value to bytes and back, always through the strict validator.

Validators are built at first use, because building them imports pydantic.
"""

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from traceback import walk_tb
from typing import Any, Final, NoReturn, get_args

import msgspec

from typedgator.errors import UnsupportedSignature
from typedgator.wire.marks import bounded
from typedgator.wire.pack import canonical, pack, wire_type
from typedgator.wire.problems import breaks_rules, shown_value
from typedgator.wire.strict import validator, validator_of_many
from typedgator.wire.terms import ArrayOf, DictOf, Field, Record, Term

__all__ = ["Codec", "Unproved", "by_own_code", "codec_for", "no_ext"]

_PACKAGE: Final = str(Path(__file__).parents[1]) + os.sep
_OUR_ERRORS: Final = frozenset({"exactly", "literal"})


class Unproved(ValueError):
    """A value that its own rules change or refuse when they are applied to it a second time, at the worker."""

    def __str__(self) -> str:
        return (
            "a validator or __post_init__ changes or refuses its own output; "
            "it runs again at the worker and must leave unchanged what it has accepted"
        )


def codec_for(term: Term, max_items: int | None, task: str, parameter: str) -> "Codec":
    """The codec of a parameter, its validators built at once if there are constraints. Raises UnsupportedSignature."""
    try:
        codec = Codec(term, max_items)
        if any(part.marks for part in term.all()):
            codec.build()
    except Exception as error:  # msgspec and pydantic have no common class for "cannot build this"
        reason = f"cannot be built: {' '.join(str(error).split())}"
        raise UnsupportedSignature(task, parameter, reason) from error
    inner = (
        () if isinstance(term.shape, Record) and term.shape.form == "arguments" else term.all()
    )  # each was looked at
    for part in inner:
        if isinstance(part.shape, Record) and (reason := _broken_default(part.shape)):
            raise UnsupportedSignature(task, parameter, reason)
    return codec


def _broken_default(record: Record) -> str:
    """Which field of a value type has a default that its own annotation refuses: jobs of a release without the field
    would get it, and be refused by every worker. "" when there is none.
    """
    for field, default in _defaults(record):
        codec = Codec(field.term, None)
        if codec.fits(default) and not codec.breaks(default):
            continue
        shown = "" if any(part.secret for part in field.term.all()) else f": {shown_value(default)}"
        whose = f"{record.cls.__qualname__}, whose field {field.name!r}"
        return f"holds {whose} has a default that breaks its own annotation{shown}"
    return ""


def _defaults(record: Record) -> Iterator[tuple[Field, object]]:
    """What is filled in where a field is left out. Of factories only Python's own types are called: `list`, `dict`."""
    cls: Any = record.cls
    said: dict[str, object] = dict(getattr(cls, "_field_defaults", {}))
    if record.form == "dataclass":
        for field in dataclasses.fields(cls):
            if field.default is not dataclasses.MISSING:
                said[field.name] = field.default
            elif isinstance(field.default_factory, type) and field.default_factory.__module__ == "builtins":
                said[field.name] = field.default_factory()
    yield from ((field, said[field.name]) for field in record.fields if field.name in said)


class Codec:
    """One term in both directions: `pack(check(value))` there, `recheck(unpack(payload))` back.

    `check` and `recheck` are replaced by pydantic's validators at their first use; so is `check_many`, which is `check`
    for a list of what a binder has made of calls.
    """

    def __init__(self, term: Term, max_items: int | None) -> None:
        self.term = term
        self._max_items = max_items
        self.own_code: bool = any(map(_own_code, term.all()))
        """Whether code of the user's runs in a check."""
        self.canonical: Callable[[object], bytes] = canonical(term)
        self.unpack: Callable[[bytes], Any] = msgspec.msgpack.Decoder(wire_type(term), ext_hook=no_ext).decode
        self.pack: Callable[[object], bytes] = (
            self._pack_proved if self.own_code or any(map(_recased, term.all())) else pack
        )
        self.check: Callable[[object], Any] = self._first_check
        self.recheck: Callable[[object], Any] = self._first_recheck
        self.check_many: Callable[[object], list[Any]] = self._first_check_many

    def build(self) -> None:
        """Build the validators now. Two threads may both do it: either's are as good."""
        self.recheck = validator(self.term, None)
        free = self._max_items is None or not any(_unbounded(part) for part in self.term.all())
        self.check = self.recheck if free else validator(self.term, self._max_items)

    def _first_check(self, value: object) -> Any:
        self.build()
        return self.check(value)

    def _first_recheck(self, value: object) -> Any:
        self.build()
        return self.recheck(value)

    def _first_check_many(self, values: object) -> list[Any]:
        self.check_many = validator_of_many(self.term, self._max_items)
        return self.check_many(values)

    def _pack_proved(self, value: object) -> bytes:
        """Where the user's own code checks, run it as the worker will: what it would refuse there is refused here."""
        payload = pack(value)
        try:
            again = self.canonical(self.recheck(self.unpack(payload)))
        except Exception as error:  # the user's code may refuse, in any way, what it made itself
            raise Unproved from error
        if again != self.canonical(value):
            raise Unproved
        return payload

    def breaks(self, default: object) -> bool:
        """Whether a default that fits is refused by its constraints."""
        if not any(part.marks for part in self.term.all()):
            return False
        try:
            self.recheck(default)
        except Exception:  # a user's validator runs in there
            return True
        return False

    def fits(self, default: object) -> bool:
        """Whether a default survives the way to a worker as what it is; constraints are not looked at."""
        try:
            back = self.unpack(pack(default))
        except Exception:  # the encoder and the user's __post_init__ may raise anything
            return False
        return bool(back == default) and (type(back) is type(default) or type(back) is float)


def by_own_code(error: Exception, term: Term) -> bool:
    """Whether a payload broke no rule, and it was the user's own code that refused it while it was read."""
    if not any(_own_code(part) for part in term.all()):
        return False
    if breaks_rules(error):
        from pydantic_core import core_schema

        of_pydantic = {*get_args(core_schema.ErrorType), *_OUR_ERRORS} - {"value_error", "assertion_error"}
        details = error.errors(include_url=False, include_context=False, include_input=False)
        return all(detail["type"] not in of_pydantic for detail in details)
    # msgspec wraps what a __post_init__ raises, but only ValueError and TypeError.
    raised = error.__cause__ if isinstance(error, msgspec.MsgspecError) else error
    if raised is None:
        return False
    frames = list(walk_tb(raised.__traceback__))
    # A decoder is no Python code: what it raises has no frame after ours.
    return bool(frames) and not frames[-1][0].f_code.co_filename.startswith((_PACKAGE, "<typedgator"))


def no_ext(code: int, data: memoryview) -> NoReturn:
    raise ValueError(f"an Ext of code {code} is not readable")


def _own_code(term: Term) -> bool:
    """Whether checking this term runs code of the user's."""
    if isinstance(term.shape, Record) and term.shape.form in ("dataclass", "namedtuple"):
        cls = term.shape.cls
        return term.own_code or bool(term.shape.code) or (issubclass(cls, tuple) and cls.__bases__ != (tuple,))
    return term.own_code


def _recased(term: Term) -> bool:
    """Whether letters change after the rules for them were checked: `^A` with to_lower, one `ß` that becomes `SS`."""
    said = {name for name, _ in term.facets}
    return not said.isdisjoint({"x-to_lower", "x-to_upper"}) and not said.isdisjoint({"pattern", "maxLength"})


def _unbounded(term: Term) -> bool:
    return isinstance(term.shape, (ArrayOf, DictOf)) and not bounded(term)
