"""Contracts compared: one change for each place where two releases differ, in words, with both verdicts."""

from collections.abc import Iterator, Sequence
from typing import Final, Literal

import msgspec
from msgspec import UnsetType

from typedgator.wire.compat.contract import Change, Contract
from typedgator.wire.compat.node import Node, node, same
from typedgator.wire.compat.refusals import Refusal, Roles, refusals
from typedgator.wire.compat.spoken import shown_default, spoken

__all__ = ["compare"]

_OLD_TO_NEW: Final = Roles("old producers", "new workers")
_NEW_TO_OLD: Final = Roles("new producers", "old workers")


def compare(old: Contract, new: Contract) -> list[Change]:
    """Every difference that matters, those of the arguments first. Empty when there is none.

    Raises PayloadMismatch for a schema that cannot be read.
    """
    before, after = node(old.arguments), node(new.arguments)
    in_flight = refusals(before, after, _OLD_TO_NEW) + _extra_keywords(old, new, before, after, _OLD_TO_NEW)
    rolling = refusals(after, before, _NEW_TO_OLD) + _extra_keywords(new, old, after, before, _NEW_TO_OLD)
    changes = _merged("arguments", in_flight, rolling)
    changes = [*_renames(changes, before, after), *_signature(old, new)]
    if not same(before, after) and not changes:
        changes = [Change("arguments", "", "described differently, with the same values")]
    return changes + _results(node(old.result), node(new.result))


def _results(before: Node, after: Node) -> list[Change]:
    """Who reads is the producer: what new workers return, old producers wait for."""
    in_flight = refusals(after, before, Roles("new workers", "old producers"))
    rolling = refusals(before, after, Roles("old workers", "new producers"))
    changes = _merged("result", in_flight, rolling)
    if not same(before, after) and not changes:
        return [Change("result", "", "described differently, with the same values")]
    return changes


def _merged(
    part: Literal["arguments", "result"], in_flight: Sequence[Refusal], rolling: Sequence[Refusal]
) -> list[Change]:
    """One change for each place, however many reasons there are."""
    # Whoever writes holds the old schema in one direction and the new one in the other.
    arriving, leaving = (in_flight, rolling) if part == "arguments" else (rolling, in_flight)
    changes: list[Change] = []
    for path in dict.fromkeys(refusal.path for refusal in (*in_flight, *rolling)):
        here = [refusal for refusal in arriving if refusal.path == path]
        back = [refusal for refusal in leaving if refusal.path == path]
        changes.append(
            Change(
                part,
                path,
                _what(here, back),
                "; ".join(dict.fromkeys(refusal.why for refusal in in_flight if refusal.path == path)),
                "; ".join(dict.fromkeys(refusal.why for refusal in rolling if refusal.path == path)),
            )
        )
    return changes


def _what(here: Sequence[Refusal], back: Sequence[Refusal]) -> str:
    """The change at one place. `here` is old to new, `back` new to old."""
    first = here[0] if here else back[0]
    old, new = (first.sent, first.taken) if here else (first.taken, first.sent)
    required = any(refusal.kind == "missing" for refusal in here)
    was_required = any(refusal.kind == "missing" for refusal in back)
    said: list[str] = []
    if new is None:
        return f"removed ({spoken(old)})" if old is not None else "removed"
    if old is None:
        return f"added, {'required' if required else 'with a default'}: {spoken(new)}"
    if required:
        said.append("has no default any more")
    if was_required:
        said.append("has a default now")
    if not same(old, new) and any(refusal.kind == "value" for refusal in (*here, *back)):
        said.append(f"{spoken(old)} → {spoken(new)}")
    return ", ".join(said) or "an extra keyword may bear a parameter's name"


def _renames(changes: Sequence[Change], before: Node, after: Node) -> list[Change]:
    """The same changes; what was perhaps renamed says so, when it is one and the type stayed."""
    gone = {name: old for name, old in (before.properties or {}).items() if name not in (after.properties or {})}
    came = {name: new for name, new in (after.properties or {}).items() if name not in (before.properties or {})}
    pairs = [(one, other) for one, old in gone.items() for other, new in came.items() if same(old, new)]
    if len(pairs) != 1:
        return list(changes)
    [(one, other)] = pairs
    said = {one: f"; renamed to {other}?", other: f"; was it {one}?"}
    return [msgspec.structs.replace(change, what=change.what + said.get(change.path, "")) for change in changes]


def _extra_keywords(writer: Contract, reader: Contract, sent: Node, taken: Node, roles: Roles) -> list[Refusal]:
    """An extra keyword may bear the name of what is a parameter on the other side, where it could not be passed on."""
    extra = next((parameter.name for parameter in reader.parameters if parameter.kind == "**kwargs"), None)
    if extra is None or sent.properties is None or taken.properties is None or extra not in sent.properties:
        return []
    may_be_extra = any(each.name == extra and each.kind == "**kwargs" for each in writer.parameters)
    clashing = sorted(_named(reader) - (_named(writer) if may_be_extra else set()))
    if not clashing:
        return []
    shown = ", ".join(clashing)
    why = f"{roles.readers} have {shown} as a parameter, and {roles.writers} may send it as an extra keyword"
    return [Refusal(extra, "value", why, sent.properties[extra], taken.properties[extra])]


def _named(contract: Contract) -> set[str]:
    """The parameters that an extra keyword cannot be called."""
    return {each.name for each in contract.parameters if each.kind in ("positional", "keyword-only")}


def _signature(old: Contract, new: Contract) -> Iterator[Change]:
    """What the wire does not see: how parameters are given, and the values of defaults."""
    before = {parameter.name: parameter for parameter in old.parameters}
    for place, parameter in enumerate(new.parameters):
        was = before.get(parameter.name)
        if was is None:
            continue
        if was.kind != parameter.kind:
            yield Change("arguments", parameter.name, f"{was.kind} → {parameter.kind}; calls are written otherwise")
        elif _moved(old, new, place):
            yield Change("arguments", parameter.name, "another position; calls by position are written otherwise")
        both = not isinstance(was.default, UnsetType) and not isinstance(parameter.default, UnsetType)
        if both and (was.default != parameter.default or type(was.default) is not type(parameter.default)):
            shown = f"default {shown_default(was.default)} → {shown_default(parameter.default)}"
            yield Change("arguments", parameter.name, f"{shown}; jobs get that of their worker")


def _moved(old: Contract, new: Contract, place: int) -> bool:
    parameter = new.parameters[place]
    if parameter.kind not in ("positional-only", "positional"):
        return False
    return next(n for n, each in enumerate(old.parameters) if each.name == parameter.name) != place
