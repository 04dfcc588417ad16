"""A task's contract, what a change of it is, and the order to deploy in.

`in_flight`: old producers, new workers. That is every job that is queued when new workers start.
`rolling`: new producers, old workers. That is what happens while producers were deployed first, or together.
Arguments go from producer to worker; results come back, so there the roles are the other way round.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET

__all__ = ["Advice", "Change", "Contract", "Parameter", "ParameterKind", "advised"]

ParameterKind: TypeAlias = Literal["positional-only", "positional", "*args", "keyword-only", "**kwargs"]
"""How a parameter is given; `positional` is by position or by name."""


class Parameter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One parameter, in the order of the signature. `default` as JSON holds it, unset when there is none."""

    name: str
    kind: ParameterKind
    default: object = UNSET


class Contract(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a task takes and returns. The first two are schemas in our dialect."""

    arguments: dict[str, object]
    result: dict[str, object]
    parameters: list[Parameter] = []


class Change(msgspec.Struct, frozen=True):
    """One difference, of a part or of the task itself. `path` is where: `cc`, `items[].price`; "" is all of it.

    The verdicts are "" for ok, else why this one breaks.
    """

    part: Literal["arguments", "result", "task"]
    path: str
    what: str
    in_flight: str = ""
    rolling: str = ""

    @property
    def breaks(self) -> bool:
        """Whether jobs in flight are hurt, or the results that wait for them."""
        return bool(self.in_flight)


class Advice(Enum):
    """The order to deploy in."""

    ANY_ORDER = "deploy in any order"
    WORKERS_FIRST = "deploy workers first"
    PRODUCERS_FIRST = "deploy producers first"
    PRODUCERS_THEN_DRAIN = "deploy producers first, and workers once `schema check --live` names no job"
    TWO_STEPS = "two steps: first a release that takes both, everywhere; then the one that drops the old"


def advised(changes: Sequence[Change]) -> Advice:
    """What to do about these changes of one task, all together."""
    in_flight = any(change.in_flight for change in changes)
    rolling = any(change.rolling for change in changes)
    if in_flight and rolling:
        return Advice.TWO_STEPS
    if in_flight:
        stranding = any(change.in_flight for change in changes if change.part != "result")
        return Advice.PRODUCERS_THEN_DRAIN if stranding else Advice.PRODUCERS_FIRST
    return Advice.WORKERS_FIRST if rolling else Advice.ANY_ORDER
