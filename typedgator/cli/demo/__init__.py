"""`typedgator demo`: real files, real worker processes, real mistakes; every figure is measured in this run."""

import os
import shutil
import signal
import sysconfig
import tempfile
from pathlib import Path
from types import FrameType
from urllib.parse import quote

import click

from typedgator.cli.endings import BY_SIGNAL, NOT_DONE, Misuse

__all__ = ["demo"]


@click.command()
@click.argument("folder", required=False, type=click.Path())
@click.option("--keep", is_flag=True, help="Keep the queue's file and the workers' logs.")
def demo(folder: str | None, keep: bool) -> None:
    """See it work: two workers read every file of FOLDER (default: Python's standard library) while things break."""
    read = folder if folder is not None else sysconfig.get_path("stdlib")
    if not os.path.isdir(read):
        what = "is a file, not a folder" if os.path.exists(read) else "does not exist"
        raise Misuse(f"{read} {what}: give a folder to read, or none for Python's standard library")
    if not os.access(read, os.R_OK | os.X_OK):
        raise Misuse(f"{read} may not be read by this user")

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(BY_SIGNAL + number)

    signal.signal(signal.SIGTERM, end)  # so that the workers and the temporary folder go with the demo
    place = Path(tempfile.mkdtemp(prefix="typedgator-demo-"))
    try:
        is_equal = _tell(os.path.abspath(read), place, keep=keep)
    finally:
        if not keep:
            shutil.rmtree(place, ignore_errors=True)
    if not is_equal:
        raise click.exceptions.Exit(NOT_DONE)


def _tell(folder: str, place: Path, *, keep: bool) -> bool:
    """The tasks' gator takes its DSN from the environment, here as in the workers: it is set before the import."""
    for name in ("TYPEDGATOR_ASYNC", "TYPEDGATOR_NAMESPACE"):
        os.environ.pop(name, None)
    os.environ["TYPEDGATOR_CONN"] = f"sqlite:///{quote(str(place / 'queue.db'))}"
    from typedgator.cli.demo.story import Story

    return Story(folder, place, keep=keep).tell()
