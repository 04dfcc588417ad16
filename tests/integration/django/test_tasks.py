"""Django's tasks framework over typedgator, where Django's own tests do not look: between processes."""

import pytest

from tests.integration.django.site import Site

django = pytest.importorskip("django", reason="Django is not installed: pip install typedgator[django]")

pytestmark = pytest.mark.timeout(180)  # real processes, each of which loads Django

TASKS = """
try:
    from django.tasks import task
except ImportError:
    from django_tasks import task


@task()
def double(n, *, note=""):
    return [n * 2, note]


@task(priority=50, queue_name="slow")
async def later(n):
    return n


@task()
def fail(text):
    raise LookupError(text)


@task(takes_context=True)
def attempts(context):
    if context.attempt < 2:
        raise ConnectionError("not yet")
    return context.attempt


@task()
def odd():
    return {"a": (1, 2.5, None, True), "b": b"bytes"}
"""

SETTINGS = """
import django
INSTALLED_APPS += ["django_tasks"] if django.VERSION < (6, 0) else []
BACKEND = "typedgator.contrib.django.tasks.TypedgatorBackend"
TASKS = {"default": {"BACKEND": BACKEND, "QUEUES": ["default", "slow"], "OPTIONS": {}}}
"""

SEE = """
from datetime import timedelta
from django.utils import timezone
from shop.tasks import *
from typedgator.contrib.django.framework import task_backends, InvalidTask, TaskResultDoesNotExist

def told(result):
    result.refresh()
    return result
"""


@pytest.fixture
def tasks(shop: Site) -> Site:
    if django.VERSION < (6, 0):
        pytest.importorskip("django_tasks", reason="before Django 6, its tasks framework is django-tasks")
    shop.write("shop/tasks.py", TASKS)
    shop.settings(SETTINGS)
    return shop


def test_a_result_is_found_by_its_id_in_another_process(tasks: Site) -> None:
    """The worker serves the queues of TASKS without being told."""
    ids = tasks.python(
        SEE
        + """
print(double.enqueue(21, note="é").id, later.enqueue(5).id, fail.enqueue("no").id, odd.enqueue().id)
"""
    ).split()
    done = tasks.manage("gator_worker", "--burst")
    assert done.returncode == 0, done.stderr
    said = tasks.python(
        SEE
        + f"""
a, b, c, d = {ids!r}
a, b, c, d = double.get_result(a), later.get_result(b), fail.get_result(c), odd.get_result(d)
print(a.return_value, a.args, a.kwargs, a.attempts, a.status)
print(b.return_value, b.task.priority, b.task.queue_name, b.task == later)
print(c.status, c.errors[0].exception_class, c.errors[0].traceback.splitlines()[-1], c.attempts)
print(d.return_value)
"""
    )
    assert said.splitlines() == [
        "[42, 'é'] [21] {'note': 'é'} 1 SUCCESSFUL",
        "5 50 slow True",
        "FAILED <class 'LookupError'> LookupError: no 1",
        "{'a': [1, 2.5, None, True], 'b': 'bytes'}",
    ]


def test_whatever_djangos_json_can_hold_comes_back_as_django_has_it(tasks: Site) -> None:
    """NaN, infinities, halves of surrogate pairs, integers of any size: no result is lost for them."""
    tasks.write("shop/tasks.py", TASKS + "\n@task()\ndef same(*values): return values\n")
    values = "(float('nan'), float('inf'), -float('inf'), '\\ud800', '\\x00', 2**70, 1e-320, {1: (2, b'x')}, [None])"
    job = tasks.python(SEE + f"print(same.enqueue(*{values}).id)")
    done = tasks.manage("gator_worker", "--burst")
    assert "hook" not in done.stderr
    said = tasks.python(SEE + f"found = same.get_result({job!r})\nprint(found.status, ascii(found.return_value))")
    assert said == (
        r"SUCCESSFUL [nan, inf, -inf, '\ud800', '\x00', 1180591620717411303424, 1e-320, {'1': [2, 'x']}, [None]]"
    )


def test_run_after_and_priority_are_kept(tasks: Site) -> None:
    said = tasks.python(
        SEE
        + """
from typedgator import JobState
from typedgator.contrib.django.current import current_gator
soon = double.using(run_after=timezone.now() + timedelta(hours=1)).enqueue(1)
print(told(soon).task == soon.task, current_gator().job(soon.id).state())
low, high = double.using(priority=-100).enqueue(1), double.using(priority=100).enqueue(2)
page = current_gator().backend.page(JobState.WAITING).records
from typedgator.wire.ids import shown_id
print([shown_id(record.job_id) for record in page] == [high.id, low.id])
"""
    )
    assert said.splitlines() == ["True scheduled", "True"]


