"""Enqueueing: three roads to a job, blocks of options, and many calls at once."""

import gc
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.fundamentals.faces import Face
from typedgator import (
    BackendUnavailable,
    BatchIncomplete,
    ConfigurationError,
    Gator,
    GatorError,
    InvalidArguments,
    Job,
    JobState,
    UnknownDependency,
)
from typedgator.backends.contract import ATOMIC_BATCH, Receipt
from typedgator.backends.locmem import LocmemBackend
from typedgator.wire.frame import Frame

Stored = Callable[[], object]
Work = Callable[[], int]


def add(a: int, b: int = 10) -> int:
    """Adds."""
    return a + b


async def greet(name: str, *, loud: bool = False) -> str:
    """Greets."""
    return name.upper() if loud else name


def test_a_call_becomes_a_job(gator: Gator, face: Face, work: Work) -> None:
    """`fn.task(…)`, `gator.task(fn, …)` and `opts.task(fn, …)` give the same: a job that runs later."""
    task = gator.register(add)
    jobs = [
        face.task(task, 3, 7),
        face.gator_task(gator, task, 3, b=7),
        face.opts_task(gator.options(retries=1), task, a=3, b=7),
    ]
    assert [face.state(job) for job in jobs] == [JobState.WAITING] * 3
    assert len({job.id for job in jobs}) == 3
    assert work() == 3
    assert [face.result(job) for job in jobs] == [10, 10, 10]


def test_async_tasks_are_queued_and_run_likewise(gator: Gator, face: Face, work: Work) -> None:
    """An `async def` is queued from sync and async code, and runs like any other."""
    task = gator.register(greet)
    job = face.gator_task(gator, task, "ann", loud=True)
    assert work() == 1
    assert face.result(job) == "ANN"


def test_a_default_is_the_workers(gator: Gator, face: Face) -> None:
    """A default that the call leaves out is not sent: the worker's is used."""
    job = face.task(gator.register(name="add")(add), 1)

    def newer(a: int, b: int = 20) -> int:
        return a + b

    deployed = Gator(backend=gator.backend)
    deployed.register(name="add")(newer)
    deployed.pop()
    assert job.result() == 21


# ---- blocks of options


def test_one_block_serves_many_tasks(gator: Gator, face: Face, work: Work) -> None:
    """Its options hold for every call inside, whatever the signature."""
    first, second = gator.register(add), gator.register(greet)
    with gator.options(queue="images", priority=200) as opts:
        jobs: list[Job[Any]] = [face.opts_task(opts, first, 1), face.opts_task(opts, second, "bob", loud=True)]
    assert len(gator.queue("images")) == 2
    work()
    assert [face.result(job) for job in jobs] == [11, "BOB"]


def test_a_finished_block_enqueues_nothing(gator: Gator, face: Face, stored: Stored) -> None:
    """After `with`, the block is over: using it raises, and nothing is stored. Opened again, it works again."""
    task = gator.register(add)
    with gator.options(retries=1) as opts:
        pass
    before = stored()
    with pytest.raises(GatorError, match=r"options\(\) block has ended"):
        face.opts_task(opts, task, 1)
    assert stored() == before
    with opts:
        face.opts_task(opts, task, 1)
    assert len(gator.queue()) == 1


def test_a_block_inside_itself_ends_with_the_outermost(gator: Gator, face: Face) -> None:
    """The inner `with` of the same options does not close the outer one."""
    task = gator.register(add)
    with gator.options(retries=1) as opts:
        with opts:
            face.opts_task(opts, task, 1)
        face.opts_task(opts, task, 2)
    with pytest.raises(GatorError, match="has ended"):
        face.opts_task(opts, task, 3)
    assert len(gator.queue()) == 2


def test_options_without_a_block_are_good_for_ever(gator: Gator, face: Face) -> None:
    """`urgent = gator.options(priority=255)` at the top of a module is fine."""
    urgent = gator.options(priority=255)
    task = gator.register(add)
    face.opts_task(urgent, task, 1)
    face.opts_task(urgent, task, 2)
    assert len(gator.queue()) == 2


# ---- many at once


def test_task_many_takes_tuples_and_mappings(gator: Gator, face: Face, work: Work) -> None:
    """A tuple is positional arguments, a mapping keywords; the jobs come back in order."""
    task = gator.register(add)
    jobs = face.task_many(gator, task, [(1, 2), {"a": 3}, {"b": 5, "a": 4}])
    assert work() == 3
    assert [face.result(job) for job in jobs] == [3, 13, 9]
    assert face.task_many(gator, task, []) == []


