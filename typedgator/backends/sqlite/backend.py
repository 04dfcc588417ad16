"""The verbs: each one transaction, or a look that does not write. What a verb does stands in the modules beside this.

A claim that finds nothing looks without the write lock, and then sleeps: woken at once by a write of this process,
within 20 ms by one of another, at the latest when the next job is due or the next lease ends.
"""

import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from typedgator.backends.checkup import Checkup
from typedgator.backends.contract import (
    EVERY_QUEUE,
    Beat,
    CancelAnswer,
    Capabilities,
    Claimed,
    Counts,
    HeldKind,
    JobRecord,
    Page,
    Receipt,
    ReceiptStatus,
    Settled,
    Upkeep,
    WorkerId,
)
from typedgator.backends.sqlite import accepting, claiming, operating, reading, settling, turning
from typedgator.backends.sqlite.doctor import examine
from typedgator.backends.sqlite.moves import by_id
from typedgator.backends.sqlite.statements import statement
from typedgator.backends.sqlite.transaction import Storage, Transaction
from typedgator.clock import Clock, SystemClock
from typedgator.errors import WorkerLapsed
from typedgator.wire.frame import Frame
from typedgator.wire.ids import JobId
from typedgator.wire.states import JobState
from typedgator.wire.verdict import Settlement, Token

__all__ = ["SqliteBackend"]

logger: Final = logging.getLogger("typedgator.sqlite")

_CAN: Final = Capabilities(durable=True, shared=True, exchange=True, owned=True)
POLL_S: Final = 0.02
"""How often a waiting claim asks whether another process has written: 3 microseconds each time."""
FIRST_POLL_S: Final = 0.001
"""It begins at this pace and slows down: what follows soon on other work starts soon."""
SHORT_LOG_BYTES: Final = 1 << 20
"""A log that writers will copy into the file by themselves, soon enough."""
LONG_LOG_BYTES: Final = 64 << 20

_GLANCE: Final = statement("glance")
_IN_LINE: Final = statement("in_line")
_QUEUES_SERVING: Final = statement("queues_serving")
_WORKER_SUSPECT: Final = statement("worker_suspect")
_WORKER_UNSEEN: Final = statement("worker_unseen")
_WORKER_OWNS: Final = statement("worker_owns")
_NOTE: Final = statement("note")


