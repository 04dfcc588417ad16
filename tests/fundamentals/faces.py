"""The two faces of a gator, so that one test shows both: what it says holds from sync code and from async code."""

from asyncio import Runner
from collections.abc import Coroutine, Iterable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import ParamSpec, Protocol, TypeVar

from typedgator import Batch, Gator, Job, JobState, Options, Progress, Task
from typedgator.task import Hooked

P = ParamSpec("P")
R = TypeVar("R")
H = TypeVar("H")

Calls = Iterable[tuple[object, ...] | Mapping[str, object]]


class Face(Protocol):
    """What there is twice: `task` and `atask`, `result` and `aresult`, and so on."""

    def task(self, fn: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...
    def gator_task(self, gator: Gator, fn: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...
    def opts_task(self, opts: Options[H], fn: Hooked[P, R, H], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...
    def task_many(self, gator: Gator, fn: Task[P, R], calls: Calls) -> list[Job[R]]: ...
    def enter(self, batch: Batch[H]) -> Batch[H]: ...
    def leave(self, batch: Batch[H], error: BaseException | None = None) -> None: ...
    def result(self, job: Job[R], timeout: float | timedelta | None = None) -> R: ...
    def state(self, job: Job[R]) -> JobState: ...
    def cancel(self, job: Job[R]) -> bool: ...
    def progress(self, job: Job[R]) -> Progress | None: ...
    def pop(self, gator: Gator, *queues: str) -> Job[object] | None: ...


def _raised(
    error: BaseException | None,
) -> tuple[type[BaseException] | None, BaseException | None, TracebackType | None]:
    return (None, None, None) if error is None else (type(error), error, error.__traceback__)


class SyncFace:
    """From sync code."""

    def task(self, fn: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        return fn.task(*args, **kwargs)

    def gator_task(self, gator: Gator, fn: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        return gator.task(fn, *args, **kwargs)

    def opts_task(self, opts: Options[H], fn: Hooked[P, R, H], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        return opts.task(fn, *args, **kwargs)

    def task_many(self, gator: Gator, fn: Task[P, R], calls: Calls) -> list[Job[R]]:
        return gator.task_many(fn, calls)

    def enter(self, batch: Batch[H]) -> Batch[H]:
        return batch.__enter__()

    def leave(self, batch: Batch[H], error: BaseException | None = None) -> None:
        batch.__exit__(*_raised(error))

    def result(self, job: Job[R], timeout: float | timedelta | None = None) -> R:
        return job.result(timeout)

    def state(self, job: Job[R]) -> JobState:
        return job.state()

    def cancel(self, job: Job[R]) -> bool:
        return job.cancel()

    def progress(self, job: Job[R]) -> Progress | None:
        return job.progress()

    def pop(self, gator: Gator, *queues: str) -> Job[object] | None:
        return gator.pop(*queues)


class AsyncFace:
    """From async code, on one event loop."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def _run(self, coroutine: Coroutine[object, None, R]) -> R:
        return self._runner.run(coroutine)

    def task(self, fn: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        return self._run(fn.atask(*args, **kwargs))

    def gator_task(self, gator: Gator, fn: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        return self._run(gator.atask(fn, *args, **kwargs))

    def opts_task(self, opts: Options[H], fn: Hooked[P, R, H], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        return self._run(opts.atask(fn, *args, **kwargs))

    def task_many(self, gator: Gator, fn: Task[P, R], calls: Calls) -> list[Job[R]]:
        return self._run(gator.atask_many(fn, calls))

    def enter(self, batch: Batch[H]) -> Batch[H]:
        return self._run(batch.__aenter__())

    def leave(self, batch: Batch[H], error: BaseException | None = None) -> None:
        self._run(batch.__aexit__(*_raised(error)))

    def result(self, job: Job[R], timeout: float | timedelta | None = None) -> R:
        return self._run(job.aresult(timeout))

    def state(self, job: Job[R]) -> JobState:
        return self._run(job.astate())

    def cancel(self, job: Job[R]) -> bool:
        return self._run(job.acancel())

    def progress(self, job: Job[R]) -> Progress | None:
        return self._run(job.aprogress())

    def pop(self, gator: Gator, *queues: str) -> Job[object] | None:
        return self._run(gator.apop(*queues))
