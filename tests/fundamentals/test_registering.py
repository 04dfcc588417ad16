"""Registering: a function becomes a task, and stays the function that it was."""

import asyncio
import inspect
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.fundamentals.faces import Face
from typedgator import (
    AsyncTask,
    ConfigurationError,
    Gator,
    InvalidArguments,
    Job,
    RegistrationError,
    SyncTask,
)


def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


async def double(x: int) -> int:
    """Doubles."""
    return 2 * x


def wait_for_nothing(x: int) -> None:
    """A `def`."""


class Shop:
    """Something with a method."""

    def sell(self, item: int) -> None:
        """Cannot be a task: a worker has no shop."""


def test_register_works_with_and_without_parentheses(gator: Gator) -> None:
    """`@gator.register`, `@gator.register()` and `@gator.register(queue=…)` all make a task."""
    plain = gator.register(add)
    empty = gator.register(name="empty")(add)
    assert isinstance(plain, SyncTask)
    assert isinstance(empty, SyncTask)
    assert isinstance(gator.register(double), AsyncTask)
    assert isinstance(gator.register(queue="images", name="other")(double), AsyncTask)


def test_a_task_is_still_the_function(gator: Gator) -> None:
    """Calling it calls the function, here and now; name, docstring and signature stay."""
    task = gator.register(add)
    later = gator.register(double)
    assert task(3, b=7) == 10
    assert asyncio.run(later(4)) == 8
    assert task.__name__ == "add"  # type: ignore[attr-defined]
    assert task.__doc__ == "Adds."
    assert inspect.signature(task) == inspect.signature(add)


def test_a_task_is_called_after_its_module_and_name(gator: Gator) -> None:
    """`module.qualname`, unless `name=` says otherwise; that name is stored with each job."""
    assert gator.register(add).name == f"{__name__}.add"
    assert gator.register(name="sum.of.two")(add).name == "sum.of.two"
    assert gator.registry.find("sum.of.two") is not None


@pytest.mark.parametrize("name", ["", "two words", "x" * 201, "tab\t", "half\ud800", 3, b"x"])
def test_a_name_that_no_task_can_have_is_refused(gator: Gator, name: Any) -> None:
    """1 to 200 characters, no spaces."""
    with pytest.raises(RegistrationError, match="cannot be a task's"):
        gator.register(name=name)(add)


def test_two_tasks_of_one_name_are_refused(gator: Gator) -> None:
    """The error names both places. The same function again (a reloaded module) is no second task."""
    gator.register(name="mine")(add)
    gator.register(name="mine")(add)
    assert len(gator.registry) == 1
    with pytest.raises(RegistrationError, match=r"two tasks are called mine: at .*test_registering.py:\d+ and at"):
        gator.register(name="mine")(double)


def test_closures_are_never_taken_for_a_reload(gator: Gator) -> None:
    """Two of one line hold different values: the second would silently replace the first. The same one again may."""

    def multiplier(factor: int) -> Callable[[int], int]:
        def multiply(x: int) -> int:
            return factor * x

        return multiply

    def plain() -> Callable[[int], int]:
        def same(x: int) -> int:
            return x

        return same

    double, triple = multiplier(2), multiplier(3)
    gator.register(name="double")(double)
    gator.register(name="double")(double)
    with pytest.raises(RegistrationError, match="a closure is another function each time it is made"):
        gator.register(name="double")(triple)
    gator.register(name="same")(plain())
    gator.register(name="same")(plain())


def test_bound_methods_are_refused(gator: Gator) -> None:
    """A worker does not have the object, also when a name is given."""
    for name in (None, "sell"):
        with pytest.raises(RegistrationError, match=r"sell cannot be a task: it is a method of an object"):
            gator.register(name=name)(Shop().sell)


def test_a_task_registered_anew_has_its_new_options(gator: Gator) -> None:
    """After a reload, calls through the new task follow the new options."""
    first = gator.register(name="mine", queue="first")(add)
    first.task(1, 2)
    second = gator.register(name="mine", queue="second")(add)
    second.task(1, 2)
    first.task(1, 2)
    assert (len(gator.queue("first")), len(gator.queue("second"))) == (2, 1)


def test_what_a_worker_could_not_find_is_refused(gator: Gator) -> None:
    """Lambdas and nested functions have no name that another process can look up."""

    def nested(x: int) -> None: ...

    unnamed: Callable[[], None] = lambda: None  # noqa: E731
    for fn in (nested, unnamed):
        with pytest.raises(RegistrationError, match="lambda or nested function"):
            gator.register(fn)
    assert gator.register(name="nested")(nested).name == "nested"


def test_a_partial_needs_a_name(gator: Gator, face: Face) -> None:
    """`functools.partial` has none of its own; what it binds is not a parameter of the task."""
    with pytest.raises(RegistrationError, match="give name="):
        gator.register(partial(add, 1))
    task = gator.register(name="add.one")(partial(add, 1))
    job = face.gator_task(gator, task, 2)
    gator.pop()
    assert face.result(job) == 3
    with pytest.raises(InvalidArguments):
        face.gator_task(gator, task, "2")


