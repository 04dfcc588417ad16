"""Commands as bytes: what is sent, and that nothing of it can take the process down."""

import subprocess
import sys

import pytest

from typedgator.backends.redis.request import Word, pack

INTERRUPTED = """
import signal
from typedgator.backends.redis.request import pack

class Interrupt(Exception):
    pass

def hear(number, frame):
    raise Interrupt

words = (b"EVALSHA", *range(10**15, 10**15 + 2000))
signal.signal(signal.SIGALRM, hear)
for _ in range(100):
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0005)
        while True:
            pack(words)
    except Interrupt:
        pass
print("unhurt")
"""


@pytest.mark.parametrize(
    ("words", "packed"),
    [
        ((b"GET", "é"), b"*2\r\n$3\r\nGET\r\n$2\r\n\xc3\xa9\r\n"),
        ((b"", 0, -1, 10**15), b"*4\r\n$0\r\n\r\n$1\r\n0\r\n$2\r\n-1\r\n$16\r\n1000000000000000\r\n"),
        ((b"a\r\nb\x00",), b"*1\r\n$5\r\na\r\nb\x00\r\n"),
    ],
)
def test_words_are_sent_as_they_are(words: tuple[Word, ...], packed: bytes) -> None:
    """Numbers as their digits, text as UTF-8, bytes untouched."""
    assert pack(words) == packed


def test_a_signal_in_the_midst_is_heard_and_hurts_nobody() -> None:
    """Its handler raises, as that of Ctrl-C does, while numbers are packed: no process ends by that."""
    ended = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stdout) == (0, "unhurt\n"), ended.stderr