def test_options_set_retries_and_the_context_counts_attempts(tasks: Site) -> None:
    tasks.settings(
        "from datetime import timedelta\n"
        'TASKS["default"]["OPTIONS"] = {"retries": 2, "backoff": 0, "keep_result": timedelta(hours=1)}\n'
    )
    job = tasks.python(SEE + "print(attempts.enqueue().id)")
    assert tasks.manage("gator_worker", "--burst").returncode == 0
    assert tasks.python(SEE + f"r = attempts.get_result({job!r}); print(r.return_value, r.attempts)") == "2 2"


@pytest.mark.parametrize(("when", "inside"), [("now", "READY"), ("on_commit", "unknown"), ("outbox", "unknown")])
def test_enqueueing_waits_for_the_commit_when_asked_to(tasks: Site, when: str, inside: str) -> None:
    tasks.settings(f'TASKS["default"]["OPTIONS"] = {{"enqueue": {when!r}}}\n')
    said = tasks.python(
        SEE
        + """
from django.db import transaction
from typedgator.contrib.django.models import OutboxJob
def status(result):
    try:
        return told(result).status
    except TaskResultDoesNotExist:
        return "unknown"
with transaction.atomic():
    result = double.enqueue(1)
    print(status(result), OutboxJob.objects.count())
print(status(result), OutboxJob.objects.count())
"""
    )
    assert said.splitlines() == [f"{inside} {int(when == 'outbox')}", "READY 0"]


def test_a_worker_that_does_not_know_the_task_holds_its_jobs(tasks: Site) -> None:
    """No path out of a job is imported: the next release runs it."""
    job = tasks.python(SEE + "print(double.enqueue(1).id)")
    tasks.write("shop/tasks.py", TASKS.replace("def double", "def doubled"))
    assert tasks.manage("gator_worker", "--burst").returncode == 0
    tasks.write("shop/tasks.py", TASKS)
    assert tasks.manage("gator_worker", "--burst").returncode == 0
    assert tasks.python(SEE + f"print(double.get_result({job!r}).return_value)") == "[2, '']"


def test_what_is_no_django_task_has_no_result_here(tasks: Site) -> None:
    tasks.write(
        "shop/tasks.py", TASKS + "\nfrom shop.gator import gator\n@gator.register\ndef plain(n: int) -> int: return n\n"
    )
    said = tasks.python(
        SEE
        + """
for bad in (plain.task(1).id, "nobody", "no spaces"):
    try:
        double.get_result(bad)
    except TaskResultDoesNotExist as error:
        print("none")
"""
    )
    assert said.splitlines() == ["none"] * 3


def test_a_call_that_is_too_long_is_refused_and_nothing_is_enqueued(tasks: Site) -> None:
    said = tasks.python(
        SEE
        + """
from typedgator import InvalidArguments
try:
    double.enqueue("x" * 20_000)
except InvalidArguments as error:
    print(error)
"""
    )
    assert said.startswith("double(args=")
    assert "Nothing was enqueued" in said


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"retry": 1}, 'TASKS["default"]["OPTIONS"] has an unknown key \'retry\': the keys are enqueue, keep_result'),
        ({"enqueue": "later"}, "write one of now, on_commit, outbox"),
        ({"retries": -1}, 'TASKS["default"]["OPTIONS"]: retries must be a whole number'),
    ],
)
def test_a_wrong_option_is_an_error_of_the_check(tasks: Site, options: dict[str, object], told: str) -> None:
    tasks.settings(f'TASKS["default"]["OPTIONS"] = {options!r}\n')
    tasks.write("shop/tasks.py", "")
    done = tasks.manage("check")
    assert done.returncode == 1
    assert "(typedgator.E004)" in done.stderr
    assert told in done.stderr


def test_signals_tell_what_happened_after_it_is_written(tasks: Site) -> None:
    said = tasks.python(
        SEE
        + """
from typedgator import Worker
from typedgator.contrib.django.current import current_gator
from typedgator.contrib.django.framework import task_enqueued, task_started, task_finished
told = []
def listen(name):
    def hear(sender, task_result, **others):
        kept = task_result.task.get_backend().get_result(task_result.id).status
        told.append((name, sender.__name__, str(task_result.status), str(kept)))
    return hear
hearers = [listen("enqueued"), listen("started"), listen("finished")]
for signal, hearer in zip((task_enqueued, task_started, task_finished), hearers):
    signal.connect(hearer)
double.enqueue(1)
Worker(current_gator(), queues=("*",), concurrency=1, burst=True).run()
fail.enqueue("no")
Worker(current_gator(), queues=("*",), concurrency=1, burst=True).run()
print(*(" ".join(each) for each in told), sep="\\n")
"""
    )
    assert said.splitlines() == [
        "enqueued TypedgatorBackend READY READY",
        "started TypedgatorBackend RUNNING RUNNING",
        "finished TypedgatorBackend SUCCESSFUL SUCCESSFUL",
        "enqueued TypedgatorBackend READY READY",
        "started TypedgatorBackend RUNNING RUNNING",
        "finished TypedgatorBackend FAILED FAILED",
    ]
