"""What a page shows of an output, compared with what was printed.

Ids, process ids, instants, fingerprints and the place of a call differ from run to run: one stands for any other.
`...` stands for whatever the page leaves out.
"""

import ast
import difflib
import re
from collections.abc import Iterator

VARIES = (
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?Z?"), "<instant>"),
    (re.compile(r"\b(?:[0-9a-f]{32}|[0-9a-f]{16})\b"), "<hex>"),
    (re.compile(r"(?<= )\[\d+\](?= )"), "[pid]"),
    (re.compile(r"(?<=The call is at )\S+:\d+"), "<place>"),
    (re.compile(r"[ \t]+$", re.MULTILINE), ""),
)


def difference(shown: str, printed: str) -> str:
    """Nothing, when the page tells the truth; else the lines that differ."""
    shown, printed = _steady(shown), _steady(printed)
    pattern = ".*".join(map(re.escape, shown.split("...")))
    if re.fullmatch(pattern, printed, re.DOTALL):
        return ""
    return "\n".join(difflib.unified_diff(shown.splitlines(), printed.splitlines(), "shown", "printed", lineterm=""))


def _steady(text: str) -> str:
    for pattern, instead in VARIES:
        text = pattern.sub(instead, text)
    return text.strip()


def under_prints(source: str) -> str:
    """The comments that follow the `print(…)` of a block, as the text that they stand for."""
    lines = source.splitlines()
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    ends = sorted(
        (node.end_lineno or 0, node.col_offset) for node in calls if getattr(node.func, "id", None) == "print"
    )
    return "\n".join(line for end, margin in ends for line in _comment(lines[end:], " " * margin + "#"))


def _comment(lines: list[str], start: str) -> Iterator[str]:
    for line in lines:
        if not line.startswith(start):
            return
        yield line.removeprefix(start).removeprefix(" ")
