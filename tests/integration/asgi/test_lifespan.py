"""The lifespan of an application: what is open meanwhile, what runs inside, and how it ends."""

import asyncio
import logging
import signal
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event
from typing import Final

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from tests.integration.redis.servers import Server, free_port, needs_redis, until
from tests.integration.worker.crew import PATIENCE
from typedgator import BackendUnavailable, ConfigurationError, Gator, JobState, Worker
from typedgator.contrib.asgi import lifespan, serving


@pytest.fixture(scope="module")
def redis() -> Iterator[Server]:
    with Server() as started:
        yield started


@pytest.fixture(params=["sqlite", "redis"])
def gator(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Gator]:
    """A gator whose jobs other processes could see."""
    if request.param == "sqlite":
        gator = Gator(f"sqlite:///{tmp_path / 'jobs.db'}?durability=process")
    else:
        gator = Gator(request.getfixturevalue("redis").dsn, namespace=tmp_path.name)
    yield gator
    gator.close()


class Watched(Worker):
    """A worker that says when it is asked to stop."""

    def __init__(self, gator: Gator, *, grace: float = PATIENCE) -> None:
        super().__init__(gator, concurrency=2, grace=grace)
        self.asked: Final = Event()

    def stop(self, *, now: bool = False) -> None:
        super().stop(now=now)
        self.asked.set()


def application(gator: Gator, worker: Callable[[], Worker] | None = None) -> Starlette:
    """Doubles numbers: the job's id at once, its result when it is there."""

    @gator.register(name="double", keep_result=True)
    def double(n: int) -> int:
        return 2 * n

    async def enqueue(request: Request) -> JSONResponse:
        return JSONResponse((await gator.atask(double, int(request.path_params["n"]))).id)

    async def answer(request: Request) -> JSONResponse:
        return JSONResponse(await gator.job(request.path_params["id"], double).aresult(timeout=PATIENCE))

    routes = [Route("/double/{n}", enqueue, methods=["POST"]), Route("/jobs/{id}", answer)]
    return Starlette(routes=routes, lifespan=lifespan(gator, worker=worker))


@needs_redis
class TestOpen:
    def test_an_application_whose_server_is_not_there_does_not_start(self) -> None:
        """And not: it starts, and each request fails."""
        gator = Gator(f"redis://127.0.0.1:{free_port()}/0?timeout=0.5")

        with pytest.raises(BackendUnavailable), TestClient(application(gator)):
            pytest.fail("it started")

    def test_connections_last_as_long_as_the_application(self, redis: Server) -> None:
        """Those of its event loop too, while the loop goes on."""
        gator = Gator(redis.dsn, namespace="connections")
        app = application(gator)

        def connections() -> int:
            return str(redis.ask("CLIENT", "LIST", "TYPE", "normal")).count("addr=")

        async def story() -> None:
            transport = httpx2.ASGITransport(app)
            before = connections()
            async with serving(gator), httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
                opened = connections()
                assert opened > before
                (await client.post("/double/4")).raise_for_status()
                assert connections() > opened
            await asyncio.to_thread(until, lambda: connections() == before, "some have not hung up", PATIENCE)

        asyncio.run(story())

    def test_handlers_enqueue_on_one_connection_of_the_event_loop(self, redis: Server) -> None:
        """A hundred requests at once take no thread and no connection more than one."""
        gator = Gator(redis.dsn, namespace="native")
        app = application(gator)

        async def story() -> None:
            transport = httpx2.ASGITransport(app)
            async with serving(gator), httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
                (await client.post("/double/0")).raise_for_status()
                connections, threads = redis.ask("CLIENT", "LIST", "TYPE", "normal"), threading.active_count()
                answers = await asyncio.gather(*(client.post(f"/double/{n}") for n in range(100)))
                assert {answer.status_code for answer in answers} == {200}
                assert threading.active_count() == threads
                now = redis.ask("CLIENT", "LIST", "TYPE", "normal")
                assert str(now).count("addr=") == str(connections).count("addr=")
            assert len(gator.queue()) == 101

        asyncio.run(story())


class TestEmbedded:
    def test_the_worker_inside_runs_what_requests_enqueue(self, gator: Gator) -> None:
        with TestClient(application(gator, lambda: Worker(gator, concurrency=2))) as client:
            job_id = client.post("/double/21").json()

            assert client.get(f"/jobs/{job_id}").json() == 42

    def test_memory_is_enough_when_the_worker_is_inside(self) -> None:
        gator = Gator("locmem://")

        with TestClient(application(gator, lambda: Worker(gator, concurrency=2))) as client:
            assert client.get(f"/jobs/{client.post('/double/2').json()}").json() == 4

    def test_an_application_may_start_again(self, gator: Gator) -> None:
        """As test clients do; each time with a fresh worker over opened connections."""
        app = application(gator, lambda: Worker(gator, concurrency=2))

        for _ in range(2):
            with TestClient(app) as client:
                assert client.get(f"/jobs/{client.post('/double/21').json()}").json() == 42

    def test_no_thread_of_the_worker_outlives_the_application(self, gator: Gator) -> None:
        before = set(threading.enumerate())

        with TestClient(application(gator, lambda: Worker(gator, concurrency=2))) as client:
            client.post("/double/1").raise_for_status()

        started = [thread for thread in threading.enumerate() if thread not in before]
        for thread in started:
            thread.join(PATIENCE)
        assert not [thread.name for thread in started if thread.is_alive()]

    def test_the_server_keeps_its_signal_handlers(self, gator: Gator) -> None:
        numbers = (signal.SIGTERM, signal.SIGINT)

        async def story() -> None:
            before = [signal.getsignal(number) for number in numbers]
            async with serving(gator, worker=lambda: Worker(gator, concurrency=2)):
                assert [signal.getsignal(number) for number in numbers] == before
            assert [signal.getsignal(number) for number in numbers] == before

        asyncio.run(story())


