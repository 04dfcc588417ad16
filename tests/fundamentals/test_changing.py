"""A task changes while its jobs wait: it is renamed, removed, or takes other arguments, and its jobs come along."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, NoReturn

import pytest
from pydantic import Field

from typedgator import (
    Call,
    Cancel,
    ConfigurationError,
    Gator,
    InvalidArguments,
    JobCanceled,
    JobFailed,
    JobState,
    RegistrationError,
    current_job,
)
from typedgator.backends.contract import JobRecord
from typedgator.queues import inspecting, operating
from typedgator.wire.ids import parse_id
from typedgator.wire.terms import Secret

NAME = "app.send"


@pytest.fixture
def release(gator: Gator) -> Callable[[], Gator]:
    """Another release of the program over the same storage, with nothing registered yet."""

    def release() -> Gator:
        return Gator(backend=gator.backend)

    return release


def send_v1(user_id: int, template: str) -> str:
    """The first release's."""
    return f"{user_id} {template}"


def send_v2(user_id: int, template: str, lang: str) -> str:
    """The second one's."""
    return f"{user_id} {template} {lang}"


def send_v3(user: str, template_id: Annotated[int, Field(ge=0)], *, lang: str = "en") -> str:
    """The third one's."""
    return f"{user} {template_id} {lang}"


def other(n: int) -> str:
    """Another task."""
    return str(n)


# ---- upgrades


def test_a_job_of_an_older_release_is_upgraded(gator: Gator, release: Callable[[], Gator]) -> None:
    """The upgrade's parameters are the old ones; what it returns is called instead."""
    job = gator.register(name=NAME)(send_v1).task(7, "welcome")
    new = release()
    send = new.register(name=NAME)(send_v3)

    @send.upgrade
    def from_v1(user_id: int, template: str) -> Call[str]:
        return send.call(f"u{user_id}", len(template), lang="de")

    new.pop()
    assert job.result(timeout=0) == "u7 7 de"
    assert from_v1(1, "ab") == send.call("u1", 2, lang="de"), "an upgrade is still a function"


def test_each_older_release_has_its_own_upgrade(gator: Gator, release: Callable[[], Gator]) -> None:
    """All of them to the newest: the fingerprint of the stored arguments says which."""
    first = gator.register(name=NAME)(send_v1).task(1, "a")
    second = release().register(name=NAME)(send_v2).task(2, "b", "fr")
    new = release()
    send = new.register(name=NAME)(send_v3)

    @send.upgrade
    def from_v1(user_id: int, template: str) -> Call[str]:
        return send.call(str(user_id), 1)

    @send.upgrade
    def from_v2(user_id: int, template: str, lang: str) -> Call[str]:
        return send.call(str(user_id), 2, lang=lang)

    assert {upgrade.arguments.shown for upgrade in send.upgrades.values()} == {
        "from_v1(user_id: int, template: str) -> Call[str]",
        "from_v2(user_id: int, template: str, lang: str) -> Call[str]",
    }
    new.pop(), new.pop()
    assert (first.result(timeout=0), second.result(timeout=0)) == ("1 1 en", "2 2 fr")


def test_an_upgrade_serves_exactly_its_fingerprint_and_before_compatible_values(
    gator: Gator, release: Callable[[], Gator]
) -> None:
    """Cents became euros: the values still fit, and would mean something else."""

    def pay_cents(amount: int) -> str:
        return f"{amount} ct"

    def pay_euros(amount: float) -> str:
        return f"{amount} €"

    def pay_reserved(amount: Annotated[int, Field(ge=100)]) -> str:
        return "never registered in a release with an upgrade"

    cents = gator.register(name=NAME)(pay_cents).task(250)
    reserved = release().register(name=NAME)(pay_reserved).task(300)
    new = release()
    pay = new.register(name=NAME)(pay_euros)

    @pay.upgrade
    def from_cents(amount: int) -> Call[str]:
        return pay.call(amount / 100)

    new.pop(), new.pop()
    assert cents.result(timeout=0) == "2.5 €"
    assert reserved.result(timeout=0) == "300.0 €", "no upgrade from these: compatible, so straight in"


