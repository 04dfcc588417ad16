"""What the processes of these tests import: a gator on the file that the environment names, and its tasks."""

import os

from typedgator import Gator, current_job

gator = Gator()


@gator.register
def whereabouts(number: int) -> tuple[int, int]:
    """The number, and the process that ran it."""
    return number, os.getpid()


@gator.register
async def on_loop(number: int) -> tuple[int, str]:
    """The number, and the task's name as the worker knows it."""
    return number, current_job().task
