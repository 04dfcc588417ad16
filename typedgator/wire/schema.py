"""Schemas of a task: what may be passed and returned, as bytes.

Built at registration from the annotations alone; pydantic is imported, and the validators are built, at the first call
(at registration when the signature has constraints, so that a broken constraint is heard at import). Always strict, no
switch. The checked value is what is sent. What may never enter here: I/O, policy, the envelope.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from itertools import starmap
from typing import Any, Final, cast

import msgspec

from typedgator.errors import InvalidArguments, PayloadMismatch, RegistrationError, UnsupportedSignature
from typedgator.wire.binder import Binder, Call
from typedgator.wire.codec import Codec, Unproved, by_own_code, codec_for, no_ext
from typedgator.wire.dialect import Document, document, fingerprint
from typedgator.wire.guard import CAREFREE_BYTES, DEFAULT_PAYLOAD_BYTES, LARGEST_PAYLOAD_BYTES, too_much
from typedgator.wire.origin import calling_place, place_of
from typedgator.wire.problems import (
    HIDDEN,
    breaks_rules,
    broken_rules,
    shown_error,
    shown_value,
    unstorable,
    without_value,
)
from typedgator.wire.signature import hints_of, shown_signature, signed
from typedgator.wire.simple import NotSimple, simple
from typedgator.wire.terms import ArrayOf, DictOf, Field, FilledInByWorker, Record, Scalar, Term
from typedgator.wire.unknown import unknown_keys

__all__ = ["MAX_ITEMS", "ArgumentSchema", "RefusedByCode", "ResultSchema"]

MAX_ITEMS = 100
"""A collection holds at most this many elements at enqueue, unless it is annotated with MaxLen."""


class RefusedByCode(PayloadMismatch):
    """Bytes that keep every rule of the schema, refused by a validator or `__post_init__` of the task's own."""


def _term(annotation: object, parameter: str, task: str) -> Term:
    try:
        return simple(annotation, parameter)
    except NotSimple as refusal:
        raise UnsupportedSignature(task, parameter, str(refusal)) from None


_BY_NAME: Final = msgspec.msgpack.Decoder(dict[str, msgspec.Raw])
_TOGETHER: Final = 128
"""So many calls are checked by one call of the validator."""


