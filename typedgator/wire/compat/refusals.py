"""The law of compatibility: why some value that the writer's schema allows would be refused, or changed, by a reader
with another one.

An empty answer is a promise: everything that the writer accepts, the reader accepts and reads as the same value. Where
that cannot be known (patterns, other people's validators), the answer is a refusal. Only what the wire sees counts: an
Enum is its value, a list and a tuple are the same, a dataclass and a TypedDict too.
"""

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from typedgator.wire.compat.limits import EXACT_IN_FLOAT, broken_by, broken_limits
from typedgator.wire.compat.node import Node, Value, kind_of, kinds, members, same, split
from typedgator.wire.compat.spoken import spoken

__all__ = ["Refusal", "Roles", "refusals"]


class Roles(NamedTuple):
    """How the two sides are called in sentences, in the plural: `new workers`."""

    writers: str
    readers: str


class Refusal(NamedTuple):
    """One reason. `path` is where; the schemas there, None where a side has none."""

    path: str
    kind: Literal["missing", "unknown", "value"]
    why: str
    sent: Node | None
    taken: Node | None


def refusals(sent: Node, taken: Node, roles: Roles, path: str = "") -> list[Refusal]:
    """Why readers of `taken` would refuse, or change, some of what writers of `sent` accept; empty: never."""
    return list(_Comparison(roles).part(sent, taken, path))


