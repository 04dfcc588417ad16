"""The lock file: what it says, what it refuses to read, and what a release's differences from it mean."""

import enum
import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import pytest

from typedgator import Gator
from typedgator.contracts import lock
from typedgator.contracts.releases import Release, TaskChange, breaking, changes, written
from typedgator.errors import ConfigurationError
from typedgator.wire.compat import Advice
from typedgator.wire.terms import Secret


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


def send(
    to: str,
    copies: int = 1,
    *more: int,
    size: Size = Size.SMALL,
    tags: frozenset[str] = frozenset({"b", "a", "c"}),
    key: Annotated[str, Secret] = "hunter2",
    due: date = date(2020, 1, 1),
    **extra: float,
) -> list[int]:
    return []


def stop(now: bool, /) -> None: ...


def gator_of(*tasks: Callable[..., object], aliases: Any = ()) -> Gator:
    gator = Gator("locmem://")
    for task in tasks:
        gator.register(name=f"app.{task.__name__}", aliases=aliases)(task)
    return gator


def release_of(*tasks: Callable[..., object], aliases: Any = ()) -> Release:
    return Release.of(gator_of(*tasks, aliases=aliases).registry)


def test_it_comes_back_as_it_was_written(tmp_path: Path) -> None:
    written = release_of(send, stop).lock
    assert lock.write(written, tmp_path / "lock")
    assert lock.read(tmp_path / "lock") == written
    assert not lock.write(written, tmp_path / "lock")
    assert changes(lock.read(tmp_path / "lock"), release_of(send, stop)) == []


def test_it_reads_as_a_review_wants_it() -> None:
    """Sorted, one fact a line, the signature as people write it, no secret."""
    text = lock.text(release_of(send, stop).lock)
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert "hunter2" not in text
    first, second = (task.signature for task in release_of(send, stop).lock.tasks.values())
    assert first == (
        "(to: str, copies: int = 1, *more: int, size: one of 'l', 's' = \"s\", "
        'tags: set[str] = ["a","b","c"], key: str = "(secret)", due: date = "2020-01-01", **extra: float) -> list[int]'
    )
    assert second == "(now: bool, /) -> None"


