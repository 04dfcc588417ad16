"""What a stored job says of itself may be anybody's words: it steers no terminal and forges no line of a log."""

import msgspec
import pytest

from typedgator import Gator
from typedgator.cli.showing import print_rows, say
from typedgator.errors import PayloadMismatch, RegistrationError
from typedgator.wire.envelope import Envelope, decode_envelope, encode_envelope
from typedgator.wire.schema import ArgumentSchema

HOSTILE = ["\x1b[2Jwiped", "a\nERROR all is lost", "a\rb", "a\u2028b", "\x9b2J"]


def send(n: int) -> None: ...


@pytest.mark.parametrize("word", HOSTILE, ids=ascii)
def test_no_task_has_such_a_name(word: str) -> None:
    with pytest.raises(RegistrationError, match="cannot be a task's"):
        Gator("locmem://").register(name=word)(send)


@pytest.mark.parametrize("field", ["task", "schema"])
@pytest.mark.parametrize("word", HOSTILE, ids=ascii)
def test_an_envelope_with_such_a_name_is_not_read(word: str, field: str) -> None:
    said = {"task": "app.send", "schema": "0" * 16} | {field: word}
    stored = encode_envelope(Envelope(id=b"1" * 16, args=msgspec.Raw(b"\x80"), **said))
    with pytest.raises(PayloadMismatch) as caught:
        decode_envelope(stored)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("word", [*HOSTILE, "x" * 5000], ids=lambda word: ascii(word)[:20])
def test_an_unknown_key_is_named_harmlessly(word: str) -> None:
    schema = ArgumentSchema.of(send, task="app.send")
    with pytest.raises(PayloadMismatch, match="it carries") as caught:
        schema.decode(msgspec.msgpack.encode({"n": 1, word: 1}), fingerprint="another")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_errors_and_headers_are_shown_harmlessly(capsys: pytest.CaptureFixture[str]) -> None:
    """They may hold anything, so the table and the lines spell it out."""
    print_rows(["why"], [["\x1b[2Jwiped"]])
    say("two\nlines, \x1b]0;title\x07")
    assert capsys.readouterr().out.split() == ["why", r"\x1b[2Jwiped", "two", "lines,", r"\x1b]0;title\x07"]
