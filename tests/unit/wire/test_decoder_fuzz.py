"""Whatever the bytes are, a decoder gives a valid call or raises PayloadMismatch; quickly, and in little memory.

A short run by default; TYPEDGATOR_LONG=1 makes a million inputs and prints the worst time and the peak of memory.
"""

import contextlib
import dataclasses
import os
import random
import resource
import struct
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import msgspec
import pytest
from pydantic import Field

from typedgator.errors import PayloadMismatch
from typedgator.testing.strategies import calls
from typedgator.wire.binder import Call
from typedgator.wire.guard import DEFAULT_PAYLOAD_BYTES, LARGEST_PAYLOAD_BYTES
from typedgator.wire.schema import ArgumentSchema, ResultSchema

LONG = os.environ.get("TYPEDGATOR_LONG", "") not in ("", "0")
INPUTS = 1_000_000 if LONG else 20_000


class Page(TypedDict, total=False):
    number: int
    tags: list[str]


class Point(NamedTuple):
    x: int
    y: float = 0.0


@dataclasses.dataclass(frozen=True)
class Line:
    name: str = "n"
    points: tuple[Point, ...] = ()
    price: Decimal | None = None
    pages: dict[str, Page] = dataclasses.field(default_factory=dict)


def scalars(
    a: int, b: str, c: bytes, d: datetime, e: UUID, *, f: Decimal | None = None, g: timedelta | float = 1.0
) -> None: ...


def nested(
    rows: list[list[int]],
    lines: list[Line],
    page: Page | None = None,
    positive: tuple[Annotated[int, Field(gt=0)], ...] = (),
    *more: set[str],
    **extra: float,
) -> None: ...


def choices(kind: Literal["a", "b", 1], either: int | list[str] | dict[str, Line] | None = None, /) -> None: ...


def empty() -> None: ...


def schema_of(fn: Callable[..., object]) -> ArgumentSchema:
    return ArgumentSchema.of(fn, task=fn.__name__)


SCHEMAS = [schema_of(fn) for fn in (scalars, nested, choices, empty)]
RESULT = ResultSchema(dict[str, list[Line]], task="result")
FRAGMENTS = [
    b"\x91" * 100,
    b"\x81\xa1a" * 100,
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\xdb\x7f\xff\xff\xff",
    b"\xc7\x05\x01xxxxx",
    b"\xd7\xff" + b"\xff" * 8,
    b"\xc7\x0c\xff" + b"\xff" * 12,
    b"\xd4\x01x",
    b"\xc1",
    b"\xa2\xff\xfe",
    b"\xcf" + b"\xff" * 8,
    b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",
    b"\xa8Infinity",
    b"\xa41e99",
]


def valid_payloads() -> list[tuple[ArgumentSchema, bytes]]:
    """Real calls of each schema, drawn once."""
    found: list[tuple[ArgumentSchema, bytes]] = []
    for schema, fn in zip(SCHEMAS, (scalars, nested, choices, empty), strict=True):
        draw = calls(fn)
        found += [(schema, schema.encode(*_example(draw, seed))) for seed in range(20)]
    return found


def _example(strategy: Any, seed: int) -> Any:
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded

    kept: list[Any] = []

    @seeded(seed)
    @settings(
        max_examples=3, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(strategy)
    def keep(value: Any) -> None:
        kept.append(value)

    keep()
    return kept[-1]


def inputs(rng: random.Random, count: int) -> Iterator[tuple[ArgumentSchema, bytes]]:
    """Random bytes, and real payloads cut, flipped, spliced and stuffed."""
    seeds = valid_payloads()
    for _ in range(count):
        schema, payload = rng.choice(seeds)
        raw = bytearray(payload)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(raw) + 1)
            match rng.randrange(6):
                case 0:
                    raw[at : at + 1] = rng.randbytes(1)
                case 1:
                    del raw[at:]
                case 2:
                    raw[at:at] = rng.choice(FRAGMENTS)
                case 3:
                    raw[at : at + rng.randrange(9)] = rng.randbytes(rng.randrange(9))
                case 4:
                    raw[at:at] = rng.choice(seeds)[1][: rng.randrange(200)]
                case _:
                    raw[:] = rng.randbytes(rng.randrange(64))
        yield schema, bytes(raw)