def test_it_is_the_same_from_every_process() -> None:
    """Whatever the hash seed puts first in a set."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[3])!r})\n"
        "from tests.unit.contracts.test_lock import *\nprint(lock.text(release_of(stop, send).lock), end='')"
    )
    texts = set()
    for seed in ("1", "2", "3"):
        done = subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        )
        texts.add(done.stdout)
    assert texts == {lock.text(release_of(send, stop).lock)}


def broken(edit: Callable[[dict[str, Any]], object]) -> str:
    plain = json.loads(lock.text(release_of(send, stop).lock))
    edit(plain)
    return json.dumps(plain)


@pytest.mark.parametrize(
    ("contents", "why"),
    [
        ("", "is not readable as JSON"),
        ("{\n<<<<<<< HEAD\n", "in the middle of a merge, take either side and write it anew"),
        ("[" * 100_000, "is not readable as JSON"),
        ("[]", "Expected `object`, got `array`"),
        ('{"tasks": {}}', "missing required field `version`"),
        ('{"version": "1"}', "Expected `int`, got `str` - at `$.version`"),
        ('{"version": 0}', "there is no version 0"),
        (
            '{"version": 2, "anything": 1}',
            "is of version 2, and this release of typedgator reads version 1: it was written by a newer one; install",
        ),
        ('{"version": 1, "tasks": {}, "more": 1}', "contains unknown field `more`"),
        (broken(lambda plain: plain["tasks"]["app.stop"].pop("result")), "missing required field `result`"),
        (
            broken(lambda plain: plain["tasks"]["app.stop"]["arguments"].update(required=[])),
            "the fingerprint of app.stop is not that of its arguments",
        ),
        *(
            (broken(lambda plain, edit=edit: plain["tasks"]["app.send"].update(edit)), "app.send was edited")  # type: ignore[misc]
            for edit in ({"result": {"type": "null"}}, {"parameters": []}, {"aliases": ["app.other"]}, {"checksum": ""})
        ),
        (
            broken(lambda plain: plain["tasks"]["app.stop"]["result"].update({"x-new": 1})),
            "a stored schema cannot be read: Object contains unknown field `x-new`",
        ),
    ],
)
def test_a_file_that_was_not_written_so_is_refused_with_what_is_wrong(tmp_path: Path, contents: str, why: str) -> None:
    path = tmp_path / "a.lock"
    path.write_text(contents)
    with pytest.raises(ConfigurationError, match=re.escape(why)) as caught:
        lock.read(path)
    assert str(path) in str(caught.value)
    assert path.read_text() == contents


def test_a_file_that_is_not_there_is_told_how_to_make(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no lock file .*: `typedgator schema write` makes it"):
        lock.read(tmp_path / "none.json")
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        lock.read(tmp_path)
    with pytest.raises(ConfigurationError, match="cannot be written: No such file"):
        lock.write(lock.Lock(), tmp_path / "no" / "lock")


# ---- two releases


def after(old: Release, new: Release) -> list[tuple[str, str, bool, Advice]]:
    return [(each.task, each.kind, each.breaks, each.advice) for each in changes(old.lock, new)]


def test_a_task_that_is_added_waits_for_its_workers() -> None:
    assert after(release_of(stop), release_of(send, stop)) == [("app.send", "added", False, Advice.WORKERS_FIRST)]


def test_a_task_that_is_removed_strands_its_jobs() -> None:
    [gone] = changes(release_of(send, stop).lock, release_of(send))
    assert (gone.task, gone.kind, gone.breaks) == ("app.stop", "removed", True)
    assert gone.advice is Advice.PRODUCERS_THEN_DRAIN
    assert gone.changes[0].in_flight == (
        "jobs in flight would be held, and fail in the end: no task has this name; or say gator.retired('app.stop')"
    )


def test_a_task_that_is_retired_strands_nothing() -> None:
    new = gator_of(send)
    new.retired("app.stop", then="cancel")
    assert after(release_of(send, stop), Release.of(new.registry)) == [("app.stop", "retired", False, Advice.ANY_ORDER)]


def test_a_task_that_moved_is_recognized_with_its_alias_and_guessed_without() -> None:
    def moved(alias: Any) -> Release:
        gator = Gator("locmem://")
        gator.register(name="other.stop", aliases=alias)(stop)
        return Release.of(gator.registry)

    [renamed] = changes(release_of(stop).lock, moved(["app.stop"]))
    assert (renamed.task, renamed.was, renamed.kind, renamed.breaks) == ("other.stop", "app.stop", "renamed", False)
    assert renamed.advice is Advice.WORKERS_FIRST
    removed = changes(release_of(stop).lock, moved([]))[0]
    assert "moved to other.stop? give it aliases=['app.stop']" in removed.changes[0].in_flight


def test_an_alias_that_is_dropped_strands_its_jobs() -> None:
    with_alias = release_of(stop, aliases=["app.halt"])
    assert after(release_of(stop), with_alias) == [("app.stop", "changed", False, Advice.ANY_ORDER)]
    assert after(with_alias, release_of(stop)) == [("app.stop", "changed", True, Advice.PRODUCERS_THEN_DRAIN)]
    retired = gator_of(stop)
    retired.retired("app.halt")
    assert not breaking(changes(with_alias.lock, Release.of(retired.registry)))


def test_an_upgrade_carries_jobs_in_flight_over() -> None:
    """What it cannot do is teach old workers."""

    def halt(now: str) -> None: ...

    def old(now: bool) -> None: ...

    before = Gator("locmem://")
    before.register(name="app.halt")(old)
    gator = Gator("locmem://")
    task = gator.register(name="app.halt")(halt)
    locked = Release.of(before.registry).lock
    assert breaking(changes(locked, Release.of(gator.registry))) == ["app.halt"]

    @task.upgrade
    def from_bool(now: bool):  # type: ignore[no-untyped-def]
        return task.call(str(now))

    [change] = changes(locked, Release.of(gator.registry))
    assert not change.breaks
    assert change.changes[0].what == "bool → str; an upgrade carries jobs in flight over"
    assert change.advice is Advice.WORKERS_FIRST


def test_nothing_that_changes_the_file_goes_without_a_word() -> None:
    """A lock that would be written differently is never called the same."""

    def now(when: int = 1) -> None: ...
    def later(when: int = 2) -> None: ...

    later.__name__ = "now"
    [change] = changes(release_of(now).lock, release_of(later))
    assert not change.breaks
    assert change == TaskChange("app.now", "changed", "", change.changes)


# ---- names that are over


def test_a_name_that_is_over_is_not_forgotten() -> None:
    """Delayed jobs and dead letters of the old task may still be there, and would run the new one's code."""
    first = release_of(send, stop)
    retiring = gator_of(send)
    retiring.retired("app.stop")
    second = Release.of(retiring.registry)
    locked = written(first.lock, second)
    assert locked.retired == ["app.stop"]
    assert changes(locked, second) == []
    # The line may go some day; what it said stays.
    third = release_of(send)
    assert changes(locked, third) == []
    assert written(locked, third) == locked

    [again] = changes(written(locked, third), first)
    assert (again.task, again.kind, again.breaks) == ("app.stop", "added", True)
    assert again.changes[-1].in_flight == (
        "jobs enqueued for the earlier task app.stop, delayed ones and dead letters too, would run this one's code"
    )
    accepted = written(locked, first)
    assert accepted.retired == []
    assert changes(accepted, first) == []


def test_a_removal_that_was_accepted_is_remembered_too() -> None:
    assert written(release_of(send, stop).lock, release_of(send)).retired == ["app.stop"]
    assert written(release_of(stop, aliases=["app.halt"]).lock, release_of(stop)).retired == ["app.halt"]


def test_a_name_that_is_over_may_not_come_back_as_an_alias() -> None:
    locked = written(release_of(stop, aliases=["app.halt", "app.end"]).lock, release_of(stop))
    for release in (release_of(stop, aliases=["app.halt"]), release_of(send, aliases=["app.halt", "app.stop"])):
        [change] = changes(locked, release)
        assert change.breaks
        assert "the earlier task app.halt" in change.changes[-1].in_flight


def test_a_name_that_changed_hands_by_an_alias_is_not_over() -> None:
    moved = Gator("locmem://")
    moved.register(name="other.stop", aliases=["app.stop"])(stop)
    release = Release.of(moved.registry)
    assert written(release_of(stop).lock, release).retired == []


def test_a_name_that_is_retired_before_it_was_ever_locked_is_written_down() -> None:
    gator = gator_of(stop)
    gator.retired("app.gone")
    release = Release.of(gator.registry)
    [change] = changes(release_of(stop).lock, release)
    assert (change.task, change.kind, change.breaks) == ("app.gone", "retired", False)
    locked = written(release_of(stop).lock, release)
    assert locked.retired == ["app.gone"]
    assert changes(locked, release) == []
