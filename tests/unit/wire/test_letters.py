"""to_lower and to_upper change text after its other rules were checked: what a worker would then refuse is refused at
once, and what it takes is taken.
"""

from typing import Annotated

import pytest
from pydantic import StringConstraints

from typedgator.errors import InvalidArguments
from typedgator.wire.schema import ArgumentSchema


def code(text: Annotated[str, StringConstraints(pattern="^A", to_lower=True)]) -> None: ...
def name(text: Annotated[str, StringConstraints(max_length=1, to_upper=True)]) -> None: ...
def both(text: Annotated[str, StringConstraints(pattern="^[a-zA-Z]+$", max_length=3, to_lower=True)]) -> None: ...


def test_a_pattern_that_the_changed_text_breaks_is_heard_at_the_call() -> None:
    with pytest.raises(InvalidArguments, match="must leave unchanged what it has accepted"):
        ArgumentSchema.of(code, task="t").encode(("Abc",), {})


def test_a_text_that_grows_too_long_is_heard_at_the_call() -> None:
    schema = ArgumentSchema.of(name, task="t")
    assert schema.decode(schema.encode(("s",), {}), fingerprint=schema.fingerprint) == ((), {"text": "S"})
    with pytest.raises(InvalidArguments, match="must leave unchanged what it has accepted"):
        schema.encode(("ß",), {})


def test_rules_that_agree_stay_as_they_are() -> None:
    schema = ArgumentSchema.of(both, task="t")
    assert schema.decode(schema.encode(("ABC",), {}), fingerprint=schema.fingerprint) == ((), {"text": "abc"})
