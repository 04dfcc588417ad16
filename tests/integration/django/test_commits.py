"""`task_on_commit` and `on_commit`: checked at once, pushed at the commit, never on a rollback."""

import pytest

from tests.integration.django.site import Site

pytestmark = pytest.mark.timeout(180)  # real processes, each of which loads Django

TESTS = """
import asyncio

from asgiref.sync import async_to_sync, sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.db import transaction
from django.test import TestCase, TransactionTestCase

from shop.gator import gator
from shop.tasks import ship
from shop.models import Order
from typedgator import BackendUnavailable, InvalidArguments, JobState, JobUnknown
from typedgator.contrib.django.relay import Relay


class Away:
    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def enqueue(self, frames):
        raise BackendUnavailable("no answer")


def waiting():
    return sorted(gator.counts().queues.get("all", {}).items())


class Base:
    databases = {"default", "other"}

    def setUp(self):
        gator.queue("all").purge(JobState.WAITING)


class Commits(Base, TransactionTestCase):
    def test_a_call_is_pushed_when_the_outermost_transaction_commits(self):
        with transaction.atomic():
            with transaction.atomic():
                job = gator.task_on_commit(ship, 1)
            self.assertEqual(waiting(), [])
            self.assertRaises(JobUnknown, job.state)
        self.assertEqual(job.state(), JobState.WAITING)

    def test_without_a_transaction_it_is_pushed_at_once(self):
        self.assertEqual(gator.task_on_commit(ship, n=1).state(), JobState.WAITING)

    def test_a_rollback_sends_nothing(self):
        with self.assertRaises(ZeroDivisionError), transaction.atomic():
            gator.task_on_commit(ship, 1)
            1 / 0
        self.assertEqual(waiting(), [])

    def test_a_savepoint_that_is_rolled_back_takes_its_calls_along_and_no_others(self):
        with transaction.atomic():
            kept = gator.task_on_commit(ship, 1)
            try:
                with transaction.atomic():
                    lost = gator.task_on_commit(ship, 2)
                    raise LookupError
            except LookupError:
                pass
        self.assertEqual(kept.state(), JobState.WAITING)
        self.assertRaises(JobUnknown, lost.state)

    def test_bad_arguments_are_refused_where_the_call_stands(self):
        with transaction.atomic():
            with self.assertRaises(InvalidArguments):
                gator.task_on_commit(ship, "one")
        self.assertEqual(waiting(), [])

    def test_another_database_has_its_own_commit(self):
        with transaction.atomic(using="other"):
            with transaction.atomic():
                job = gator.on_commit(using="other").task(ship, 1)
            self.assertEqual(waiting(), [])
        self.assertEqual(job.state(), JobState.WAITING)

    def test_options_hold_and_a_handle_learns_that_it_is_a_duplicate(self):
        options = gator.options(job_id="ship-1", delay_by=60)
        with transaction.atomic():
            first = gator.on_commit(options=options).task(ship, 1)
            again = gator.on_commit(options=options).task(ship, 1)
        self.assertEqual((first.id, first.duplicate, first.state()), ("ship-1", False, JobState.SCHEDULED))
        self.assertEqual((again.id, again.duplicate), ("ship-1", True))
        first.cancel()

    def test_a_delay_counts_from_the_call(self):
        with transaction.atomic():
            job = gator.on_commit(options=gator.options(delay_by=0.02)).task(ship, 1)
            called_ms = gator.clock.now_ms()
            while gator.clock.now_ms() < called_ms + 40:
                pass
        self.assertEqual(job.state(), JobState.WAITING)

    def test_a_backend_that_is_away_is_heard_of_after_the_commit(self):
        with gator.elsewhere(Away(gator.backend), gator.clock), self.assertRaises(BackendUnavailable):
            with transaction.atomic():
                Order.objects.create(n=9)
                gator.task_on_commit(ship, 9)
        self.assertTrue(Order.objects.filter(n=9).exists())

    def test_a_callback_that_raises_before_it_takes_it_along_and_the_outbox_not(self):
        def fail():
            raise ZeroDivisionError

        with self.assertRaises(ZeroDivisionError), transaction.atomic():
            transaction.on_commit(fail)
            lost, kept = gator.task_on_commit(ship, 1), gator.outbox().task(ship, 2)
        self.assertRaises(JobUnknown, lost.state)
        self.assertRaises(JobUnknown, kept.state)
        Relay(gator, ["default"]).tick()
        self.assertEqual(kept.state(), JobState.WAITING)

    def test_async_code_is_refused_as_any_query_of_it(self):
        async def view(call):
            call(ship, 1)

        for call in (gator.task_on_commit, gator.outbox().task):
            with self.assertRaises(SynchronousOnlyOperation):
                asyncio.run(view(call))
        self.assertEqual(waiting(), [])

    def test_async_code_puts_its_transaction_into_a_function(self):
        def both():
            with transaction.atomic():
                return gator.task_on_commit(ship, 1), gator.outbox().task(ship, 2), waiting()

        first, second, inside = async_to_sync(sync_to_async(both))()
        self.assertEqual((first.state(), second.state(), inside), (JobState.WAITING, JobState.WAITING, []))

    def test_run_in_place_it_runs_at_the_commit(self):
        with transaction.atomic():
            job = gator.on_commit(options=gator.options(is_async=False)).task(ship, 77)
            self.assertRaises(JobUnknown, job.state)
        self.assertEqual(job.result(), 77)


class Captured(Base, TestCase):
    def test_in_a_test_case_the_callbacks_are_captured_and_run(self):
        with self.captureOnCommitCallbacks() as callbacks:
            job = gator.task_on_commit(ship, 1)
        self.assertEqual(len(callbacks), 1)
        self.assertEqual(waiting(), [])
        with self.captureOnCommitCallbacks(execute=True):
            job = gator.task_on_commit(ship, 2)
        self.assertEqual(job.state(), JobState.WAITING)

    def test_the_outbox_too(self):
        from typedgator.contrib.django.models import OutboxJob

        with self.captureOnCommitCallbacks(execute=True):
            job = gator.outbox().task(ship, 2)
            self.assertEqual(OutboxJob.objects.count(), 1)
        self.assertEqual(job.state(), JobState.WAITING)
        self.assertEqual(OutboxJob.objects.count(), 0)
"""


def test_calls_wait_for_the_commit(shop: Site) -> None:
    shop.write("shop/tests.py", TESTS)
    done = shop.manage("test", "shop")
    assert done.returncode == 0, done.stderr
    assert "Ran 15 tests" in done.stderr
