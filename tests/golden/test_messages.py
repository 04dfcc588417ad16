"""The messages of the commonest mistakes, word by word, in `messages/*.txt`: read them as a user would.

`TYPEDGATOR_GOLDEN=write pytest tests/golden` writes them anew; look at the difference before you commit it. A line
number stands there as the text of that line, so that a new mistake does not move the others, and a wrong place is seen.
"""

import inspect
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.golden.mistakes import MISTAKES
from typedgator import GatorError

HERE = Path(__file__).parent
SOURCE = (HERE / "mistakes.py").read_text(encoding="utf-8").splitlines()
WRITES = os.environ.get("TYPEDGATOR_GOLDEN", "") == "write"


def line_of(found: re.Match[str]) -> str:
    """`mistakes.py:42` with the text of the line in place of its number."""
    text = SOURCE[int(found[1]) - 1].strip()
    return f"mistakes.py: {text.partition('(')[0] if text.startswith('def ') else text.partition('  #')[0]}"


def told(mistake: Callable[[], object]) -> str:
    """A page: what was done, and what was said."""
    done = inspect.getsource(mistake).splitlines()[-1].strip().removeprefix("return ").partition("  #")[0]
    with pytest.raises(GatorError) as caught:
        mistake()
    said = re.sub(r"mistakes\.py:(\d+)", line_of, f"{type(caught.value).__name__}: {caught.value}")
    said = re.sub(r" at 0x[0-9a-f]+|(?<=<Job )[0-9a-f]{32}", " …", said)
    return f"# {mistake.__doc__}\n\n>>> {done}\n\n{said}\n"


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_the_message_is_the_one_that_was_read(mistake: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """It says the call, the path, the rule, the value's type, what to pass, the signature, and both places."""
    monkeypatch.chdir(HERE)
    page, said = HERE / "messages" / f"{mistake.__name__}.txt", told(mistake)
    if WRITES:
        page.write_text(said, encoding="utf-8")
    assert said == page.read_text(encoding="utf-8")


def test_each_page_has_its_mistake() -> None:
    """25 at least, and none left over."""
    pages = {page.stem for page in (HERE / "messages").glob("*.txt")}
    assert pages == {mistake.__name__ for mistake in MISTAKES}
    assert len(pages) >= 25