def test_a_batch_sends_calls_of_many_tasks_when_it_ends(gator: Gator, face: Face, work: Work) -> None:
    """Inside the block nothing is sent; its handles are good once it has ended."""
    first, second = gator.register(add), gator.register(greet)
    batch = face.enter(gator.batch())
    number = batch.task(first, 1, 2)
    name = batch.task(second, name="cid")
    assert len(batch) == 2
    assert gator.counts().queues == {}
    face.leave(batch)
    assert work() == 2
    assert (face.result(number), face.result(name)) == (3, "cid")
    assert batch.jobs == [number, name]


def test_an_exception_in_the_block_sends_nothing(gator: Gator, face: Face, stored: Stored) -> None:
    """Whatever it was: the batch is dropped whole."""
    task = gator.register(add)
    before = stored()
    batch = face.enter(gator.batch())
    batch.task(task, 1)
    face.leave(batch, ValueError("of the caller"))
    assert stored() == before


def test_a_batch_has_the_options_it_was_given(gator: Gator, face: Face) -> None:
    """`gator.batch(gator.options(…))`: for every call inside."""
    task = gator.register(add)
    batch = face.enter(gator.batch(gator.options(queue="images")))
    batch.task(task, 1)
    face.leave(batch)
    assert len(gator.queue("images")) == 1


def test_a_batch_is_used_once_and_inside_its_block(gator: Gator, face: Face) -> None:
    """Before `with`, after it, and a second `with`: each raises."""
    task = gator.register(add)
    batch = gator.batch()
    with pytest.raises(GatorError, match="not open"):
        batch.task(task, 1)
    face.enter(batch)
    batch.task(task, 1)
    face.leave(batch)
    with pytest.raises(GatorError, match="not open"):
        batch.task(task, 1)
    with pytest.raises(GatorError, match="already sent"):
        face.enter(batch)
    assert len(gator.queue()) == 1


def test_a_batch_is_one_atomic_write(gator: Gator, face: Face, stored: Stored) -> None:
    """A parent that nobody knows refuses the whole batch, whatever stands before it."""
    task = gator.register(add)
    before = gator.counts()
    batch = face.enter(gator.batch(gator.options(depends_on="never-enqueued")))
    batch.task(task, 1)
    with pytest.raises(UnknownDependency, match="never-enqueued"):
        face.leave(batch)
    assert gator.counts() == before


def test_one_id_cannot_name_a_batch(gator: Gator, face: Face, stored: Stored) -> None:
    """`job_id` names one job: a second call under it is refused, and nothing is sent."""
    task = gator.register(add)
    before = stored()
    batch = face.enter(gator.batch(gator.options(job_id="mine")))
    batch.task(task, 1)
    with pytest.raises(ConfigurationError, match="job_id names one job"):
        batch.task(task, 2)
    assert stored() == before


