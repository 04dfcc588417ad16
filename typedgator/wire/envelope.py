"""The envelope: the stored form of a job, as one msgpack map. Older readers ignore fields they do not know.

Fields of the first release: v id task schema args policy headers enqueued_at. Reserved in `policy`: group, parent,
root, on_failure, trace. Ext code 1 is reserved for sealed values; every other Ext is refused.
"""

from typing import Final

import msgspec

from typedgator.errors import PayloadMismatch

__all__ = [
    "ENVELOPE_VERSION",
    "MAX_HEADERS_BYTES",
    "Envelope",
    "JobPolicy",
    "decode_envelope",
    "encode_envelope",
    "lean",
]

ENVELOPE_VERSION: Final = 1
MAX_HEADERS_BYTES: Final = 4096


class JobPolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What was promised for a job at enqueue. It travels with the job, so a deploy does not change it.

    Times in ms. `retries` is how many times a failed attempt is tried again. Backoff before retry n (from 1) is drawn
    from 0 to min(`backoff_cap_ms`, `backoff_base_ms` * `backoff_factor` ** (n - 1)), or is exactly that when
    `backoff_jitter` is false. `retry_on` (empty: every exception) and `retry_never` are names of exception classes,
    `module.qualname`, compared with those of the error's class and its bases; never imported. `keep_result_ms` None: 10
    min for a result, 60 s for None; -1: never; else that long. Hooks are names, looked up in the worker's registry,
    never imported.
    """

    retries: int = 0
    backoff_base_ms: int = 1000
    backoff_factor: float = 2.0
    backoff_cap_ms: int = 600_000
    backoff_jitter: bool = True
    retry_on: tuple[str, ...] = ()
    retry_never: tuple[str, ...] = ()
    time_limit_ms: int | None = None
    keep_result_ms: int | None = None
    on_start: str | None = None
    on_success: str | None = None
    on_error: str | None = None


_NOTHING_SAID: Final = JobPolicy()
_SAID: Final = tuple(zip(JobPolicy.__struct_fields__, JobPolicy.__struct_defaults__, strict=True))


def lean(policy: JobPolicy) -> JobPolicy:
    """The same policy in the fewest bytes: msgspec leaves out what *is* the default, not what equals it.

    So no default of these fields may ever change.
    """
    said = {name: value for name, default in _SAID if (value := getattr(policy, name)) != default}
    return JobPolicy(**said) if said else _NOTHING_SAID


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One job as its producer wrote it.

    `id` is the stored form of the job's id; `schema` the fingerprint of the task's arguments; `args` the payload, a
    msgpack map by parameter name; `enqueued_at` the producer's claim, ms since the epoch, never used for a decision.
    `secret` are the parameters whose values nobody may be shown, also who does not know the task.
    """

    v: int = ENVELOPE_VERSION
    id: bytes
    task: str
    schema: str
    args: msgspec.Raw
    policy: JobPolicy = _NOTHING_SAID
    headers: dict[str, str] = {}
    enqueued_at: int = 0
    secret: tuple[str, ...] = ()


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Envelope)


def encode_envelope(envelope: Envelope) -> bytes:
    """The bytes that are stored."""
    return _encoder.encode(envelope)


def decode_envelope(stored: bytes) -> Envelope:
    """Reads stored bytes back; the arguments stay encoded. Raises PayloadMismatch, and nothing else."""
    try:
        envelope = _decoder.decode(stored)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PayloadMismatch(f"an envelope of {len(stored)} bytes cannot be read: {error}") from error
    if envelope.v != ENVELOPE_VERSION:
        raise PayloadMismatch(f"an envelope of version {envelope.v} was written by a newer release")
    if not (envelope.task.isprintable() and envelope.schema.isprintable()):
        # Both stand in tables and logs, where such a name would write to the terminal, or a line of its own.
        raise PayloadMismatch(f"an envelope names its task {envelope.task!r:.100}, which no task can be called")
    return envelope
