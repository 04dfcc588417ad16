"""Queues: what waits where, who is first, and what an operator does by hand."""

from collections.abc import Callable

import pytest

from tests.fundamentals.faces import Face
from typedgator import ConfigurationError, Gator, JobCanceled, JobError, JobFailed, JobState, JobUnknown, current_job
from typedgator.testing.clock import FakeClock

Work = Callable[[], int]


def who(name: str) -> str:
    """A task that gives its argument."""
    return name


def broken() -> None:
    """A task that fails."""
    raise ValueError("broken")


def test_a_queue_counts_what_is_due(gator: Gator, face: Face) -> None:
    """`len(queue)` is how many jobs wait for a worker; an empty queue is true all the same."""
    task = gator.register(who)
    queue = gator.queue("images")
    assert len(queue) == 0
    assert queue
    images = gator.options(queue="images")
    face.opts_task(images, task, "a")
    face.opts_task(images, task, "b")
    face.opts_task(gator.options(queue="images", delay_by=60), task, "later")
    face.task(task, "elsewhere")
    assert len(queue) == 2
    assert queue.counts() == {JobState.WAITING: 2, JobState.SCHEDULED: 1}
    assert len(gator.queue()) == 1
    assert repr(queue) == "<Queue images>"


def test_counts_tell_of_all_queues(gator: Gator, face: Face, work: Work) -> None:
    """`gator.counts()`: jobs by queue and state."""
    task, fails = gator.register(who), gator.register(broken)
    face.task(task, "a")
    face.opts_task(gator.options(queue="images"), fails)
    work()
    face.task(task, "b")
    counts = gator.counts()
    assert counts.queues["all"][JobState.WAITING] == 1
    assert counts.queues["images"][JobState.FAILED] == 1
    assert (counts.dropped, counts.paused) == (0, frozenset())


def test_a_job_goes_to_the_queue_that_was_said_nearest(make_gator: Callable[..., Gator], face: Face) -> None:
    """Call, then task, then gator, then `all`."""
    gator = make_gator(queue="house")
    of_house = gator.register(name="a")(who)
    of_task = gator.register(name="b", queue="task")(who)
    face.task(of_house, "x")
    face.task(of_task, "x")
    face.opts_task(gator.options(queue="call"), of_task, "x")
    assert [len(gator.queue(name)) for name in ("house", "task", "call", "all")] == [1, 1, 1, 0]


@pytest.mark.parametrize("name", ["", "two words", "x" * 129, "*", "ü"])
def test_a_name_that_no_queue_can_have_is_refused(gator: Gator, name: str) -> None:
    """1 to 128 characters of A-Z a-z 0-9 _ . : -"""
    with pytest.raises(ConfigurationError, match="queue must be"):
        gator.queue(name)
    with pytest.raises(ConfigurationError, match="queue must be"):
        gator.pop(name)


def test_higher_priority_goes_first(gator: Gator, face: Face) -> None:
    """0 to 255, 100 when nothing is said; equals go in the order of becoming waiting."""
    task = gator.register(who)
    for name, priority in (("low", 0), ("first", 100), ("high", 255), ("second", None)):
        opts = gator.options() if priority is None else gator.options(priority=priority)
        face.opts_task(opts, task, name)
    ran = []
    while (job := face.pop(gator)) is not None:
        ran.append(face.result(job))
    assert ran == ["high", "first", "second", "low"]


def test_pop_runs_one_job_here(gator: Gator, face: Face) -> None:
    """The next due job of these queues, in their order, in this process; None when nothing is due."""
    task = gator.register(who)
    assert face.pop(gator) is None
    for queue in ("b", "a", "c"):
        face.opts_task(gator.options(queue=queue), task, queue)
    popped = [face.pop(gator, "a", "b"), face.pop(gator, "a", "b"), face.pop(gator, "a", "b")]
    assert [None if job is None else face.result(job) for job in popped] == ["a", "b", None]
    assert len(gator.queue("c")) == 1


def test_get_runs_a_job_by_its_id(gator: Gator, face: Face) -> None:
    """Also one that is not due yet, and past those that were first."""
    task = gator.register(who)
    face.task(task, "first")
    later = face.opts_task(gator.options(delay_by=3600), task, "later")
    assert face.result(gator.get(later.id)) == "later"
    assert len(gator.queue()) == 1


