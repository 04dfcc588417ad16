"""A moto server as a real process on a free loopback port: started, stopped, its clock held, its faults asked for."""

import json
import subprocess
import sys
import time
from http.client import HTTPConnection, HTTPException
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pytest

from tests.integration.redis.servers import free_port
from typedgator.testing.clock import FakeClock

__all__ = ["Server", "ServersClock", "needs_sqs"]

START_S: Final = 30
PROGRAM: Final = Path(__file__).with_name("served.py")
needs_sqs: Final = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("boto3", "moto", "flask_cors")), reason="moto[server] is not installed"
)
_names: Final = count()


class Server:
    """One server; it forgets all when it ends."""

    def __init__(self) -> None:
        self.port: int = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def dsn(self, prefix: str | None = None, more: str = "&poll=1") -> str:
        """A place that nobody used, unless named."""
        return f"sqs://eu-central-1/{prefix or f'test-{next(_names)}'}?endpoint_url={self.url}{more}"

    def start(self) -> Self:
        """Returns when it answers."""
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(self.port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        ends = time.monotonic() + START_S
        while True:
            try:
                return self.go_on()
            except (OSError, HTTPException):
                assert self._process.poll() is None, "the moto server ended"
                assert time.monotonic() < ends, "the moto server does not answer"
                time.sleep(0.05)

    def stop(self) -> None:
        """It is gone, with all that it kept."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def hold(self, now_ms: int) -> Self:
        """Its clock stands still at this time."""
        return self._put("/clock", str(now_ms))

    def go_on(self) -> Self:
        """Its clock is the machine's."""
        return self._put("/clock", "")

    def fail(self, *faults: dict[str, object]) -> Self:
        """What the next requests take; see served.py."""
        return self._put("/faults", json.dumps(faults))

    def _put(self, path: str, body: str) -> Self:
        line = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            line.request("PUT", path, body)
            line.getresponse().read()
        finally:
            line.close()
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


class ServersClock(FakeClock):
    """A clock that a test moves, and the server's with it. It starts with today: older messages are forgotten."""

    def __init__(self, server: Server) -> None:
        super().__init__(time.time_ns() // 1_000_000_000 * 1000)
        self._server = server
        server.hold(self.now_ms())

    def advance(self, ms: int) -> None:
        """Moves both."""
        super().advance(ms)
        self._server.hold(self.now_ms())
