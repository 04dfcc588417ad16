"""What arguments cost: bind, validate and encode at the caller, decode and validate at the worker; and registration.

python -m benchmarks.bench_arguments
"""

import contextlib
import statistics
import subprocess
import sys
import timeit
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID, uuid4

from pydantic import Field

from typedgator.errors import InvalidArguments
from typedgator.wire.schema import ArgumentSchema


def small2(user_id: int, subject: str) -> None: ...


def mixed6(
    id: UUID,  # noqa: A002 # the parameter of the workload
    when: datetime,
    subject: str,
    amount: Decimal,
    tags: list[str],
    *,
    urgent: bool = False,
) -> None: ...


def constrained2(user_id: Annotated[int, Field(gt=0)], tags: dict[str, int]) -> None: ...


CALLS: list[tuple[Callable[..., object], tuple[object, ...], dict[str, object]]] = [
    (small2, (1, "hello"), {}),
    (mixed6, (uuid4(), datetime.now(UTC), "hello", Decimal("1.50"), ["a", "b"]), {"urgent": True}),
    (constrained2, (1, {"a": 1}), {}),
]


def median_us(call: Callable[[], object], number: int = 2000, repeat: int = 15) -> float:
    """The median of `repeat` rounds of `number` calls, in microseconds for each call."""
    return statistics.median(timeit.repeat(call, number=number, repeat=repeat)) / number * 1e6


def import_ms(module: str) -> float:
    """How long a fresh interpreter needs for one import, median of 9."""
    code = f"import time; t = time.perf_counter(); import {module}; print((time.perf_counter() - t) * 1e3)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(9)]
    return statistics.median(float(run.stdout) for run in runs)


def main() -> None:
    """Print one line for each workload."""
    print(f"{'':14}{'encode':>10}{'decode':>10}{'refuse':>10}{'register':>10}   (us; medians)")
    for fn, args, kwargs in CALLS:
        schema = ArgumentSchema.of(fn, task=fn.__name__)
        payload = schema.encode(args, kwargs)

        def refused(schema: ArgumentSchema = schema) -> None:
            with contextlib.suppress(InvalidArguments):
                schema.encode(("wrong",), {})

        columns = [
            median_us(lambda s=schema, a=args, k=kwargs: s.encode(a, k)),  # type: ignore[misc]
            median_us(lambda s=schema, p=payload: s.decode(p, fingerprint=s.fingerprint)),  # type: ignore[misc]
            median_us(refused, number=500),
            median_us(lambda fn=fn: ArgumentSchema.of(fn, task="task"), number=20),  # type: ignore[misc]
        ]
        print(f"{fn.__name__:14}" + "".join(f"{column:10.2f}" for column in columns))
    for module in ("typedgator", "msgspec", "pydantic"):
        print(f"import {module:14}{import_ms(module):8.1f} ms")


if __name__ == "__main__":
    main()
