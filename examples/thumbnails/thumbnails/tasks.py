"""What the worker does."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from thumbnails import store
from thumbnails.gator import gator
from typedgator import current_job

Width = Annotated[int, Field(ge=1, le=4096)]
Widths = Annotated[list[Width], Field(min_length=1, max_length=20)]
"""The handler takes the same type, so what it accepts the task accepts."""


@gator.register(retries=2, keep_result=True)
def make_thumbnails(image_id: UUID, widths: Widths) -> list[int]:
    """Makes a thumbnail of each width, and says how far it is."""
    job = current_job()
    made: list[int] = []
    for width in widths:
        if job.should_stop:
            break
        job.progress(len(made), len(widths), f"{width} pixels")
        store.make(image_id, width)
        made.append(width)
    return made
