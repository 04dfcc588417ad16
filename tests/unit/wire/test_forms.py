"""The stored forms: frame, id, envelope and outcome. What is written is read back; hostile bytes are only refused."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from typedgator.errors import ConfigurationError, PayloadMismatch
from typedgator.wire.envelope import ENVELOPE_VERSION, Envelope, JobPolicy, decode_envelope, encode_envelope
from typedgator.wire.frame import FRAME_VERSION, Frame, FrameFlags, open_frame, pack_frame
from typedgator.wire.ids import JobId, caller_id, new_id, parse_id, shown_id
from typedgator.wire.outcome import ErrorRecord, Outcome, decode_outcome, encode_outcome


@st.composite
def ours(draw: st.DrawFn) -> JobId:
    """Any id that could be one of ours: 16 bytes, the ninth of which is not ASCII."""
    raw = bytearray(draw(st.binary(min_size=16, max_size=16)))
    raw[8] |= 0x80
    return JobId(bytes(raw))


OURS = ours()
CALLERS = st.from_regex(r"\A[A-Za-z0-9_.:-]{1,128}\Z").map(lambda text: JobId(text.encode()))
IDS = OURS | CALLERS | st.builds(new_id)
MS = st.integers(0, 2**53)
KNOWN_FLAGS = [FrameFlags.UNIQUE, FrameFlags.EXPIRES, FrameFlags.CALLERS_ID, FrameFlags.RESULT_WANTED]
FRAMES = st.builds(
    Frame,
    job_id=IDS,
    queue=st.from_regex(r"\A[A-Za-z0-9_.:-]{1,128}\Z"),
    envelope=st.binary(min_size=1, max_size=200),
    priority=st.integers(0, 255),
    delay_ms=MS,
    expires_in_ms=st.none() | MS,
    unique=st.none() | st.binary(min_size=16, max_size=16),
    crash_budget=st.integers(0, 255),
    flags=st.sets(st.sampled_from(KNOWN_FLAGS)).map(lambda flags: FrameFlags(sum(flags))),
)
PAYLOADS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
).map(lambda value: msgspec.Raw(msgspec.msgpack.encode(value)))
NAMES = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
POLICIES = st.builds(
    JobPolicy,
    retries=st.integers(0, 1000),
    backoff_base_ms=MS,
    backoff_factor=st.floats(1, 100),
    backoff_cap_ms=MS,
    backoff_jitter=st.booleans(),
    retry_on=st.lists(TEXTS, max_size=2).map(tuple),
    retry_never=st.lists(TEXTS, max_size=2).map(tuple),
    time_limit_ms=st.none() | MS,
    keep_result_ms=st.none() | st.just(-1) | MS,
    on_start=st.none() | TEXTS,
    on_success=st.none() | TEXTS,
    on_error=st.none() | TEXTS,
)
ENVELOPES = st.builds(
    Envelope,
    id=IDS,
    task=NAMES,
    schema=NAMES,
    args=PAYLOADS,
    policy=POLICIES,
    headers=st.dictionaries(TEXTS, TEXTS, max_size=3),
    enqueued_at=MS,
)
OUTCOMES = st.builds(
    Outcome,
    kind=st.sampled_from(["result", "error"]),
    result=PAYLOADS,
    error=st.none() | st.builds(ErrorRecord, TEXTS, TEXTS, TEXTS),
    task=TEXTS,
    attempt=st.integers(0, 2**31),
    token=st.integers(0, 2**53),
    schema=TEXTS,
)


# ---- ids


@given(IDS, IDS)
def test_forms_of_ids_are_injective(one: JobId, two: JobId) -> None:
    """Stored, shown, parsed: the same id again, and never two ids of one form."""
    assert parse_id(shown_id(one)) == one
    assert (shown_id(one) == shown_id(two)) == (one == two)


@given(OURS)
def test_our_ids_and_callers_ids_never_meet(job_id: JobId) -> None:
    """A caller who writes 32 hexadecimal digits that could be ours names that job, or has an id of text."""
    assert not caller_id(job_id)
    assert len(shown_id(job_id)) == 32


@given(st.from_regex(r"\A[0-9a-f]{32}\Z"))
def test_hexadecimal_ids_are_read_one_way(text: str) -> None:
    """16 bytes when they are one of ours, else 32 of text; shown as they were written either way."""
    found = parse_id(text)
    assert (len(found) == 16) == (int(text[16], 16) >= 8)
    assert shown_id(found) == text


@given(st.text())
def test_what_is_no_id_is_refused(text: str) -> None:
    """ConfigurationError, or it is the id's own text."""
    try:
        found = parse_id(text)
    except ConfigurationError:
        return
    assert shown_id(found) == text