WRONG: dict[str, tuple[Callable[..., Any], str]] = {
    "it raises": (lambda send, _: 1 / 0, "raised ZeroDivisionError: division by zero"),
    "it ends the process": (lambda send, _: exit(3), "raised SystemExit: 3"),
    "a rule is broken": (lambda send, _: send.call("x", -1), "InvalidArguments: template_id must "),
    "an argument is missing": (lambda send, _: send.call("x"), "template_id is missing"),
    "no call": (lambda send, _: "x", "returned str, and must return a call of app.send"),
    "a call of another task": (lambda _, other: other.call(1), "returned a call of app.other, and must return a call"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_an_upgrade_that_fails_holds_the_job(gator: Gator, release: Callable[[], Gator], mistake: str) -> None:
    """No attempt is spent, and the reason says which upgrade it was. Another release may still run the job."""
    wrong, reason = WRONG[mistake]
    job = gator.register(name=NAME)(send_v1).task(7, "welcome")
    new = release()
    send, another = new.register(name=NAME)(send_v3), new.register(name="app.other")(other)

    @send.upgrade
    def from_v1(user_id: int, template: str) -> Call[str]:
        return wrong(send, another)  # type: ignore[no-any-return]  # that is what is wrong

    new.pop()
    record = held(gator)
    assert (job.state(), record.attempt) == (JobState.HELD, 0)
    assert record.reason.startswith("app.send: its upgrade from from_v1(user_id: int, template: str) -> Call[str] r")
    assert reason in record.reason
    assert ", got " not in record.reason
    assert record.reason.isprintable()

    assert operating(gator.backend).requeue(record.job_id)
    gator.pop()
    assert job.result(timeout=0) == "7 welcome"


def held(gator: Gator) -> JobRecord:
    """The one held job."""
    (record,) = inspecting(gator.backend).page(JobState.HELD).records
    return record


def test_an_upgrade_may_cancel_what_cannot_be_carried_over(gator: Gator, release: Callable[[], Gator]) -> None:
    """`raise Cancel(reason)` ends the job; an upgrade that always does so returns `NoReturn`."""
    job = gator.register(name=NAME)(send_v1).task(7, "welcome")
    new = release()
    send = new.register(name=NAME)(send_v3)

    @send.upgrade
    def from_v1(user_id: int, template: str) -> NoReturn:
        raise Cancel(f"there is no template {template} any more")

    new.pop()
    with pytest.raises(JobCanceled, match="there is no template welcome any more"):
        job.result(timeout=0)


def test_ctrl_c_during_an_upgrade_is_meant_for_the_caller(gator: Gator, release: Callable[[], Gator]) -> None:
    """As during a task that runs here: the job goes back."""
    job = gator.register(name=NAME)(send_v1).task(7, "welcome")
    new = release()
    send = new.register(name=NAME)(send_v3)

    @send.upgrade
    def from_v1(user_id: int, template: str) -> Call[str]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        new.pop()
    assert job.state() is JobState.WAITING


def send_secret(user_id: int, template: Annotated[str, Secret]) -> str:
    """What it is given is nobody's business."""
    return template


def send_secretly(user_id: int, template: Annotated[str, Secret], lang: str) -> str:
    """The same, in the second release."""
    return template


@pytest.mark.parametrize("shows", [True, False])
@pytest.mark.parametrize(("old", "now"), [(send_v1, send_v2), (send_v1, send_secretly), (send_secret, send_v2)])
def test_what_a_secret_is_stands_in_no_reason(
    gator: Gator, old: Callable[[int, str], str], now: Callable[..., str], shows: bool
) -> None:
    """Where values may not be shown, of then or of now, an upgrade's error is told by its class alone."""
    gator.register(name=NAME)(old).task(7, "hush")
    new = Gator(backend=gator.backend, show_values=shows)
    task = new.register(name=NAME)(now)
    annotation: Any = old.__annotations__["template"]

    def from_old(user_id: int, template: str) -> Call[str]:
        raise LookupError(template)

    from_old.__annotations__["template"] = annotation
    task.upgrade(from_old)

    new.pop()
    assert "LookupError" in held(gator).reason
    assert ("hush" in held(gator).reason) is (shows and old is send_v1 and now is send_v2)


def test_a_call_is_checked_and_compared_and_not_queued(gator: Gator) -> None:
    """So an upgrade can be tested as the plain function that it is."""
    send = gator.register(name=NAME)(send_v3)
    assert send.call("a", 1) == send.call(user="a", template_id=1)
    assert len({send.call("a", 1), send.call("a", 1), send.call("a", 2)}) == 2
    assert send.call("a", 1) != gator.register(name="app.again")(send_v3).call("a", 1)
    assert repr(send.call("a", 1)) == "<Call send_v3(user='a', template_id=1)>"
    with pytest.raises(InvalidArguments, match="template_id"):
        send.call("a", -1)
    assert len(gator.queue()) == 0


def refused(register: Callable[[], object]) -> str:
    """What a registration that must be refused says."""
    with pytest.raises(RegistrationError) as caught:
        register()
    return str(caught.value)


def test_an_upgrade_from_what_the_task_takes_now_is_refused(gator: Gator) -> None:
    """It would never be used: somebody changed the upgrade and not the task, or copied the wrong signature."""
    send = gator.register(name=NAME)(send_v1)

    def from_v1(user_id: int, template: str = "x") -> Call[str]:
        return send.call(user_id, template)

    def same(template: str, user_id: int) -> Call[str]:
        return send.call(user_id, template)

    send.upgrade(from_v1)  # a default makes it another schema: it may be left out
    assert "takes what app.send takes now" in refused(lambda: send.upgrade(same))


def test_two_upgrades_from_the_same_arguments_are_refused(gator: Gator) -> None:
    """The error names both places. The same function again (a reloaded module) is no second one."""
    send = gator.register(name=NAME)(send_v3)

    def one(user_id: int) -> Call[str]:
        return send.call("", user_id)

    def two(user_id: int) -> Call[str]:
        return send.call("", user_id)

    assert send.upgrade(one) is one
    with_one = refused(lambda: send.upgrade(two))
    assert "app.send has two upgrades from the same arguments, two(user_id: int)" in with_one
    assert with_one.count("test_changing.py:") == 2


def test_what_cannot_be_an_upgrade_is_refused_at_the_def(gator: Gator) -> None:
    """A plain function whose parameters could have been a task's, and which returns a call."""
    send = gator.register(name=NAME)(send_v3)

    async def later(user_id: int) -> Call[str]:
        return send.call("", user_id)

    def unannotated(user_id) -> Call[str]:  # type: ignore[no-untyped-def]
        return send.call("", user_id)

    def not_simple(user: object) -> Call[str]:
        return send.call("", 1)

    def gives_text(user_id: int) -> str:
        return ""

    upgrade: Any = send.upgrade
    assert "not awaited; write a `def`" in refused(lambda: upgrade(later))
    assert "its parameter 'user_id' has no annotation" in refused(lambda: upgrade(unannotated))
    assert "not_simple cannot be an upgrade of app.send: its parameter 'user'" in refused(lambda: upgrade(not_simple))
    assert "must return a call of the task as it is now: `-> Call[…]`" in refused(lambda: upgrade(gives_text))
    assert "not awaited" in refused(lambda: upgrade(send))
    assert dict(send.upgrades) == {}


# ---- renamed


def test_a_renamed_task_runs_jobs_that_were_stored_under_its_old_name(
    gator: Gator, release: Callable[[], Gator]
) -> None:
    """`aliases=` are names of earlier releases; everything inside the job sees the present name."""

    def says_who(n: int) -> str:
        return current_job().task

    old = gator.register(name="old.name")(says_who)
    older = gator.register(name="older.name")(says_who)
    first, second = old.task(1), older.task(2)
    new = release()
    task = new.register(name="new.name", aliases=("old.name", "older.name"))(says_who)

    new.pop(), new.pop()
    assert (first.result(timeout=0), second.result(timeout=0)) == ("new.name", "new.name")
    assert task.aliases == ("old.name", "older.name")
    assert new.registry.find("old.name") is task
    assert [each.name for each in new.registry] == ["new.name"]


def test_a_task_may_be_renamed_and_changed_at_once(gator: Gator, release: Callable[[], Gator]) -> None:
    """An alias finds the task, an upgrade its arguments."""
    job = gator.register(name="old.name")(send_v1).task(7, "welcome")
    new = release()
    send = new.register(name="new.name", aliases=["old.name"])(send_v3)

    @send.upgrade
    def from_v1(user_id: int, template: str) -> Call[str]:
        return send.call(template, user_id)

    new.pop()
    assert job.result(timeout=0) == "welcome 7 en"


def test_a_result_is_read_by_whoever_has_the_alias(gator: Gator, release: Callable[[], Gator]) -> None:
    """It was stored under the old name."""

    def halve(n: int) -> Decimal:
        return Decimal(n) / 2

    job = gator.register(name="old.name")(halve).task(3)
    gator.pop()
    new = release()
    new.register(name="new.name", aliases=("old.name",))(halve)
    assert new.job(job.id).result(timeout=0) == Decimal("1.5")


def test_a_stored_job_is_run_by_one_task(gator: Gator) -> None:
    """Names and aliases of all tasks are different, whichever is registered first."""

    def register(name: str, *aliases: str, fn: Callable[[int], str] = other) -> object:
        return gator.register(name=name, aliases=aliases)(fn)

    def another(n: int) -> str:
        return str(n)

    register("a", "b")
    assert "b cannot be a task: b is an alias of a, at" in refused(lambda: register("b", fn=another))
    assert "c, with the alias a, cannot be a task: a is the name of the task at" in refused(
        lambda: register("c", "a", fn=another)
    )
    assert "c, with the alias b, cannot be a task: b is an alias of a" in refused(
        lambda: register("c", "b", fn=another)
    )
    assert {task.name for task in gator.registry} == {"a"}
    assert gator.registry.find("c") is None


def test_a_reloaded_module_may_change_name_and_aliases(gator: Gator) -> None:
    """The same source line again takes the place of what was there, and leaves no alias behind."""
    gator.register(name="a", aliases=("x",))(other)
    gator.register(name="b", aliases=("a", "y"))(other)
    assert [task.name for task in gator.registry] == ["b"]
    found = {name: gator.registry.find(name) for name in ("a", "b", "x", "y")}
    assert {name for name, task in found.items() if task is not None} == {"a", "b", "y"}


@pytest.mark.parametrize(
    ("aliases", "why"),
    [
        ("old", "aliases takes a tuple of names, got 'old': write aliases=('old',)"),
        ({"old"}, "aliases takes a tuple of names"),
        (("two words",), "name 'two words' cannot be a task's"),
        ((3,), "name 3 cannot be a task's"),
        (("mine",), "it has its own name as an alias"),
    ],
)
def test_aliases_that_mean_nothing_are_refused(gator: Gator, aliases: Any, why: str) -> None:
    """A tuple or list of names that the task had before."""
    assert why in refused(lambda: gator.register(name="mine", aliases=aliases)(other))


def test_one_job_id_stays_one_job_while_its_task_is_renamed(gator: Gator, release: Callable[[], Gator]) -> None:
    """The id is taken by a job of the same task, under the name that it had."""
    with gator.options(job_id="invoice-1") as opts:
        opts.task(gator.register(name="old.name")(other), 1)
    new = release()
    task = new.register(name="new.name", aliases=("old.name",))(other)
    with new.options(job_id="invoice-1") as opts:
        assert opts.task(task, 1).duplicate


# ---- removed


def test_jobs_of_a_retired_task_fail_unrun_and_can_be_run_after_a_rollback(
    gator: Gator, release: Callable[[], Gator]
) -> None:
    """Nothing of a retired task is held, and nothing is lost: they are dead letters with the reason."""
    job = gator.register(name="app.gone")(other).task(1)
    new = release()
    new.retired("app.gone")
    new.retired("app.gone")  # a reloaded module says it again

    new.pop()
    with pytest.raises(JobFailed, match=r"task app\.gone is retired") as caught:
        job.result(timeout=0)
    assert caught.value.error_type == "typedgator.errors.NotRegistered"

    assert operating(gator.backend).requeue(parse_id(job.id))
    gator.pop()
    assert job.result(timeout=0) == "1"


def test_jobs_of_a_retired_task_may_be_canceled_instead(gator: Gator, release: Callable[[], Gator]) -> None:
    """`then="cancel"`: nobody wants them, and nobody need look at them."""
    job = gator.register(name="app.gone")(other).task(1)
    new = release()
    new.retired("app.gone", then="cancel")

    new.pop()
    with pytest.raises(JobCanceled, match="retired"):
        job.result(timeout=0)
    assert new.registry.retired == {"app.gone": "cancel"}


def test_a_task_is_either_there_or_retired(gator: Gator) -> None:
    """Its names and aliases cannot be retired, a retired name cannot be a task's, and is retired one way."""
    gator.register(name="a", aliases=("b",))(other)
    gator.retired("c")
    assert "a cannot be retired: it is a task, at" in refused(lambda: gator.retired("a"))
    assert "b cannot be retired: it is an alias of a, at" in refused(lambda: gator.retired("b"))
    assert "c cannot be a task: gator.retired('c') says" in refused(lambda: gator.register(name="c")(other))
    assert "d, with the alias c, cannot be a task" in refused(lambda: gator.register(name="d", aliases=("c",))(send_v1))
    assert "c is retired twice" in refused(lambda: gator.retired("c", then="cancel"))
    wrong: Any = "drop"
    assert 'then must be "fail" or "cancel", got \'drop\'' in refused(lambda: gator.retired("e", then=wrong))
    assert "name '' cannot be a task's" in refused(lambda: gator.retired(""))


# ---- held


def test_how_long_a_job_is_held_can_be_said(gator: Gator) -> None:
    """`Gator(hold_for=…)`, 24 hours unless said; then it fails with what it was held for."""
    gator.register(name="app.gone")(other).task(1)
    Gator(backend=gator.backend, hold_for=timedelta(seconds=90)).pop()
    record = held(gator)
    assert record.reason == "task app.gone is not known to the worker that took it"
    assert (record.due_ms or 0) - (record.held_ms or 0) == 90_000


@pytest.mark.parametrize("hold_for", [0, 0.5, -1, "1", timedelta(days=400), None, True])
def test_a_bound_that_means_nothing_is_refused(hold_for: Any) -> None:
    """From a second to a year."""
    with pytest.raises(ConfigurationError, match="hold_for"):
        Gator("locmem://", hold_for=hold_for)
