"""The statements by name. They stand in statements.sql, which says what each is for; here they are only read."""

import re
from pathlib import Path
from typing import Final

__all__ = ["STATEMENTS", "read", "statement"]

_HEAD: Final = re.compile(r"^-- name: (.+)\n", re.MULTILINE)
_COMMENT: Final = re.compile(r"--[^\n]*")
_SPACE: Final = re.compile(r"\s+")


def read(file: Path) -> dict[str, str]:
    """The statements of a file by name. Without comments: SQLite would parse them again for every connection."""
    parts = _HEAD.split(file.read_text(encoding="utf-8"))
    return {
        name: _SPACE.sub(" ", _COMMENT.sub("", body)).strip()
        for name, body in zip(parts[1::2], parts[2::2], strict=True)
    }


STATEMENTS: Final = read(Path(__file__).parent / "statements.sql")


def statement(name: str) -> str:
    """The SQL of one statement; asked for at import, so that a wrong name fails there."""
    return STATEMENTS[name]
