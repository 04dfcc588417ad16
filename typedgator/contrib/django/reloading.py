"""Autoreload for a worker in development: when a file changes, it stops as if told to, and starts anew.

The parent starts one child after the other. In the child, a thread watches the files that Django's reloader names, so
that the worker has the main thread, its signals and its graceful stop: jobs that run may finish, as nothing does under
`runserver`.
"""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from types import FrameType
from typing import Final

from django.utils import autoreload

__all__ = ["is_child", "own_command", "run_again_and_again", "watched"]

logger: Final = logging.getLogger("typedgator")

LOOK_SECONDS: Final = 0.5
CHANGED: Final = 3
"""A child's exit code that asks for another child; Django's own."""


def is_child() -> bool:
    """Whether this process is one of those that are started anew."""
    return os.environ.get(autoreload.DJANGO_AUTORELOAD_ENV) == "true"


def run_again_and_again(command: Sequence[str]) -> int:
    """The parent: its last child's exit code. It passes signals on; after a child that fails, it waits for a change."""
    stopped: list[int] = []
    children: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        stopped.append(number)
        for child in children[-1:]:
            with suppress(ProcessLookupError):
                child.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        while True:
            seen = _files()  # before it reads them: what is mended while it fails is a change
            # A session of its own: Ctrl-C reaches it once, from here.
            child = subprocess.Popen(  # noqa: S603 - our own command
                command, env={**os.environ, autoreload.DJANGO_AUTORELOAD_ENV: "true"}, start_new_session=True
            )
            children.append(child)
            code = child.wait()
            if stopped or code == 0:
                return code
            if code not in (CHANGED, -signal.SIGTERM):  # the second: the change came before the worker could listen
                logger.error("the worker ended with exit code %d: it starts again when a file changes", code)
                _until_change(seen, lambda: bool(stopped))
            if stopped:
                return code
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def watched(run: Callable[[], int]) -> int:
    """The child: what `run` gives, or CHANGED when a file changed meanwhile and `run` was stopped for it.

    It stops, too, when the parent is gone: killed, or with the terminal that it was started in.
    """
    seen, parent = _files(), os.getppid()
    has_changed, is_over = Event(), Event()

    def watch() -> None:
        if _until_change(seen, lambda: is_over.is_set() or os.getppid() != parent):
            has_changed.set()
        if not is_over.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=watch, name="typedgator-reload", daemon=True).start()
    code = run()
    is_over.set()
    return CHANGED if has_changed.is_set() else code


def _files() -> dict[Path, float]:
    """The files that were imported, and when each was changed."""
    return dict(autoreload.StatReloader().snapshot_files())


def _until_change(seen: dict[Path, float], is_over: Callable[[], bool]) -> bool:
    """Waits until one of these files, or of those that are imported later, changes. False: it was over before."""
    pause = Event()
    while not is_over():
        for file, changed_at in _files().items():
            if seen.setdefault(file, changed_at) != changed_at:
                logger.info("%s has changed", file)
                return True
        pause.wait(LOOK_SECONDS)
    return False


def own_command(name: str) -> list[str]:
    """How this management command is started again: by the script that started it, or by `python -m django`."""
    script = sys.argv[0] if sys.argv else ""
    if script.endswith(".py") and not script.endswith("__main__.py") and os.path.exists(script):
        return [sys.executable, script, name]
    return [sys.executable, "-m", "django", name]
