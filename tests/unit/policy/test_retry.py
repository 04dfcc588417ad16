"""Whether and when a failed attempt is tried again."""

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from typedgator.errors import ConfigurationError
from typedgator.policy.control import Cancel, Retry, Snooze
from typedgator.policy.options import TaskOptions, resolve
from typedgator.policy.retry import MAX_BACKOFF_MS, MAX_RETRIES, RetryPolicy, backoff_ms, class_name, retry_delay_ms
from typedgator.wire.envelope import JobPolicy

DRAWS = st.floats(0, 1, exclude_max=True)
ATTEMPTS = st.one_of(st.integers(1, 100), st.integers(1, 1_000_000))
MS = st.one_of(st.integers(0, 100_000), st.integers(0, MAX_BACKOFF_MS))
FACTORS = st.one_of(st.sampled_from([1.0, 1.5, 2.0, 100.0]), st.floats(1, 100))
POLICIES = st.builds(
    JobPolicy,
    retries=st.integers(0, MAX_RETRIES),
    backoff_base_ms=MS,
    backoff_factor=FACTORS,
    backoff_cap_ms=MS,
    backoff_jitter=st.booleans(),
)


class Trouble(Exception):
    """An error of one's own."""


class MoreTrouble(Trouble):
    """Its subclass."""


# ---- how long


@given(POLICIES, ATTEMPTS, DRAWS)
def test_a_wait_is_whole_and_between_zero_and_the_cap(policy: JobPolicy, retry: int, draw: float) -> None:
    """At any attempt up to a million, without overflow: 0 <= wait <= cap, in whole milliseconds."""
    wait = backoff_ms(policy, retry, draw)
    assert type(wait) is int
    assert 0 <= wait <= policy.backoff_cap_ms


@given(POLICIES, st.integers(1, 400))
@example(JobPolicy(backoff_base_ms=0, backoff_factor=100.0), 400)
def test_without_jitter_waits_grow_from_the_backoff_to_the_cap(policy: JobPolicy, retry: int) -> None:
    """Exactly min(cap, backoff * factor ** (n - 1)), so never shorter than the one before."""
    steady = JobPolicy(
        backoff_base_ms=policy.backoff_base_ms,
        backoff_factor=policy.backoff_factor,
        backoff_cap_ms=policy.backoff_cap_ms,
        backoff_jitter=False,
    )
    wait = backoff_ms(steady, retry, 0.5)
    assert wait <= backoff_ms(steady, retry + 1, 0.5)
    assert backoff_ms(steady, 1, 0.5) == min(steady.backoff_base_ms, steady.backoff_cap_ms)
    exact = steady.backoff_base_ms * Fraction(steady.backoff_factor) ** (retry - 1)
    assert abs(wait - min(steady.backoff_cap_ms, exact)) <= 1


@given(POLICIES, ATTEMPTS, DRAWS, DRAWS)
def test_jitter_draws_from_the_whole_wait(policy: JobPolicy, retry: int, one: float, two: float) -> None:
    """Full jitter: a greater draw never waits shorter, no draw waits nothing, none waits longer than without jitter."""
    jittery = JobPolicy(
        backoff_base_ms=policy.backoff_base_ms,
        backoff_factor=policy.backoff_factor,
        backoff_cap_ms=policy.backoff_cap_ms,
    )
    low, high = sorted((one, two))
    assert backoff_ms(jittery, retry, low) <= backoff_ms(jittery, retry, high)
    assert backoff_ms(jittery, retry, 0.0) == 0
    steady = JobPolicy(
        backoff_base_ms=policy.backoff_base_ms,
        backoff_factor=policy.backoff_factor,
        backoff_cap_ms=policy.backoff_cap_ms,
        backoff_jitter=False,
    )
    longest = backoff_ms(steady, retry, 0.0)
    assert abs(backoff_ms(jittery, retry, 0.5) - longest / 2) <= 1


# ---- whether


@given(POLICIES, st.integers(1, 2 * MAX_RETRIES), DRAWS)
def test_so_many_retries_and_no_more(policy: JobPolicy, failures: int, draw: float) -> None:
    """The n-th failure is the last one exactly when n is greater than the retries."""
    assert (retry_delay_ms(policy, ValueError(), failures, draw) is None) == (failures > policy.retries)


@given(POLICIES, DRAWS, st.integers(0, 366 * 24 * 3600))
def test_the_delay_that_a_retry_names_is_never_shortened(policy: JobPolicy, draw: float, seconds: int) -> None:
    """Nor drawn, nor capped: whoever says "not before" is right."""
    asked = retry_delay_ms(policy, Retry(delay=seconds), 1, draw)
    assert asked == (seconds * 1000 if policy.retries else None)


