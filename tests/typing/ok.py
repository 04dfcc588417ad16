"""What must pass: every call here is right, to each type checker and at run time.

Nothing in this file is ignored. `test_static.py` gives it to the checkers, then runs `sync_face` and `async_face`.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import partial
from typing import Literal, NamedTuple, NoReturn, TypedDict, assert_type
from uuid import UUID

from typedgator import (
    AsyncTask,
    Batch,
    Call,
    Cancel,
    CurrentJob,
    Gator,
    Job,
    JobState,
    Options,
    Progress,
    Queue,
    RetryPolicy,
    SyncTask,
    Task,
    current_job,
)
from typedgator.testing import Enqueued, assert_enqueued, assert_not_enqueued, enqueued, trial

gator = Gator("locmem://", is_async=False, retries=1, queue="house")


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


@dataclass(frozen=True)
class Report:
    rows: int
    name: str


@dataclass(frozen=True)
class LongReport(Report):
    pages: int


class Point(NamedTuple):
    x: int
    y: int


class Address(TypedDict):
    street: str
    number: int


# ---- hooks


@gator.hook
def said(job: Job[object], result: object) -> None:
    """A hook for object serves every task."""


@gator.hook
def counted(job: Job[int], result: int) -> None: ...


@gator.hook
def reported(job: Job[Report], result: Report) -> None: ...


@gator.hook
def began(job: Job[object]) -> None: ...


@gator.hook
def page_me(job: Job[object], error: BaseException) -> None: ...


# ---- tasks


@gator.register
def add(a: int, b: int) -> int:
    return a + b


@gator.register
def send_mail(user_id: int, subject: str, *, urgent: bool = False) -> str:
    return f"{user_id} {subject} {urgent}"


@gator.register(queue="images", retries=3)
def resize(image: UUID, size: Size = Size.SMALL, mode: Literal["fit", "fill"] = "fit") -> Size:
    return size


@gator.register(name="clean-up", on_success=said)
def clean() -> None: ...


@gator.register(on_success=said, on_start=began, on_error=page_me)
def report(name: str) -> Report:
    return Report(1, name)


@gator.register(on_success=reported)
def long_report(name: str) -> LongReport:
    return LongReport(1, name, 2)


@gator.register(on_success=counted)
def is_even(number: int) -> bool:
    return number % 2 == 0


@gator.register
async def fetch(page: int) -> str:
    return str(page)


@gator.register(time_limit=timedelta(seconds=30), keep_result=True)
async def fetch_many(pages: list[int], base: str = "/") -> dict[str, int]:
    return {f"{base}{page}": page for page in pages}


@gator.register(on_success=said)
async def measure(point: Point, address: Address | None = None) -> Point:
    return point


@gator.register(on_success=counted, unique=True)
async def count() -> int:
    return 1


@gator.register
def who() -> str:
    job = current_job()
    assert_type(job, CurrentJob)
    job.progress(1, 2, "half of it")
    return job.task


def joined(first: str, second: str) -> str:
    return first + second


# ---- what a task was in earlier releases


@send_mail.upgrade
def send_mail_v1(user_id: int, template: str) -> Call[str]:
    return send_mail.call(user_id, subject=template, urgent=True)


@send_mail.upgrade
def send_mail_v0(address: str) -> NoReturn:
    raise Cancel(f"nobody is known at {address}")


@fetch.upgrade
def fetch_v1(page: str) -> Call[str]:
    return fetch.call(int(page))


@clean.upgrade
def clean_v1(folder: str) -> Call[None]:
    return clean.call()


@gator.register(name="moved", aliases=("here.before", "there.before"))
def moved(a: int) -> int:
    return a


gator.retired("app.gone")
gator.retired("app.gone.too", then="cancel")

assert_type(send_mail_v1(1, "x"), Call[str])
assert_type(moved.aliases, tuple[str, ...])

# ---- what registering gives: the parameters by name, and the result as it is, whatever the hooks take

assert_type(add.name, str)
assert_type(clean(), None)
assert_type(gator.register(queue="other")(joined)("a", "b"), str)
assert_type(report("x"), Report)
assert_type(long_report("x"), LongReport)
assert_type(is_even(2), bool)
assert_type(add(a=1, b=2), int)
any_task: Task[[], None] = clean
a_sync_task: SyncTask[[], None] = clean
an_async_task: AsyncTask[[], int] = count


def sync_face() -> None:
    """Everything from sync code."""
    # the plain function
    assert_type(send_mail(1, "hello", urgent=True), str)
    assert_type(resize(UUID(int=1)), Size)

    # three roads to a job
    assert_type(gator.task(add, 3, 7), Job[int])
    assert_type(add.task(3, 7), Job[int])
    assert_type(gator.task(send_mail, user_id=1, subject="hi", urgent=True), Job[str])
    assert_type(send_mail.task(1, subject="hi"), Job[str])
    assert_type(resize.task(UUID(int=1), Size.LARGE, mode="fill"), Job[Size])
    assert_type(gator.task(clean), Job[None])
    assert_type(report.task("x").result(), Report)
    assert_type(long_report.task("x").result(timeout=timedelta(seconds=5)), LongReport)
    assert_type(is_even.task(2).result(5), bool)
    assert_type(who.task().result(), str)

    # an async task is queued from sync code like any other
    assert_type(fetch.task(1), Job[str])
    assert_type(gator.task(fetch_many, [1, 2], base="/x/"), Job[dict[str, int]])
    assert_type(measure.task(Point(1, 2), {"street": "a", "number": 1}).result(), Point)
    assert_type(count.task().result(), int)

    # options: one block, many tasks
    with gator.options(retries=3, priority=200, on_error=page_me) as opts:
        assert_type(opts, Options[object])
        assert_type(opts.task(send_mail, 1, "hi", urgent=True), Job[str])
        assert_type(opts.task(fetch, 1), Job[str])
        assert_type(opts.task(add, 1, b=2).result(), int)
    with gator.options(on_success=said, on_start=began) as opts:
        assert_type(opts.task(add, 1, 2), Job[int])
        assert_type(opts.task(clean), Job[None])
    with gator.options(on_success=counted) as counting:
        assert_type(counting, Options[int])
        assert_type(counting.task(add, 1, 2), Job[int])
        assert_type(counting.task(is_even, 1), Job[bool])
        assert_type(counting.task(count), Job[int])
    with gator.options(on_success=reported, on_start=began, on_error=page_me) as reporting:
        assert_type(reporting.task(report, "x"), Job[Report])
        assert_type(reporting.task(long_report, "x"), Job[LongReport])
    later = datetime.now(UTC) + timedelta(hours=1)
    parent = add.task(1, 2)
    gator.options(delay_by=1.5, expires=timedelta(days=1), depends_on=[parent, "an-id"])
    gator.options(delay_until=later, depends_on=parent, unique="key", job_id="mine", headers={"traceparent": "00"})
    gator.options(retries=RetryPolicy(3, backoff=0.5, on=(OSError,), never=(FileNotFoundError,)), backoff=2)
    gator.options(queue="other", time_limit=None, is_async=False, keep_result=timedelta(hours=1), on_error=None)

    # many at once
    assert_type(gator.task_many(send_mail, [(1, "a"), {"user_id": 1, "subject": "b"}]), list[Job[str]])
    with gator.batch() as batch:
        assert_type(batch, Batch[object])
        assert_type(batch.task(add, 1, 2), Job[int])
        assert_type(batch.task(fetch, page=1), Job[str])
    assert_type(batch.jobs, list[Job[object]])
    with gator.batch(gator.options(on_success=counted)) as counted_batch:
        assert_type(counted_batch.task(is_even, 2), Job[bool])

    # jobs and queues
    job = add.task(1, 2)
    a_job_of_anything: Job[object] = job
    assert_type(a_job_of_anything.id, str)
    assert_type(job.state(), JobState)
    assert_type(gator.job(job.id), Job[object])
    assert_type(gator.job(job.id, add), Job[int])
    assert_type(gator.job(job.id, fetch_many), Job[dict[str, int]])
    assert_type(gator.pop("house", "images"), Job[object] | None)
    assert_type(gator.queue("house"), Queue)
    assert_type(len(gator.queue()), int)
    partial(add.task, 1)(b=2)

    # what a test says
    with trial(gator) as kit:
        add.task(1, 2)
        assert_type(assert_enqueued(add, 1, b=2), Job[int])
        assert_type(enqueued(add), list[Enqueued[int]])
        assert_not_enqueued(fetch)
        assert_not_enqueued(fetch, 1)
        assert_type(kit.drain("all", raises=True), list[Job[object]])
        assert_type(kit.travel(timedelta(days=1)), datetime)


async def async_face() -> None:
    """The same from async code."""
    assert_type(await fetch(1), str)
    assert_type(await measure(Point(1, 2)), Point)
    assert_type(await count(), int)
    to_run: Coroutine[object, None, str] = fetch(2)
    assert_type(await asyncio.create_task(to_run), str)
    assert_type(await asyncio.gather(fetch(3), count()), tuple[str, int])

    assert_type(await gator.atask(add, 3, 7), Job[int])
    assert_type(await add.atask(3, b=7), Job[int])
    assert_type(await gator.atask(fetch, 1), Job[str])
    with gator.options(retries=3) as opts:
        assert_type(await opts.atask(fetch_many, [1], base="/"), Job[dict[str, int]])
    assert_type(await gator.atask_many(add, [(1, 2)]), list[Job[int]])
    async with gator.batch() as batch:
        assert_type(batch.task(count), Job[int])

    job = await fetch.atask(1)
    assert_type(await job.aresult(), str)
    assert_type(await job.aresult(timeout=5), str)
    assert_type(await job.astate(), JobState)
    assert_type(await gator.apop(), Job[object] | None)


def progress_of(job: Job[object]) -> Progress | None:
    return job.progress()


class Audited(Gator):
    """A gator of one's own keeps the types."""


audited = Audited("locmem://")


@audited.register
def audited_task(x: int) -> float:
    return x / 2


assert_type(audited_task(1), float)
