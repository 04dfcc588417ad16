"""Real redis-server processes on free loopback ports and unix sockets, in folders of their own, killed for real."""

import socket
import subprocess
import tempfile
import time
from pathlib import Path
from shutil import which
from types import TracebackType
from typing import Final, Self

import pytest

__all__ = ["Server", "free_port", "needs_redis"]

EXECUTABLE: Final = which("redis-server") or ""
START_S: Final = 10
needs_redis: Final = pytest.mark.skipif(not EXECUTABLE, reason="redis-server was not found")


class Server:
    """One redis-server; `kill` and `start` again over the same files and the same port."""

    def __init__(self, *, appendfsync: str | None = None, settings: tuple[str, ...] = ()) -> None:
        """No persistence unless `appendfsync` (`always`, `everysec`) is said."""
        self._folder = tempfile.TemporaryDirectory(prefix="typedgator-redis-")
        self.folder: Path = Path(self._folder.name)
        self.path: Path = self.folder / "redis.sock"
        self.port: int = free_port()
        kept = ["--appendonly", "yes", "--appendfsync", appendfsync] if appendfsync else ["--appendonly", "no"]
        self._command = [
            *(EXECUTABLE, "--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", str(self.path)),
            *("--dir", str(self.folder), "--save", "", *kept, *settings),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        """Over TCP."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def unix_dsn(self) -> str:
        """Over the socket."""
        return f"unix://{self.path}?db=0"

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None, "it is not started"
        return self._process.pid

    def start(self) -> Self:
        """Returns when it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ends = time.monotonic() + START_S
        while b"PONG" not in self._ping():
            assert self._process.poll() is None, f"redis-server ended with {self._process.returncode}"
            assert time.monotonic() < ends, "redis-server does not answer"
        return self

    def _ping(self) -> bytes:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=0.2) as line:
                line.sendall(b"PING\r\n")
                return line.recv(64)
        except OSError:
            return b""

    def kill(self) -> None:
        """SIGKILL: no farewell."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._folder.cleanup()


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        port: int = line.getsockname()[1]
        return port
