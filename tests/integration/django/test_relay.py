"""Whatever is in one row, or becomes of one database: relays go on with the others, and say what they leave."""

import pytest

from tests.integration.cli.project import until, until_line
from tests.integration.django.site import Site
from tests.integration.django.test_outbox import AWAY, ORDER

pytestmark = pytest.mark.timeout(180)  # real processes, each of which loads Django

ONE_IN_THE_OUTBOX = "with gator.elsewhere(Away(gator.backend), gator.clock): gator.outbox().task(ship, 5)\n"
BROKEN = 'DATABASES = {"broken": {**SQLITE, "NAME": str(HERE / "no" / "folder.db")}, **DATABASES}\n'

SPOIL = """
import msgspec

def spoiled(**changes):
    '''One row with these fields between two good ones; what it is refused for.'''
    OutboxJob.objects.all().delete()
    with gator.elsewhere(Away(gator.backend), gator.clock):
        for n in range(3):
            gator.outbox().task(ship, n)
    row = OutboxJob.objects.order_by("id")[1]
    kept = msgspec.msgpack.decode(bytes(row.frame)) | changes
    OutboxJob.objects.filter(pk=row.pk).update(frame=msgspec.msgpack.encode(kept))
    pushed = Relay(gator, ["default"]).tick()
    return pushed, *OutboxJob.objects.values_list("refused", flat=True)

for changes in (
    {"queue": "caf\\u00e9"}, {"queue": ""}, {"queue": "x" * 300}, {"job_id": b"another"}, {"job_id": b""},
    {"priority": 999}, {"priority": -1}, {"delay_ms": -5}, {"delay_ms": 2**62}, {"expires_in_ms": -1},
    {"flags": 4096}, {"flags": 64}, {"envelope": b""}, {"envelope": b"junk"}, {"envelope": b"x" * 1_300_000},
    {"unique": b"short"}, {"parents": [b"\\xff\\x00"]}, {"parents": [b"a b"]}, {"crash_budget": 999}, {"v": 2},
):
    pushed, *refused = spoiled(**changes)
    assert pushed == 2 and len(refused) == 1 and "row of the outbox" in refused[0], (changes, pushed, refused)
print("each was refused alone")
"""


def test_a_row_that_no_backend_can_keep_is_set_aside_and_stops_no_other(shop: Site) -> None:
    """By hand, by a restore, by another release: rows outlive the code that wrote them."""
    assert shop.python(ORDER + AWAY + SPOIL) == "each was refused alone"


def test_a_relay_outlives_what_nobody_foresaw(shop: Site) -> None:
    """It says so once, and the job is pushed when the backend is well again."""
    said = shop.python(
        ORDER
        + AWAY
        + ONE_IN_THE_OUTBOX
        + """
import logging
from threading import Event, Thread

OutboxJob.objects.update(created_ms=0)
told, tries, stop = [], Event(), Event()
logging.getLogger("typedgator").addHandler(type("H", (logging.Handler,), {"emit": lambda h, r: told.append(r)})())

class Odd(Away):
    ill = 3
    def enqueue(self, frames):
        if self.ill:
            self.ill -= 1
            raise ZeroDivisionError("a bug")
        tries.set()
        return self.inner.enqueue(frames)

with gator.elsewhere(Odd(gator.backend), gator.clock):
    relay = Thread(target=Relay(gator, ["default"]).run, args=(stop,), kwargs={"interval": 0.01})
    relay.start()
    print(tries.wait(20))
    stop.set()
    relay.join()
print(OutboxJob.objects.count(), [record.getMessage() for record in told if "waits" in record.getMessage()])
print(bool(told[0].exc_info))
"""
    )
    assert said.splitlines() == ["True", "0 ['the outbox of database default waits: a bug']", "True"]


def test_after_the_commit_nothing_that_goes_wrong_reaches_the_request(shop: Site) -> None:
    said = shop.python(
        ORDER
        + AWAY
        + """
class Odd(Away):
    def enqueue(self, frames):
        raise ZeroDivisionError("a bug")

with gator.elsewhere(Odd(gator.backend), gator.clock), transaction.atomic():
    gator.outbox().task(ship, 1)
print(OutboxJob.objects.count(), Relay(gator, ["default"]).tick())
"""
    )
    assert said == "1 1"


def test_a_database_that_is_away_keeps_no_worker_from_its_work_and_no_relay_from_the_others(shop: Site) -> None:
    shop.settings(BROKEN)
    shop.python(ORDER + AWAY + ONE_IN_THE_OUTBOX)
    worker = shop.start("gator_worker")
    until_line(worker, "the outbox of database broken waits: unable to open database file")
    until(lambda: shop.shipped == [5])
    worker.terminate()
    assert worker.wait(20) == 0