@pytest.mark.timeout(0 if LONG else 60)
def test_any_bytes_are_a_valid_call_or_a_payload_mismatch(capsys: pytest.CaptureFixture[str]) -> None:
    """No other exception leaves a decoder, and what it lets through can be sent again."""
    rng = random.Random(20260101)
    accepted, worst, slowest = 0, 0.0, b""
    for number, (schema, raw) in enumerate(inputs(rng, INPUTS)):
        fingerprint = schema.fingerprint if number % 2 else "another"
        call: Call | None = None
        started = time.perf_counter()
        with contextlib.suppress(PayloadMismatch):
            call = schema.decode(raw, fingerprint=fingerprint)
        if LONG and time.perf_counter() - started > worst:
            # Once more, since a busy machine is slow now and then.
            seconds, _ = cost(schema, raw, fingerprint)
            worst, slowest = max((worst, slowest), (seconds, raw))
        if call is not None:
            accepted += 1
            schema.encode(*call)
        if number % 4 == 0:
            with contextlib.suppress(PayloadMismatch):
                RESULT.decode(raw)
    assert 0 < accepted < INPUTS
    if LONG:
        rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with capsys.disabled():
            print(
                f"\n{INPUTS} inputs, {accepted} accepted, worst {worst * 1e3:.2f} ms on {len(slowest)} bytes, "
                f"{rss} KiB resident at most"
            )


