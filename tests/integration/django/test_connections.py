"""Database connections around jobs, as Django has them around requests."""

import pytest

from tests.integration.django.site import Site

pytestmark = pytest.mark.timeout(180)  # real processes, each of which loads Django

BREAKABLE = """
from django.db.backends.sqlite3 import base


class DatabaseWrapper(base.DatabaseWrapper):
    '''SQLite as a server's database is: a connection may be found broken.'''

    def is_usable(self):
        try:
            self.connection.execute("SELECT 1")
        except Exception:
            return False
        return True
"""

TASKS = """
from django.db import connection
from shop.gator import gator
from shop.models import Order

seen = []  # the connections themselves: an id might be given again


def note():
    Order.objects.count()
    if connection.connection not in seen:
        seen.append(connection.connection)
    return seen.index(connection.connection)


@gator.register
def look() -> int:
    return note()


@gator.register
def break_it() -> int:
    which = note()
    connection.connection.close()
    try:
        Order.objects.count()
    except Exception:
        pass
    return which


@gator.register
async def alook() -> list[int]:
    import threading

    from asgiref.sync import sync_to_async

    threads = [await sync_to_async(threading.get_ident)() for _ in range(2)]
    await Order.objects.acount()
    return [*threads, await sync_to_async(note)()]


@gator.register
def nested() -> list[int]:
    with gator.options(is_async=False) as here:
        return [note(), here.task(look).result(), note()]
"""

RUN = """
from typedgator import Worker
from shop.gator import gator
from shop.tasks import *


def run(*tasks):
    jobs = [gator.task(task) for task in tasks]
    Worker(gator, concurrency=1, burst=True).run()
    return [job.result() for job in jobs]

"""


@pytest.fixture
def looking(shop: Site) -> Site:
    shop.write("shop/tasks.py", TASKS)
    shop.write("engine/__init__.py", "")
    shop.write("engine/base.py", BREAKABLE)
    shop.settings('DATABASES["default"]["ENGINE"] = "engine"\n')
    return shop


def test_jobs_of_a_thread_share_a_connection_that_may_live_on(looking: Site) -> None:
    looking.settings('DATABASES["default"]["CONN_MAX_AGE"] = None\n')
    assert looking.python(RUN + "print(run(look, look, look))") == "[0, 0, 0]"


def test_a_connection_past_its_age_is_replaced_between_two_jobs(looking: Site) -> None:
    looking.settings('DATABASES["default"]["CONN_MAX_AGE"] = 0\n')
    assert looking.python(RUN + "print(run(look, look, look))") == "[0, 1, 2]"


def test_a_broken_connection_is_replaced_before_the_next_job(looking: Site) -> None:
    looking.settings('DATABASES["default"]["CONN_MAX_AGE"] = None\n')
    assert looking.python(RUN + "print(run(look, break_it, look, look))") == "[0, 0, 1, 1]"


def test_a_job_that_runs_inside_another_leaves_its_connection_alone(looking: Site) -> None:
    looking.settings('DATABASES["default"]["CONN_MAX_AGE"] = 0\n')
    assert looking.python(RUN + "print(run(nested))") == "[[0, 0, 0]]"


def test_where_a_job_is_enqueued_and_run_in_place_the_request_keeps_its_connection(looking: Site) -> None:
    looking.settings('DATABASES["default"]["CONN_MAX_AGE"] = 0\n')
    code = (
        RUN + "first = note()\nwith gator.options(is_async=False) as here:\n    print(first, here.task(look).result())"
    )
    assert looking.python(code) == "0 0"


def test_an_async_job_has_one_thread_for_its_queries_and_leaves_no_connection(looking: Site) -> None:
    looking.settings('DATABASES["default"]["CONN_MAX_AGE"] = None\n')
    code = RUN + (
        "(a, b, first), (c, d, second) = run(alook, alook)\n"
        "import sqlite3\n"
        "def is_closed(one):\n"
        "    try:\n"
        "        one.execute('SELECT 1')\n"
        "    except sqlite3.ProgrammingError as error:\n"
        "        return 'closed' in str(error)\n"
        "    return False\n"
        "print(a == b, c == d, first != second, [is_closed(one) for one in seen])"
    )
    assert looking.python(code) == "True True True [True, True]"
