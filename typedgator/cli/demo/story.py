"""What the demo does, step by step. Nothing is said that was not just measured."""

import os
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from typedgator.backends.contract import JobRecord, WorkerId
from typedgator.cli.demo.crew import LEASE_SECONDS, SHOWN_COMMAND, Hand
from typedgator.cli.demo.measuring import Findings, Outline, Totals, Weight, files_in, plain_walk, totals_of
from typedgator.cli.demo.screen import Bar, Screen
from typedgator.cli.demo.tasks import gator, nap, outline, shaky, weigh
from typedgator.cli.endings import Refusal
from typedgator.errors import InvalidArguments, JobFailed
from typedgator.job import Job
from typedgator.queues import inspecting
from typedgator.wire.ids import JobId, parse_id
from typedgator.wire.outcome import decode_outcome
from typedgator.wire.states import FINAL, PENDING, JobState

__all__ = ["Story"]

R = TypeVar("R")

NAPS: Final = 2
NAP_SECONDS: Final = 1.0
BROKEN: Final = "def broken(:\n    pass\n"
KILL_AFTER: Final = 0.25
"""The part of the files after which a worker is killed."""
STALL_SECONDS: Final = 90.0
LOOK_SECONDS: Final = 0.02
SHOWN_FILES: Final = 5
FIRST: Final = gator.options(priority=200)


