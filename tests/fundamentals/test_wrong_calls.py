"""Every wrong call is refused where it is made, on every road into a queue, and leaves nothing behind.

The type checkers say the same earlier: `tests/typing/bad.py`. Asserted is the storage itself, read past the library.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from tests.fundamentals.faces import Face
from typedgator import ConfigurationError, Gator, InvalidArguments, NotRegistered, UnsupportedSignature

Stored = Callable[[], object]


def charge(order_id: int, currency: str = "EUR") -> str:
    """The task of all these calls."""
    return f"{order_id} {currency}"


class Order:
    """An instance of a class of one's own, like a row of an ORM."""

    id = 7


class Wrong(NamedTuple):
    """A call that no task takes, and what its refusal says."""

    args: tuple[object, ...]
    kwargs: dict[str, object]
    says: str


WRONG_ARGUMENTS = {
    "w1 wrong type": Wrong(("7",), {}, "order_id must be an integer, got str '7'"),
    "w1 wrong type, by name": Wrong((), {"order_id": 7, "currency": 9}, "currency must be a string, got int 9"),
    "w1 a bool is no int": Wrong((True,), {}, "order_id must be an integer, got bool True"),
    "w2 missing argument": Wrong((), {}, "order_id is missing"),
    "w3 unknown keyword": Wrong((7,), {"curency": "EUR"}, "curency"),
    "w3 too many positional": Wrong((7, "EUR", 9), {}, "at most 2 are taken"),
    "w3 given twice": Wrong((7,), {"order_id": 7}, "order_id"),
    "w6 an object": Wrong((Order(),), {}, "order_id must be an integer, got Order"),
}


@pytest.fixture(params=WRONG_ARGUMENTS)
def wrong(request: pytest.FixtureRequest) -> Wrong:
    """One call after the other."""
    return WRONG_ARGUMENTS[request.param]


def refused(wrong: Wrong, call: Callable[..., object]) -> InvalidArguments:
    """The refusal, which names the task, the argument and that nothing happened."""
    with pytest.raises(InvalidArguments, match="Nothing was enqueued") as caught:
        call(*wrong.args, **wrong.kwargs)
    assert wrong.says in str(caught.value)
    assert isinstance(caught.value, TypeError)
    return caught.value


def roads(gator: Gator, task: Any, face: Face) -> dict[str, Callable[..., object]]:
    """Every road from a call to a job."""
    here = gator.options(is_async=False)
    block = gator.options(retries=3)
    return {
        "fn.task": lambda *a, **k: face.task(task, *a, **k),
        "gator.task": lambda *a, **k: face.gator_task(gator, task, *a, **k),
        "opts.task (w8)": lambda *a, **k: face.opts_task(block, task, *a, **k),
        "is_async=False": lambda *a, **k: face.opts_task(here, task, *a, **k),
    }


def test_wrong_arguments_are_refused_on_every_road(gator: Gator, face: Face, stored: Stored, wrong: Wrong) -> None:
    """w1, w2, w3, w6 and w8: refused before anything is sent. On a fresh file not even the file is made."""
    task = gator.register(charge)
    before = stored()
    for call in roads(gator, task, face).values():
        refused(wrong, call)
    assert stored() == before


def test_a_refusal_leaves_what_is_stored_as_it_is(gator: Gator, face: Face, stored: Stored, wrong: Wrong) -> None:
    """Also beside jobs that are there already: not a row changes."""
    task = gator.register(charge)
    task.task(1)
    before = stored()
    for call in roads(gator, task, face).values():
        refused(wrong, call)
    assert stored() == before


def test_one_wrong_call_of_many_refuses_all(gator: Gator, face: Face, stored: Stored, wrong: Wrong) -> None:
    """`task_many`: the error names the index, and the right calls before and after it were not sent either."""
    task = gator.register(charge)
    before = stored()
    # A call is a tuple or a mapping, so one that gives an argument twice cannot even be written.
    calls: list[Any] = [(1,), (2, "USD"), wrong.kwargs or wrong.args, (4,)]
    if wrong.args and wrong.kwargs:
        calls[2] = {**wrong.kwargs, "twice": 1}
    with pytest.raises(InvalidArguments, match="item 2 of the batch") as caught:
        face.task_many(gator, task, calls)
    assert caught.value.index == 2
    assert stored() == before


def test_one_wrong_call_in_a_batch_refuses_all(gator: Gator, face: Face, stored: Stored, wrong: Wrong) -> None:
    """`batch`: refused at the line of the call, naming the index; leaving the block with that error sends nothing."""
    task = gator.register(charge)
    before = stored()
    batch = face.enter(gator.batch())
    batch.task(task, 1)
    batch.task(task, order_id=2)
    with pytest.raises(InvalidArguments, match="item 2 of the batch") as caught:
        batch.task(task, *wrong.args, **wrong.kwargs)  # type: ignore[arg-type]
    face.leave(batch, caught.value)
    assert caught.value.index == 2
    assert stored() == before


