"""The dispatcher: what is claimed goes through it to an executor, and what has ended through it to the settler.

It has no thread of its own: claimer, executors and lease keeper call it, each from theirs.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from typedgator.attempt import Ending
from typedgator.backends.contract import Beat, Claimed, Notes, WorkerId
from typedgator.execution import close_attempt, open_attempt, stored_task
from typedgator.middleware import Middleware
from typedgator.registry import Registry
from typedgator.wire.ids import shown_id
from typedgator.wire.verdict import Canceled, Held, Released, RetryIn, Settlement, Snoozed, Verdict
from typedgator.worker.desk import Desk, Finished, Holding
from typedgator.worker.executors import LoopExecutor, ThreadExecutor
from typedgator.worker.misfits import Misfits
from typedgator.worker.settler import Settler
from typedgator.worker.teller import Teller

__all__ = ["Dispatcher"]

logger: Final = logging.getLogger("typedgator")


class Dispatcher:
    """Owns the two executors, of `threads` and `coroutines` slots. `notes` is None where progress cannot be kept."""

    def __init__(
        self,
        desk: Desk,
        settler: Settler,
        teller: Teller,
        registry: Registry,
        middleware: Sequence[Middleware],
        notes: Notes | None,
        *,
        threads: int,
        coroutines: int,
        hold_ms: int,
    ) -> None:
        self._desk = desk
        self._settler = settler
        self._teller = teller
        self._registry = registry
        self._notes = notes
        self._hold_ms = hold_ms
        self.threads: Final = ThreadExecutor(threads, self, middleware)
        self.loop: Final = LoopExecutor(coroutines, self, middleware)
        self._only_async = len(registry) > 0 and all(task.spec.is_coroutine for task in registry)
        self.misfits: Final = Misfits()
        """Tasks that are known here, with the fingerprints of arguments that could not be read."""

    # ---- for the claimer

    def slots(self) -> tuple[int, int]:
        """How many are free, and how many there are, where the last jobs ran."""
        where = self.loop if self._only_async else self.threads
        return max(0, where.size - where.load), where.size

    @property
    def unstarted(self) -> int:
        """How many wait here for a slot."""
        return self.threads.waiting + self.loop.waiting

    def dispatch(self, identity: WorkerId, claimed: Sequence[Claimed], *, may_pass_on: bool = False) -> Holding | None:
        """Opens them, puts them on the desk and lets them run.

        `may_pass_on`: the claiming thread calls, and a lone sync attempt may come back to it, for it to run: then it
        claims no more, for another one does.
        """
        if any(one.crashes for one in claimed):  # a suspect: what has not started must not go down with it
            self.give_back_unstarted()
        now = time.monotonic()
        registry, note, hold_ms, put = self._registry, self._note, self._hold_ms, self._desk.put
        sync: list[Holding] = []
        coroutines: list[Holding] = []
        for one in claimed:
            opened = open_attempt(one, registry, note, hold_ms=hold_ms, upgrade_late=True)
            if isinstance(opened, Settlement):
                self._could_not_open(identity, one, opened)
                continue
            holding = Holding(identity, opened, now)
            put(holding)
            (coroutines if opened.is_async else sync).append(holding)
        self._only_async = not sync and bool(coroutines)
        if coroutines:
            self.loop.submit(coroutines)
        if sync:
            if may_pass_on and len(claimed) == 1 and self.threads.pass_on(sync[0]):
                return sync[0]
            self.threads.submit(sync)
        return None

    def _could_not_open(self, identity: WorkerId, claimed: Claimed, settlement: Settlement) -> None:
        verdict = settlement.verdict
        if isinstance(verdict, Held) and self._registry.find(verdict.task) is not None:
            self.misfits.add(verdict.task, verdict.schema)
        self._settler.add(Finished(identity, settlement, task=stored_task(claimed)))

    def _note(self, token: int, progress: bytes) -> bool:
        holding = self._desk.holdings.get(token)
        if holding is None or self._notes is None:
            return False
        return self._notes.note(holding.identity, token, progress)

    def send_back(self, identity: WorkerId, claimed: Sequence[Claimed]) -> None:
        """They came too late to be started here."""
        for one in claimed:
            self._settler.add(Finished(identity, Settlement(one.job_id, one.token, Released())))

    def give_back_stale(self, seconds: float) -> int:
        """What has waited here so long goes back, for others to run: a slow job blocks it. How many it were."""
        limit = time.monotonic() - seconds
        return self._give_back(self._withdraw(lambda holding: holding.since < limit))

    def give_back_unstarted(self) -> int:
        """What has not started goes back. How many it were."""
        return self._give_back(self._withdraw(lambda holding: True))

    def give_back_all(self) -> int:
        """Everything goes back, running or not: its late end will be dropped. How many it were."""
        return self._give_back(self._desk.all())

    def _withdraw(self, which: Callable[[Holding], bool]) -> list[Holding]:
        return self.threads.withdraw(which) + self.loop.withdraw(which)

    def _give_back(self, holdings: Sequence[Holding]) -> int:
        return sum(self._settle_unfinished(holding, Released()) for holding in holdings)

    def _settle_unfinished(self, holding: Holding, verdict: Released | Canceled) -> bool:
        ours = self._desk.take(holding)
        if ours:
            self._settler.add(Finished(holding.identity, _settlement(holding, verdict), holding))
        return ours

    # ---- for the executors

    def starting(self, holding: Holding, /) -> bool:
        """An attempt is about to run. False when it is not ours any more."""
        if holding not in self._desk or (holding.attempt.late and not self._upgraded(holding)):
            return False
        self._teller.starting(holding.attempt)
        return True

    def _upgraded(self, holding: Holding) -> bool:
        """Whether it can be called now; when not, it is off the desk and settled."""
        opened = open_attempt(holding.attempt.claimed, self._registry, self._note, hold_ms=self._hold_ms)
        if isinstance(opened, Settlement):
            if self._desk.take(holding):
                self._could_not_open(holding.identity, holding.attempt.claimed, opened)
            return False
        holding.attempt = opened
        if holding.stopped:  # the attempt before was told, this one was not
            opened.job.stop()
        if holding.canceled:  # it has not started, and never will
            self._settle_unfinished(holding, Canceled())
        return holding in self._desk

    def ended(self, holding: Holding, ending: Ending, /) -> None:
        """An attempt ended: it leaves the desk, and its settlement is on its way."""
        if not self._desk.take(holding):
            self._teller.dropped(holding)
            return
        settlement = close_attempt(holding.attempt, ending)
        if holding.canceled and isinstance(settlement.verdict, RetryIn | Snoozed):
            settlement = _settlement(holding, Canceled())  # as the backend would have it, and so reported as that
        self._settler.add(Finished(holding.identity, settlement, holding, ending))

    # ---- for the lease keeper

    def lapsed(self, identity: WorkerId) -> None:
        """What this identity had is not ours any more."""
        self._drop(lambda holding: holding.identity == identity)
        # No number: some of its jobs have ended, and only the backend knows whether that was written in time.
        logger.error(
            "worker %s was not heard of for longer than its lease: what it had not settled is given to others, "
            "and it joins anew",
            identity,
        )

    def hear(self, beat: Beat) -> None:
        """Drops what is lost, and stops what was canceled."""
        if beat.lost:
            lost = frozenset(beat.lost)
            for holding in self._drop(lambda holding: holding.token in lost):
                job_id = shown_id(holding.attempt.claimed.job_id)
                logger.warning("job %s is no longer ours; its end will be dropped", job_id, extra={"job": job_id})
        for token in beat.cancels:
            canceled = self._desk.holdings.get(token)
            if canceled is not None and not canceled.canceled:
                canceled.canceled = True
                if self._withdraw(canceled.__eq__):  # it has not started, and never will
                    self._settle_unfinished(canceled, Canceled())
                else:
                    self.stop_one(canceled)

    def _drop(self, which: Callable[[Holding], bool]) -> list[Holding]:
        dropped = self._desk.drop(which)
        self._settler.owed.difference_update([holding.token for holding in dropped])
        self._withdraw(lambda holding: holding not in self._desk)
        self._teller.lost(len(dropped))
        for holding in dropped:
            self.stop_one(holding)
        return dropped

    # ---- for the end

    def stop_all(self) -> None:
        """Tells every attempt to stop."""
        for holding in self._desk.all():
            self.stop_one(holding)

    def stop_one(self, holding: Holding) -> None:
        """Tells one attempt to stop."""
        (self.loop if holding.attempt.is_async else self.threads).stop_one(holding)

    @property
    def has_async(self) -> bool:
        """Whether an async task is in hand."""
        return any(holding.attempt.is_async for holding in self._desk.all())


def _settlement(holding: Holding, verdict: Verdict) -> Settlement:
    claimed = holding.attempt.claimed
    return Settlement(claimed.job_id, claimed.token, verdict)
