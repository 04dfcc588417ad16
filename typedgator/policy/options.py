"""Options at three levels (gator, task, call), checked where they are said and merged once into what one job gets.

At each level an option that was not said is UNSET; the level nearest to the call wins. Hooks are names here.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from typedgator.errors import ConfigurationError
from typedgator.policy.durations import MAX_DELAY_MS, instant_ms, to_ms
from typedgator.policy.retry import MAX_BACKOFF_MS, RetryPolicy, checked_retries, class_name
from typedgator.wire.envelope import MAX_HEADERS_BYTES, JobPolicy, lean
from typedgator.wire.frame import FrameFlags
from typedgator.wire.ids import JobId, caller_id, parse_id
from typedgator.wire.verdict import KEPT_RESULT_MS

__all__ = ["DEFAULT_QUEUE", "Duration", "JobOptions", "TaskOptions", "checked_queue", "merge"]

Duration: TypeAlias = float | timedelta
"""Seconds as int or float, or a timedelta."""

DEFAULT_QUEUE: Final = "all"
MAX_PARENTS: Final = 256
MAX_TIME_LIMIT_MS: Final = 24 * 3_600_000
KEPT_LONGEST_MS: Final = 30 * 24 * 3_600_000
NEVER_KEPT: Final = -1

T = TypeVar("T")

_NAME: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


class TaskOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What was said at one level; UNSET where nothing was. Values are checked when an instance is made.

    Raises ConfigurationError naming the option, what it takes and what it got.
    """

    job_id: str | UnsetType = UNSET
    """The caller's own id, 1 to 128 of `A-Za-z0-9_.:-`."""
    queue: str | UnsetType = UNSET
    """By default `all`."""
    retries: int | RetryPolicy | UnsetType = UNSET
    """How often a failed attempt is tried again, at most 1,000 times, or a policy."""
    backoff: float | timedelta | UnsetType = UNSET
    """Seconds or timedelta before the first retry."""
    is_async: bool | UnsetType = UNSET
    """False: run where it is called."""
    on_start: str | UnsetType | None = UNSET
    """The name of a registered hook, as for the two below."""
    on_success: str | UnsetType | None = UNSET
    on_error: str | UnsetType | None = UNSET
    depends_on: tuple[str, ...] | UnsetType = UNSET
    """Ids of the jobs that must succeed first."""
    delay_by: float | timedelta | UnsetType | None = UNSET
    """Seconds or timedelta. None, here and below: none, whatever was said farther from the call."""
    delay_until: datetime | UnsetType | None = UNSET
    """With its time zone."""
    expires: float | timedelta | UnsetType | None = UNSET
    """Seconds or timedelta in which it must be started."""
    time_limit: float | timedelta | UnsetType | None = UNSET
    """Seconds or timedelta that one attempt may take; of an `async def` alone."""
    unique: bool | str | UnsetType = UNSET
    """True: by the arguments; or a key."""
    priority: int | UnsetType = UNSET
    """0 to 255, higher first."""
    keep_result: bool | timedelta | UnsetType | None = UNSET
    """Whether, or how long."""
    headers: Mapping[str, str] | UnsetType = UNSET
    """At most 4 KiB in all."""

    def __post_init__(self) -> None:
        resolve(self)

    def said(self) -> dict[str, object]:
        """The options that were said, by name."""
        return {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not UNSET}


class JobOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What one job gets, complete. Durations in ms; `until_ms` is an instant, ms since the epoch."""

    policy: JobPolicy = JobPolicy()
    queue: str = DEFAULT_QUEUE
    priority: int = 100
    is_async: bool = True
    job_id: JobId | None = None
    parents: tuple[JobId, ...] = ()
    delay_ms: int = 0
    until_ms: int | None = None
    expires_in_ms: int | None = None
    unique: bool | str = False
    headers: Mapping[str, str] = {}
    flags: FrameFlags = FrameFlags(0)


def merge(*levels: TaskOptions) -> TaskOptions:
    """One level out of several, the later ones winning option by option."""
    said: dict[str, object] = {}
    for level in levels:
        heard = level.said()
        # A delay said nearer to the call replaces a delay said farther away, whichever of the two it is.
        if heard.get("delay_by") is not None:
            said.pop("delay_until", None)
        if heard.get("delay_until") is not None:
            said.pop("delay_by", None)
        # A policy replaces a backoff said farther away; a number replaces the policy's number, and keeps its rest.
        retries, before = heard.get("retries"), said.get("retries")
        if isinstance(retries, RetryPolicy):
            said.pop("backoff", None)
        elif isinstance(retries, int) and isinstance(before, RetryPolicy):
            heard["retries"] = msgspec.structs.replace(before, retries=retries)
        said.update(heard)
    return msgspec.structs.replace(TaskOptions(), **said)


def resolve(options: TaskOptions) -> JobOptions:
    """The complete options of a job, defaults filled in. Raises ConfigurationError naming the option that is wrong."""
    delay_by, delay_until = _or(options.delay_by, None), _or(options.delay_until, None)
    if delay_by is not None and delay_until is not None:
        raise ConfigurationError("delay_by and delay_until exclude each other: give one of them")
    expires = _or(options.expires, None)
    expires_in_ms = None if expires is None else to_ms(expires, "expires", least=1)
    keep_ms = _keep_result_ms(_or(options.keep_result, None))
    job_id = None if options.job_id is UNSET else parse_id(_text(options.job_id, "job_id"))
    unique = _or(options.unique, False)
    if not isinstance(unique, (bool, str)) or unique == "":
        raise ConfigurationError(f"unique must be True, False or a key, got {unique!r}")
    if isinstance(unique, str):
        _text(unique, "unique")
    flags = FrameFlags(0)
    if unique is not False:
        flags |= FrameFlags.UNIQUE
    if expires_in_ms is not None:
        flags |= FrameFlags.EXPIRES
    if job_id is not None and caller_id(job_id):
        flags |= FrameFlags.CALLERS_ID
    if keep_ms is not None and keep_ms > 0:
        flags |= FrameFlags.RESULT_WANTED
    return JobOptions(
        policy=_policy(options, keep_ms),
        queue=checked_queue(_or(options.queue, DEFAULT_QUEUE)),
        priority=_whole(_or(options.priority, 100), "priority", 0, 255),
        is_async=_flag(_or(options.is_async, True), "is_async"),
        job_id=job_id,
        parents=_parents(_or(options.depends_on, ())),
        delay_ms=0 if delay_by is None else to_ms(delay_by, "delay_by", most=MAX_DELAY_MS),
        until_ms=None if delay_until is None else instant_ms(delay_until, "delay_until"),
        expires_in_ms=expires_in_ms,
        unique=unique,
        headers=_headers(_or(options.headers, {})),
        flags=flags,
    )


def _policy(options: TaskOptions, keep_ms: int | None) -> JobPolicy:
    retries = _or(options.retries, 0)
    retry = retries if isinstance(retries, RetryPolicy) else RetryPolicy(checked_retries(retries))
    backoff = retry.backoff if options.backoff is UNSET else options.backoff
    time_limit = _or(options.time_limit, None)
    policy = JobPolicy(
        retries=retry.retries,
        backoff_base_ms=to_ms(backoff, "backoff", most=MAX_BACKOFF_MS),
        backoff_factor=float(retry.factor),
        backoff_cap_ms=to_ms(retry.cap, "cap", most=MAX_BACKOFF_MS),
        backoff_jitter=retry.jitter,
        retry_on=tuple(map(class_name, retry.on)),
        retry_never=tuple(map(class_name, retry.never)),
        time_limit_ms=None if time_limit is None else to_ms(time_limit, "time_limit", least=1, most=MAX_TIME_LIMIT_MS),
        keep_result_ms=keep_ms,
        on_start=_or(options.on_start, None),
        on_success=_or(options.on_success, None),
        on_error=_or(options.on_error, None),
    )
    return lean(policy)


def checked_queue(queue: object) -> str:
    """A queue's name. Raises ConfigurationError when it cannot be one."""
    if not isinstance(queue, str) or not _NAME.fullmatch(queue):
        raise ConfigurationError(f"queue must be 1 to 128 of the characters A-Z a-z 0-9 _ . : -, got {queue!r}")
    return queue


def _or(value: T | UnsetType, default: T) -> T:
    return default if isinstance(value, UnsetType) else value


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} must be text, got {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(f"{name} must be text, got half a character in {value!r:.200}") from None
    return value


def _whole(value: object, name: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigurationError(f"{name} must be a whole number from {least} to {most}, got {value!r}")
    return value


def _flag(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise ConfigurationError(
            f"{name} must be True or False, got {value!r}"
            + (": a string is always true, parse it first" if isinstance(value, str) else "")
        )
    return value


def _keep_result_ms(keep: object) -> int | None:
    if keep is None:
        return None
    if isinstance(keep, timedelta):
        return to_ms(keep, "keep_result", least=1000, most=KEPT_LONGEST_MS)
    return KEPT_RESULT_MS if _flag(keep, "keep_result") else NEVER_KEPT


def _parents(ids: tuple[str, ...]) -> tuple[JobId, ...]:
    if not isinstance(ids, tuple) or len(ids) > MAX_PARENTS:
        raise ConfigurationError(f"depends_on takes at most {MAX_PARENTS} jobs or job ids, got {ids!r:.200}")
    return tuple(dict.fromkeys(parse_id(_text(parent, "depends_on"), "depends_on:") for parent in ids))


def _headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    if not isinstance(headers, Mapping):
        raise ConfigurationError(f"headers must map text to text, got {headers!r:.200}")
    size = 0
    for key, value in headers.items():
        size += len(_text(key, "a name in headers").encode()) + len(_text(value, f"headers[{key!r}]").encode())
    if size > MAX_HEADERS_BYTES:
        raise ConfigurationError(f"headers are {size} bytes; at most {MAX_HEADERS_BYTES} travel with a job")
    return dict(headers)