class Story:
    """One run of the demo."""

    def __init__(self, folder: str, place: Path, *, keep: bool) -> None:
        self._folder = folder
        self._place = place
        self._keep = keep
        self._screen = Screen()
        self._hands: list[Hand] = []
        self._weighed: dict[bytes, Job[Weight]] = {}
        self._outlined: dict[bytes, Job[Outline]] = {}
        self._enqueued = 0
        self._started = 0.0

    def tell(self) -> bool:
        """Runs the demo. Whether the workers found what a plain walk finds."""
        files = files_in(self._folder)
        self._screen.title(f"typedgator demo: {len(files):,} files in {self._folder}")
        self._screen.say("Two worker processes and this one share a queue in an SQLite file; nothing else is needed.")
        try:
            self._refuse()
            self._enqueue(files)
            self._start()
            self._kill_and_recover()
            self._retry()
            self._dead_letter()
            return self._compare()
        finally:
            for hand in self._hands:
                hand.dismiss()
            gator.close()
            if self._keep:
                self._screen.say(f"\nKept: the queue and the workers' logs in {self._place}. Look at the failed jobs:")
                self._screen.say(f"typedgator jobs list --state failed --dsn {gator.dsn}")

    # ---- 1: a mistake is heard at once

    def _refuse(self) -> None:
        self._screen.step("A call that cannot work is refused before anything is queued")
        self._screen.say("weigh takes a path as bytes. Somebody calls weigh.task(42):")
        try:
            weigh.task(42)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # type checkers say so too
        except InvalidArguments as error:
            self._screen.say(f"{type(error).__name__}: {str(error).splitlines()[0]}", "red")
        self._screen.say(f"Jobs in the queue: {_pending()}. mypy and pyright refuse this line in the editor already.")

    # ---- 2: bulk

    def _enqueue(self, files: Sequence[bytes]) -> None:
        self._screen.step("Every file becomes a job, every Python file two")
        scripts = [path for path in files if path.endswith(b".py")]
        started = time.monotonic()
        self._weighed = dict(zip(files, gator.task_many(weigh, [(path,) for path in files]), strict=True))
        self._outlined = dict(zip(scripts, gator.task_many(outline, [(path,) for path in scripts]), strict=True))
        seconds = time.monotonic() - started
        self._enqueued = len(files) + len(scripts)
        self._screen.say(f"{len(files):,} x weigh(path), an async def: size, lines and digest of the file")
        self._screen.say(f"{len(scripts):,} x outline(path), a plain def: its top-level functions and classes")
        self._screen.say(f"{self._enqueued:,} jobs were checked, encoded and written to disk in {seconds:.2f} s.")

    # ---- 3 and 4: workers, and the death of one

    def _start(self) -> None:
        self._screen.step("Two worker processes start")
        self._screen.say(f"$ {SHOWN_COMMAND}")
        self._started = time.monotonic()
        for name in ("A", "B"):
            self._hands.append(Hand(name, self._place))
        for hand in self._hands:
            self._screen.say(f"Worker {hand.name} is process {hand.pid}, and serves as {hand.identity()}.")

    def _kill_and_recover(self) -> None:
        self._screen.step("One of them is killed in the middle of its work")
        self._screen.say(
            f"So that it surely has something in hand, {NAPS} jobs that sleep {NAP_SECONDS:g} s are added."
        )
        files = self._enqueued
        with self._screen.bar(files) as bar:
            self._nap()
            victim, identity, interrupted = self._kill(files, bar)
            killed = time.monotonic()
            self._hands.remove(victim)
            self._screen.say(f"kill -9 {victim.pid}: worker {victim.name} died holding {len(interrupted)} jobs.", "red")
            free, over = self._wait_for(interrupted, identity, bar)
            self._finish(bar)
        records = [_record(job_id) for job_id in interrupted]
        recovered = sum(record.state in FINAL for record in records)
        again = sum(record.attempt > 1 for record in records)
        heir = self._hands[0].name
        self._screen.say(f"Interrupted: {len(interrupted)} jobs. Recovered: {recovered}, {again} at a further attempt.")
        self._screen.say(
            f"They were free again {free - killed:.1f} s after the kill, when their lease of {LEASE_SECONDS} s ended;"
        )
        self._screen.say(f"worker {heir} had finished the last of them {over - killed:.1f} s after the kill.")

    def _nap(self) -> None:
        with gator.batch(FIRST) as batch:
            for _ in range(NAPS):
                batch.task(nap, NAP_SECONDS)
        self._enqueued += NAPS

    def _kill(self, files: int, bar: Bar) -> tuple[Hand, WorkerId, list[JobId]]:
        """Kills the worker that holds most, once enough files are done. What it holds is read while it stands still."""
        names = {hand.identity(): hand for hand in self._hands}
        patience = _Patience()
        while True:
            pending = self._look(bar, patience)
            held = _held_by_worker()
            if pending == 0:
                self._nap()  # a fast machine and a small folder: there must be something to interrupt
            elif held and pending - NAPS <= files * (1 - KILL_AFTER):
                worker = max(held, key=lambda each: len(held[each]))
                victim = names.get(worker)
                if victim is not None:
                    victim.freeze()
                    interrupted = _held_by_worker().get(worker, [])
                    if interrupted:
                        victim.kill()
                        return victim, worker, interrupted
                    victim.thaw()
            time.sleep(LOOK_SECONDS)

    def _wait_for(self, job_ids: Sequence[JobId], dead: WorkerId, bar: Bar) -> tuple[float, float]:
        """When the dead worker had none of these jobs any more, and when the last had ended; on the monotonic clock."""
        left, patience = set(job_ids), _Patience()
        free = 0.0
        while left:
            records = [_record(job_id) for job_id in left]
            if not free and all(record.worker != dead for record in records):
                free = time.monotonic()
            left = {record.job_id for record in records if record.state not in FINAL}
            self._look(bar, patience)
            if left:
                time.sleep(LOOK_SECONDS)
        return free, time.monotonic()

    def _finish(self, bar: Bar) -> None:
        patience = _Patience()
        while self._look(bar, patience):
            time.sleep(LOOK_SECONDS)
        seconds = time.monotonic() - self._started
        self._screen.say(f"All {self._enqueued:,} jobs are done, {seconds:.1f} s after the workers were started.")

    def _look(self, bar: Bar, patience: "_Patience") -> int:
        pending = _pending()
        for hand in self._hands:
            hand.must_live()
        patience.note(pending)
        bar.show(self._enqueued - pending, self._enqueued)
        return pending

    # ---- 5: retries

    def _retry(self) -> None:
        self._screen.step("A task that fails is tried again")
        self._screen.say("shaky raises ConnectionError at its first two attempts; it is registered with 3 retries.")
        job = shaky.task()
        seen, patience = 0, _Patience()
        while (record := _record(parse_id(job.id))).state not in FINAL:
            if record.state is JobState.RETRYING and record.attempt > seen:
                seen = record.attempt
                self._screen.say(f"attempt {seen}: {_error_of(record)}", "yellow")
            patience.note(record.attempt)
            self._hands[0].must_live()
            time.sleep(LOOK_SECONDS)
        self._screen.say(f"attempt {record.attempt}: {record.state}, the result is {job.result()!r}", "green")

    # ---- 6: a dead letter

    def _dead_letter(self) -> None:
        self._screen.step("What cannot succeed is kept, with its reason")
        broken = self._place / "broken.py"
        broken.write_text(BROKEN, encoding="utf-8")
        self._screen.say(f"The demo adds a broken file of its own, outside your folder: {broken.name}, which begins")
        self._screen.say(f"    {BROKEN.splitlines()[0]}")
        job = outline.task(os.fsencode(broken))
        try:
            job.result(timeout=STALL_SECONDS)
        except JobFailed as error:
            self._screen.say(f"{job.state()}: {error.error_type}: {error.error_message}", "red")
        except TimeoutError as error:
            raise Refusal(f"{error}: the demo gives up") from None
        dead = gator.counts().queues.get("all", {}).get(JobState.FAILED, 0)
        self._screen.say(f"Dead letters in the queue: {dead}. `typedgator jobs requeue` runs one again after a fix.")

    # ---- 7: the proof

    def _compare(self) -> bool:
        self._screen.step("The results, beside a plain walk of the same folder in one process")
        collected = time.monotonic()
        weights: dict[bytes, Weight | str] = _results(self._weighed)
        outlines: dict[bytes, Outline | str] = _results(self._outlined)
        found = Findings(weights, outlines)
        walked = time.monotonic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the files that are read, not of this program
            plain = plain_walk(self._folder)
        seconds = time.monotonic() - walked
        ours, theirs = totals_of(found), totals_of(plain)
        differing = [name for name in Totals._fields if getattr(ours, name) != getattr(theirs, name)]
        rows = [
            (
                name.replace("_", " "),
                *(_figure(getattr(totals, name)) for totals in (ours, theirs)),
                _sign(name, differing),
            )
            for name in Totals._fields
        ]
        self._screen.table(("", "two workers", "plain walk", ""), rows)
        self._screen.say(f"Collecting the results took {walked - collected:.2f} s, the plain walk {seconds:.2f} s.")
        self._name_failed(found)
        if not differing:
            self._screen.say(
                f"The totals are equal: {ours.files:,} files, {ours.size:,} bytes, {ours.lines:,} lines.", "bold green"
            )
            return True
        self._screen.say(f"The totals differ in {', '.join(name.replace('_', ' ') for name in differing)}:", "bold red")
        self._name_differences(found, plain)
        return False

    def _name_failed(self, found: Findings) -> None:
        failed = [f"{self._short(path)} ({error})" for path, error in found.weights.items() if isinstance(error, str)]
        if failed:
            self._screen.say(f"Unreadable, and dead letters too: {_some(failed)}")
        failed = [f"{self._short(path)} ({error})" for path, error in found.outlines.items() if isinstance(error, str)]
        if failed:
            self._screen.say(f"Not valid for this Python, and dead letters too: {_some(failed)}")

    def _name_differences(self, found: Findings, plain: Findings) -> None:
        for ours, theirs in ((found.weights, plain.weights), (found.outlines, plain.outlines)):
            paths = [path for path in sorted({*ours, *theirs}) if ours.get(path) != theirs.get(path)]
            for path in paths[:SHOWN_FILES]:
                self._screen.say(f"{self._short(path)}: the workers {ours.get(path)}, the walk {theirs.get(path)}")
        self._screen.say(
            "A file that changed while the demo ran makes such a difference; any other is a fault of typedgator."
        )

    def _short(self, path: bytes) -> str:
        """A path below the folder that can be printed, whatever its bytes are."""
        return os.path.relpath(path, os.fsencode(self._folder)).decode("utf-8", "backslashreplace")


