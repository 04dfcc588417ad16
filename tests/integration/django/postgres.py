"""A real PostgreSQL of the tests' own: in a folder of its own, on a free loopback port, killed for real."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pytest

from tests.integration.redis.servers import free_port

__all__ = ["Postgres", "needs_postgres"]

START_S: Final = 30
DATABASES: Final = ("site", "other")


def _executables() -> str:
    """The folder with `initdb` and `postgres`: on the PATH, or where Debian keeps them; "" when there is none."""
    found = shutil.which("postgres")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -int(path.parent.name))
    return next((str(folder) for folder in folders if (folder / "initdb").exists()), "")


def _account() -> str | None:
    """PostgreSQL refuses to run as root: whom it runs as then. None: as whoever runs the tests."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


BIN: Final = _executables()
WHY_NOT: Final = (
    "PostgreSQL was not found: apt-get install postgresql"
    if not BIN
    else "there is no driver for PostgreSQL: pip install 'psycopg[binary]'"
    if find_spec("psycopg") is None
    else ""
)
needs_postgres: Final = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)


class Postgres:
    """One server with two empty databases, `site` and `other`; `kill` and `start` again over the same files."""

    def __init__(self) -> None:
        self._account = _account()
        self._folder = tempfile.TemporaryDirectory(prefix="typedgator-postgres-")
        self.folder = Path(self._folder.name)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        if self._account is not None:
            shutil.chown(self.folder, self._account)
        self._run(
            "initdb", "--pgdata", str(self.folder / "data"), "--auth", "trust", "--username", "tester", "--no-sync"
        )

    def settings(self, **more: object) -> str:
        """Lines for Django's settings."""
        each = {"ENGINE": "django.db.backends.postgresql", "HOST": "127.0.0.1", "PORT": self.port, "USER": "tester"}
        names = zip(("default", "other"), DATABASES, strict=True)
        return f"DATABASES = { {alias: {**each, **more, 'NAME': name} for alias, name in names}!r}\n"

    def start(self) -> Self:
        """Returns when it answers."""
        self._process = subprocess.Popen(
            [
                *(f"{BIN}/postgres", "-D", str(self.folder / "data"), "-k", str(self.folder)),
                *("-h", "127.0.0.1", "-p", str(self.port), "-c", "fsync=off"),
            ],
            user=self._account,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        ends = time.monotonic() + START_S
        while not self._answers():
            assert self._process.poll() is None, f"postgres ended with {self._process.returncode}"
            assert time.monotonic() < ends, "postgres does not answer"
        return self

    def ask(self, query: str, database: str = "postgres") -> str:
        """What one statement gives, unaligned."""
        at = ("-h", "127.0.0.1", "-p", str(self.port), "-U", "tester", "-d", database)
        return self._run("psql", "-qAtX", "-v", "ON_ERROR_STOP=1", *at, "-c", query).strip()

    def kill(self) -> None:
        """SIGQUIT: at once, without a farewell to anyone. SIGKILL would leave its children."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        with socket.socket() as line:
            if line.connect_ex(("127.0.0.1", self.port)):
                return False
        ready = [f"{BIN}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(ready, check=False).returncode == 0

    def _run(self, program: str, *arguments: str) -> str:
        command = [f"{BIN}/{program}", *arguments]
        done = subprocess.run(command, user=self._account, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def __enter__(self) -> Self:
        self.start()
        for name in DATABASES:
            self.ask(f"CREATE DATABASE {name}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._folder.cleanup()