def hostile(size: int) -> dict[str, bytes]:
    """Payloads of about this size, each meant to cost most in its own way."""

    def under(key: bytes, body: bytes) -> bytes:
        return (
            b"\x82"
            + msgspec.msgpack.encode("rows")
            + (b"\x90" if key == b"lines" else body)
            + (msgspec.msgpack.encode("lines") + (body if key == b"lines" else b"\x90"))
        )

    def array(body: bytes, count: int) -> bytes:
        return b"\xdd" + struct.pack(">I", count) + body * count

    def padded(payload: bytes) -> bytes:
        # A long unknown value, which is skipped: the number of containers that are read grows with the size.
        filler = size - len(payload) - 16
        return b"\x83" + payload[1:] + b"\xa3zzz\xc6" + struct.pack(">I", filler) + bytes(filler)

    room = size - 64
    most = 1000 + size // 32  # just under the number of containers that are read
    positive = b"\x82\xa4rows\x90\xa5lines\x90"
    return {
        "arrays at the limit": padded(under(b"rows", array(b"\x90", most))),
        "dataclasses at limit": padded(under(b"lines", array(b"\x80", most))),
        "points at the limit": padded(
            under(b"lines", array(b"\x81\xa6points\x91\x91\x00", min(room // 12, most // 3)))
        ),
        "strings at the limit": b"\x81\xa7unknown" + array(b"\xa1x", min(room // 2, 262_000)),
        "ints at the limit": under(b"rows", b"\x91" + array(b"\x01", min(room, 262_000))),
        "broken constraints": b"\x83" + positive[1:] + b"\xa8positive" + array(b"\x00", min(room, 262_000)),
        "empty arrays": under(b"rows", array(b"\x90", room)),
        "small ints": under(b"rows", b"\x91" + array(b"\x01", room)),
        "empty dataclasses": under(b"lines", array(b"\x80", room)),
        "named dataclasses": under(b"lines", array(b"\x81\xa4name\xa0", room // 7)),
        "deep arrays": under(b"rows", b"\x91" * room),
        "deep maps": under(b"rows", b"\x81\xa1a" * (room // 3)),
        "deep and unknown": b"\x81\xa7unknown" + b"\x91" * room,
        "unknown empty maps": b"\x81\xa7unknown" + array(b"\x80", room),
        "unknown short strings": b"\x81\xa7unknown" + array(b"\xa1x", room // 2),
        "many keys": b"\xdf"
        + struct.pack(">I", room // 4)
        + b"".join(b"\xa3" + b"%03x" % (i % 4096) for i in range(room // 4)),
        "length lie": under(b"rows", b"\xdd\xff\xff\xff\xff" + b"\x90" * room),
        "one long string": b"\x81" + b"\xdb" + struct.pack(">I", room) + b"x" * room,
        "not UTF-8": b"\x81\xa1a" + b"\xdb" + struct.pack(">I", room) + b"\xff" * room,
    }


def cost(schema: ArgumentSchema, raw: bytes, fingerprint: str) -> tuple[float, int]:
    """Seconds (least of three, so that a busy machine does not count) and the peak of memory in bytes."""

    def once() -> None:
        with contextlib.suppress(PayloadMismatch):
            schema.decode(raw, fingerprint=fingerprint)

    once()
    seconds = min(_timed(once) for _ in range(3))
    tracemalloc.start()
    try:
        once()
        return seconds, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _timed(call: Callable[[], None]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


@pytest.mark.parametrize("size", [DEFAULT_PAYLOAD_BYTES, pytest.param(LARGEST_PAYLOAD_BYTES, marks=pytest.mark.slow)])
def test_hostile_bytes_cost_little(size: int, capsys: pytest.CaptureFixture[str]) -> None:
    """32 MB at most, whatever the size. The time is bounded too: the long run, which has the machine for itself, prints
    it and asks.
    """
    schema = schema_of(nested)
    lines: list[str] = []
    for name, raw in hostile(size).items():
        for fingerprint in (schema.fingerprint, "another"):
            assert len(raw) <= size
            seconds, peak = cost(schema, raw, fingerprint)
            lines.append(f"{size:8} {name:22} {seconds * 1e3:7.2f} ms {peak / 1e6:6.1f} MB")
            assert peak < 32_000_000, lines[-1]
            assert not LONG or seconds < (0.05 if size == DEFAULT_PAYLOAD_BYTES else 1.0), lines[-1]
    if LONG:
        with capsys.disabled():
            print("\n" + "\n".join(lines))


def test_a_payload_beyond_the_hard_limit_is_not_decoded() -> None:
    """The size is checked on the bytes, before anything else."""
    schema = schema_of(empty)
    with pytest.raises(PayloadMismatch, match="1048577 bytes, at most 1048576"):
        schema.decode(b"\x80" + b"\x00" * LARGEST_PAYLOAD_BYTES, fingerprint=schema.fingerprint)


def test_untyped_nesting_is_bounded() -> None:
    """64 levels where the bytes were written under another schema, and are first decoded without a type."""
    schema = schema_of(nested)
    for depth in (1_030, 16_000):
        with pytest.raises(PayloadMismatch, match="nested deeper than 64 levels"):
            schema.decode(b"\x81\xa7unknown" + b"\x91" * depth + b"\x00", fingerprint="another")


def test_a_raised_recursion_limit_does_not_hand_over_the_stack() -> None:
    """What the typed decoder skips may be nested at will: where the interpreter would let it, we do not."""
    code = """if True:
        import sys
        sys.setrecursionlimit(10_000_000)
        from typedgator.errors import PayloadMismatch
        from typedgator.wire.schema import ArgumentSchema
        def empty() -> None: ...
        schema = ArgumentSchema.of(empty, task="empty")
        for fingerprint in (schema.fingerprint, "another"):
            try:
                deep = b"\\x82\\xa1a" + b"\\x91" * 30_000 + b"\\x00"
                deep += b"\\xa1b\\xc6\\x00\\x0f\\x00\\x00" + bytes(0x0F_00_00)
                schema.decode(deep, fingerprint=fingerprint)
            except PayloadMismatch as error:
                assert "nested deeper" in str(error)
            else:
                raise AssertionError("decoded")
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=50)


@pytest.mark.parametrize("ext", [b"\xd4\x01x", b"\xc7\x03\x05xxx", b"\xd6\x01xxxx"])
def test_an_ext_is_refused(ext: bytes) -> None:
    """Code 1 is reserved for sealed values, the others are nobody's; only msgpack's own timestamp is read."""
    schema = schema_of(choices)
    for fingerprint in (schema.fingerprint, "another"):
        with pytest.raises(PayloadMismatch):
            schema.decode(b"\x82\xa4kind\xa1a\xa6either" + ext, fingerprint=fingerprint)
    with pytest.raises(PayloadMismatch, match="not readable"):
        schema.decode(b"\x82\xa4kind\xa1a\xa4gone" + ext, fingerprint="another")


def test_an_extra_keyword_cannot_stand_in_for_a_checked_argument() -> None:
    """Forged bytes: `rows` is an int inside **extra, where only floats are checked."""
    schema = schema_of(nested)
    forged = msgspec.msgpack.encode({"rows": [], "lines": [], "extra": {"page": 1.5}})
    with pytest.raises(PayloadMismatch):
        schema.decode(forged, fingerprint=schema.fingerprint)
