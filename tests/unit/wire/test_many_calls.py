"""`encode_each` is `encode`, many times: the same bytes, the same refusals."""

from typing import Annotated, Any

import pytest
from annotated_types import MaxLen
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator

from typedgator.errors import InvalidArguments
from typedgator.wire.schema import ArgumentSchema


def even(value: int) -> int:
    """A user's own rule."""
    if value % 2:
        raise RuntimeError("odd")
    return value


def task(
    number: Annotated[int, AfterValidator(even)],
    /,
    text: Annotated[str, MaxLen(50_000)] = "",
    *more: int,
    flag: bool = False,
) -> None: ...


values = st.integers(-3, 3) | st.text(max_size=3) | st.booleans() | st.sampled_from(["x" * 20_000, 2**70])
positions = st.lists(st.integers(-2, 2) | values, max_size=3).map(tuple)
keywords = st.dictionaries(st.sampled_from(["text", "flag", "number"]), values, max_size=2)


@given(st.lists(positions | keywords, max_size=4))
def test_many_calls_are_encoded_like_each(calls: list[tuple[Any, ...] | dict[str, Any]]) -> None:
    """All good: the bytes of each. Else the refusal of the first that is not, which names its index."""
    schema = ArgumentSchema.of(task, task="task")
    one_by_one: list[bytes] = []
    refusal: InvalidArguments | None = None
    for call in calls:
        try:
            one_by_one.append(schema.encode(call, {}) if isinstance(call, tuple) else schema.encode((), call))
        except InvalidArguments as error:
            refusal = error.at(len(one_by_one))
            break

    if refusal is None:
        assert schema.encode_each(calls) == one_by_one
    else:
        with pytest.raises(InvalidArguments) as caught:
            schema.encode_each(calls)
        assert (caught.value.problems, caught.value.index) == (refusal.problems, len(one_by_one))
        assert f"item {len(one_by_one)} of the batch" in str(caught.value)


def test_one_that_is_too_large_is_named() -> None:
    """Each is weighed as if it came alone; others, large and small, do not count against it."""
    schema = ArgumentSchema.of(task, task="task")
    fits = schema.encode((2, "x" * 16_000), {})

    assert schema.encode_each([(2, "x" * 16_000)] * 3) == [fits] * 3
    with pytest.raises(InvalidArguments, match=r"item 1 of the batch.*") as caught:
        schema.encode_each([(2, "x" * 16_000), (2, "x" * 17_000), (2,)])
    assert caught.value.index == 1


def ends(value: int) -> int:
    """A user's own rule, whose error an iterator takes for its end."""
    if value == 7:
        raise StopIteration
    return value


def ending(number: Annotated[int, AfterValidator(ends)]) -> None: ...


def test_a_rule_that_raises_stop_iteration_drops_no_call() -> None:
    """It refuses one, as any other error does."""
    schema = ArgumentSchema.of(ending, task="ending")
    with pytest.raises(InvalidArguments) as caught:
        schema.encode_each([(6,), (7,), (8,)])
    assert caught.value.index == 1


def test_a_validator_sees_one_call_after_the_other() -> None:
    """What it gives may be a list that it fills anew for each; behind a refused call it is not asked."""
    room: list[int] = []
    seen: list[int] = []

    def in_order(numbers: list[int]) -> list[int]:
        seen.extend(numbers)
        if 0 in numbers:
            raise ValueError("none may be 0")
        room[:] = sorted(numbers)
        return room

    def add(numbers: Annotated[list[int], AfterValidator(in_order)]) -> None: ...

    schema = ArgumentSchema.of(add, task="add", named=True)
    assert schema.encode_each([([2, 1],), ([4, 3],)]) == [schema.encode(([1, 2],), {}), schema.encode(([3, 4],), {})]

    seen.clear()
    with pytest.raises(InvalidArguments, match="item 1 of the batch"):
        schema.encode_each([([5],), ([0],), ([6],)])
    assert set(seen) == {0, 5}
