"""The supervisor: N worker processes of one command, started again when they die, stopped together.

It runs no job, imports no task and opens no backend: what a worker held when it died comes back when its lease ends.
Each child has a session of its own, so that Ctrl-C reaches it once, from here; and its standard input is a pipe from
here, whose end tells it that the supervisor is gone.
"""

import logging
import signal
import subprocess
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final, TypeAlias

import msgspec

__all__ = ["Supervisor"]

logger: Final = logging.getLogger("typedgator")

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
LONG_ENOUGH: Final = 60.0
"""A worker that lived so many seconds starts again at once, after FIRST_PAUSE."""
REFUSALS: Final = 5
"""So many times in a row a worker may end by itself soon after its start."""
SOON: Final = 10.0
ASKED_WRONGLY: Final = 2
"""A worker's exit code for a command line that no restart will mend."""


class _Ended(msgspec.Struct, frozen=True):
    """The process of a seat ended. `code` as subprocess has it: below 0, minus the signal's number."""

    seat: "_Seat"
    code: int


class _Stop(msgspec.Struct, frozen=True):
    """Somebody asked to stop."""

    now: bool


_Event: TypeAlias = _Ended | _Stop


class _Seat:
    """A place for one worker process, and what became of those who sat there."""

    def __init__(self, number: int) -> None:
        self.number: Final = number
        self.process: subprocess.Popen[bytes] | None = None
        self.started = 0.0
        self.due: float | None = 0.0
        """When to start the next one, on the monotonic clock; None while one runs, or when no other shall."""
        self.pauses = 0
        self.refusals = 0


class Supervisor:
    """Keeps `processes` children of one command running until `stop`, or until all have finished with exit code 0."""

    def __init__(self, command: Sequence[str], processes: int) -> None:
        self._command = tuple(command)
        self._seats = [_Seat(number) for number in range(1, processes + 1)]
        self._events: SimpleQueue[_Event] = SimpleQueue()
        self._stops = 0
        self._code = 0

    @property
    def pids(self) -> list[int]:
        """The processes that run now."""
        return [seat.process.pid for seat in self._seats if seat.process is not None]

    def run(self) -> int:
        """Blocks until all is over. 0: finished or stopped; else the exit code of a worker that could not go on."""
        try:
            while any(seat.process is not None or seat.due is not None for seat in self._seats):
                for seat in self._seats:
                    if seat.due is not None and seat.due <= time.monotonic():
                        self._start(seat)
                self._hear(self._next())
        finally:
            for seat in self._seats:  # only when something unforeseen was raised above
                if seat.process is not None:
                    seat.process.kill()
        return self._code

    def stop(self, *, now: bool = False) -> None:
        """Asks every worker to stop, from any thread; `now` or a second time: without grace; a third: kills."""
        self._events.put(_Stop(now))

    def _next(self) -> _Event | None:
        due = min((seat.due for seat in self._seats if seat.due is not None), default=None)
        try:
            return self._events.get(timeout=None if due is None else max(0.0, due - time.monotonic()))
        except Empty:
            return None

    def _hear(self, event: _Event | None) -> None:
        match event:
            case _Stop(now):
                self._stop(now=now)
            case _Ended(seat, code):
                seat.process = None
                self._ended(seat, code)
            case None:
                pass

    def _start(self, seat: _Seat) -> None:
        process = subprocess.Popen(  # noqa: S603 # the command is our own
            self._command, stdin=subprocess.PIPE, start_new_session=True
        )
        seat.process, seat.started, seat.due = process, time.monotonic(), None
        logger.info("worker %d of %d started as process %d", seat.number, len(self._seats), process.pid)

        def wait() -> None:
            code = process.wait()
            if process.stdin is not None:
                process.stdin.close()
            self._events.put(_Ended(seat, code))

        Thread(target=wait, name=f"typedgator-worker-{seat.number}", daemon=True).start()

    def _ended(self, seat: _Seat, code: int) -> None:
        what = f"was killed by {_signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
        if self._stops:
            # Told twice, it says so in its exit code; told before it could listen, it just ended.
            if code not in (0, -signal.SIGTERM, 128 + signal.SIGTERM, 128 + signal.SIGINT):
                self._code = self._code or 1
                logger.warning("worker %d %s while stopping", seat.number, what)
            return
        if code == 0:
            logger.info("worker %d has finished", seat.number)
            return
        lived = time.monotonic() - seat.started
        seat.refusals = seat.refusals + 1 if code > 0 and lived < SOON else 0
        if code == ASKED_WRONGLY or seat.refusals >= REFUSALS:
            logger.error("worker %d %s: starting it again would not help, so all are stopped", seat.number, what)
            self._code = code
            self._stop(now=False)
            return
        seat.pauses = 0 if lived >= LONG_ENOUGH else seat.pauses + 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** max(0, seat.pauses - 1))
        seat.due = time.monotonic() + pause
        logger.error("worker %d %s; another one starts in %.1f s", seat.number, what, pause)

    def _stop(self, *, now: bool) -> None:
        self._stops += 1
        for seat in self._seats:
            seat.due = None
            if seat.process is None:
                continue
            if self._stops > 2:
                seat.process.kill()
                continue
            seat.process.terminate()
            if now and self._stops == 1:
                # Another signal: the same one twice at once would be heard once.
                seat.process.send_signal(signal.SIGINT)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
