"""What is not said in a stored policy: readers of all releases must fill in the same."""

import msgspec
import pytest

from typedgator.policy.options import TaskOptions, resolve
from typedgator.wire.envelope import Envelope, JobPolicy, decode_envelope, encode_envelope, lean

DEFAULTS: dict[str, object] = {
    "retries": 0,
    "backoff_base_ms": 1000,
    "backoff_factor": 2.0,
    "backoff_cap_ms": 600_000,
    "backoff_jitter": True,
    "retry_on": (),
    "retry_never": (),
    "time_limit_ms": None,
    "keep_result_ms": None,
    "on_start": None,
    "on_success": None,
    "on_error": None,
}
"""Never to be changed: a job of one release is run by another. A new field goes to the end, with a default that means
what was done before there was such a field.
"""
OTHERS: dict[str, object] = {
    "retries": 3,
    "backoff_base_ms": 0,
    "backoff_factor": 1.0,
    "backoff_cap_ms": 0,
    "backoff_jitter": False,
    "retry_on": ("builtins.OSError",),
    "retry_never": ("builtins.ValueError",),
    "time_limit_ms": 1,
    "keep_result_ms": -1,
    "on_start": "",
    "on_success": "a",
    "on_error": "b",
}
HEAD = {"v": 1, "id": b"0123456789abcdef", "task": "some.task", "schema": "0123456789abcdef", "args": {}}


def envelope(policy: JobPolicy) -> Envelope:
    """A job with it."""
    return Envelope(
        id=b"0123456789abcdef", task="some.task", schema="0123456789abcdef", args=msgspec.Raw(b"\x80"), policy=policy
    )


def test_the_defaults_are_those_of_the_first_release() -> None:
    """Names, values and types."""
    now = {name: getattr(JobPolicy(), name) for name in JobPolicy.__struct_fields__}
    assert {name: (type(value), value) for name, value in now.items()} == {
        name: (type(value), value) for name, value in DEFAULTS.items()
    }


def test_an_envelope_without_a_policy_has_the_defaults() -> None:
    """So has one whose policy says nothing; both were written by some release."""
    for stored in (HEAD, {**HEAD, "policy": {}}):
        assert decode_envelope(msgspec.msgpack.encode(stored)).policy == JobPolicy(**DEFAULTS)  # type: ignore[arg-type]


def test_what_nobody_said_is_no_policy_at_all() -> None:
    """A call without options stores none."""
    policy = resolve(TaskOptions()).policy
    assert policy == JobPolicy(**DEFAULTS)  # type: ignore[arg-type]
    assert "policy" not in msgspec.msgpack.decode(encode_envelope(envelope(policy)))


@pytest.mark.parametrize("name", DEFAULTS)
def test_what_was_said_is_stored_and_read_back(name: str) -> None:
    """One field alone, and beside all others; also what is false, 0 or empty."""
    said = {name: OTHERS[name]}
    for policy in (said, OTHERS, {**OTHERS, name: DEFAULTS[name]}):
        made = JobPolicy(**policy)  # type: ignore[arg-type]
        stored = encode_envelope(envelope(lean(made)))
        assert decode_envelope(stored).policy == made
        assert msgspec.msgpack.decode(stored)["policy"] == {
            field: list(value) if isinstance(value, tuple) else value
            for field, value in policy.items()
            if value != DEFAULTS[field]
        }