def test_get_says_why_a_job_cannot_be_taken(gator: Gator, face: Face) -> None:
    """Finished, blocked or running is another thing than unknown."""
    task = gator.register(who)
    job = face.task(task, "a")
    child = face.opts_task(gator.options(depends_on=job), task, "b")
    with pytest.raises(JobError, match="is blocked"):
        gator.get(child.id)
    gator.pop()
    with pytest.raises(JobError, match="is success: only a scheduled, waiting or retrying one"):
        gator.get(job.id)
    with pytest.raises(JobUnknown):
        gator.get("unknown")


def test_a_job_that_runs_here_has_a_lease(gator: Gator) -> None:
    """While it runs nobody else gets it, and `current_job()` knows it."""

    def looks() -> str:
        assert gator.pop() is None
        assert gator.job(current_job().id).state() is JobState.RUNNING
        return current_job().queue

    job = gator.register(name="looks")(looks).task()
    gator.pop()
    assert job.result() == "all"


def test_ctrl_c_gives_a_popped_job_back(gator: Gator, face: Face) -> None:
    """At once, and its attempt with it: whoever stops a script by hand loses nothing."""
    attempts: list[int] = []

    def interrupted() -> None:
        attempts.append(current_job().attempt)
        if len(attempts) == 1:
            raise KeyboardInterrupt

    job = face.task(gator.register(name="interrupted")(interrupted))
    with pytest.raises(KeyboardInterrupt):
        gator.pop()
    assert face.state(job) is JobState.WAITING
    assert gator.pop() == job
    assert attempts == [1, 1]


def test_a_paused_queue_keeps_but_hands_out_nothing(gator: Gator, face: Face) -> None:
    """`pause()` and `resume()`; other queues go on."""
    task = gator.register(who)
    queue = gator.queue("images")
    queue.pause()
    job = face.opts_task(gator.options(queue="images"), task, "a")
    other = face.task(task, "b")
    assert queue.paused
    assert gator.counts().paused == {"images"}
    assert face.pop(gator) == other
    assert face.pop(gator) is None
    queue.resume()
    assert not queue.paused
    assert face.pop(gator) == job


def test_purging_removes_what_has_not_started(gator: Gator, face: Face, work: Work) -> None:
    """Waiting jobs end as canceled with reason `purged`, and their dependents with them; failed ones are forgotten."""
    task, fails = gator.register(who), gator.register(broken)
    kept = face.opts_task(gator.options(queue="other"), task, "kept")
    jobs = [face.task(task, str(n)) for n in range(300)]
    child = face.opts_task(gator.options(depends_on=jobs[0], queue="other"), task, "child")
    assert gator.queue().purge() == 300
    assert len(gator.queue()) == 0
    with pytest.raises(JobCanceled) as caught:
        face.result(jobs[0])
    assert caught.value.reason == "purged"
    assert face.state(child) is JobState.CANCELED
    assert face.state(kept) is JobState.WAITING
    face.task(fails)
    work()
    assert gator.queue().purge(JobState.FAILED) == 1
    assert gator.queue().purge(JobState.FAILED) == 0


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.SUCCESS, JobState.CANCELED])
def test_what_runs_or_is_over_cannot_be_purged(gator: Gator, state: JobState) -> None:
    """Refused, not ignored."""
    with pytest.raises(ConfigurationError):
        gator.queue().purge(state)


def test_a_dead_letter_is_kept_and_runs_again(gator: Gator, face: Face, work: Work) -> None:
    """A failed job is kept with its reason; `requeue` gives it all its attempts again."""
    moods = ["fails", "works"]

    def moody() -> str:
        mood = moods.pop(0)
        if mood == "fails":
            raise ValueError(mood)
        return mood

    job = face.task(gator.register(name="moody")(moody))
    work()
    with pytest.raises(JobFailed):
        face.result(job)
    assert gator.backend.requeue(job._id)  # type: ignore[attr-defined]  # the operator's face
    work()
    assert face.result(job) == "works"


def test_a_job_whose_task_is_unknown_here_is_held(gator: Gator, face: Face, clock: FakeClock) -> None:
    """Not failed, not lost: a deploy may be rolling. A process that knows the task takes it."""
    job = face.task(gator.register(who), "a")
    stranger = Gator(backend=gator.backend, clock=clock)
    assert stranger.pop() == job
    assert face.state(job) is JobState.HELD
    assert gator.pop() is None
    kinds = gator.backend.held_kinds()  # type: ignore[attr-defined]
    assert gator.backend.release_held(kinds) == 1  # type: ignore[attr-defined]
    gator.pop()
    assert face.result(job) == "a"