class SqliteBackend:
    """A file on a local disk, for any number of processes of one machine."""

    def __init__(
        self,
        path: Path,
        *,
        namespace: str = "default",
        synchronous: str = "full",
        insist: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self.path = path
        self.clock: Clock = clock or SystemClock()
        self.storage: Storage = Storage(
            path, namespace=namespace, synchronous=synchronous, insist=insist, clock=self.clock
        )
        self._warned = False

    def __repr__(self) -> str:
        return f"SqliteBackend({str(self.path)!r}, namespace={self.storage.namespace!r})"

    @property
    def can(self) -> Capabilities:
        """What this backend promises."""
        return _CAN

    def open(self) -> None:
        """Opens the file, checks it and brings its tables up to date."""
        self.storage.connections.mine()

    def examine(self, *, audit: bool | None = None) -> Checkup:
        """What this file would lose, and how it fares."""
        return examine(self.storage, audit=audit)

    def close(self) -> None:
        """Closes all connections, each when its thread has finished with it."""
        self.storage.connections.close()
        # Whoever removes the file and opens again finds other numbers.
        self.storage.queues = {}

    # The core

    def enqueue(self, frames: Sequence[Frame], /) -> list[Receipt]:
        """Accepts all of the frames or none."""
        if len(frames) == 1 and accepting.is_plain(frames[0]):
            return [self._enqueue_plain(frames[0])]
        if len(frames) > 1 and all(map(accepting.is_plain, frames)):
            try:
                with self.storage.write() as tx:
                    if not accepting.accept_plain(tx, frames):
                        raise _SomeKnownError
                return [Receipt(ReceiptStatus.NEW, frame.job_id) for frame in frames]
            except _SomeKnownError:
                pass
        if not frames:
            return []
        with self.storage.write() as tx:
            return accepting.accept(tx, frames)

    def _enqueue_plain(self, frame: Frame) -> Receipt:
        storage = self.storage
        queue = storage.queues.get(frame.queue)
        # The first job of a queue gives the queue its number; the first call of a process opens the file.
        if queue is None:
            with storage.write() as tx:
                return accepting.accept(tx, [frame])[0]
        row = accepting.plain_row(frame, storage.ns, queue, storage.now_ms())
        written = storage.alone(accepting.ACCEPT_PLAIN, row)
        storage.file.signal()
        return Receipt(ReceiptStatus.NEW if written else ReceiptStatus.DUPLICATE, frame.job_id)

    def join(self, queues: Sequence[str], /, *, lease_ms: int) -> WorkerId:
        """A fresh identity; its lease starts now."""
        with self.storage.write() as tx:
            tx.changed = True
            return claiming.join(tx, queues, lease_ms)

    def leave(self, worker: WorkerId, /) -> None:
        """What it still held comes back, attempts given back."""
        with self.storage.write() as tx:
            found = claiming.find_worker(tx, worker)
            if found is not None:
                claiming.leave(tx, found)

    def claim(self, worker: WorkerId, /, *, limit: int, wait_ms: int, seen: Token) -> list[Claimed]:
        """Lost replies again, else new jobs, else waits for some. Raises WorkerLapsed."""
        left = wait_ms / 1000
        while True:
            generation = self.storage.file.generation
            with self.storage.look() as db:
                version = _data_version(db)
                promising, next_ms = self._glance(db, worker, seen)
            if promising:
                claimed = self._claim(worker, limit, seen)
                if claimed:
                    return claimed
                with self.storage.look() as db:
                    _, next_ms = self._glance(db, worker, seen)
            if left <= 0:
                return []
            left -= self._wait(left, next_ms, generation, version)

    def _claim(self, worker: WorkerId, limit: int, seen: Token) -> list[Claimed]:
        with self.storage.write() as tx:
            claimed = claiming.claim(tx, worker, limit, seen)
        # Raised only now: what was reaped on the way stays reaped.
        if claimed is None:
            raise WorkerLapsed(f"the lease of worker {worker} ended, or it left: join again before the next claim")
        return claimed

    def _glance(self, db: sqlite3.Connection, name: WorkerId, seen: Token) -> tuple[bool, int | None]:
        """Whether a claim has anything to do, and when it will have at the latest."""
        ns = self.storage.ns
        row = db.execute(_GLANCE, (ns, ns, name, ns)).fetchone()
        if row is None or row[2]:
            return True, None
        worker, queues, _, *times = row
        next_ms: int | None = min((when for when in times if when is not None), default=None)
        if next_ms is not None and next_ms <= self.storage.now_ms():
            return True, next_ms
        if db.execute(_WORKER_UNSEEN, (worker, seen, 1)).fetchone():
            return True, next_ms
        if db.execute(_WORKER_SUSPECT, (worker,)).fetchone():
            return False, next_ms
        for queue in queues.split(" "):
            if queue == EVERY_QUEUE:
                found = db.execute(_QUEUES_SERVING, (ns,)).fetchone() is not None
            else:
                found = db.execute(_IN_LINE, (ns, queue)).fetchone() in _YES
            if found:
                return True, next_ms
        return False, next_ms

    def _wait(self, left: float, next_ms: int | None, generation: int, version: int) -> float:
        """Sleeps until somebody has written, something falls due, or `left` seconds are over; says how many went by."""
        pause = left
        if next_ms is not None:
            pause = min(left, max(0, next_ms - self.storage.now_ms()) / 1000)
        file = self.storage.file
        before = self.clock.monotonic()
        slept, nap = 0.0, FIRST_POLL_S
        while slept < pause:
            file.wait(generation, min(nap, pause - slept))
            slept, nap = slept + nap, min(POLL_S, nap * 1.5)
            if file.generation != generation:
                break
            connection, db = self.storage.take()
            try:
                if _data_version(db) != version:
                    break
            finally:
                connection.lock.release()
        else:
            # A clock that stands still, as in tests, must not make a wait endless.
            return max(self.clock.monotonic() - before, pause)
        return self.clock.monotonic() - before

    def beat(self, worker: WorkerId, tokens: Sequence[Token], /) -> Beat:
        """The worker's lease starts anew, also when it ended and nobody noticed."""
        with self.storage.write() as tx:
            found = claiming.find_worker(tx, worker)
            return Beat(list(tokens), [], lapsed=True) if found is None else claiming.beat(tx, found, tokens)

    def settle(self, worker: WorkerId, settlements: Sequence[Settlement], /) -> list[Settled]:
        """Ends attempts, all in one transaction."""
        with self.storage.write() as tx:
            return settling.settle(tx, worker, settlements)

    def exchange(
        self, worker: WorkerId, settlements: Sequence[Settlement], /, *, limit: int, seen: Token
    ) -> tuple[list[Settled], list[Claimed]]:
        """Settles and claims in one transaction: one flush of the disk for both."""
        with self.storage.write() as tx:
            settled = settling.settle(tx, worker, settlements)
            claimed = claiming.claim(tx, worker, limit, seen)
        if claimed is None:
            raise WorkerLapsed(f"the lease of worker {worker} ended, or it left: join again before the next claim")
        return settled, claimed

    def cancel(self, job_id: JobId, /) -> CancelAnswer:
        """Ends a job that is not running; asks a running one to stop."""
        with self.storage.write() as tx:
            return operating.cancel(tx, job_id)

    def maintain(self, *, limit: int) -> Upkeep:
        """Up to `limit` of each kind; `more` when one of them reached it. Also moves the log into the file."""
        with self.storage.write() as tx:
            promoted = turning.promote(tx, limit)
            reclaimed, crashed = turning.reap(tx, limit)
            expired, more_late = turning.expire(tx, limit)
            overheld = turning.fail_held(tx, limit - crashed)
            pruned, more_old = turning.forget(tx, limit)
        self._checkpoint()
        return Upkeep(
            promoted=promoted,
            reclaimed=reclaimed,
            failed=crashed + overheld,
            expired=expired,
            pruned=pruned,
            more=more_late or more_old or limit in (promoted, reclaimed + crashed, crashed + overheld),
        )

    def _checkpoint(self) -> None:
        """As much of a long log as nobody reads any more; says once when something keeps it from being emptied."""
        try:
            size = self.path.with_name(self.path.name + "-wal").stat().st_size
        except OSError:
            return
        if size > SHORT_LOG_BYTES:
            with self.storage.look() as db:
                db.execute("ROLLBACK")
                db.execute("PRAGMA wal_checkpoint(passive)").fetchall()
        if size <= LONG_LOG_BYTES:
            self._warned = False
        elif not self._warned:
            self._warned = True
            logger.warning(
                "the write-ahead log of %s has %d MB: a connection that reads for long keeps it from being emptied",
                self.path,
                size >> 20,
            )

    # Results, Inspect

    def outcome(self, job_id: JobId, /, *, wait_ms: int) -> JobRecord | None:
        """The record once the state is final, or as it stands after `wait_ms`."""
        left = wait_ms / 1000
        while True:
            generation = self.storage.file.generation
            with self.storage.look() as db:
                version = _data_version(db)
                if left <= 0 or reading.is_over(db, self.storage.ns, job_id):
                    return reading.record(db, self.storage.ns, job_id)
            left -= self._wait(left, None, generation, version)

    def counts(self) -> Counts:
        """How many jobs there are."""
        with self.storage.look() as db:
            return reading.counts(db, self.storage.ns)

    def find(self, job_id: JobId, /) -> JobRecord | None:
        """What is known of one job."""
        with self.storage.look() as db:
            return reading.record(db, self.storage.ns, job_id)

    def page(self, state: JobState, /, *, queue: str | None = None, after: str | None = None, limit: int = 100) -> Page:
        """Jobs in one state."""
        with self.storage.look() as db:
            return reading.page(db, self.storage.ns, state, queue, after, limit)

    # Operate

    def requeue(self, job_id: JobId, /) -> bool:
        """A dead letter or a held job begins again."""
        with self.storage.write() as tx:
            return operating.requeue(tx, job_id)

    def purge(self, state: JobState, /, *, queue: str | None = None, limit: int) -> int:
        """Removes up to `limit` jobs in a state."""
        with self.storage.write() as tx:
            return operating.purge(tx, state, queue, limit)

    def pause(self, queue: str, /) -> None:
        """The queue hands out nothing."""
        with self.storage.write() as tx:
            operating.pause(tx, queue, paused=True)

    def resume(self, queue: str, /) -> None:
        """The queue hands out again."""
        with self.storage.write() as tx:
            operating.pause(tx, queue, paused=False)

    def take(self, worker: WorkerId, job_id: JobId, /) -> Claimed | None:
        """Claims this one job. Raises WorkerLapsed."""
        with self.storage.write() as tx:
            found = claiming.find_worker(tx, worker)
            if found is None:
                raise WorkerLapsed(f"the lease of worker {worker} ended, or it left: join again before it takes a job")
            job = by_id(tx, job_id)
            return None if job is None else claiming.take(tx, found, job)

    # Owning

    def owned(self, worker: WorkerId, /) -> list[tuple[JobId, Token]]:
        """What runs under this identity, by token."""
        with self.storage.look() as db:
            return db.execute(_WORKER_OWNS, (worker, self.storage.ns)).fetchall()

    # Holding, Notes

    def held_kinds(self) -> list[HeldKind]:
        """What held jobs wait for."""
        with self.storage.look() as db:
            return reading.held_kinds(db, self.storage.ns)

    def release_held(self, kinds: Sequence[HeldKind], /) -> int:
        """Held jobs of these kinds get in line."""
        with self.storage.write() as tx:
            return operating.release_held(tx, kinds)

    def note(self, worker: WorkerId, token: Token, progress: bytes, /) -> bool:
        """Keeps progress beside a running job, if the token is this worker's."""
        with self.storage.write() as tx:
            return _note(tx, worker, token, progress)


_YES: Final = ((1,),)


class _SomeKnownError(Exception):
    """A frame of a plain batch was known: the batch is written anew, one by one."""


def _note(tx: Transaction, worker: WorkerId, token: Token, progress: bytes) -> bool:
    found = claiming.find_worker(tx, worker)
    if found is None:
        return False
    return tx.db.execute(_NOTE, {"progress": progress, "worker": found.number, "token": token}).rowcount == 1


def _data_version(db: sqlite3.Connection) -> int:
    """Changes when another connection has written, be it of this process or another."""
    version: int = db.execute("PRAGMA data_version").fetchone()[0]
    return version