def test_methods_are_refused(gator: Gator) -> None:
    """A worker has no `self`: the error says what to write instead."""
    with pytest.raises(RegistrationError, match="it is a method, and `self` cannot be queued"):
        gator.register(Shop.sell)


def test_a_task_is_not_registered_twice(gator: Gator) -> None:
    """Registering a task instead of its function is refused, with the way out."""
    again: Any = gator.register(add)
    with pytest.raises(RegistrationError, match="register the plain function"):
        gator.register(again)


@pytest.mark.parametrize("thing", [3, "name", None, object()])
def test_only_functions_become_tasks(gator: Gator, thing: Any) -> None:
    """Anything else is refused at once."""
    with pytest.raises(RegistrationError):
        gator.register(name=None)(thing)


def test_a_time_limit_needs_an_async_def(gator: Gator, face: Face) -> None:
    """A thread cannot be stopped: refused for a `def` at registration, and at the call."""
    with pytest.raises(RegistrationError, match=r"wait_for_nothing: time_limit needs an `async def`"):
        gator.register(time_limit=5)(wait_for_nothing)
    task = gator.register(wait_for_nothing)
    with pytest.raises(ConfigurationError, match="time_limit needs an `async def`"):
        face.opts_task(gator.options(time_limit=5), task, 1)
    assert gator.counts().queues == {}
    assert gator.register(time_limit=5)(double).options.time_limit == 5


def test_a_task_shows_what_it_takes(gator: Gator) -> None:
    """`signature` for people, `fingerprint` for machines: equal signatures, equal fingerprints."""
    task = gator.register(add)
    assert task.signature == "add(a: int, b: int) -> int"
    assert len(task.fingerprint) == 16
    assert task.fingerprint == gator.register(name="again")(add).fingerprint
    assert task.fingerprint != gator.register(double).fingerprint
    assert repr(task) == f"<SyncTask {__name__}.add>"


def test_a_gator_of_ones_own_is_a_gator(dsn: str) -> None:
    """Subclass Gator and override `register` or `task`: what it makes stays typed, and works."""

    class Audited(Gator):
        pass

    audited = Audited(dsn)
    job: Job[int] = audited.register(add).task(1, 2)
    audited.pop()
    assert job.result() == 3
    audited.close()


SCRIPT = """
    import sys
    from typedgator import Gator, RegistrationError

    gator = Gator("locmem://")
    try:
        @gator.register
        def work(x: int) -> int:
            return x
    except RegistrationError as error:
        print("refused:", error)
    else:
        print(work.name)
"""


def run(*arguments: str, cwd: Path) -> str:
    """What a Python process prints."""
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True, timeout=50)
    return done.stdout.strip()


def test_a_task_of_a_script_is_called_as_a_worker_would_import_it(tmp_path: Path) -> None:
    """`python script.py` and `python -m pkg.mod`: `__main__` becomes the module that a worker imports."""
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").touch()
    for file in ("script.py", "pkg/mod.py", "my-script.py"):
        (tmp_path / file).write_text(dedent(SCRIPT))
    assert run("script.py", cwd=tmp_path) == "script.work"
    assert run("-m", "pkg.mod", cwd=tmp_path) == "pkg.mod.work"
    assert "refused: work is defined in __main__" in run("my-script.py", cwd=tmp_path)


def test_a_task_of_no_file_is_refused() -> None:
    """`python -c`: no worker could import it; the error names the way out."""
    told = run("-c", dedent(SCRIPT), cwd=Path.cwd())
    assert "refused: work is defined in __main__ and cannot be a task" in told
    assert "give name=" in told


def test_a_script_imported_again_by_multiprocessing_keeps_its_names(tmp_path: Path) -> None:
    """A spawned child runs the script as `__mp_main__`: its tasks are called as in the parent."""
    script = """
        import multiprocessing
        from typedgator import Gator

        gator = Gator("locmem://")

        @gator.register
        def work(x: int) -> int:
            return x

        def child() -> None:
            print(work.name, flush=True)

        if __name__ == "__main__":
            print(work.name, flush=True)
            process = multiprocessing.get_context("spawn").Process(target=child)
            process.start()
            process.join()
    """
    (tmp_path / "script.py").write_text(dedent(script))
    assert run("script.py", cwd=tmp_path).split() == ["script.work", "script.work"]


def test_an_exception_of_a_script_is_called_as_a_worker_would_import_it(tmp_path: Path) -> None:
    """`RetryPolicy(on=(Flaky,))` in a script stores `script.Flaky`: the worker's `Flaky` is that one."""
    script = """
        from typedgator import Gator, RetryPolicy
        from typedgator.wire.envelope import decode_envelope
        from typedgator.wire.frame import open_frame

        gator = Gator("locmem://")

        class Flaky(Exception):
            pass

        @gator.register(retries=RetryPolicy(1, on=(Flaky,)))
        def work(x: int) -> int:
            return x

        if __name__ == "__main__":
            record = gator.backend.find(bytes.fromhex(work.task(1).id))
            print(*decode_envelope(open_frame(record.frame).envelope).policy.retry_on)
    """
    (tmp_path / "script.py").write_text(dedent(script))
    assert run("script.py", cwd=tmp_path) == "script.Flaky"