def test_fresh_ids_are_uuids_that_sort_by_time() -> None:
    """Version 7, RFC 9562: the version and variant bits stand where they must; the millisecond comes first."""
    ids = [new_id() for _ in range(2000)]
    assert len(set(ids)) == len(ids)
    assert all(job_id[6] >> 4 == 7 and job_id[8] >> 6 == 2 for job_id in ids)
    stamps = [job_id[:6] for job_id in ids]
    assert stamps == sorted(stamps)


# ---- round trips


@given(FRAMES, MS)
def test_a_frame_is_read_back(frame: Frame, now_ms: int) -> None:
    """Head and envelope, byte for byte; expiry counts from acceptance."""
    head = open_frame(pack_frame(frame, now_ms))
    assert (head.flags, head.priority, head.crash_budget) == (int(frame.flags), frame.priority, frame.crash_budget)
    assert (head.accepted_ms, head.queue, head.envelope) == (now_ms, frame.queue, frame.envelope)
    assert head.expires_ms == (0 if frame.expires_in_ms is None else now_ms + frame.expires_in_ms)


@given(ENVELOPES)
def test_an_envelope_is_read_back(envelope: Envelope) -> None:
    """Every field, the arguments still encoded."""
    again = decode_envelope(encode_envelope(envelope))
    assert bytes(again.args) == bytes(envelope.args)
    assert encode_envelope(again) == encode_envelope(envelope)
    assert msgspec.structs.replace(again, args=envelope.args) == envelope


@given(OUTCOMES)
def test_an_outcome_is_read_back(outcome: Outcome) -> None:
    """Every field, the result still encoded."""
    again = decode_outcome(encode_outcome(outcome))
    assert bytes(again.result) == bytes(outcome.result)
    assert msgspec.structs.replace(again, result=outcome.result) == outcome


def test_defaults_take_no_room() -> None:
    """The envelope of a plain call: what stands nowhere else, and no more."""
    envelope = Envelope(id=new_id(), task="t", schema="0" * 16, args=msgspec.Raw(b"\x80"), enqueued_at=1)
    assert set(msgspec.msgpack.decode(encode_envelope(envelope))) == {"id", "task", "schema", "args", "enqueued_at"}


def test_fields_of_a_newer_release_are_left_alone() -> None:
    """Older readers ignore what they do not know, in the envelope and in its policy."""
    stored = {"id": b"x", "task": "t", "schema": "s", "args": {}, "new": 1, "policy": {"group": "g", "retries": 2}}
    envelope = decode_envelope(msgspec.msgpack.encode(stored))
    assert (envelope.task, envelope.policy.retries) == ("t", 2)


# ---- hostile bytes