class _Comparison:
    def __init__(self, roles: Roles) -> None:
        self.writers: Final = roles.writers
        self.readers: Final = roles.readers

    def part(self, sent: Node, taken: Node, path: str) -> Iterator[Refusal]:
        if same(sent, taken):
            return
        refused: list[Value] = []
        whole: list[Node] = []
        for each in split(sent):
            if each.enum is None:
                whole.append(each)
            elif any(True for _ in self._value(each, taken)):
                refused += each.enum
        if refused:
            yield self._refused_values(refused, sent, taken, path)
        for each in whole:
            for found in self._one(each, taken, path):
                # What changed is told of the whole union, and not of one of its members.
                yield found._replace(sent=sent, taken=taken) if found.path == path else found

    def _differ(self, why: str, sent: Node, taken: Node, path: str) -> Refusal:
        return Refusal(path, "value", why, sent, taken)

    # ---- single values

    def _refused_values(self, refused: list[Value], sent: Node, taken: Node, path: str) -> Refusal:
        if sent.type == "boolean":
            shown = "a bool"
        else:
            most = 6
            shown = ", ".join(map(repr, refused[:most])) + (", …" if len(refused) > most else "")
        why = f"{self.readers} take {spoken(taken)}, and {self.writers} may send {shown}"
        return self._differ(why, sent, taken, path)

    def _value(self, sent: Node, taken: Node) -> Iterator[str]:
        """Why a value is refused; `sent` is an enum of it alone."""
        assert sent.enum is not None
        [value] = sent.enum
        target = _target(taken, kind_of(value))
        if target is None or (target.enum is not None and not _among(value, target.enum)):
            yield "not taken"
            return
        if target.validator and target.validator != sent.validator:
            yield "another validator"
        if target.enum is None:
            if target.format is not None:
                yield "another kind of text"
            else:
                yield from broken_by(value, target)

    # ---- plain schemas: no union, no few values

    def _one(self, sent: Node, taken: Node, path: str) -> Iterator[Refusal]:
        [kind] = kinds(sent)
        target = _target(taken, kind)
        if target is None or target.enum is not None or target.format != sent.format:
            why = f"{self.readers} take {spoken(taken)}, and {self.writers} may send {spoken(sent)}"
            yield self._differ(why, sent, taken, path)
            return
        if target.validator and target.validator != sent.validator:
            why = f"{self.readers} run the validator {target.validator}, which {self.writers} do not"
            yield self._differ(why, sent, target, path)
        for needed in broken_limits(sent, target):
            yield self._differ(f"{self.readers} ask for {needed}; {self.writers} do not", sent, target, path)
        if sent.type == "integer" and target.type == "number":
            yield from self._widened(sent, target, path)
        elif sent.type == "array":
            yield from self._array(sent, target, path)
        elif sent.type == "object":
            yield from self._object(sent, target, path)

    def _widened(self, sent: Node, taken: Node, path: str) -> Iterator[Refusal]:
        exact = Node(type="integer", minimum=-EXACT_IN_FLOAT, maximum=EXACT_IN_FLOAT)
        if any(True for _ in broken_limits(sent, exact)):
            why = (
                f"{self.readers} read a float, which rounds integers beyond 2**53; {self.writers} may send those: "
                "bound them to have it proved that they do not"
            )
            yield self._differ(why, sent, taken, path)

    def _array(self, sent: Node, taken: Node, path: str) -> Iterator[Refusal]:
        if sent.prefix_items is None and taken.prefix_items is None:
            assert sent.items is not None
            assert taken.items is not None
            yield from self.part(sent.items, taken.items, f"{path}[]")
            return
        given, needed = len(sent.prefix_items or ()), len(taken.prefix_items or ())
        places = max(given, needed) if sent.max_items is None else min(sent.max_items, max(given, needed))
        for place in range(places):
            one, other = _item(sent, place), _item(taken, place)
            if one is not None and other is not None:
                yield from self.part(one, other, f"{path}[{place}]")

    def _object(self, sent: Node, taken: Node, path: str) -> Iterator[Refusal]:
        if taken.properties is None:
            yield from self._as_dict(sent, taken, path)
        elif sent.properties is None:
            why = f"{self.readers} take {spoken(taken)}, and {self.writers} may send {spoken(sent)}"
            yield self._differ(why, sent, taken, path)
        else:
            yield from self._record(sent, taken, sent.properties, taken.properties, path)

    def _record(
        self, sent: Node, taken: Node, given: dict[str, Node], known: dict[str, Node], path: str
    ) -> Iterator[Refusal]:
        for name in sorted({*given, *known}):
            here = f"{path}.{name}".lstrip(".")
            if name not in known:
                may = "send it" if name in sent.required else "send it when it is given"
                why = f"{self.readers} do not know it, and {self.writers} {may}"
                yield Refusal(here, "unknown", why, given[name], None)
            elif name in taken.required and name not in sent.required:
                how = "may leave it out" if name in given else "do not send it"
                why = f"{self.readers} need it, and {self.writers} {how}"
                yield Refusal(here, "missing", why, given.get(name), known[name])
            if name in known and name in given:
                yield from self.part(given[name], known[name], here)

    def _as_dict(self, sent: Node, taken: Node, path: str) -> Iterator[Refusal]:
        key, value = taken.property_names, taken.values
        assert key is not None
        assert value is not None
        if sent.properties is None:
            assert sent.property_names is not None
            assert sent.values is not None
            yield from self.part(sent.property_names, key, f"{path}.<key>")
            yield from self.part(sent.values, value, f"{path}.*")
            return
        counted = Node(min_properties=len(sent.required), max_properties=len(sent.properties))
        for needed in broken_limits(
            counted, Node(min_properties=taken.min_properties, max_properties=taken.max_properties)
        ):
            yield self._differ(f"{self.readers} ask for {needed}; {self.writers} do not", sent, taken, path)
        for name, given in sent.properties.items():
            yield from self.part(Node(enum=[name]), key, f"{path}.<key>")
            yield from self.part(given, value, f"{path}.{name}")


def _target(taken: Node, kind: str) -> Node | None:
    """The one alternative of the reader's that a value of this kind is read as."""
    fit = [member for member in members(taken) if kind in kinds(member)]
    if not fit and kind == "integer":
        fit = [member for member in members(taken) if member.type == "number"]
    return fit[0] if fit else None


def _among(value: Value, values: list[Value]) -> bool:
    """`in`, but True is not 1."""
    return any(type(each) is type(value) and each == value for each in values)


def _item(schema: Node, place: int) -> Node | None:
    if schema.prefix_items is None:
        return schema.items
    return schema.prefix_items[place] if place < len(schema.prefix_items) else None
