"""`Annotated[…, Secret]`: what is marked so is stored and handed to the task, and shown nowhere on the way."""

import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, Field

from typedgator import Gator, InvalidArguments, Secret
from typedgator.backends.contract import Inspect
from typedgator.cli.showing import job_shown, print_job, print_json
from typedgator.errors import PayloadMismatch, UnsupportedSignature
from typedgator.events import JobEnqueued
from typedgator.wire.frame import open_frame
from typedgator.wire.ids import parse_id
from typedgator.wire.schema import ArgumentSchema, ResultSchema

WORD = "hunter2"


@dataclass(frozen=True)
class Login:
    name: str
    password: Annotated[str, Secret]


def no_words(text: str) -> str:
    if text == WORD:
        raise KeyError(text)
    return text


def log_in(
    login: Login | None = None,
    password: Annotated[str, Field(min_length=8), AfterValidator(no_words), Secret] = "correct horse",
    keys: Annotated[dict[str, int], Secret] = {},  # noqa: B006
    mode: Annotated[Literal["a", "b"], Secret] = "a",
) -> None: ...


def change(password: Annotated[str, Secret]) -> Annotated[str, Secret]:
    return password


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": WORD},
        {"password": WORD.encode()},
        {"password": {WORD: WORD}},
        {"login": WORD},
        {"login": Login("me", WORD.encode())},  # type: ignore[arg-type]
        {"login": {"name": "me", "password": WORD}},
        {"keys": {WORD: WORD}},
        {"keys": {WORD: 2**70}},
        {"keys": [WORD]},
        {"mode": WORD},
        {"password": WORD * 10_000},
    ],
    ids=lambda wrong: str(wrong)[:40],
)
def test_a_refusal_never_shows_it(gator: Gator, wrong: Any) -> None:
    """Neither value nor key, neither in the text, the fields, the traceback nor the context of the error."""
    task = gator.register(log_in)
    refused: InvalidArguments | None = None
    try:
        task.task(**wrong)
    except InvalidArguments as error:  # not by pytest.raises, which would be a context
        refused = error
    assert refused is not None
    assert refused.__context__ is None
    assert WORD not in str(refused)
    assert WORD not in repr(vars(refused))
    assert WORD not in "".join(traceback.format_exception(refused))
    assert "<hidden>" in str(refused)


