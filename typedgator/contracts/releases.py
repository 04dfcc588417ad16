"""Two releases of a gator: which tasks came, went, changed their name or their contract, and what to do about it."""

from collections.abc import Iterator, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from typedgator.contracts.lock import Lock, Locked, lock_of
from typedgator.registry import AnyTask, Registry
from typedgator.wire.compat import Advice, Change, advised, compare
from typedgator.wire.dialect import fingerprint

__all__ = ["Release", "TaskChange", "breaking", "changes", "written"]

Kind: TypeAlias = Literal["added", "removed", "retired", "renamed", "changed"]

_HELD: Final = "old workers do not know this name, and hold its jobs for a worker that does"


class TaskChange(msgspec.Struct, frozen=True):
    """What became of one task. `task` is its name now, or its last one; `was` the name before a rename, else ""."""

    task: str
    kind: Kind
    was: str
    changes: list[Change]

    @property
    def breaks(self) -> bool:
        """Whether jobs in flight are hurt."""
        return any(change.breaks for change in self.changes)

    @property
    def advice(self) -> Advice:
        """The order to deploy in, as far as this task is concerned."""
        return advised(self.changes)


class Release(msgspec.Struct, frozen=True):
    """What this release says of its tasks: their contracts, and what it does for jobs of earlier ones."""

    lock: Lock
    retired: dict[str, str] = {}
    upgrades: dict[str, list[str]] = {}
    """Task → the fingerprints of older arguments that it carries over."""

    @classmethod
    def of(cls, registry: Registry) -> "Release":
        """The release that these tasks are."""
        return cls(lock_of(registry), dict(registry.retired), {task.name: _upgraded(task) for task in registry})


def _upgraded(task: AnyTask) -> list[str]:
    return sorted(task.upgrades)


def breaking(found: Sequence[TaskChange]) -> list[str]:
    """The names of the tasks whose jobs in flight are hurt."""
    return [each.task for each in found if each.breaks]


def changes(old: Lock, new: Release) -> list[TaskChange]:
    """How this release differs from the locked one, task by task, by name. Empty when it does not."""
    found: list[TaskChange] = []
    now = new.lock.tasks
    came_from = {alias: name for name, task in now.items() for alias in task.aliases}
    for name, task in old.tasks.items():
        if name in now:
            found += _kept(name, task, new)
        elif name in came_from:
            found.append(_renamed(name, came_from[name], task, new))
        else:
            found.append(_gone(name, task, new))
    renamed = {each.task for each in found if each.kind == "renamed"}
    found += [_added(name) for name in now if name not in old.tasks and name not in renamed]
    known = {*old.tasks, *old.retired}
    found += [_over(name, new) for name in new.retired if name not in known]
    return sorted((_reviving(each, old, new) for each in found), key=lambda each: each.task)


def written(old: Lock, new: Release) -> Lock:
    """The lock file of this release. It remembers the names that are over: who gives one away again is to know."""
    names = new.lock.names
    over = {*old.retired, *new.retired, *old.names} - names
    return msgspec.structs.replace(new.lock, retired=sorted(over))


def _reviving(change: TaskChange, old: Lock, new: Release) -> TaskChange:
    """The same change; a name that was over and is this task's now would bring it the jobs of another one."""
    task = new.lock.tasks.get(change.task)
    again = [name for name in (change.task, *task.aliases) if name in old.retired] if task is not None else []
    revived = [
        Change(
            "task",
            "",
            f"{name} was the name of an earlier task",
            in_flight=f"jobs enqueued for the earlier task {name}, delayed ones and dead letters too, would run this "
            "one's code",
        )
        for name in again
    ]
    return msgspec.structs.replace(change, changes=[*change.changes, *revived]) if revived else change


def _added(name: str) -> TaskChange:
    return TaskChange(name, "added", "", [Change("task", "", "added", rolling=_HELD)])


def _kept(name: str, old: Locked, new: Release) -> Iterator[TaskChange]:
    task = new.lock.tasks[name]
    found = [*_compared(name, old, new), *_aliases(old, task, new)]
    if old != task and not found:
        found = [Change("task", "", "written differently, with the same meaning")]
    if found:
        yield TaskChange(name, "changed", "", found)


def _compared(name: str, old: Locked, new: Release) -> list[Change]:
    found = compare(old.contract, new.lock.tasks[name].contract)
    if fingerprint(old.arguments) not in new.upgrades.get(name, ()):
        return found
    return [
        msgspec.structs.replace(change, in_flight="", what=f"{change.what}; an upgrade carries jobs in flight over")
        if change.part == "arguments" and change.in_flight
        else change
        for change in found
    ]


def _aliases(old: Locked, task: Locked, new: Release) -> Iterator[Change]:
    for alias in task.aliases:
        if alias not in old.aliases:
            yield Change("task", "", f"the alias {alias} was added")
    for alias in old.aliases:
        if alias not in task.aliases and alias not in new.retired:
            why = f"jobs enqueued under {alias} would be held, and fail in the end: no task has that name any more"
            yield Change("task", "", f"the alias {alias} was dropped", in_flight=why)


def _renamed(name: str, now: str, old: Locked, new: Release) -> TaskChange:
    first = Change("task", "", f"renamed; jobs enqueued as {name} are its own", rolling=_HELD)
    task = new.lock.tasks[now]
    dropped = [change for change in _aliases(old, task, new) if change.in_flight]
    return TaskChange(now, "renamed", name, [first, *_compared(now, old, new), *dropped])


def _over(name: str, new: Release) -> TaskChange:
    ends = "fail" if new.retired[name] == "fail" else "are canceled"
    return TaskChange(name, "retired", "", [Change("task", "", f"retired: jobs in flight {ends}, as it says")])


def _gone(name: str, old: Locked, new: Release) -> TaskChange:
    if name in new.retired:
        return _over(name, new)
    alike = [
        other
        for other, task in new.lock.tasks.items()
        if task.fingerprint == old.fingerprint and other.rpartition(".")[2] == name.rpartition(".")[2]
    ]
    way = f"moved to {alike[0]}? give it aliases=[{name!r}]" if alike else f"or say gator.retired({name!r})"
    why = f"jobs in flight would be held, and fail in the end: no task has this name; {way}"
    return TaskChange(name, "removed", "", [Change("task", "", "removed", in_flight=why)])
