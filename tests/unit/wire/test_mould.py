"""What is joined around an id and arguments is what msgspec would write, byte for byte."""

from collections.abc import Callable

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from typedgator.wire.envelope import Envelope, JobPolicy, decode_envelope, encode_envelope
from typedgator.wire.frame import Frame, FrameFlags
from typedgator.wire.ids import JobId
from typedgator.wire.mould import Mould, Series

ours = st.binary(min_size=16, max_size=16)
ids = (ours | st.binary(min_size=1, max_size=128)).map(JobId)
texts = st.text(max_size=40) | st.text(min_size=250, max_size=300)
printable = st.characters(exclude_categories=["C", "Z"])
names = st.text(printable, max_size=40) | st.text(printable, min_size=250, max_size=300)  # others are refused
payloads = st.dictionaries(st.text(max_size=9), st.integers(-9, 2**63) | st.text() | st.none()).map(
    msgspec.msgpack.encode
)
times = st.sampled_from([0, 1, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32]) | st.integers(0, 2**63)
policies = st.just(JobPolicy()) | st.builds(
    JobPolicy,
    retries=st.integers(0, 300),
    retry_on=st.lists(st.text(max_size=9), max_size=3).map(tuple),
    time_limit_ms=st.none() | st.integers(0, 2**40),
    on_error=st.none() | st.text(max_size=9),
)
headers = st.dictionaries(st.text(max_size=9), st.text(max_size=40), max_size=20)
secrets = st.lists(st.text(max_size=40), max_size=20).map(tuple)


@given(ids, names, names, policies, headers, secrets, st.lists(st.tuples(payloads, times), min_size=1, max_size=3))
def test_an_envelope_out_of_a_mould_is_the_envelope(
    job_id: JobId,
    task: str,
    schema: str,
    policy: JobPolicy,
    headers: dict[str, str],
    secret: tuple[str, ...],
    calls: list[tuple[bytes, int]],
) -> None:
    """Whatever the task, its options, the id, the arguments and the time are; one mould does for many calls."""
    mould = Mould(task, schema, policy, headers, secret)
    for payload, now_ms in calls:
        envelope = Envelope(
            id=job_id,
            task=task,
            schema=schema,
            args=msgspec.Raw(payload),
            policy=policy,
            headers=headers,
            enqueued_at=now_ms,
            secret=secret,
        )

        stored = mould.envelope(job_id, payload, now_ms)

        assert stored == encode_envelope(envelope)
        assert decode_envelope(stored).id == job_id
        before, between, after = mould.around(len(job_id), now_ms)
        assert before + job_id + between + payload + after == stored


@given(ours, names, policies, headers, secrets, payloads, st.integers(2**32, 2**48 - 1))
def test_an_envelope_with_the_time_of_its_id_is_the_same_envelope(
    rest: bytes,
    task: str,
    policy: JobPolicy,
    headers: dict[str, str],
    secret: tuple[str, ...],
    payload: bytes,
    now_ms: int,
) -> None:
    """The first 6 bytes of an id of ours are its time: what is joined around them is what is made of the number."""
    mould, job_id = Mould(task, "schema", policy, headers, secret), JobId(now_ms.to_bytes(6) + rest[6:])
    before, between, later, tail = mould.around_own_time()

    joined = before + job_id + between + payload + later + job_id[:6] + tail

    assert joined == mould.envelope(job_id, payload, now_ms)


@given(st.lists(st.tuples(ours, payloads), max_size=5), texts, times)
def test_a_series_is_frames_of_the_same_envelopes(jobs: list[tuple[bytes, bytes]], task: str, now_ms: int) -> None:
    """`frames` gives what a producer makes one by one; some of them by their places."""
    mould = Mould(task, "schema", JobPolicy(), {}, ())
    before, between, after = mould.around(16, now_ms)
    flags = FrameFlags.RESULT_WANTED
    made: Callable[[JobId, bytes], Frame] = lambda job_id, payload: Frame(  # noqa: E731 - as a producer does
        job_id=job_id, queue="q", envelope=mould.envelope(job_id, payload, now_ms), priority=3, flags=flags
    )
    series = Series(
        ids=[JobId(job_id) for job_id, _ in jobs],
        payloads=[payload for _, payload in jobs],
        before=before,
        between=between,
        after=after,
        queue="q",
        priority=3,
        flags=flags,
    )

    frames = [made(JobId(job_id), payload) for job_id, payload in jobs]

    assert series.frames() == frames
    assert series.frames(1, 3) == frames[1:3]
    assert series.frames(2) == frames[2:]
