"""The outbox: what a transaction committed is enqueued, whoever is killed when, and what it rolled back never is."""

import json
import os
from pathlib import Path

import pytest

from tests.integration.cli.project import until
from tests.integration.django.site import Site

pytestmark = pytest.mark.timeout(180)  # real processes, each of which loads Django
MORTALS = Path(__file__).parent / "mortals.py"

ORDER = """
from django.db import connections, transaction
from shop.gator import gator
from shop.models import Order
from shop.tasks import ship
from typedgator.contrib.django.models import OutboxJob
from typedgator.contrib.django.relay import Relay
from typedgator import JobState, JobUnknown
from typedgator.backends.connect import connect
"""

AWAY = """
from typedgator import BackendUnavailable
from typedgator.clock import SystemClock


class Away:
    '''A backend that does not answer.'''

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def enqueue(self, frames):
        raise BackendUnavailable("no answer")
"""


def kill(shop: Site, deaths: int, way: str) -> dict[str, int]:
    path = os.pathsep.join([str(shop.folder), shop.env.get("PYTHONPATH", "")])
    done = shop.run(str(MORTALS), "20", str(deaths), way, patience=200, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def orders(shop: Site) -> list[int]:
    said = shop.python(ORDER + "print(*Order.objects.values_list('n', flat=True).order_by('n'))")
    return [int(number) for number in said.split()]


@pytest.mark.timeout(400)
def test_a_hundred_kills_between_commit_push_and_delete_lose_and_double_no_job(shop: Site) -> None:
    """Each order that is in the database was shipped exactly once. The worker lives: what it runs, it runs once."""
    worker = shop.start("gator_worker", "--no-relay", "--log-level", "warning")
    died = kill(shop, 90, "outbox")
    done = shop.manage("gator_relay", "--once")
    assert done.returncode == 0, done.stderr
    worker.terminate()
    assert worker.wait(20) == 0
    assert shop.manage("gator_worker", "--burst").returncode == 0
    assert sum(died.values()) >= 100
    assert min(died["before"], died["after"], died["any"]) >= 15, died
    there = orders(shop)
    assert len(there) > 100
    assert sorted(shop.shipped) == there


def test_on_commit_alone_loses_what_is_killed_before_its_push(shop: Site) -> None:
    """What the docs say of it: the order is committed, and nobody will ever ship it."""
    assert kill(shop, 3, "on_commit") == {"before": 3}
    assert shop.manage("gator_relay", "--once").returncode == 0
    assert shop.manage("gator_worker", "--burst").returncode == 0
    lost = set(orders(shop)) - set(shop.shipped)
    assert len(lost) == 3


def test_a_rollback_leaves_no_row_and_no_job(shop: Site) -> None:
    said = shop.python(
        ORDER
        + """
try:
    with transaction.atomic():
        job = gator.outbox().task(ship, 1)
        assert OutboxJob.objects.count() == 1
        raise LookupError
except LookupError:
    pass
try:
    job.state()
except JobUnknown:
    print("unknown", OutboxJob.objects.count())
"""
    )
    assert said == "unknown 0"


def test_after_the_commit_it_is_pushed_at_once_and_the_row_is_gone(shop: Site) -> None:
    said = shop.python(
        ORDER
        + """
with transaction.atomic():
    with transaction.atomic():
        job = gator.outbox(options=gator.options(queue="slow", priority=7)).task(ship, 1)
    assert OutboxJob.objects.get().job_id == job.id
print(job.state(), OutboxJob.objects.count(), gator.counts().queues)
print(gator.outbox(using="other").task(ship, 2).state(), OutboxJob.objects.using("other").count())
"""
    )
    assert said.splitlines() == ["waiting 0 {'slow': {<JobState.WAITING: 'waiting'>: 1}}", "waiting 0"]


def test_while_the_backend_is_away_requests_succeed_and_the_relay_pushes_later(shop: Site) -> None:
    said = shop.python(
        ORDER
        + AWAY
        + """
with gator.elsewhere(Away(gator.backend), gator.clock):
    with transaction.atomic():
        Order.objects.create(n=1)
        job = gator.outbox().task(ship, 1)
    print(OutboxJob.objects.count())
    try:
        Relay(gator, ["default"]).tick()
    except BackendUnavailable:
        print("still away")
job = gator.job(job.id)
print(OutboxJob.objects.count(), Relay(gator, ["default"]).tick(), OutboxJob.objects.count(), job.state())
"""
    )
    assert said.split("\n") == ["1", "still away", "1 1 0 waiting"]


def test_a_job_from_the_outbox_is_known_for_a_day_after_it_ran(shop: Site) -> None:
    """So a relay that was killed between push and delete, and comes back an hour later, does not run it twice."""
    said = shop.python(
        ORDER
        + AWAY
        + """
from typedgator import Worker
from typedgator.clock import Clock

class Shifted:
    ahead_ms = 0
    def now_ms(self): return SystemClock().now_ms() + self.ahead_ms
    def monotonic(self): return SystemClock().monotonic()

clock = Shifted()
with gator.elsewhere(Away(gator.backend), clock):
    gator.outbox().task(ship, 1)
row = OutboxJob.objects.get()
with gator.elsewhere(connect("locmem://", clock=clock), clock):
    assert Relay(gator, ["default"]).tick() == 1
    Worker(gator, burst=True).run()
    for hours in (1, 23):
        clock.ahead_ms = hours * 3_600_000
        gator.backend.maintain(limit=100)
        row.save(force_insert=True)
        assert Relay(gator, ["default"]).tick() == 1
        Worker(gator, burst=True).run()
print(OutboxJob.objects.count())
"""
    )
    assert said == "0"
    assert shop.shipped == [1]


def test_delay_and_expiry_count_from_the_call_and_not_from_the_push(shop: Site) -> None:
    said = shop.python(
        ORDER
        + AWAY
        + """
away = Away(gator.backend)
with gator.elsewhere(away, gator.clock):
    soon = gator.outbox(options=gator.options(delay_by=60)).task(ship, 1)
    late = gator.outbox(options=gator.options(delay_by=3600)).task(ship, 2)
    dead = gator.outbox(options=gator.options(expires=60)).task(ship, 3)
OutboxJob.objects.update(created_ms=gator.clock.now_ms() - 120_000)
Relay(gator, ["default"]).tick()
soon, late, dead = (gator.job(job.id) for job in (soon, late, dead))
print(soon.state(), late.state())
from typedgator import Worker
Worker(gator, burst=True).run()
print(soon.state(), dead.state())
"""
    )
    assert said.splitlines() == ["waiting scheduled", "success canceled"]


def test_a_row_that_can_never_be_pushed_is_set_aside_and_said(shop: Site) -> None:
    """A parent that is forgotten, a row that somebody spoiled: the others go on, and the relay's exit code tells."""
    shop.python(
        ORDER
        + AWAY
        + """
with gator.elsewhere(Away(gator.backend), gator.clock):
    gator.outbox(options=gator.options(depends_on="never-was")).task(ship, 1)
    gator.outbox().task(ship, 2)
    gator.outbox().task(ship, 3)
OutboxJob.objects.filter(task="shop.tasks.ship").order_by("-id")[0:1].get()
last = OutboxJob.objects.latest("id")
OutboxJob.objects.filter(pk=last.pk).update(frame=b"spoiled")
"""
    )
    done = shop.manage("gator_relay", "--once")
    assert done.returncode == 1
    assert "1 jobs were pushed" in done.stdout
    assert "2 jobs cannot be pushed" in done.stderr
    assert "depends_on names job never-was" in shop.python(
        ORDER + "print(*OutboxJob.objects.values_list('refused', flat=True))"
    )


def test_a_job_waits_in_the_outbox_for_its_parent(shop: Site) -> None:
    """The parent was committed while the backend was away, the child when it was back."""
    said = shop.python(
        ORDER
        + AWAY
        + """
with gator.elsewhere(Away(gator.backend), gator.clock):
    parent = gator.outbox().task(ship, 1)
child = gator.outbox(options=gator.options(depends_on=parent.id)).task(ship, 2)
print(OutboxJob.objects.count(), *OutboxJob.objects.values_list("refused", flat=True))
print(Relay(gator, ["default"]).tick(), child.state())
"""
    )
    assert [line.strip() for line in said.splitlines()] == ["2", "2 blocked"]


def test_several_relays_at_once_push_each_job_once(shop: Site) -> None:
    shop.python(
        ORDER
        + AWAY
        + """
with gator.elsewhere(Away(gator.backend), gator.clock), transaction.atomic():
    for n in range(600):
        gator.outbox().task(ship, n)
"""
    )
    relays = [shop.start("gator_relay", "--once") for _ in range(3)]
    assert [relay.wait(40) for relay in relays] == [0, 0, 0]
    assert shop.manage("gator_worker", "--burst", "--no-relay").returncode == 0
    assert sorted(shop.shipped) == list(range(600))


def test_the_worker_relays_too(shop: Site) -> None:
    shop.python(ORDER + AWAY + "with gator.elsewhere(Away(gator.backend), gator.clock): gator.outbox().task(ship, 5)")
    worker = shop.start("gator_worker")
    until(lambda: shop.shipped == [5])
    worker.terminate()
    assert worker.wait(20) == 0


def test_a_relay_stops_when_it_is_told_to(shop: Site) -> None:
    relay = shop.start("gator_relay", "--interval", "0.05")
    shop.python(ORDER + AWAY + "with gator.elsewhere(Away(gator.backend), gator.clock): gator.outbox().task(ship, 5)")
    until(lambda: shop.python(ORDER + "print(OutboxJob.objects.count())") == "0")
    relay.terminate()
    assert relay.wait(20) == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--database", "third"), "there is no database 'third' in DATABASES: it has default, other"),
        (("--interval", "never"), "'never' is no number of seconds between 0.01 and 3600"),
    ],
)
def test_a_relay_refuses_what_cannot_be(shop: Site, arguments: tuple[str, ...], told: str) -> None:
    done = shop.manage("gator_relay", "--once", *arguments)
    assert done.returncode != 0
    assert told in done.stderr


def test_without_the_table_the_relay_says_how_to_make_it_and_the_worker_works(site: Site) -> None:
    done = site.manage("gator_relay", "--once")
    assert (done.returncode, "run `manage.py migrate`" in done.stderr) == (1, True)
    done = site.manage("gator_relay", "--database", "other")
    assert "run `manage.py migrate --database other`" in done.stderr
    assert site.manage("gator_worker", "--burst").returncode == 0


def test_a_backend_without_memory_of_ids_is_refused(shop: Site) -> None:
    said = shop.python(
        ORDER
        + AWAY
        + """
import msgspec

class Forgetful(Away):
    @property
    def can(self):
        return msgspec.structs.replace(self.inner.can, caller_ids=False)

with gator.elsewhere(Forgetful(gator.backend), gator.clock):
    try:
        gator.outbox().task(ship, 1)
    except Exception as error:
        print(error)
"""
    )
    assert said == "the outbox needs a backend that remembers ids; see its `can.caller_ids`"


def test_the_migration_is_complete(site: Site) -> None:
    done = site.manage("makemigrations", "--check", "--dry-run", "typedgator")
    assert done.returncode == 0, done.stdout
