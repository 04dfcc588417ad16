"""Calls that wait for a commit, as type checkers see them: a wrong line bears an ignore, which must be needed."""

from typing import assert_type

from typedgator import Job
from typedgator.contrib.django import DjangoGator

gator = DjangoGator()


@gator.register
def ship(n: int, *, note: str = "") -> str:
    return note


@gator.register
async def track(n: int) -> list[int]:
    return [n]


@gator.hook
def note_text(job: Job[str], result: str) -> None: ...


def right() -> None:
    opts = gator.options(retries=3)
    assert_type(gator.task_on_commit(ship, 1, note="x"), Job[str])
    assert_type(gator.task_on_commit(track, 1), Job[list[int]])
    assert_type(gator.on_commit(using="other", options=opts).task(ship, n=1), Job[str])
    assert_type(gator.outbox().task(track, 1), Job[list[int]])
    assert_type(gator.outbox(using="other", options=opts).task(ship, 1), Job[str])
    gator.outbox(options=gator.options(on_success=note_text)).task(ship, 1)


def wrong() -> None:
    gator.task_on_commit(ship, "1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    gator.task_on_commit(ship)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    gator.task_on_commit(ship, 1, note=2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    gator.on_commit().task(track, "1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    gator.outbox().task(track, m=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    gator.outbox(database="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    hooked = gator.outbox(options=gator.options(on_success=note_text))
    hooked.task(track, 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
