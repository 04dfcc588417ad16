"""An application for a real server: `python -m tests.integration.asgi.shop PORT`, its jobs in TYPEDGATOR_CONN.

Says on standard output what a test waits for: `started`, when a job runs.
"""

import asyncio
import sys
import time

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from typedgator import Gator, Worker
from typedgator.contrib.asgi import lifespan

gator = Gator()


@gator.register(keep_result=True)
def work_through_the_end() -> str:
    """Ends after the server was told to stop, and not before."""
    print("started", flush=True)
    while not server.should_exit:
        time.sleep(0.01)
    return "finished"


@gator.register
async def endless() -> None:
    print("started", flush=True)
    await asyncio.Event().wait()


async def enqueue(request: Request) -> JSONResponse:
    task = {"end": work_through_the_end, "endless": endless}[request.path_params["task"]]
    return JSONResponse((await gator.atask(task)).id)


async def hang(request: Request) -> JSONResponse:
    print("hanging", flush=True)
    await asyncio.Event().wait()
    raise AssertionError


app = Starlette(
    routes=[Route("/enqueue/{task}", enqueue, methods=["POST"]), Route("/hang", hang)],
    lifespan=lifespan(gator, worker=lambda: Worker(gator, concurrency=2, grace=3600)),
)
server = uvicorn.Server(uvicorn.Config(app, port=int(sys.argv[1]), log_level="info"))

if __name__ == "__main__":
    server.run()
    sys.exit(0 if server.started else 3)