@given(POLICIES, DRAWS)
def test_a_retry_without_a_delay_waits_like_any_failure(policy: JobPolicy, draw: float) -> None:
    """By the job's own backoff."""
    assert retry_delay_ms(policy, Retry(), 1, draw) == retry_delay_ms(policy, ValueError(), 1, draw)


def of(*, on: tuple[type[BaseException], ...] = (), never: tuple[type[BaseException], ...] = ()) -> JobPolicy:
    """What a job gets when these classes are said."""
    return resolve(TaskOptions(retries=RetryPolicy(5, on=on, never=never))).policy


def again(policy: JobPolicy, error: BaseException) -> bool:
    """Whether the first failure is tried again."""
    return retry_delay_ms(policy, error, 1, 0.5) is not None


@pytest.mark.parametrize(
    ("policy", "retried", "given_up"),
    [
        (of(), [ValueError(), Trouble(), OSError(), SystemExit()], []),
        (of(on=(Trouble,)), [Trouble(), MoreTrouble()], [ValueError(), OSError()]),
        (of(on=(MoreTrouble,)), [MoreTrouble()], [Trouble()]),
        (of(on=(OSError, LookupError)), [TimeoutError(), FileNotFoundError(), KeyError()], [ValueError()]),
        (of(never=(Trouble,)), [ValueError()], [Trouble(), MoreTrouble()]),
        (of(never=(MoreTrouble,)), [Trouble()], [MoreTrouble()]),
        (of(on=(Trouble,), never=(MoreTrouble,)), [Trouble()], [MoreTrouble(), ValueError()]),
        (of(on=(MoreTrouble,), never=(Trouble,)), [], [MoreTrouble(), Trouble()]),
        (of(on=(Exception,)), [ValueError(), MoreTrouble()], [SystemExit()]),
        (of(on=(BaseException,)), [SystemExit(), ValueError()], []),
    ],
)
def test_classes_count_with_their_subclasses(
    policy: JobPolicy, retried: list[BaseException], given_up: list[BaseException]
) -> None:
    """`on`: these and their subclasses only; `never`: these and theirs not, whatever `on` says."""
    assert [error for error in retried if not again(policy, error)] == []
    assert [error for error in given_up if again(policy, error)] == []


def test_classes_travel_as_names() -> None:
    """A name is compared and never imported: a worker that has no such class still knows what to do."""
    policy = of(on=(Trouble,))
    assert policy.retry_on == (f"{__name__}.Trouble",)
    stranger = type("Trouble", (Exception,), {"__module__": __name__})
    assert again(policy, stranger())
    elsewhere = type("Trouble", (Exception,), {"__module__": "elsewhere"})
    assert not again(policy, elsewhere())
    assert class_name(KeyError) == "builtins.KeyError"


@given(st.lists(st.sampled_from([Trouble, MoreTrouble, OSError, KeyError]), max_size=3))
def test_a_retry_passes_every_filter(classes: list[type[BaseException]]) -> None:
    """It is asked for by the task itself."""
    assert again(of(on=tuple(classes), never=(Exception,)), Retry())


# ---- what cannot be meant


@pytest.mark.parametrize(
    "wrong",
    [
        {"retries": -1},
        {"retries": 1001},
        {"retries": True},
        {"retries": 1.0},
        {"retries": "3"},
        {"retries": None},
        {"backoff": -1},
        {"backoff": float("inf")},
        {"backoff": timedelta(days=8)},
        {"cap": -1},
        {"cap": float("nan")},
        {"factor": 0.5},
        {"factor": 101},
        {"factor": float("nan")},
        {"on": ("ValueError",)},
        {"on": (ValueError("x"),)},
        {"never": (int,)},
        {"on": ValueError},
        {"never": [ValueError]},
        {"factor": "2"},
        {"factor": True},
        {"jitter": 1},
    ],
    ids=str,
)
def test_a_policy_that_means_nothing_is_refused(wrong: dict[str, object]) -> None:
    """Where it is written, naming what is wrong."""
    said: dict[str, object] = {"retries": 1, **wrong}
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        RetryPolicy(**said)  # type: ignore[arg-type]


def test_signals_say_what_they_are() -> None:
    """Each is an exception with words for whoever reads the job."""
    assert str(Retry()) == "the task asked for a retry"
    assert (str(Retry("busy", delay=1.5)), Retry("busy", delay=1.5).delay_ms) == ("busy", 1500)
    assert Snooze(timedelta(seconds=2)).delay_ms == 2000
    assert Cancel("x" * 500).reason == "x" * 200
