"""What the browser talks to: an upload is answered at once, with a job that can be asked how far it is."""

import asyncio
import os
from pathlib import Path
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel

from thumbnails import store
from thumbnails.gator import gator
from thumbnails.tasks import Width, Widths, make_thumbnails
from typedgator import BackendUnavailable, ConfigurationError, JobState, JobUnknown, Worker
from typedgator.contrib.asgi import lifespan

MOST_BYTES = 32 * 1024 * 1024
PAGE = Path(__file__).with_name("page.html")


class Accepted(BaseModel):
    """An upload: its image, and the job that makes the thumbnails."""

    image: UUID
    job: str


class Status(BaseModel):
    """How far a job is. `done` and `total` are of a running one, `thumbnails` of one that succeeded."""

    state: JobState
    done: float | None = None
    total: float | None = None
    doing: str = ""
    thumbnails: list[int] = []


def worker() -> Worker:
    """A small application has its worker inside: two images at a time."""
    return Worker(gator, concurrency=2)


# With THUMBNAILS_WORKER=apart, `make worker` starts one in a process of its own, or several.
is_apart = os.environ.get("THUMBNAILS_WORKER") == "apart"
app = FastAPI(title="Thumbnails", lifespan=lifespan(gator, worker=None if is_apart else worker))


@app.get("/", include_in_schema=False)
async def page() -> FileResponse:
    """A form, a bar and the pictures."""
    return FileResponse(PAGE)


@app.post("/images", status_code=202)
async def upload(request: Request, width: Annotated[Widths, Query()]) -> Accepted:
    """Takes an image as the request's body, and the widths wanted: `/images?width=64&width=256`."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MOST_BYTES:
            raise HTTPException(413, f"an image may have {MOST_BYTES} bytes")
    image_id = uuid4()
    try:
        await asyncio.to_thread(store.check, bytes(content))
    except ValueError as error:
        raise HTTPException(415, f"this is no image that can be read: {error}") from error
    await asyncio.to_thread(store.keep, image_id, bytes(content))
    job = await gator.atask(make_thumbnails, image_id, width)
    return Accepted(image=image_id, job=job.id)


@app.get("/jobs/{job_id}")
async def status(job_id: str) -> Status:
    """What became of a job so far."""
    try:
        job = gator.job(job_id, make_thumbnails)
        state, progress = await job.astate(), await job.aprogress()
        made = await job.aresult() if state is JobState.SUCCESS else []
    except (ConfigurationError, JobUnknown) as error:
        raise HTTPException(404, "there is no such job, or it ended more than ten minutes ago") from error
    if progress is None:
        return Status(state=state, thumbnails=made)
    return Status(state=state, done=progress.value, total=progress.total, doing=progress.text, thumbnails=made)


@app.get("/images/{image_id}/{width}")
async def picture(image_id: UUID, width: Width) -> FileResponse:
    """A thumbnail."""
    path = store.thumbnail(image_id, width)
    if not path.is_file():
        raise HTTPException(404, "there is no such thumbnail, or not yet")
    return FileResponse(path, media_type="image/png")


@app.exception_handler(BackendUnavailable)
async def unavailable(request: Request, error: Exception) -> JSONResponse:
    """The place where jobs are kept does not answer: it is not the browser's fault, and passes."""
    return JSONResponse({"detail": "try again in a minute"}, status_code=503, headers={"Retry-After": "60"})