class _Patience:
    """Raises Refusal when a figure has not changed for too long: better than a bar that stands still for ever."""

    def __init__(self) -> None:
        self._figure = -1
        self._since = time.monotonic()

    def note(self, figure: int) -> None:
        """The figure now."""
        if figure != self._figure:
            self._figure, self._since = figure, time.monotonic()
        elif time.monotonic() - self._since > STALL_SECONDS:
            raise Refusal(
                f"nothing has happened for {STALL_SECONDS:.0f} s, with {figure} jobs to go: the demo gives up"
            )


def _pending() -> int:
    return sum(jobs for states in gator.counts().queues.values() for state, jobs in states.items() if state in PENDING)


def _held_by_worker() -> dict[WorkerId, list[JobId]]:
    backend, after = inspecting(gator.backend), None
    held: dict[WorkerId, list[JobId]] = {}
    while True:
        page = backend.page(JobState.RUNNING, after=after)
        for record in page.records:
            if record.worker is not None:
                held.setdefault(record.worker, []).append(record.job_id)
        after = page.after
        if after is None:
            return held


def _record(job_id: JobId) -> JobRecord:
    record = inspecting(gator.backend).find(job_id)
    if record is None:
        raise Refusal(f"job {job_id.hex()} is lost: the queue does not know it any more")
    return record


def _error_of(record: JobRecord) -> str:
    error = None if record.outcome is None else decode_outcome(record.outcome).error
    return f"{record.state}" if error is None else f"{error.type}: {error.message}"


def _results(jobs: Mapping[bytes, Job[R]]) -> dict[bytes, R | str]:
    found: dict[bytes, R | str] = {}
    for path, job in jobs.items():
        try:
            found[path] = job.result(timeout=0)
        except JobFailed as error:
            found[path] = error.error_type
    return found


def _figure(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _sign(name: str, differing: Sequence[str]) -> str:
    return "differs" if name in differing else "equal"


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN_FILES
    return ", ".join(names[:SHOWN_FILES]) + (f" and {more} more" if more > 0 else "")