class ArgumentSchema:
    """What a task takes: from a call to bytes and back. Immutable to its users, safe from every thread.

    `task` is the task's name, `document` its schema in our dialect, `fingerprint` 16 hex characters that stand for it,
    `shown` the signature as people read it, `secret` the parameters whose values are never shown.
    """

    task: str
    fingerprint: str
    document: Document
    shown: str
    _fn: Callable[..., object] | None = None

    def __init__(
        self,
        signature: inspect.Signature,
        hints: Mapping[str, Any],
        *,
        name: str,
        task: str,
        max_items: int,
        max_payload: int,
        show_values: bool,
    ) -> None:
        """Use `of`."""
        self.task = task
        self.max_items = max_items
        self.max_payload = max_payload
        self.show_values = show_values
        self._name = name
        self._binder = Binder(signature)
        self._bind = self._binder.bind
        self._split = self._binder.split
        fields = _fields(signature, hints, max_items, task)
        self.secret: tuple[str, ...] = tuple(
            field.name for field in fields if any(part.secret for part in field.term.all())
        )
        self.shown = shown_signature(name, signature, dict(hints), self.secret)
        term = Term(Record("arguments", dict, fields))
        self.document = document(term)
        self.fingerprint = fingerprint(self.document)
        self._codec = codec_for(term, max_items, task, "?")
        self._unpack, self._pack = self._codec.unpack, self._codec.pack
        self._carefree = min(max_payload, CAREFREE_BYTES)

    @classmethod
    def of(
        cls,
        fn: Callable[..., object],
        *,
        task: str,
        named: bool = False,
        max_items: int = MAX_ITEMS,
        max_payload: int = DEFAULT_PAYLOAD_BYTES,
        show_values: bool = True,
    ) -> "ArgumentSchema":
        """The schema of a function's parameters.

        `named`: the user gave the task its name, so a lambda or a nested function will do. `max_items` and
        `max_payload` (bytes, at most 1 MiB) are rules of the sender; they are not in the fingerprint and a worker does
        not apply them. `show_values` false hides argument values in errors. A default must fit its annotation.
        Raises RegistrationError for a function that cannot be a task, UnsupportedSignature naming the parameter.
        """
        if not 0 < max_payload <= LARGEST_PAYLOAD_BYTES:
            raise RegistrationError(
                f"{task}: max_payload must be 1 to {LARGEST_PAYLOAD_BYTES} bytes, got {max_payload}"
            )
        signature, hints = signed(fn, task, named=named)
        for parameter in signature.parameters:
            if parameter not in hints:
                raise UnsupportedSignature(task, parameter, f"has no annotation; name its type: `{parameter}: int`")
        made = cls(
            signature,
            hints,
            name=getattr(fn, "__name__", task),
            task=task,
            max_items=max_items,
            max_payload=max_payload,
            show_values=show_values,
        )
        made._fn = fn
        return made

    def build(self) -> None:
        """Builds the validators now, not at the first call."""
        self._codec.build()

    def encode(self, args: tuple[object, ...], kwargs: Mapping[str, object], /) -> bytes:
        """The bytes of a call: msgpack of a map by name; defaults that were not overridden are left out.

        Raises InvalidArguments, which lists all that is wrong with the call, and nothing else.
        """
        payload, refusal = b"", None
        try:
            payload = self._pack(self._codec.check(self._bind(*args, **kwargs)))
        except Exception as error:  # a user's validator runs in there
            refusal = self._refusal(args, kwargs, error)
        if refusal is not None:
            raise refusal  # here, where no other error with the values in it would be its context
        if len(payload) > self._carefree:
            self._weigh(payload, args, kwargs)
        return payload

    def encode_each(self, calls: Sequence[tuple[object, ...] | Mapping[str, object]], /) -> list[bytes]:
        """`encode` of many calls, each its positions or its keywords; a refusal names the index of its call."""
        quick = self._encode_quickly(calls)
        if quick is not None:
            return quick
        codec, bind, pack, carefree = self._codec, self._bind, self._pack, self._carefree
        payloads: list[bytes] = []
        for call in calls:
            try:
                payload = pack(codec.check(bind(*call) if isinstance(call, tuple) else bind(**call)))
            except Exception:  # a user's validator runs in there; `encode` says what was wrong
                payload = b""
            payloads.append(payload if 0 < len(payload) <= carefree else self._encode_at(len(payloads), call))
        return payloads

    def _encode_quickly(self, calls: Sequence[tuple[object, ...] | Mapping[str, object]]) -> list[bytes] | None:
        """Those of calls by position that are all right, without a loop of ours; None where one may not be."""
        # A user's validator sees one call after the other: what it gives may be a list that it fills anew for each.
        if self._codec.own_code or set(map(type, calls)) != {tuple}:
            return None
        by_position = cast("Sequence[tuple[object, ...]]", calls)
        payloads: list[bytes] = []
        try:
            # A few at a time: thousands of dicts at once would call the garbage collector.
            for start in range(0, len(calls), _TOGETHER):
                bound = list(starmap(self._bind, by_position[start : start + _TOGETHER]))
                payloads += map(self._pack, self._codec.check_many(bound))
        except Exception:  # a class of a value may do anything; the loop says which call is wrong, and how
            return None
        # A StopIteration would have ended it, and been believed.
        return payloads if len(payloads) == len(calls) and max(map(len, payloads)) <= self._carefree else None

    def _encode_at(self, index: int, call: tuple[object, ...] | Mapping[str, object]) -> bytes:
        try:
            return self.encode(call, {}) if isinstance(call, tuple) else self.encode((), call)
        except InvalidArguments as error:
            raise error.at(index) from None

    def checked(self, args: tuple[object, ...], kwargs: Mapping[str, object], /) -> dict[str, Any]:
        """A call's arguments by name, as they would be sent. Raises whatever is wrong with them."""
        checked: dict[str, Any] = self._codec.check(self._bind(*args, **kwargs))
        return checked

    def is_too_large(self, args: tuple[object, ...], kwargs: Mapping[str, object], /) -> bool:
        """Whether a call that is right in itself would be refused for its size."""
        try:
            return len(self._pack(self.checked(args, kwargs))) > self.max_payload
        except Exception:  # a user's validators; refused for another reason
            return False

    def canonical(self, payload: bytes, /) -> bytes:
        """Bytes of what `encode` just gave that are equal for equal calls, however sets and dicts were filled."""
        return self._codec.canonical(self._codec.recheck(self._unpack(payload)))

    def decode(self, payload: bytes, /, *, fingerprint: str) -> Call:
        """The call that these bytes stand for: positional arguments and keywords. `fingerprint` is the writer's.

        Bytes written under another schema are searched for keys this one does not know. Raises PayloadMismatch, and
        nothing else, whatever the bytes are; where only the user's own code refuses them, RefusedByCode.
        """
        known = fingerprint == self.fingerprint
        reason = too_much(payload, typed=known)
        if reason:
            raise PayloadMismatch(f"{self.task}: the payload is refused: {reason}")
        if not known:
            self._search(payload)
        try:
            return self._split(self._codec.recheck(self._unpack(payload)))
        except Exception as error:
            # A user's validator runs in there; and a decoder may raise more than its documents say
            kind = RefusedByCode if by_own_code(error, self._codec.term) else PayloadMismatch
            raise kind(f"{self.task}: the payload does not fit: {self._why(error)}") from None

    @staticmethod
    def call(fn: Callable[..., object], decoded: Call, /) -> object:
        """Call a function with what `decode` gave; of an async function, its coroutine."""
        return fn(*decoded[0], **decoded[1])

    def _shows(self, name: str) -> bool:
        # A value that belongs to no parameter ("") may be the secret one's, misspelt or in the wrong place.
        return self.show_values and name not in self.secret and not (self.secret and not name)

    def _search(self, payload: bytes) -> None:
        try:
            value: object = msgspec.msgpack.decode(payload, ext_hook=no_ext)
        except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError) as error:
            # Besides its own errors: text that is no UTF-8, a key that cannot be hashed, a timestamp beyond year 9999.
            raise PayloadMismatch(f"{self.task}: the payload is not readable ({type(error).__name__})") from None
        unknown = list(dict.fromkeys(unknown_keys(self._codec.term, value)))
        if unknown:
            raise PayloadMismatch(
                f"{self.task}: the payload was written for another version of the task: "
                f"it carries {', '.join(unknown[:5])}, which this version does not take"
            )

    def _why(self, error: Exception) -> str:
        """A refusal at the worker, without values: it is stored and logged."""
        if breaks_rules(error):
            return "; ".join(broken_rules(error, self._codec.term, lambda name: False)[:5])
        if isinstance(error, msgspec.MsgspecError):
            return without_value(error)
        return type(error).__name__

    # ---- refusals: none of this runs for a call that is right

    def _refusal(self, args: tuple[object, ...], kwargs: Mapping[str, object], error: Exception) -> InvalidArguments:
        bound = self._binder.explain(args, kwargs)
        problems = list(bound.problems)
        missing = {f"{parameter.name} is missing" for parameter in self._binder.parameters}  # told better by the binder
        problems += [line for line in self._broken(bound.named) if line not in missing]
        if not problems:
            problems = [f"a validator raised {type(error).__name__}"]
        return self._invalid(args, kwargs, problems)

    def _broken(self, named: dict[str, object]) -> list[str]:
        try:
            checked = self._codec.check(named)
        except Exception as error:  # the user's validators again
            if breaks_rules(error):
                return broken_rules(error, self._codec.term, self._shows, teach=True)
            return [f"a validator raised {self._told(error)}"]
        try:
            self._pack(checked)
        except Exception as error:  # whatever the encoder raises is the reason
            return unstorable(checked, self._shows) or [
                str(error) if isinstance(error, Unproved) else self._told(error)
            ]
        return []

    @property
    def may_be_shown(self) -> bool:
        """Whether a message may have the values of arguments in it."""
        return self.show_values and not self.secret

    def _told(self, error: Exception) -> str:
        name = type(error).__name__
        return f"{name}: {shown_error(error)}" if self.may_be_shown else name

    def _weigh(self, payload: bytes, args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
        size = len(payload)
        problem = ""
        if size > self.max_payload:
            sizes = {name: len(bytes(part)) for name, part in _BY_NAME.decode(payload).items()}
            widest = max(sizes, key=lambda name: sizes[name])
            problem = (
                f"the arguments take {size} bytes, at most {self.max_payload} are taken; "
                f"{widest} alone takes {sizes[widest]}: store it and pass its id"
            )
        elif reason := too_much(payload):
            problem = f"the payload would not be read by a worker: {reason}; store the data and pass its id"
        if problem:
            raise self._invalid(args, kwargs, [problem])

    def _invalid(self, args: tuple[object, ...], kwargs: Mapping[str, object], problems: list[str]) -> InvalidArguments:
        return InvalidArguments(
            self.task,
            self.spoken(args, kwargs),
            problems,
            signature=self.shown,
            task_at=str(place_of(self._fn) or ""),
            called_at=str(calling_place() or ""),
        )

    def spoken(self, args: tuple[object, ...], kwargs: Mapping[str, object], /) -> str:
        """A call as people read it, secrets hidden and long values shortened."""
        return f"{self._name}({self._said(args, kwargs)})"

    def _said(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> str:
        """The arguments as the caller gave them, shortened, under their names."""
        given: list[tuple[str, object, str]] = []
        parameters = self._binder.parameters
        names = {p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        positions = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        star = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "")
        stars = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), "")
        for index, value in enumerate(args):
            parameter = positions[index] if index < len(positions) else None
            owner = parameter.name if parameter is not None else star
            spelled = parameter is not None and parameter.kind is not parameter.POSITIONAL_ONLY
            given.append((f"{owner}=" if spelled else "", value, owner))
        given += [(f"{name}=", value, name if name in names else stars) for name, value in kwargs.items()]
        texts = [label + (shown_value(value) if self._shows(owner) else HIDDEN) for label, value, owner in given]
        most = 20
        return ", ".join(texts[:most]) + (", …" if len(texts) > most else "")


