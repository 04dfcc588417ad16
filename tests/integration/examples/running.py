"""An example as its reader has it: a folder of its own, one command, requests over HTTP, Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from shutil import copytree, ignore_patterns
from threading import Thread
from types import TracebackType
from typing import Any, Final, Self

from tests.integration.redis.servers import free_port, until

ROOT: Final = Path(__file__).resolve().parents[3]
PATIENCE: Final = 45.0
MINUTES: Final = 300.0
"""For pip."""
MADE: Final = ignore_patterns(".venv", "data", "mail", "*.db*", "__pycache__")


class Answer:
    """What came back."""

    def __init__(self, status: int, content: bytes, url: str) -> None:
        self.status: Final = status
        self.content: Final = content
        self.url: Final = url

    def json(self) -> Any:
        """As JSON."""
        return json.loads(self.content)


def copied(name: str, folder: Path) -> Path:
    """A copy of one of `examples/`, without what it made."""
    return Path(copytree(ROOT / "examples" / name, folder / name, ignore=MADE))


class Example:
    """A folder of `examples/`, started by its command; `with` ends it as Ctrl-C does.

    It runs in this environment, instead of one of its own, unless `is_alone`.
    """

    def __init__(
        self, folder: Path, ready: str, *, env: Mapping[str, str] | None = None, is_alone: bool = False
    ) -> None:
        self.folder: Final = folder
        self._is_alone = is_alone
        self.port: Final = free_port()
        self._ready = ready
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TYPEDGATOR_")}
        self.env: Final = {**clean, "PYTHONUNBUFFERED": "1", **(env or {})}
        self.said: Final[list[str]] = []
        self._processes: list[subprocess.Popen[str]] = []
        self._browser: Final = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())

    def __enter__(self) -> Self:
        try:
            self.run()
            patience = MINUTES if self._is_alone else PATIENCE
            until(lambda: any(self._ready in line for line in self._heard()), f"{self._ready!r} is not said", patience)
            until(lambda: self.ask("/jobs/none"), "it does not answer", PATIENCE)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        codes = self.end()
        if kind is None:
            assert all(code in {0, 2, -signal.SIGINT} for code in codes), f"{codes}\n{''.join(self.said)}"

    def run(self) -> None:
        """Its one command."""
        self.make("run")

    def make(self, target: str) -> None:
        """`make TARGET`."""
        here = () if self._is_alone else (f"BIN={Path(sys.executable).parent}",)
        self.start("make", "--no-print-directory", target, f"PORT={self.port}", *here)

    def start(self, *command: str) -> None:
        """A command in its folder."""
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a terminal of its own: Ctrl-C reaches all of it, and none of the tests
        )
        self._processes.append(process)
        Thread(target=self._listen, args=(process,), daemon=True).start()

    def end(self) -> list[int]:
        """Ctrl-C; the exit codes. Who stays is killed."""
        for process in self._processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
        try:
            return [process.wait(PATIENCE) for process in self._processes]
        finally:
            for process in self._processes:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                assert process.stdout is not None
                process.stdout.close()

    def ask(self, path: str, content: bytes | None = None, **headers: str) -> Answer:
        """GET, or POST when there is content; redirects are followed."""
        url = f"http://127.0.0.1:{self.port}{path}"
        try:
            with self._browser.open(urllib.request.Request(url, content, headers), timeout=PATIENCE) as answer:
                return Answer(answer.status, answer.read(), answer.url)
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read(), url)

    def waits(self, found: Callable[[], object], what_else: str) -> None:
        """Until it is found; what the example said is in the failure."""
        try:
            until(found, what_else, PATIENCE)
        except AssertionError as error:
            raise AssertionError(f"{what_else}\n{''.join(self.said)}") from error

    def _heard(self) -> list[str]:
        dead = [process.returncode for process in self._processes if process.poll() is not None]
        assert not dead, f"it ended with {dead}\n{''.join(self.said)}"
        return self.said

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with suppress(ValueError):  # closed at the end
            self.said.extend(process.stdout)
