"""The processes of a campaign: workers in their seats, producers with their allowance."""

import os
import random
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Final

from tests.integration.chaos.journal import Line, now

__all__ = ["Crew", "Producers"]

ROOT: Final = Path(__file__).resolve().parents[3]
GRACE_S: Final = 10.0
COULD_NOT_START: Final = 1
SLACK_S: Final = 15.0
"""What an exit may take beyond the grace, on a machine that does other things as well."""


class Crew:
    """`workers` processes of `typedgator worker`."""

    def __init__(self, folder: Path, env: dict[str, str], *, workers: int, slots: int, lease: float, seed: int) -> None:
        self._env = env
        self._log = (folder / "workers.log").open("ab")
        self._command = [
            *(sys.executable, "-m", "typedgator", "worker", "tests.integration.chaos.effects:gator"),
            *("--concurrency", str(slots)),
            *("--lease", str(lease), "--grace", str(GRACE_S), "--log-level", "warning", "--supervised"),
        ]
        self._chance = random.Random(seed)
        self.seats = [self._start() for _ in range(workers)]
        self.frozen: set[int] = set()
        self.retired: list[tuple[subprocess.Popen[bytes], float]] = []
        self.in_hand: defaultdict[int, set[str]] = defaultdict(set)
        """The jobs that a process has started and not ended."""
        self.started_by: dict[str, int] = {}
        """The process that started a job last."""
        self.unstarted = 0
        self.troubles: list[str] = []

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command, env=self._env, cwd=ROOT, stdin=subprocess.PIPE, stdout=self._log, stderr=self._log
        )

    def hear(self, line: Line) -> None:
        """Follows who has what in hand."""
        if line.what == "start":
            self.in_hand[line.pid].add(line.job_id)
            self.started_by[line.job_id] = line.pid
        elif line.what in ("end", "retrying"):
            self.in_hand[line.pid].discard(line.job_id)

    def busy(self) -> "subprocess.Popen[bytes] | None":
        """A worker, any, that has a job in its hands and is not the only one at work: who starts needs a while."""
        at_work = [seat for seat in self.seats if seat.pid not in self.frozen and seat.pid in self.in_hand]
        those = [seat for seat in at_work if self.in_hand[seat.pid]]
        return self._chance.choice(those) if those and len(at_work) > 1 else None

    def replace(self, gone: "subprocess.Popen[bytes]") -> None:
        """Another one takes the seat of one that has ended."""
        self._hang_up(gone)
        self.seats[self.seats.index(gone)] = self._start()

    @staticmethod
    def _hang_up(gone: "subprocess.Popen[bytes]") -> None:
        """Its end of the pipe by which a worker hears that nobody is there any more."""
        assert gone.stdin is not None
        gone.stdin.close()

    def retire(self, leaving: "subprocess.Popen[bytes]") -> None:
        """It was told to end; another one takes the seat."""
        self.retired.append((leaving, now()))
        self.seats[self.seats.index(leaving)] = self._start()

    def look(self) -> None:
        """Whoever ended by itself, or does not end, is trouble."""
        for seat in list(self.seats):
            if seat.poll() is not None:
                # A worker whose backend does not answer when it starts says so and ends; who started it tries again.
                if seat.returncode == COULD_NOT_START and seat.pid not in self.in_hand:  # it never started a job
                    self.unstarted += 1
                else:
                    self.troubles.append(f"a worker ended by itself with {seat.returncode}")
                self.replace(seat)
        for each in list(self.retired):
            leaving, told = each
            if leaving.poll() is not None:
                self.retired.remove(each)
                self._hang_up(leaving)
                if leaving.returncode not in (0, -signal.SIGTERM):  # -SIGTERM: told before it could listen
                    self.troubles.append(f"a worker that was told to end did so with {leaving.returncode}")
            elif now() - told > GRACE_S + SLACK_S:
                self.troubles.append(f"a worker that was told to end had not after {now() - told:.0f} s")
                leaving.kill()
                leaving.wait()
                self._hang_up(leaving)
                self.retired.remove(each)

    def dismiss(self) -> None:
        """All end, with their grace."""
        for pid in self.frozen:
            os.kill(pid, signal.SIGCONT)
        for seat in self.seats:
            seat.terminate()
        for leaving in (*self.seats, *(leaving for leaving, _ in self.retired)):
            try:
                leaving.wait(GRACE_S + SLACK_S)
            except subprocess.TimeoutExpired:
                self.troubles.append("a worker did not end")
                leaving.kill()
                leaving.wait()
            self._hang_up(leaving)
        self.seats, self.retired = [], []
        self._log.close()


class Producers:
    """Two processes; the second enqueues from an event loop where the backend can."""

    def __init__(self, folder: Path, env: dict[str, str], *, seed: int) -> None:
        self._log = (folder / "producers.log").open("ab")
        self.processes = [self._start(env, number, seed) for number in range(2)]

    def _start(self, env: dict[str, str], number: int, seed: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.integration.chaos.producer", str(number), str(seed)]
        return subprocess.Popen(command, env=env, cwd=ROOT, stdin=subprocess.PIPE, stderr=self._log)

    def allow(self, jobs: int) -> None:
        """So many more jobs, in equal parts."""
        for number, process in enumerate(self.processes):
            assert process.stdin is not None
            share = jobs // len(self.processes) + (number < jobs % len(self.processes))
            process.stdin.write(b"%d\n" % share)
            process.stdin.flush()

    def no_more(self) -> None:
        """They end when they have enqueued what they may."""
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.close()

    def end(self, seconds: float) -> list[str]:
        """Returns when they have; what went wrong."""
        troubles = []
        for process in self.processes:
            try:
                code = process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
            if code:
                troubles.append(f"a producer ended with {code}")
        self._log.close()
        return troubles
