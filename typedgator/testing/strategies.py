"""Hypothesis strategies from a task's signature, so that three lines test "this task takes all that its types promise":

    @given(calls(send))
    def test_every_call_survives_the_wire(call): ...

Drawn is what the wire keeps exactly: integers of 64 bits, text without lone surrogates, finite Decimals, no NaN (it is
not equal to itself), no fold.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from inspect import Parameter
from typing import Any, Final
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from typedgator.task import Task
from typedgator.wire.binder import Call
from typedgator.wire.marks import constraints
from typedgator.wire.schema import MAX_ITEMS
from typedgator.wire.signature import signed
from typedgator.wire.simple import simple
from typedgator.wire.strict import validator
from typedgator.wire.terms import (
    ArrayOf,
    DictOf,
    EnumOf,
    LiteralOf,
    OneOf,
    Record,
    Scalar,
    Term,
    TupleOf,
)

__all__ = ["calls", "values"]

_LETTERS: Final = st.characters(exclude_categories=["Cs"])
_OFFSETS: Final = st.integers(-86_399, 86_399).map(lambda seconds: timezone(timedelta(seconds=seconds)))


def values(annotation: object) -> SearchStrategy[object]:
    """Values that a parameter of this annotation accepts. Raises NotSimple when there can be no such parameter."""
    return _of(simple(annotation, "value"))


def calls(fn: Task[..., object] | Callable[..., object]) -> SearchStrategy[Call]:
    """Calls that a task, or a task of this function, accepts, as `(args, kwargs)`; defaults are sometimes left out."""
    plain = fn.fn if isinstance(fn, Task) else fn
    signature, hints = signed(plain, plain.__name__, named=True)
    drawn = {name: values(hints[name]) for name in signature.parameters}
    found = _calls(list(signature.parameters.values()), drawn)
    if not isinstance(fn, Task):
        return found
    arguments = fn.spec.arguments  # large ones are refused whatever they hold
    return found.filter(lambda call: not arguments.is_too_large(*call))


@st.composite
def _calls(draw: st.DrawFn, parameters: list[Parameter], drawn: dict[str, SearchStrategy[object]]) -> Call:
    args: list[object] = []
    kwargs: dict[str, object] = {}
    by_position = True  # until one is skipped or given by name
    for parameter in parameters:
        name, kind = parameter.name, parameter.kind
        if kind is Parameter.VAR_POSITIONAL:
            args += draw(st.lists(drawn[name], max_size=MAX_ITEMS)) if by_position else []
        elif kind is Parameter.VAR_KEYWORD:
            taken = frozenset(other.name for other in parameters)
            names = _text().filter(_free_of(taken))
            kwargs |= draw(st.dictionaries(names, drawn[name], max_size=MAX_ITEMS))
        elif parameter.default is not Parameter.empty and not draw(st.booleans()):  # the simplest call leaves it out
            by_position = False
        elif kind is Parameter.POSITIONAL_ONLY:
            args += [draw(drawn[name])] if by_position else []
        elif kind is Parameter.POSITIONAL_OR_KEYWORD and by_position and draw(st.booleans()):
            args.append(draw(drawn[name]))
        else:
            by_position = False
            kwargs[name] = draw(drawn[name])
    return tuple(args), kwargs


def _free_of(taken: frozenset[str]) -> Callable[[str], bool]:
    return lambda name: name not in taken


def _of(term: Term) -> SearchStrategy[Any]:
    strategy = _shape(term)
    return strategy.filter(_accepts(term)) if term.marks else strategy


def _accepts(term: Term) -> Callable[[object], bool]:
    check = validator(term, MAX_ITEMS)

    def accepts(value: object) -> bool:
        try:
            check(value)
        except Exception:  # the user's own validators run in there
            return False
        return True

    return accepts


def _shape(term: Term) -> SearchStrategy[Any]:
    match term.shape:
        case Scalar(cls):
            return _SCALARS[cls](constraints(term))
        case EnumOf(cls):
            return st.sampled_from(list(cls))
        case LiteralOf(literals):
            return st.sampled_from(literals)
        case ArrayOf(cls, item):
            return _array(cls, _of(item), *_sizes(term))
        case TupleOf(items):
            return st.tuples(*map(_of, items))
        case DictOf(key, value):
            least, most = _sizes(term)
            return st.dictionaries(_of(key), _of(value), min_size=least, max_size=most)
        case Record() as record:
            return _record(record)
        case OneOf(members):
            return st.one_of(*map(_of, members))


def _sizes(term: Term) -> tuple[int, int]:
    said = constraints(term)
    least = int(said.get("min_length", 0))
    return least, max(least, int(said.get("max_length", MAX_ITEMS)))


def _array(cls: type, item: SearchStrategy[Any], least: int, most: int) -> SearchStrategy[Any]:
    if cls is set:
        return st.sets(item, min_size=least, max_size=most)
    if cls is frozenset:
        return st.frozensets(item, min_size=least, max_size=most)
    lists = st.lists(item, min_size=least, max_size=most)
    return lists if cls is list else lists.map(tuple)


def _record(record: Record) -> SearchStrategy[Any]:
    parts = {field.name: _of(field.term) for field in record.fields}
    if record.form == "typeddict":
        optional = {field.name: parts.pop(field.name) for field in record.fields if not field.required}
        return st.fixed_dictionaries(parts, optional=optional)

    def built(given: dict[str, Any]) -> Any:
        try:
            return record.cls(**given)
        except Exception:  # a __post_init__ of the user's may refuse what its fields allow
            return None

    return st.fixed_dictionaries(parts).map(built).filter(lambda value: value is not None)


# ---- scalars; `said` are the constraints, by pydantic's names


def _between(said: dict[str, Any], low: Any, high: Any) -> tuple[Any, Any]:
    """The bounds that were said, or these. Bounds that exclude their own value are left to the filter."""
    lows = [said[name] for name in ("ge", "gt") if name in said]
    highs = [said[name] for name in ("le", "lt") if name in said]
    return max(lows, default=low), min(highs, default=high)


def _ints(said: dict[str, Any]) -> SearchStrategy[Any]:
    low, high = _between(said, -(2**63), 2**64 - 1)
    step = said.get("multiple_of")
    if step:
        return st.integers(-(-low // step), high // step).map(lambda n: n * step)
    return st.integers(max(low, -(2**63)), min(high, 2**64 - 1))


def _floats(said: dict[str, Any]) -> SearchStrategy[Any]:
    low, high = _between(said, None, None) if said.keys() & {"ge", "gt", "le", "lt"} else (None, None)
    return st.floats(low, high, allow_nan=False, allow_infinity=said.get("allow_inf_nan"))


def _decimals(said: dict[str, Any]) -> SearchStrategy[Any]:
    low, high = _between(said, None, None)
    return st.decimals(low, high, allow_nan=False, allow_infinity=False, places=said.get("decimal_places"))


def _text(**sizes: Any) -> SearchStrategy[str]:
    return st.text(_LETTERS, **sizes)


def _strs(said: dict[str, Any]) -> SearchStrategy[Any]:
    if "pattern" in said:
        return st.from_regex(str(getattr(said["pattern"], "pattern", said["pattern"])), alphabet=_LETTERS)
    return _text(min_size=said.get("min_length", 0), max_size=said.get("max_length"))


def _bytes(said: dict[str, Any]) -> SearchStrategy[Any]:
    return st.binary(min_size=said.get("min_length", 0), max_size=said.get("max_length"))


def _datetimes(said: dict[str, Any]) -> SearchStrategy[Any]:
    if said:
        zone = next((bound.tzinfo for bound in said.values() if bound.tzinfo), None)
        low, high = _between(said, datetime(1, 1, 1, tzinfo=zone), datetime(9999, 12, 31, tzinfo=zone))
        low, high = low.replace(tzinfo=None), high.replace(tzinfo=None)
        return st.datetimes(low, high, timezones=st.just(zone) if zone else st.none(), allow_imaginary=False)
    far = st.datetimes(timezones=st.none() | st.just(UTC))
    # An offset may carry a day beyond year 1 or 9999.
    near = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=_OFFSETS)  # noqa: DTZ001 # bounds are naive
    return (far | near).map(lambda moment: moment.replace(fold=0))


_SCALARS: Final[dict[type, Callable[[dict[str, Any]], SearchStrategy[Any]]]] = {
    type(None): lambda said: st.none(),
    bool: lambda said: st.booleans(),
    int: _ints,
    float: _floats,
    str: _strs,
    bytes: _bytes,
    datetime: _datetimes,
    date: lambda said: st.dates(*_between(said, date.min, date.max)),
    time: lambda said: st.times(*_between(said, time.min, time.max)).map(lambda t: t.replace(fold=0)),
    timedelta: lambda said: st.timedeltas(*_between(said, timedelta.min, timedelta.max)),
    UUID: lambda said: st.uuids(),
    Decimal: _decimals,
}
