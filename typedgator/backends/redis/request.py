"""A script with its keys and arguments, packed for the wire; who sends it is not known here."""

from collections.abc import Sequence
from typing import TypeAlias

import hiredis
import msgspec

from typedgator.backends.redis.scripts import Script

__all__ = ["Request", "Word", "pack"]

Word: TypeAlias = bytes | str | int


def pack(words: Sequence[Word]) -> bytes:
    """A command as bytes.

    hiredis is given no number: it asks for the text of one in a way that lets a signal's handler raise, a Ctrl-C for
    example, overlooks that, and takes the process down with it.
    """
    return hiredis.pack_command(tuple([str(word) if type(word) is int else word for word in words]))


class Request(msgspec.Struct, frozen=True, gc=False):
    """A script to run. `again`: may be sent once more when the line broke, since twice is as once."""

    script: Script
    keys: Sequence[bytes]
    args: Sequence[Word]
    again: bool = True
    confirm: "tuple[Request, bytes] | None" = None
    """Asked in the same breath, on the same line: a script that writes, and a WAIT for a replica, packed."""
    repeat: "Request | None" = None
    """Sent instead once nobody knows whether it was done; and as a whole script, which may be behind such a one."""

    def packed(self, *, whole: bool = False) -> bytes:
        """The command: by SHA, or with the whole script for a server that does not know it."""
        how = (b"EVAL", self.script.text) if whole else (b"EVALSHA", self.script.sha)
        return pack((*how, len(self.keys), *self.keys, *self.args))

    def all_packed(self, *, whole: bool = False) -> list[bytes]:
        """The command, and what confirms it: so many answers."""
        if self.confirm is None:
            return [self.packed(whole=whole)]
        fence, wait = self.confirm
        # Always whole: were it not known, the command before it would be done already, and be sent again.
        return [self.packed(whole=whole), fence.packed(whole=True), wait]