def _fields(signature: inspect.Signature, hints: Mapping[str, Any], max_items: int, task: str) -> tuple[Field, ...]:
    """The arguments' terms by name. Checks the defaults."""
    fields: list[Field] = []
    for parameter in signature.parameters.values():
        name = parameter.name
        term = _term(hints[name], name, task)
        if parameter.kind is parameter.VAR_POSITIONAL:
            term = Term(ArrayOf(tuple, term))
        elif parameter.kind is parameter.VAR_KEYWORD:
            term = Term(DictOf(Term(Scalar(str)), term))
        codec = codec_for(term, max_items, task, name)
        plain = parameter.default is parameter.empty
        if not plain and not isinstance(parameter.default, FilledInByWorker):
            _check_default(codec, parameter.default, task, name)
        fields.append(
            Field(name, term, plain and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD))
        )
    return tuple(fields)


def _check_default(codec: Codec, default: object, task: str, name: str) -> None:
    broken: list[str] = []
    shows = not any(part.secret for part in codec.term.all())
    if not codec.fits(default):
        is_nan = isinstance(default, (float, Decimal)) and default != default
        broken = [
            "is NaN, which nothing can be compared with; write None and allow it with `| None`"
            if is_nan
            else "is of another type"
        ]
    elif any(part.marks for part in codec.term.all()):
        try:
            codec.recheck(default)
        except Exception as error:  # the user's validators run in there
            if not breaks_rules(error):
                broken = [f"makes its validator raise {type(error).__name__}"]
            else:
                broken = broken_rules(error, codec.term, lambda owner: shows, "it")
    if broken:
        raise UnsupportedSignature(
            task,
            name,
            "has a default that breaks its own annotation: "
            f"{shown_value(default) if shows else HIDDEN} ({'; '.join(broken)})",
        )


