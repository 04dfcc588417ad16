"""Options at three levels, and what one job gets of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET

from typedgator.errors import ConfigurationError
from typedgator.policy.options import DEFAULT_QUEUE, MAX_PARENTS, JobOptions, TaskOptions, merge, resolve
from typedgator.policy.retry import RetryPolicy
from typedgator.wire.envelope import Envelope, JobPolicy, decode_envelope, encode_envelope
from typedgator.wire.frame import FrameFlags

NAMES = st.from_regex(r"\A[A-Za-z0-9_.:-]{1,20}\Z")
SECONDS = st.one_of(st.integers(1, 3600), st.timedeltas(timedelta(seconds=1), timedelta(hours=1)))
INSTANTS = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
POLICIES = st.builds(
    RetryPolicy, st.integers(0, 9), st.integers(0, 9), st.sampled_from([1.0, 2.0]), st.integers(0, 9), st.booleans()
)

OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "job_id": NAMES,
    "queue": NAMES,
    "retries": st.one_of(st.integers(0, 9), POLICIES),
    "backoff": SECONDS,
    "is_async": st.booleans(),
    "on_start": st.none() | NAMES,
    "on_success": st.none() | NAMES,
    "on_error": st.none() | NAMES,
    "depends_on": st.lists(NAMES, max_size=3).map(tuple),
    "delay_by": st.none() | SECONDS,
    "delay_until": st.none() | INSTANTS,
    "expires": st.none() | SECONDS,
    "time_limit": st.none() | SECONDS,
    "unique": st.booleans() | NAMES,
    "priority": st.integers(0, 255),
    "keep_result": st.none() | st.booleans() | st.timedeltas(timedelta(seconds=1), timedelta(days=1)),
    "headers": st.dictionaries(NAMES, NAMES, max_size=2),
}
INDEPENDENT = sorted(OPTIONS.keys() - {"retries", "backoff", "delay_by", "delay_until"})


@st.composite
def levels(draw: st.DrawFn) -> TaskOptions:
    """What may be said at one level."""
    said = draw(st.fixed_dictionaries({}, optional=OPTIONS))
    if said.get("delay_by") is not None and said.get("delay_until") is not None:
        del said[draw(st.sampled_from(["delay_by", "delay_until"]))]
    return TaskOptions(**said)


def test_the_strategy_knows_every_option() -> None:
    """A new option belongs into these properties, too."""
    assert set(OPTIONS) == set(TaskOptions.__struct_fields__)


# ---- merging


@given(levels(), levels(), levels())
def test_the_nearest_level_wins(far: TaskOptions, middle: TaskOptions, near: TaskOptions) -> None:
    """Option by option; None that was said is a word like another, and not the same as not said."""
    merged = merge(far, middle, near)
    for option in INDEPENDENT:
        said = [getattr(level, option) for level in (far, middle, near)]
        heard = [value for value in said if value is not UNSET]
        assert getattr(merged, option) == (heard[-1] if heard else UNSET)


@given(levels(), levels(), levels())
def test_merging_is_the_same_in_every_grouping(far: TaskOptions, middle: TaskOptions, near: TaskOptions) -> None:
    """So that defaults of the house may be merged once."""
    assert merge(merge(far, middle), near) == merge(far, middle, near)


@given(levels())
def test_merging_changes_nothing_that_was_said_alone(level: TaskOptions) -> None:
    """Levels that say nothing leave no trace."""
    assert merge(TaskOptions(), level, TaskOptions()) == merge(level) == level


@given(levels(), levels())
def test_a_delay_said_nearer_replaces_the_other_delay(far: TaskOptions, near: TaskOptions) -> None:
    """Never both; what resolves at each level resolves merged."""
    merged = merge(far, near)
    said = near.said()
    if said.get("delay_by") is not None:
        assert (merged.delay_by, merged.said().get("delay_until")) == (near.delay_by, said.get("delay_until"))
    if said.get("delay_until") is not None:
        assert (merged.delay_until, merged.said().get("delay_by")) == (near.delay_until, said.get("delay_by"))
    resolve(merged)


@given(levels(), levels())
def test_a_number_of_retries_keeps_the_rest_of_a_policy(far: TaskOptions, near: TaskOptions) -> None:
    """`RetryPolicy(9, on=OSError)` at the task, `retries=1` at the call: one retry, of the same kind."""
    merged = merge(far, near)
    if isinstance(far.retries, RetryPolicy) and isinstance(near.retries, int):
        kept = far.retries
        assert merged.retries == RetryPolicy(
            near.retries, kept.backoff, kept.factor, kept.cap, kept.jitter, kept.on, kept.never
        )
    elif near.retries is not UNSET:
        assert merged.retries == near.retries


@given(levels(), levels())
def test_the_backoff_said_nearest_holds(far: TaskOptions, near: TaskOptions) -> None:
    """A policy has one of its own: it replaces one said farther away, and yields to one said as near or nearer."""
    expected: object
    if near.backoff is not UNSET:
        expected = near.backoff
    elif isinstance(near.retries, RetryPolicy):
        expected = near.retries.backoff
    elif far.backoff is not UNSET:
        expected = far.backoff
    elif isinstance(far.retries, RetryPolicy):
        expected = far.retries.backoff
    else:
        expected = 1
    found = resolve(merge(far, near)).policy.backoff_base_ms
    assert found == resolve(TaskOptions(backoff=expected)).policy.backoff_base_ms  # type: ignore[arg-type]


# ---- what a job gets


def test_a_job_of_which_nothing_was_said() -> None:
    """The defaults, as the documentation gives them."""
    assert resolve(TaskOptions()) == JobOptions(
        policy=JobPolicy(retries=0, backoff_base_ms=1000, backoff_factor=2.0, backoff_cap_ms=600_000),
        queue=DEFAULT_QUEUE,
        priority=100,
        is_async=True,
    )


@given(levels())
def test_flags_say_what_the_backend_must_know(level: TaskOptions) -> None:
    """Exactly: unique, expires, the caller's id, a result that is wanted."""
    options = resolve(level)
    flags = options.flags
    assert (FrameFlags.UNIQUE in flags) == (options.unique is not False)
    assert (FrameFlags.EXPIRES in flags) == (options.expires_in_ms is not None)
    keep_ms = options.policy.keep_result_ms
    assert (FrameFlags.RESULT_WANTED in flags) == (keep_ms is not None and keep_ms > 0)
    if FrameFlags.CALLERS_ID in flags:
        assert options.job_id is not None


