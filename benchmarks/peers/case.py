"""One case: processes of one library on an empty server, all of them killed at its end or when its time is over."""

import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self, cast

from benchmarks.peers import effects
from benchmarks.peers.effects import Effects
from benchmarks.peers.environments import ROOT, Peer
from benchmarks.peers.machine import Work, busy_s, foreign_cores, own_s, tree_cpu

__all__ = ["Case", "CaseFailed", "Client", "Described", "described"]

POLL_S: Final = 0.004
SETTLE_S: Final = 0.15
"""So long after the last job a worker may still write down its outcome."""


class CaseFailed(Exception):
    """The library could not be measured; the message says why."""


@dataclass(frozen=True)
class Described:
    """What an adapter says of itself, in one setting."""

    versions: dict[str, str]
    python: str
    imports: str
    kinds: list[str]
    settings: dict[str, str]
    can: list[str]
    workers: dict[str, dict[str, object]]
    enqueues: int
    drains: int
    package: str


def described(peer: Peer, python: Path, setting: str, port: int) -> Described:
    """Asks the adapter. Raises CaseFailed."""
    command = [str(python), "-m", "benchmarks.peers.client", peer.adapter, "describe"]
    try:
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=60, env=surroundings(setting, port)
        )
    except subprocess.SubprocessError as error:
        said = str(getattr(error, "stderr", "") or error).strip()
        raise CaseFailed(said.splitlines()[-1]) from error
    return Described(**json.loads(done.stdout))


def surroundings(setting: str, port: int = 0, path: Path | None = None) -> dict[str, str]:
    """The environment variables of a library's processes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TYPEDGATOR", "PYTHON"))}
    return kept | {
        "PYTHONPATH": str(ROOT),
        "TYPEDGATOR_PEERS_SETTING": setting,
        "TYPEDGATOR_PEERS_PORT": str(port),
        effects.PATH: str(path or ""),
    }


class Case:
    """What is started in it ends with it. Raises CaseFailed when that takes longer than `most_s`."""

    def __init__(self, peer: Peer, python: Path, settings: Mapping[str, Described], port: int, most_s: float) -> None:
        self.peer, self.python, self.settings, self.port = peer, python, settings, port
        self.work: Final = Work(port)
        self.most_s: Final = most_s
        self.foreign = 0.0
        self.late = threading.Event()
        self._lock = threading.RLock()
        self._started: list[subprocess.Popen[str]] = []
        self._talking: list[subprocess.Popen[str]] = []
        self._orphans_s = 0.0
        shared = Path("/dev/shm")
        self._folder = tempfile.TemporaryDirectory(prefix="peers-", dir=shared if shared.is_dir() else None)
        self._path = Path(self._folder.name) / "effects"
        self.effects = Effects.create(self._path, 1)

    def __enter__(self) -> Self:
        self.work.clear()
        self._before = busy_s(), own_s() + self.work.cpu_s(), time.monotonic()
        self._timer = threading.Timer(self.most_s, self._end)
        self._timer.daemon = True
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self.stop()
        for process in self._talking:  # here, because the timer's thread may not close what this one reads
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()
        busy, own, began = self._before
        own = own_s() + self.work.cpu_s() + self._orphans_s - own
        self.foreign = foreign_cores(busy_s() - busy, own, time.monotonic() - began)
        self.work.close()
        self._folder.cleanup()

    def _end(self) -> None:
        self.late.set()
        self.stop()

    def check(self) -> None:
        """Raises CaseFailed when the time is over or a process ended by itself."""
        if self.late.is_set():
            raise CaseFailed(f"it took longer than {self.most_s:.0f} s")
        for process in self._started:
            if process.poll() is not None:
                raise CaseFailed(f"{self._last_words()} (exit code {process.returncode})")

    def _last_words(self) -> str:
        lines = (self._path.with_name("stderr")).read_text(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "it ended without a word"

    def start(self, words: Sequence[str], setting: str, *, talks: bool = False) -> subprocess.Popen[str]:
        """A process group of its own."""
        with self._lock, self._path.with_name("stderr").open("a") as errors:
            self.check()  # what were started after the end, nobody would stop
            process = subprocess.Popen(
                words,
                cwd=self._folder.name,
                env=surroundings(setting, self.port, self._path),
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talks else errors,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
            self._started.append(process)
            if talks:
                self._talking.append(process)
        return process

    def stop(self) -> None:
        """Kills what was started."""
        with self._lock:
            while self._started:
                process = self._started.pop()
                cpu = tree_cpu(process.pid)
                self._orphans_s += sum(cpu.values()) - cpu.get(process.pid, 0.0)
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def ends(self, process: subprocess.Popen[str]) -> None:
        """Waits for one that ends by itself."""
        self._started.remove(process)
        process.wait()

    # ---- jobs and workers

    def fresh(self, jobs: int) -> None:
        """So many jobs, of which none ran."""
        self.effects = Effects.create(self._path, jobs)

    def fill(self, kind: str, jobs: int) -> None:
        """Enqueues them, and goes."""
        self.fresh(jobs)
        with Client(self) as client:
            client.ask("fill", kind, jobs)

    def worker(self, setting: str, processes: int = 1) -> list[int]:
        """Started; the pids."""
        command = self.settings[setting].workers[str(processes)]
        words, copies = cast(list[str], command["words"]), cast(int, command["copies"])
        return [self.start(words, setting).pid for _ in range(copies)]

    def cpu(self, pids: Sequence[int]) -> dict[int, float]:
        """Seconds by process, descendants as well."""
        return {pid: cpu for root in pids for pid, cpu in tree_cpu(root).items()}

    def until_first(self) -> None:
        """Returns when the first job ran."""
        while not any(self.effects.processes[::2]):
            self.check()
            time.sleep(POLL_S)

    def until_all(self, jobs: int, *, ended: bool = False) -> None:
        """Returns when all ran (`ended`: to their end) and their outcomes had time to be written.

        Raises CaseFailed when one ran twice.
        """
        marks = self.effects.ends if ended else self.effects.starts
        for number in range(jobs):
            while not marks[number]:
                self.check()
                time.sleep(POLL_S)
        time.sleep(SETTLE_S)
        if twice := sum(self.effects.again):
            raise CaseFailed(f"{twice} of {jobs} jobs ran more than once")


class Client:
    """A process that enqueues, in the best setting, until the end of the block."""

    def __init__(self, case: Case) -> None:
        self.case: Final = case
        words = [str(case.python), "-m", "benchmarks.peers.client", case.peer.adapter, "enqueue"]
        self.process: Final = case.start(words, "best", talks=True)
        self._answer()

    def ask(self, do: str, kind: str, jobs: int, first: int = 0) -> dict[str, object]:
        """One order and its answer."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # the answer says why
            self.process.stdin.write(json.dumps({"do": do, "kind": kind, "first": first, "jobs": jobs}) + "\n")
            self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, object]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.case.check()
            raise CaseFailed("its client ended")
        return cast(dict[str, object], json.loads(line))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            assert self.process.stdin is not None
            self.process.stdin.close()
            self.case.ends(self.process)
