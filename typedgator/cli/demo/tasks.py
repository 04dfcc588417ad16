"""The demo's gator and tasks: a module like yours, which the workers import as `typedgator.cli.demo.tasks:gator`."""

import asyncio
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Final

from typedgator.cli.demo import measuring
from typedgator.cli.demo.measuring import Outline, Weight
from typedgator.context import current_job
from typedgator.events import WorkerStarted
from typedgator.gator import Gator
from typedgator.policy.retry import RetryPolicy

__all__ = ["FOLDER", "gator", "nap", "outline", "shaky", "weigh"]

FOLDER: Final = "TYPEDGATOR_DEMO_FOLDER"
"""The environment variable that names the folder where a worker says under which identity it works."""

gator: Final = Gator(keep_result=timedelta(hours=1))


@gator.register
async def weigh(path: bytes) -> Weight:
    """Size, lines and digest of any file."""
    return await asyncio.to_thread(measuring.weigh, path)


@gator.register
def outline(path: bytes) -> Outline:
    """The top-level definitions of a Python file."""
    return measuring.outline(path)


@gator.register(retries=RetryPolicy(3, backoff=0.4, factor=1.0, jitter=False))
def shaky() -> str:
    """Fails at its first two attempts."""
    attempt = current_job().attempt
    if attempt < 3:
        raise ConnectionError(f"nobody answered attempt {attempt}")
    return f"answered at attempt {attempt}"


@gator.register
def nap(seconds: float) -> None:
    """Sleeps: a job that is surely still running when its worker dies."""
    time.sleep(seconds)


def _say_who(event: WorkerStarted) -> None:
    folder = os.environ.get(FOLDER)
    if folder:
        written = Path(folder) / f"{os.getpid()}.new"
        written.write_text(event.worker, encoding="ascii")
        written.replace(written.with_suffix(".worker"))


gator.events.on(WorkerStarted, _say_who)