@pytest.mark.parametrize(
    ("option", "fits", "too_small", "too_large"),
    [
        ("retries", [0, 1000], -1, 1001),
        ("priority", [0, 255], -1, 256),
        ("delay_by", [0, 366 * 24 * 3600], -0.001, 366 * 24 * 3600 + 0.001),
        ("expires", [0.001, 366 * 24 * 3600], 0, 366 * 24 * 3600 + 1),
        ("time_limit", [0.001, 24 * 3600], 0, 24 * 3600 + 0.001),
        ("backoff", [0, 7 * 24 * 3600], -1, 7 * 24 * 3600 + 1),
        ("keep_result", [timedelta(seconds=1), timedelta(days=30)], timedelta(milliseconds=999), timedelta(days=31)),
        ("queue", ["q", "q" * 128], "", "q" * 129),
        ("job_id", ["j", "j" * 128], "", "j" * 129),
        ("depends_on", [(), tuple(map(str, range(MAX_PARENTS)))], (1,), tuple(map(str, range(MAX_PARENTS + 1)))),
        ("headers", [{}, {"k" * 96: "v" * 4000}], {"": 1}, {"k" * 97: "v" * 4000}),
    ],
)
def test_options_have_limits(option: str, fits: list[object], too_small: object, too_large: object) -> None:
    """Inclusive; a step beyond is refused where it is said, by the option's name."""
    for value in fits:
        TaskOptions(**{option: value})  # type: ignore[arg-type]
    for value in (too_small, too_large):
        with pytest.raises(ConfigurationError, match=option):
            TaskOptions(**{option: value})  # type: ignore[arg-type]


ANYTHING: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.lists(st.integers() | st.text(), max_size=3),
    st.tuples(st.integers() | st.text()),
    st.dictionaries(st.text() | st.integers(), st.text() | st.integers(), max_size=3),
    st.timedeltas(),
    st.datetimes(),
    st.just(object()),
)


@given(st.sampled_from(sorted(OPTIONS)), ANYTHING)
@example("depends_on", ("",))
def test_whatever_is_said_is_accepted_or_refused_by_name(option: str, value: object) -> None:
    """ConfigurationError and nothing else: no accident of a comparison three calls deeper."""
    refusal = ""
    try:
        TaskOptions(**{option: value})  # type: ignore[arg-type]
    except ConfigurationError as error:
        refusal = str(error)
    assert not refusal or option in refusal


def test_an_id_that_was_ours_may_be_given_back() -> None:
    """32 hexadecimal digits of a UUIDv7 are the id that they show, not a caller's own."""
    ours = "01890a5d-ac96-774b-bcce-b302099a8057".replace("-", "")
    options = resolve(TaskOptions(job_id=ours))
    assert options.job_id == bytes.fromhex(ours)
    assert FrameFlags.CALLERS_ID not in options.flags
    assert FrameFlags.CALLERS_ID in resolve(TaskOptions(job_id="mine")).flags


def test_what_nobody_chose_is_not_written_into_each_job() -> None:
    """Seventy bytes less of every job, in storage and on its way; what was chosen is all there."""
    job = Envelope(id=b"1" * 16, task="t", schema="s", args=msgspec.Raw(b"\x80"), policy=resolve(TaskOptions()).policy)
    assert b"policy" not in encode_envelope(job)
    chosen = resolve(TaskOptions(backoff=2, retries=3)).policy
    stored = encode_envelope(msgspec.structs.replace(job, policy=chosen))
    assert decode_envelope(stored).policy == chosen == JobPolicy(retries=3, backoff_base_ms=2000)
    assert b"backoff_cap" not in stored