class TestTheEnd:
    def test_what_runs_at_the_end_is_finished_first(self, gator: Gator) -> None:
        started, workers = Event(), list[Watched]()

        @gator.register(name="task", keep_result=True)
        def slow() -> str:
            started.set()
            assert workers[0].asked.wait(PATIENCE)  # so it ends after the stop, or never
            return "finished"

        def watched() -> Worker:
            workers.append(Watched(gator))
            return workers[-1]

        with TestClient(application(gator, watched)):
            job = slow.task()
            assert started.wait(PATIENCE)
        assert job.state() is JobState.SUCCESS
        assert job.result() == "finished"

    def test_a_server_that_is_told_to_end_at_once_gives_running_jobs_back(self, gator: Gator) -> None:
        """It cancels the lifespan; the job keeps its attempt, and nobody waits an hour for its grace."""
        started = Event()

        @gator.register(name="task")
        async def endless() -> None:
            started.set()
            await asyncio.Event().wait()

        async def application() -> None:
            async with serving(gator, worker=lambda: Watched(gator, grace=3600)):
                await asyncio.Event().wait()

        async def story() -> None:
            life = asyncio.create_task(application())
            assert await asyncio.to_thread(started.wait, PATIENCE)
            life.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(life, PATIENCE)

        job = endless.task()
        asyncio.run(story())
        assert job.state() is JobState.WAITING
        assert job.record().attempt == 0

    def test_a_second_thought_during_the_grace_counts_too(self, gator: Gator) -> None:
        """Cancelled while it waits for running jobs, the lifespan gives them back."""
        started, workers = Event(), list[Watched]()

        @gator.register(name="task")
        async def endless() -> None:
            started.set()
            await asyncio.Event().wait()

        def watched() -> Worker:
            workers.append(Watched(gator, grace=3600))
            return workers[-1]

        async def application() -> None:
            async with serving(gator, worker=watched):
                assert await asyncio.to_thread(started.wait, PATIENCE)

        async def story() -> None:
            life = asyncio.create_task(application())
            assert await asyncio.to_thread(started.wait, PATIENCE)
            assert await asyncio.to_thread(workers[0].asked.wait, PATIENCE)
            life.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(life, PATIENCE)

        job = endless.task()
        asyncio.run(story())
        assert job.state() is JobState.WAITING

    def test_a_worker_that_ends_by_an_error_is_not_passed_over(
        self, gator: Gator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Its error is logged when it happens, and raised at the end."""
        old = Worker(gator, burst=True)
        old.run()

        async def story() -> None:
            async with serving(gator, worker=lambda: old):
                pass

        with caplog.at_level(logging.ERROR, "typedgator"), pytest.raises(ConfigurationError, match="has run already"):
            asyncio.run(story())
        assert "the embedded worker has ended" in caplog.text


def test_a_lifespan_of_your_own_holds_it_among_others(gator: Gator) -> None:
    opened: list[str] = []

    @asynccontextmanager
    async def own(app: Starlette) -> AsyncGenerator[dict[str, str]]:
        async with serving(gator, worker=lambda: Worker(gator, concurrency=2)):
            opened.append("own")
            yield {"motto": "typed"}

    app = application(gator)
    with TestClient(Starlette(routes=app.routes, lifespan=own)) as client:
        assert client.get(f"/jobs/{client.post('/double/3').json()}").json() == 6
    assert opened == ["own"]


def test_a_worker_in_the_place_of_what_makes_one_is_refused() -> None:
    gator = Gator("locmem://")

    with pytest.raises(ConfigurationError, match="worker=lambda: Worker"):
        lifespan(gator, worker=Worker(gator))  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="gator must be a Gator"):
        lifespan("redis://localhost")  # type: ignore[arg-type]


def test_what_makes_no_worker_ends_the_start() -> None:
    """By forgetting its return, or by being async: no application serves without the worker that it should have."""
    gator = Gator("locmem://")

    async def made() -> Worker:
        return Worker(gator)

    for worker in (lambda: None, made):
        with (
            pytest.raises(ConfigurationError, match="not a Worker: worker=lambda: Worker"),
            TestClient(Starlette(lifespan=lifespan(gator, worker=worker))),  # type: ignore[arg-type]
        ):
            pytest.fail("it started")