def test_it_is_shown_nowhere_on_the_way(
    gator: Gator, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Handles, stored things, events, logs at every level, and what `jobs show --values` prints without the task."""
    caplog.set_level(logging.DEBUG)
    told: list[object] = []
    gator.events.on(JobEnqueued, told.append)
    task = gator.register(change)

    job = task.task(WORD)

    assert isinstance(gator.backend, Inspect)
    before = gator.backend.find(parse_id(job.id))
    assert before is not None
    assert before.frame is not None
    assert WORD.encode() in before.frame, "it is stored"
    print_job(job_shown(before, values=True))
    print_json(job_shown(before, values=True))
    gator.pop()
    after = gator.backend.find(parse_id(job.id))
    assert after is not None
    print_json(job_shown(after, values=True))
    said = capsys.readouterr().out
    assert job.result() == WORD, "the task got it, and gave it"

    for shown in (job, task, gator, before, after, open_frame(before.frame), told, caplog.text, said):
        assert WORD not in repr(shown)
    assert said.count("<hidden>") >= 3


@pytest.mark.parametrize("payload", [{"mode": WORD}, {"password": [WORD]}, {"keys": {WORD: WORD}}], ids=str)
def test_a_worker_that_refuses_it_does_not_show_it(payload: Any) -> None:
    """What it says is stored and logged; so it shows no value of anybody's, secret or not."""
    import msgspec

    schema = ArgumentSchema.of(log_in, task="app.log_in")
    with pytest.raises(PayloadMismatch) as caught:
        schema.decode(msgspec.msgpack.encode(payload), fingerprint=schema.fingerprint)
    assert WORD not in str(caught.value)


@dataclass(frozen=True)
class Strict:
    """A release later: it refuses what was stored, and says the value."""

    password: Annotated[str, Secret]

    def __post_init__(self) -> None:
        if self.password == WORD:
            raise ValueError(f"{self.password} is too easy")


def keep(login: Strict) -> Strict:
    return login


def test_what_a_post_init_says_at_the_worker_is_not_repeated() -> None:
    """It is the user's text, and may have the value in it."""
    import msgspec

    stored = {"password": WORD}
    arguments, results = ArgumentSchema.of(keep, task="app.keep"), ResultSchema.of(keep, task="app.keep")
    decodes: list[Callable[[], object]] = [
        lambda: arguments.decode(msgspec.msgpack.encode({"login": stored}), fingerprint=arguments.fingerprint),
        lambda: results.decode(msgspec.msgpack.encode(stored)),
    ]
    for decode in decodes:
        with pytest.raises(PayloadMismatch, match="its __post_init__ raised ValueError") as caught:
            decode()
        assert WORD not in str(caught.value)


def one_of(mode: Literal["a", "b"]) -> Literal["a", "b"]:
    return mode


def test_a_decoder_that_repeats_a_value_is_cut_short() -> None:
    """msgspec says `Invalid enum value 'hunter2'`; the path behind it stays."""
    import msgspec

    stored = msgspec.msgpack.encode({"mode": WORD})
    arguments, results = ArgumentSchema.of(one_of, task="app.one_of"), ResultSchema.of(one_of, task="app.one_of")
    decodes: list[Callable[[], object]] = [
        lambda: arguments.decode(stored, fingerprint=arguments.fingerprint),
        lambda: results.decode(msgspec.msgpack.encode(WORD)),
    ]
    for decode in decodes:
        with pytest.raises(PayloadMismatch, match="Invalid enum value") as caught:
            decode()
        assert WORD not in str(caught.value)


def sign_in(name: str, *, password: Annotated[str, Secret] = "correct horse") -> None: ...


def sign_in_all(*passwords: Annotated[str, Secret], **more: Annotated[str, Secret]) -> None: ...


@pytest.mark.parametrize(
    ("fn", "args", "kwargs"),
    [
        (sign_in, ("Freddy",), {"pasword": WORD}),
        (sign_in, ("Freddy", WORD), {}),
        (sign_in_all, (1,), {"freddy": WORD}),
        (sign_in_all, (WORD,), {"freddy": 1}),
    ],
    ids=["misspelt", "by position", "among **kwargs", "among *args"],
)
def test_a_value_in_the_wrong_place_is_hidden_where_one_is_secret(
    gator: Gator, fn: Callable[..., None], args: tuple[object, ...], kwargs: dict[str, object]
) -> None:
    """Whose it is nobody knows; so it may be the secret one's."""
    task = gator.register(fn)
    with pytest.raises(InvalidArguments) as caught:
        task.task(*args, **kwargs)
    assert WORD not in str(caught.value)


class Word(Enum):
    HUNTER2 = "hunter"


def with_a_login(login: Login = Login("me", WORD), word: Annotated[Word, Secret] = Word.HUNTER2) -> None: ...


def test_a_secret_inside_a_default_is_hidden_too(gator: Gator) -> None:
    """In a field of a value type, and where the value is a name."""
    signature = gator.register(with_a_login).signature
    assert signature == "with_a_login(login: Login = ..., word: Word = ...) -> None"


def greet(name: str = "Freddy", password: Annotated[str, Secret] = WORD) -> None: ...


def broken(password: Annotated[str, Field(min_length=20), Secret] = WORD) -> None: ...


def test_a_default_is_hidden_too(gator: Gator) -> None:
    """In the signature, and when it breaks its own annotation."""
    signature = gator.register(greet).signature
    assert signature == "greet(name: str = 'Freddy', password: str = ...) -> None"
    with pytest.raises(UnsupportedSignature, match="default that breaks its own annotation: <hidden>") as caught:
        gator.register(broken)
    assert WORD not in str(caught.value)
