"""Processes that die by SIGKILL around a commit and a push, forked from one that has Django loaded.

`python mortals.py SEED DEATHS WAY`: forks one process after the other and waits for its death. A writer makes orders,
each with its job in the same transaction; a relay empties the outbox. Each dies where it was told to: before the push,
after the push, or at any moment. WAY is `outbox` or `on_commit`. Prints one JSON object: how many died where.
"""

import json
import os
import random
import select
import signal
import sys
from collections import Counter

import django

django.setup()

from django.db import transaction  # noqa: E402
from shop.gator import gator  # noqa: E402
from shop.models import Order  # noqa: E402
from shop.tasks import ship  # noqa: E402

from typedgator.contrib.django.relay import Relay  # noqa: E402


class Dying:
    """The backend, until its process dies before or after the `last` enqueue."""

    def __init__(self, inner, where, last):
        self._inner, self._where, self._last = inner, where, last

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def enqueue(self, frames):
        self._last -= 1
        if self._last == 0 and self._where == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        receipts = self._inner.enqueue(frames)
        if self._last == 0 and self._where == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return receipts


def write(number, way, ready):
    while True:
        with transaction.atomic():
            Order.objects.create(n=number)
            (gator.outbox().task if way == "outbox" else gator.task_on_commit)(ship, number)
        os.write(ready, b".")
        number += 1


def relay(number, way, ready):
    one = Relay(gator, ["default"])
    while True:
        one.tick()
        os.write(ready, b".")


def live(job, number, way, where, last):
    """One process from its fork to its death; where it died."""
    seen, ready = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(seen)
        with gator.elsewhere(Dying(gator.backend, where, last), gator.clock):
            job(number, way, ready)
    os.close(ready)
    if where == "any":
        select.select([seen], [], [])  # it works now
        select.select([], [], [], random.uniform(0, 0.03))
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    os.close(seen)
    assert os.WIFSIGNALED(status), status
    assert os.WTERMSIG(status) == signal.SIGKILL
    return where


def main():
    seed, deaths, way = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    random.seed(seed)
    died = Counter()
    for number in range(deaths):
        wheres = ["before", "after", "any"] if way == "outbox" else ["before"]
        job = relay if way == "outbox" and number % 4 == 3 else write
        # A relay pushes only what another left, so it may have nothing to die at: it dies at any moment.
        where = "any" if job is relay and died["before"] == 0 else random.choice(wheres)
        if job is relay and where != "any":
            live(write, 1000 * number + 500, way, "before", 1)
            died["before"] += 1
        died[live(job, 1000 * number, way, where, 1 if job is relay else random.randint(1, 4))] += 1
    print(json.dumps(died))


main()
