"""The same on PostgreSQL, where relays share the rows out (SKIP LOCKED), and connections can break."""

import json
import os
import signal
from collections.abc import Generator

import pytest

from tests.integration.cli.project import until, until_line
from tests.integration.django.postgres import Postgres, needs_postgres
from tests.integration.django.site import Site
from tests.integration.django.test_outbox import AWAY, MORTALS, ORDER, orders

pytestmark = [needs_postgres, pytest.mark.timeout(180)]

READERS = """
from django.db import connection
from shop.gator import gator
from shop.models import Order


@gator.register
def look(n: int) -> int:
    Order.objects.count()
    with connection.cursor() as cursor:
        return cursor.execute("SELECT pg_backend_pid()").fetchone()[0]


@gator.register
async def alook(n: int) -> int:
    return await Order.objects.acount()
"""


@pytest.fixture(scope="module")
def server() -> Generator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture
def shop(site: Site, server: Postgres) -> Site:
    """A project on this server, its tables empty."""
    site.settings(server.settings())
    site.migrated()
    for name in ("site", "other"):
        server.ask("TRUNCATE typedgator_outbox, shop_order", name)
    return site


def fill(shop: Site, jobs: int) -> None:
    """So many rows that nobody has pushed."""
    shop.python(
        ORDER
        + AWAY
        + "with gator.elsewhere(Away(gator.backend), gator.clock), transaction.atomic():\n"
        + f"    for n in range({jobs}): gator.outbox().task(ship, n)"
    )


def test_the_outbox_goes_with_its_transaction_and_with_its_savepoint(shop: Site) -> None:
    said = shop.python(
        ORDER
        + """
with transaction.atomic():
    kept = gator.outbox().task(ship, 1)
    try:
        with transaction.atomic():
            lost = gator.outbox().task(ship, 2)
            raise LookupError
    except LookupError:
        print(OutboxJob.objects.count())
print(kept.state(), OutboxJob.objects.count())
try:
    lost.state()
except JobUnknown:
    print("unknown")
"""
    )
    assert said.splitlines() == ["1", "waiting 0", "unknown"]


def test_a_relay_leaves_alone_what_another_has_and_takes_the_rest(shop: Site, server: Postgres) -> None:
    """One that is frozen amid its push holds up nobody else; what it held is pushed once it is gone."""
    fill(shop, 300)
    shop.write(
        "frozen.py",
        ORDER
        + AWAY
        + """
import os, signal

class Freezing(Away):
    def enqueue(self, frames):
        receipts = self.inner.enqueue(frames)
        print("pushed", len(frames), flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
        return receipts

with gator.elsewhere(Freezing(gator.backend), gator.clock):
    Relay(gator, ["default"]).tick()
""",
    )
    frozen = shop.start("shell", "-v", "0", "-c", "import frozen")
    assert frozen.stdout is not None
    assert frozen.stdout.readline() == "pushed 250\n"
    done = shop.manage("gator_relay", "--once")
    assert (done.returncode, "50 jobs were pushed" in done.stdout) == (0, True), done.stderr
    assert "250 wait for another relay that has them" in done.stdout
    frozen.send_signal(signal.SIGKILL)
    frozen.wait()
    until(lambda: server.ask("SELECT count(*) FROM pg_locks WHERE mode = 'RowShareLock'") == "0")
    assert "250 jobs were pushed" in shop.manage("gator_relay", "--once").stdout
    assert shop.manage("gator_worker", "--burst", "--no-relay").returncode == 0
    assert sorted(shop.shipped) == list(range(300))


def test_several_relays_at_once_share_the_rows_out(shop: Site) -> None:
    """No row is pushed twice: each relay counts its own."""
    fill(shop, 1500)
    relays = [shop.start("gator_relay", "--once") for _ in range(3)]
    pushed = [int(relay.communicate(timeout=60)[0].split()[0]) for relay in relays]
    assert sum(pushed) == 1500, pushed
    assert shop.manage("gator_relay", "--once").stdout.startswith("0 jobs were pushed")
    assert shop.manage("gator_worker", "--burst", "--no-relay").returncode == 0
    assert sorted(shop.shipped) == list(range(1500))


@pytest.mark.timeout(400)
def test_a_hundred_kills_beside_two_relays_lose_and_double_no_job(shop: Site) -> None:
    """Writers and relays die around their pushes while two more relays, and a worker that is one, live beside them."""
    worker = shop.start("gator_worker", "--log-level", "warning")
    relays = [shop.start("gator_relay", "--interval", "0.05") for _ in range(2)]
    path = os.pathsep.join([str(shop.folder), shop.env.get("PYTHONPATH", "")])
    done = shop.run(str(MORTALS), "15", "90", "outbox", patience=200, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    died = dict(json.loads(done.stdout))
    assert sum(died.values()) >= 100
    assert min(died["before"], died["after"], died["any"]) >= 15, died
    until(lambda: shop.manage("gator_relay", "--once").stdout.strip() == "0 jobs were pushed")
    for each in (*relays, worker):
        each.terminate()
    assert [each.wait(20) for each in (*relays, worker)] == [0, 0, 0]
    assert shop.manage("gator_worker", "--burst").returncode == 0
    there = orders(shop)
    assert len(there) > 100
    assert sorted(shop.shipped) == there


def test_after_the_database_was_away_jobs_and_relay_find_it_again(shop: Site, server: Postgres) -> None:
    """With CONN_HEALTH_CHECKS not one job notices, though the worker kept its connections for ever."""
    shop.settings('for each in DATABASES.values(): each |= {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True}\n')
    shop.write("shop/tasks.py", READERS)
    ask = "from shop.tasks import *\nprint(look.task(1).result(30), alook.task(1).result(30))"
    worker = shop.start("gator_worker", "--concurrency", "1")
    first = shop.python(ask).split()
    assert shop.python(ask).split() == first, "the connection was kept"
    server.kill()
    until_line(worker, "the outbox of database default waits")
    server.start()
    second = shop.python(ask).split()
    assert second[0] != first[0]
    fill_one = "with gator.elsewhere(Away(gator.backend), gator.clock): gator.outbox().task(look, 5)"
    shop.python(ORDER.replace("import ship", "import look") + AWAY + fill_one)
    until(lambda: server.ask("SELECT count(*) FROM typedgator_outbox", "site") == "0")
    worker.terminate()
    assert worker.wait(20) == 0


def test_a_relay_that_is_started_while_the_database_is_away_waits_for_it(shop: Site, server: Postgres) -> None:
    fill(shop, 3)
    server.kill()
    done = shop.manage("gator_relay", "--once")
    assert done.returncode == 1
    assert done.stderr.startswith("CommandError: connection failed"), done.stderr
    relay = shop.start("gator_relay", "--interval", "0.05")
    until_line(relay, "the outbox of database default waits: connection failed")
    server.start()
    until(lambda: server.ask("SELECT count(*) FROM typedgator_outbox", "site") == "0")
    relay.terminate()
    assert relay.wait(20) == 0