WRONG_OPTIONS: dict[str, dict[str, Any]] = {
    "retries text": {"retries": "3"},
    "retries bool": {"retries": True},
    "retries negative": {"retries": -1},
    "retries float": {"retries": 1.5},
    "delay_by text": {"delay_by": "60"},
    "delay_by bool": {"delay_by": True},
    "delay_by negative": {"delay_by": -1},
    "delay_by nan": {"delay_by": float("nan")},
    "delay_until text": {"delay_until": "tomorrow"},
    "expires zero": {"expires": 0},
    "expires text": {"expires": "1h"},
    "time_limit text": {"time_limit": "1"},
    "queue number": {"queue": 3},
    "queue empty": {"queue": ""},
    "queue spaces": {"queue": "my queue"},
    "queue star": {"queue": "*"},
    "priority text": {"priority": "high"},
    "priority too high": {"priority": 256},
    "priority bool": {"priority": True},
    "is_async text": {"is_async": "false"},
    "unique empty": {"unique": ""},
    "unique number": {"unique": 1},
    "job_id number": {"job_id": 1},
    "job_id spaces": {"job_id": "my job"},
    "job_id long": {"job_id": "x" * 129},
    "keep_result number": {"keep_result": 60},
    "headers list": {"headers": [("a", "b")]},
    "headers number": {"headers": {"a": 1}},
    "headers large": {"headers": {"a": "x" * 5000}},
    "headers half a character": {"headers": {"a": "\ud800"}},
    "headers half a character in a name": {"headers": {"\udfff": "a"}},
    "unique half a character": {"unique": "\ud800"},
    "job_id half a character": {"job_id": "\ud800"},
    "depends_on half a character": {"depends_on": "\ud800"},
    "depends_on number": {"depends_on": 5},
    "depends_on list of numbers": {"depends_on": [5]},
    "depends_on bytes": {"depends_on": [b"id"]},
    "backoff text": {"backoff": "1"},
}


@pytest.mark.parametrize("options", WRONG_OPTIONS.values(), ids=WRONG_OPTIONS)
def test_a_wrong_option_is_refused_where_it_is_said(gator: Gator, stored: Stored, options: dict[str, Any]) -> None:
    """w4: at the `options()` line, naming the option, before any task is named."""
    before = stored()
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        gator.options(**options)
    assert stored() == before


OF_TASKS = {name: said for name, said in WRONG_OPTIONS.items() if not name.startswith(("delay", "job_id", "depends"))}


@pytest.mark.parametrize("options", OF_TASKS.values(), ids=OF_TASKS)
def test_a_wrong_option_is_refused_at_registration(gator: Gator, options: dict[str, Any]) -> None:
    """The same at the `@gator.register(…)` line."""
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        gator.register(**options)


def test_a_misspelt_option_is_a_type_error(gator: Gator, stored: Stored) -> None:
    """w5: nothing takes `**options`, so Python itself refuses the name, at every level."""
    before = stored()
    for misspelt in (gator.options, gator.register, Gator):
        with pytest.raises(TypeError, match="retrys"):
            misspelt(retrys=3)
    assert stored() == before


def test_a_result_has_the_type_that_was_promised(gator: Gator) -> None:
    """w7 is for type checkers; at run time, what comes back is of the annotated type, or an error."""
    task = gator.register(charge)
    job = task.task(7)
    gator.pop()
    assert job.result() == "7 EUR"
    assert type(job.result()) is str


def notify(order: Order) -> str:
    """Declared to take an object."""
    return str(order.id)


@dataclass
class Mutable:
    """Not frozen."""

    x: int


def mutable(value: Mutable) -> None: ...
def anything(value: Any) -> None: ...
def unannotated(value): ...  # type: ignore[no-untyped-def]


@pytest.mark.parametrize("fn", [notify, mutable, anything, unannotated])
def test_an_object_as_parameter_is_refused_at_registration(gator: Gator, fn: Any) -> None:
    """w6, declared as such: the task does not come to be. The error names the parameter and the way out."""
    with pytest.raises(UnsupportedSignature) as caught:
        gator.register(fn)
    assert caught.value.parameter in ("order", "value")
    assert len(gator.registry) == 0


def test_an_unregistered_function_is_refused(gator: Gator, face: Face, stored: Stored) -> None:
    """Forgetting the decorator is heard at the first call, with the way out; so is another gator's task."""
    other = Gator("locmem://").register(charge)
    before = stored()
    unregistered: Any = charge
    for fn, says in ((unregistered, "decorate it with @gator.register"), (other, "another gator")):
        for call in (
            lambda fn=fn: face.gator_task(gator, fn, 1),
            lambda fn=fn: face.opts_task(gator.options(), fn, 1),
            lambda fn=fn: face.task_many(gator, fn, [(1,)]),
            lambda fn=fn: face.enter(gator.batch()).task(fn, 1),
            lambda fn=fn: gator.job("id", fn),
        ):
            with pytest.raises(NotRegistered, match=says):
                call()
    assert stored() == before


def test_calls_of_many_are_tuples_or_mappings(gator: Gator, face: Face, stored: Stored) -> None:
    """`task_many(charge, [1, 2])` would be ambiguous for sequences: refused, naming the item and the way out."""
    task = gator.register(charge)
    before = stored()
    wrong: Any = [(1,), 2]
    with pytest.raises(ConfigurationError, match=r"item 1.*\(value,\)"):
        face.task_many(gator, task, wrong)
    assert stored() == before