def test_a_relay_that_cannot_reach_a_database_says_it_in_one_line(shop: Site) -> None:
    shop.settings(BROKEN)
    done = shop.manage("gator_relay", "--once")
    assert done.returncode == 1
    assert done.stderr.strip() == "CommandError: unable to open database file"


def test_a_worker_that_was_started_before_migrate_relays_after_it(site: Site) -> None:
    """As a deploy may do it."""
    worker = site.start("gator_worker")
    until_line(worker, "serves all")
    shop = site.migrated()
    shop.python(ORDER + AWAY + ONE_IN_THE_OUTBOX)
    until(lambda: shop.shipped == [5])
    worker.terminate()
    assert worker.wait(20) == 0


def test_a_job_waits_for_a_parent_in_the_outbox_of_another_database(shop: Site) -> None:
    said = shop.python(
        ORDER
        + AWAY
        + """
with gator.elsewhere(Away(gator.backend), gator.clock):
    parent = gator.outbox(using="other").task(ship, 1)
    child = gator.outbox(options=gator.options(depends_on=parent.id)).task(ship, 2)
relay = Relay(gator, ["default", "other"])
print(relay.tick(), relay.tick(), gator.job(child.id).state(), OutboxJob.objects.count())
"""
    )
    assert said == "1 1 blocked 0"


def test_a_clock_that_is_ahead_where_the_row_was_written_delays_nothing(shop: Site) -> None:
    said = shop.python(
        ORDER
        + AWAY
        + ONE_IN_THE_OUTBOX
        + """
from typedgator.contrib.django.relay import FRESH_MS
relay = Relay(gator, ["default"])
print(relay.tick(older_than_ms=3_600_000))
OutboxJob.objects.update(created_ms=gator.clock.now_ms() + 3_600_000)
print(relay.tick(FRESH_MS))
"""
    )
    assert said.splitlines() == ["0", "1"]


def test_a_job_id_that_is_another_tasks_is_refused_and_not_swallowed(shop: Site) -> None:
    """The same call again is a duplicate, as ever; so is one of a task that was renamed."""
    tasks = (shop.folder / "shop" / "tasks.py").read_text()
    shop.write("shop/tasks.py", tasks + "\n@gator.register\ndef bill(n: int) -> int: return n\n")
    one = "one = gator.options(job_id='order-1')\n"
    said = shop.python(
        ORDER
        + one
        + "from shop.tasks import bill\n"
        + "for task in (ship, ship, bill): gator.outbox(options=one).task(task, 1)\n"
        + "print(*OutboxJob.objects.values_list('refused', flat=True))"
    )
    assert said == "job_id 'order-1' is a job of shop.tasks.ship, so shop.tasks.bill cannot have it"
    shop.write(
        "shop/tasks.py", tasks.replace("@gator.register", "@gator.register(name='send', aliases=['shop.tasks.ship'])")
    )
    shop.python(ORDER + "OutboxJob.objects.all().delete()")
    assert shop.python(ORDER + one + "gator.outbox(options=one).task(ship, 1)\nprint(OutboxJob.objects.count())") == "0"


def test_a_task_that_was_removed_or_renamed_meanwhile_loses_no_job(shop: Site) -> None:
    """It is pushed, and held for a worker that has the function, under an alias, too."""
    shop.python(ORDER + AWAY + ONE_IN_THE_OUTBOX)
    tasks = (shop.folder / "shop" / "tasks.py").read_text()
    shop.write("shop/tasks.py", "")
    assert "1 jobs were pushed" in shop.manage("gator_relay", "--once").stdout
    assert "1 held" in shop.manage("gator_worker", "--burst").stderr
    shop.write(
        "shop/tasks.py",
        tasks.replace("@gator.register", "@gator.register(aliases=['shop.tasks.ship'])").replace("ship(", "send("),
    )
    assert shop.manage("gator_worker", "--burst").returncode == 0
    assert shop.shipped == [5]


def test_without_the_app_the_outbox_says_what_to_add(site: Site) -> None:
    site.settings('INSTALLED_APPS.remove("typedgator.contrib.django")\n')
    said = site.python(
        """
from shop.tasks import gator, ship
try:
    gator.outbox().task(ship, 1)
except Exception as error:
    print(type(error).__name__, error)
"""
    )
    assert said.startswith("ConfigurationError the outbox is a table of typedgator.contrib.django: add it to INSTALLED")
