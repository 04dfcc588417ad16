"""Whether code of one release reads what another has written: contracts compared, change by change.

`node` reads a stored schema, `limits` compares constraints, `refusals` is the law; `contract` is the data: contracts,
changes, advice; `changes` makes the ones of the others, `spoken` words. Pure: nothing here knows
a task, a file or a backend.
"""

from typedgator.wire.compat.changes import compare
from typedgator.wire.compat.contract import Advice, Change, Contract, Parameter, advised
from typedgator.wire.compat.node import node
from typedgator.wire.compat.refusals import Refusal, Roles, refusals

__all__ = ["Advice", "Change", "Contract", "Parameter", "Refusal", "Roles", "advised", "compare", "node", "refusals"]