class Flaky(LocmemBackend):
    """A storage whose connection breaks at the calls that a test names: before, or after the write."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.breaks: dict[int, str] = {}

    def enqueue(self, frames: Sequence[Frame], /) -> list[Receipt]:
        self.calls += 1
        when = self.breaks.get(self.calls)
        if when == "before":
            raise BackendUnavailable("the connection broke")
        receipts = super().enqueue(frames)
        if when == "after":
            raise BackendUnavailable("the connection broke, the reply is lost")
        return receipts


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interrupted_large_batch_says_what_is_written_and_can_go_on(face: Face, when: str) -> None:
    """More than 250 go in chunks. `BatchIncomplete` names both halves; its `retry()` never doubles a job."""
    flaky = Flaky()
    gator = Gator(backend=flaky)
    task = gator.register(add)
    flaky.breaks = {2: when}
    many = 2 * ATOMIC_BATCH + 7
    with pytest.raises(BatchIncomplete, match="retry") as caught:
        face.task_many(gator, task, [(n,) for n in range(many)])
    assert (len(caught.value.written), len(caught.value.rest)) == (ATOMIC_BATCH, ATOMIC_BATCH + 7)
    assert isinstance(caught.value.__cause__, BackendUnavailable)
    assert caught.value.retry() == list(caught.value.rest)
    assert gator.counts().queues["all"][JobState.WAITING] == many
    assert caught.value.retry() == list(caught.value.rest)
    assert gator.counts().queues["all"][JobState.WAITING] == many


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("many", [1, 3, ATOMIC_BATCH])
def test_an_interrupted_small_batch_can_be_repeated(face: Face, when: str, many: int) -> None:
    """Up to 250 are one write: all or none are there, and `retry()` sends them again under the same ids."""
    flaky = Flaky()
    flaky.breaks = {1: when}
    gator = Gator(backend=flaky)
    task = gator.register(add)
    batch = face.enter(gator.batch())
    jobs = [batch.task(task, n) for n in range(many)]
    with pytest.raises(BatchIncomplete) as caught:
        face.leave(batch)
    assert isinstance(caught.value.__cause__, BackendUnavailable)
    assert (caught.value.written, caught.value.rest) == ((), tuple(job.id for job in jobs))
    assert len(gator.queue()) == (many if when == "after" else 0)
    assert caught.value.retry() == list(caught.value.rest)
    assert [face.state(job) for job in jobs] == [JobState.WAITING] * many
    assert len(gator.queue()) == many


def test_a_single_call_raises_what_the_driver_said(face: Face) -> None:
    """`task()` is no batch: BackendUnavailable as it is."""
    flaky = Flaky()
    flaky.breaks = {1: "before"}
    gator = Gator(backend=flaky)
    with pytest.raises(BackendUnavailable):
        face.gator_task(gator, gator.register(add), 1)
    assert gator.counts().queues == {}


ran_here: list[str] = []


def here(name: str) -> str:
    """A task that remembers its calls."""
    ran_here.append(name)
    return name


def test_calls_that_run_here_do_not_tear_a_batch(face: Face) -> None:
    """What is queued is one write as ever; then the others run, in order. Interrupted, none of them has run."""
    ran_here.clear()
    flaky = Flaky()
    gator = Gator(backend=flaky)
    local, queued = gator.register(is_async=False)(here), gator.register(add)
    flaky.breaks = {1: "before"}
    batch = face.enter(gator.batch())
    jobs: list[Job[Any]] = [
        batch.task(queued, 1),
        batch.task(local, "a"),
        batch.task(queued, 2),
        batch.task(local, "b"),
    ]
    with pytest.raises(BatchIncomplete) as caught:
        face.leave(batch)
    assert ran_here == []
    assert gator.counts().queues == {}
    assert caught.value.rest == tuple(job.id for job in jobs)
    assert caught.value.retry() == caught.value.retry() == [job.id for job in jobs]
    assert (flaky.calls, ran_here, len(gator.queue())) == (2, ["a", "b"], 2)
    again = face.enter(gator.batch())
    handles: list[Job[Any]] = [again.task(local, "c"), again.task(queued, 3)]
    face.leave(again)
    assert [face.state(job) for job in handles] == [JobState.SUCCESS, JobState.WAITING]
    assert flaky.calls == 3


def test_a_refusal_that_the_block_catches_is_not_forgotten(gator: Gator, face: Face, stored: Stored) -> None:
    """Nothing unless all are valid: the end of the block raises, naming the first refused call, and sends nothing."""
    task = gator.register(add)
    wrong: Any = "2"
    before = stored()
    batch = face.enter(gator.batch())
    batch.task(task, 1)
    for _ in range(2):
        with pytest.raises(InvalidArguments, match=r"item [12] of the batch"):
            batch.task(task, wrong)
    batch.task(task, 3)
    with pytest.raises(GatorError, match=r"nothing of the batch was sent, because item 1 was refused: ") as caught:
        face.leave(batch)
    assert isinstance(caught.value.__cause__, InvalidArguments)
    assert stored() == before
    with pytest.raises(GatorError, match="already sent"):
        face.enter(batch)


# ---- no call silently does nothing


def test_an_atask_that_is_not_awaited_warns(gator: Gator, stored: Stored) -> None:
    """Python says so itself, since `atask` is a coroutine function: RuntimeWarning, nothing enqueued."""
    task = gator.register(add)
    before = stored()
    for call in (lambda: task.atask(1), lambda: gator.atask(task, 1), lambda: gator.options().atask(task, 1)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
            gc.collect()
        assert [str(each.message) for each in caught if "never awaited" in str(each.message)]
    assert stored() == before


def test_the_refusal_reads_well(gator: Gator, face: Face) -> None:
    """The message shows the call, the path, the rule, what to pass, that nothing happened, and where the task is."""
    task = gator.register(name="mails.send")(greet)
    wrong: Any = 3
    with pytest.raises(InvalidArguments) as caught:
        face.task(task, wrong)
    first, second, *_ = str(caught.value).splitlines()
    assert first == "greet(name=3): name must be a string, got int 3; pass str(name). Nothing was enqueued."
    assert second == f"  The task is greet(name: str, *, loud: bool = False) -> str, at {caught.value.task_at}"
    assert re.fullmatch(r".*test_enqueueing\.py:\d+", caught.value.task_at)
    assert caught.value.task == "mails.send"


def test_values_can_be_kept_out_of_the_refusal(make_gator: Callable[..., Gator], face: Face) -> None:
    """`show_values=False`, for gators whose arguments are secret."""
    task = make_gator(show_values=False).register(greet)
    wrong: Any = {"password": "hunter2"}
    with pytest.raises(InvalidArguments) as caught:
        face.task(task, wrong)
    assert "hunter2" not in str(caught.value)
