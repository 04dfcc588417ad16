"""Errors: what they carry, and that they carry it everywhere."""

import pickle

import pytest

from typedgator import errors
from typedgator.errors import (
    BatchIncomplete,
    ConfigurationError,
    GatorError,
    InvalidArguments,
    JobCanceled,
    JobFailed,
    JobUnknown,
    NotRegistered,
    PayloadMismatch,
    ResultNotKept,
    UnknownDependency,
    UnsupportedSignature,
)

RAISED = [
    ConfigurationError("text"),
    UnsupportedSignature("task", "parameter", "reason"),
    NotRegistered("text"),
    InvalidArguments("task", "call()", ["one", "two"], index=3, signature="call(x: int)"),
    BatchIncomplete(["a"], ["b"], list),
    UnknownDependency("parent"),
    JobFailed("id", "ValueError", "text", "traceback", 2),
    JobCanceled("id", "reason"),
    JobUnknown("id"),
    ResultNotKept("id"),
    PayloadMismatch("text"),
]


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_an_error_crosses_processes(error: GatorError) -> None:
    """With its text and all its fields: a pool or a test runner sends errors between processes."""
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == {name: value for name, value in vars(error).items() if not callable(value)}


def test_a_batch_is_sent_again_where_it_was_made() -> None:
    """Elsewhere `retry()` says so: the calls did not travel."""
    assert BatchIncomplete([], ["b"], lambda: ["b"]).retry() == ["b"]
    with pytest.raises(GatorError, match="by the process that made it"):
        pickle.loads(pickle.dumps(BatchIncomplete([], ["b"], lambda: ["b"]))).retry()


def test_every_error_is_a_gator_error() -> None:
    """`except GatorError` catches them all; the module's own text draws the tree."""
    kinds = [getattr(errors, name) for name in errors.__all__]
    assert all(issubclass(kind, GatorError) for kind in kinds)
    assert errors.__doc__ is not None
    assert [kind.__name__ for kind in kinds if kind.__name__ not in errors.__doc__] == []
