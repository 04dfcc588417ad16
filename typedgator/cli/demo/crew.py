"""The demo's worker processes: real ones, started by the command that is shown, and stopped, whatever happens."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from typedgator.backends.contract import WorkerId
from typedgator.cli.demo.tasks import FOLDER
from typedgator.cli.endings import Refusal

__all__ = ["LEASE_SECONDS", "SHOWN_COMMAND", "Hand"]

LEASE_SECONDS: Final = 5
_SPEC: Final = "typedgator.cli.demo.tasks:gator"
_ARGUMENTS: Final = ("worker", _SPEC, "--lease", str(LEASE_SECONDS))
SHOWN_COMMAND: Final = " ".join(("typedgator", *_ARGUMENTS))
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 15.0
_LOOK_SECONDS: Final = 0.01


class Hand:
    """One worker process."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name: Final = name
        self._folder = folder
        self.log: Final = folder / f"worker-{name}.log"
        # The end of its standard input stops it, should the demo be killed.
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 # this very program
                [sys.executable, "-W", "ignore", "-m", "typedgator", *_ARGUMENTS, "--supervised"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, FOLDER: str(folder)},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def identity(self) -> WorkerId:
        """Under which identity it works; waits until it has joined. Raises Refusal when it does not."""
        said = self._folder / f"{self.pid}.worker"
        deadline = time.monotonic() + _START_SECONDS
        while not said.exists():
            self.must_live()
            if time.monotonic() > deadline:
                raise Refusal(f"worker {self.name} did not start within {_START_SECONDS:.0f} s: {self._last_words()}")
            time.sleep(_LOOK_SECONDS)
        return WorkerId(said.read_text(encoding="ascii"))

    def must_live(self) -> None:
        """Raises Refusal when it has ended."""
        code = self._process.poll()
        if code is not None:
            raise Refusal(f"worker {self.name} ended with exit code {code}: {self._last_words()}")

    def freeze(self) -> None:
        """Makes it stand still, so that what it holds can be counted."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Undoes `freeze`."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> int:
        """SIGKILL: nothing of it can react. Its exit code."""
        self._process.kill()
        return self._process.wait()

    def dismiss(self) -> None:
        """Stops it: asked first, killed when it does not hear."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _last_words(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "it said nothing")