READERS: dict[str, Callable[[bytes], Any]] = {
    "frame": open_frame,
    "envelope": decode_envelope,
    "outcome": decode_outcome,
}
VALID = FRAMES.map(lambda frame: pack_frame(frame, 1)) | ENVELOPES.map(encode_envelope) | OUTCOMES.map(encode_outcome)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Stored bytes with something changed, cut out, put in or cut off."""
    stored = bytearray(draw(VALID))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(stored)))
        stop = draw(st.integers(start, min(len(stored), start + 8)))
        stored[start:stop] = draw(st.binary(max_size=8))
    return bytes(stored[: draw(st.integers(0, len(stored)))] if draw(st.booleans()) else stored)


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@given(stored=damaged() | st.binary(max_size=300))
def test_hostile_bytes_are_only_refused(read: Callable[[bytes], Any], stored: bytes) -> None:
    """PayloadMismatch, and nothing else, whatever the bytes are."""
    with suppress(PayloadMismatch):
        read(stored)


NESTED = b"\x91" * 100_000 + b"\xc0"


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"\x80",
        NESTED,
        msgspec.msgpack.encode({"id": b"x", "task": "t", "schema": "s", "args": 1, "v": 2}),
        msgspec.msgpack.encode({"id": b"x", "task": "t", "schema": "s", "args": 1, "v": 0}),
        msgspec.msgpack.encode({"id": "text", "task": "t", "schema": "s", "args": 1}),
        msgspec.msgpack.encode({"id": b"x", "task": b"t", "schema": "s", "args": 1}),
        msgspec.msgpack.encode({"id": b"x", "task": "t", "schema": "s"}),
        msgspec.msgpack.encode({"id": b"x", "task": "t", "schema": "s", "args": 1, "headers": {"a": 1}}),
        b"\x85\xa2id\xc4\x01x\xa4task\xa1\xff\xa6schema\xa1s\xa4args\x80\xa1v\x01",
        b"\xdf\xff\xff\xff\xff",
        b"\xc7\x04\x01abcd",
        b"\xc6\xff\xff\xff\xffx",
    ],
)
def test_some_bytes_that_once_hurt_a_decoder(stored: bytes) -> None:
    """Empty, too deep, another version, wrong types, broken text, lengths that lie, extensions."""
    with pytest.raises(PayloadMismatch):
        decode_envelope(stored)


@given(FRAMES)
def test_a_frame_of_another_release_is_left_alone(frame: Frame) -> None:
    """Another version or an unknown flag, any of them: refused as such, not guessed at."""
    stored = bytearray(pack_frame(frame, 1))
    known = int(sum(KNOWN_FLAGS))
    for version, flags in [*((v, frame.flags) for v in range(256)), *((FRAME_VERSION, f) for f in range(256))]:
        stored[0:2] = bytes([version, flags])
        if version == FRAME_VERSION and not flags & ~known:
            assert open_frame(bytes(stored)).flags == flags
            continue
        with pytest.raises(PayloadMismatch, match="another release"):
            open_frame(bytes(stored))


@pytest.mark.parametrize("stored", [b"", "", None, "text of twenty-one letters", 7])
def test_what_is_no_bytes_is_refused_as_any_damage(stored: object) -> None:
    """A storage that somebody edited may hold text, a number or nothing where a frame was."""
    with pytest.raises(PayloadMismatch):
        open_frame(stored)  # type: ignore[arg-type]  # that is what is tested


@given(FRAMES)
def test_every_shortened_frame_is_refused_or_keeps_its_envelope_short(frame: Frame) -> None:
    """The head is never read past its end; what is cut off is envelope, whose own reader refuses it."""
    stored = pack_frame(frame, 1)
    start = len(stored) - len(frame.envelope)
    for length in range(start + 1):
        with pytest.raises(PayloadMismatch):
            open_frame(stored[:length])
    assert frame.envelope.startswith(open_frame(stored[: start + 1]).envelope)


def test_an_outcome_of_another_release_is_refused() -> None:
    """As with envelopes: a newer form is not guessed at."""
    assert ENVELOPE_VERSION == 1
    with pytest.raises(PayloadMismatch, match="newer release"):
        decode_outcome(msgspec.msgpack.encode({"v": 2, "kind": "result"}))