class ResultSchema:
    """What a task returns: from a value to bytes and back. Of an async task, what awaiting it gives.

    `is_secret`: nobody may be shown it.
    """

    task: str
    fingerprint: str
    document: Document

    def __init__(self, annotation: object, *, task: str) -> None:
        """Use `of`."""
        self.task = task
        term = _term(annotation, "return", task)
        self._codec = codec_for(term, None, task, "return")
        self.is_secret: bool = any(part.secret for part in term.all())
        self.document = document(term)
        self.fingerprint = fingerprint(self.document)

    @classmethod
    def of(cls, fn: Callable[..., object], *, task: str) -> "ResultSchema":
        """The schema of a function's result. Raises UnsupportedSignature with the parameter "return"."""
        hints = hints_of(fn, task)
        if "return" not in hints:
            raise UnsupportedSignature(task, "return", "has no annotation; name its type: `-> None`")
        return cls(hints["return"], task=task)

    def encode(self, value: object, /) -> bytes:
        """The bytes of a result. Raises PayloadMismatch when it is not what the task promised, or over 1 MiB."""
        codec = self._codec
        try:
            payload = codec.pack(codec.check(value))
        except Exception as error:  # a user's validator runs in there
            raise PayloadMismatch(f"{self.task}: {'; '.join(self._broken(value, error))}") from None
        if len(payload) > CAREFREE_BYTES:
            reason = too_much(payload)
            if reason:
                raise PayloadMismatch(f"{self.task}: the result cannot be stored: {reason}; store it and return its id")
        return payload

    def decode(self, payload: bytes, /) -> object:
        """The result that these bytes stand for. Raises PayloadMismatch, and nothing else, whatever the bytes are."""
        reason = too_much(payload)
        if reason:
            raise PayloadMismatch(f"{self.task}: the result is refused: {reason}")
        try:
            return self._codec.recheck(self._codec.unpack(payload))
        except Exception as error:  # a user's validator runs in there; a decoder may raise more than its documents say
            why = "; ".join(self._broken(None, error)) if breaks_rules(error) else self._unread(error)
            raise PayloadMismatch(f"{self.task}: the stored result does not fit: {why}") from None

    def _broken(self, value: object, error: Exception) -> list[str]:
        if breaks_rules(error):
            return broken_rules(error, self._codec.term, lambda name: False, "result")
        return unstorable({"": value}, lambda name: False, "result") or [
            f"result cannot be stored ({self._unread(error)})"
        ]

    def _unread(self, error: Exception) -> str:
        if isinstance(error, msgspec.MsgspecError):
            return without_value(error)
        return type(error).__name__ if self.is_secret else shown_error(error)
