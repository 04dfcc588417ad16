"""Where a campaign is played: the servers, what stands before them, and the DSN for workers and producers.

`direct` is the DSN for the one who looks: no fault stands between.
"""

import os
import sqlite3
import subprocess
from contextlib import ExitStack, closing
from pathlib import Path
from shutil import which
from types import TracebackType
from typing import Final, Self

from tests.integration.chaos.proxy import Proxy
from tests.integration.redis.servers import EXECUTABLE, Cluster, Sentinels, Server, free_port

__all__ = ["PEERS", "STAGES", "ClusterStage", "SentinelStage", "SingleStage", "SqliteStage", "Stage", "clock_shim"]

NAMESPACE: Final = "chaos"
TIMEOUT: Final = "timeout=2"
LOCKED_S: Final = 0.5
PEERS: Final = "127.0.0.2"
"""From where servers and sentinels connect to each other, so that a proxy can tell them from clients."""


class Stage:
    """A context: inside, the servers run."""

    name = ""
    dsn = ""
    direct = ""
    replicated = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stack = ExitStack()

    @property
    def server(self) -> Server:
        """Who serves the namespace now."""
        raise NotImplementedError(f"there is no server in {self.name}")

    def build(self) -> None:
        """Starts everything."""

    def is_locked(self) -> bool:
        """Whether somebody who is stopped now keeps all others from writing."""
        return False

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.stack = stack
            self.build()
            self.stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stack.close()


class SqliteStage(Stage):
    """A file."""

    name = "sqlite"

    def build(self) -> None:
        self.file = self.folder / "queue.db"
        self.dsn = self.direct = f"sqlite:///{self.file}"

    def is_locked(self) -> bool:
        """He was stopped within a transaction."""
        with closing(sqlite3.connect(self.file, timeout=LOCKED_S, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
            connection.execute("ROLLBACK")
            return False


class MovedServer(Server):
    """A redis-server whose clock can be set."""

    def __init__(self, shim: Path | None, *, settings: tuple[str, ...] = ()) -> None:
        super().__init__(appendfsync="always", settings=settings)
        self._shim = shim
        self._offset = self.folder / "clock-offset"
        self.step(0.0)

    def step(self, seconds: float) -> None:
        """From now on its clock is so far ahead, below 0 behind, of the machine's."""
        with self._offset.open("r+b" if self._offset.exists() else "w+b") as file:
            file.write(int(seconds * 1_000_000).to_bytes(8, "little", signed=True))

    def launch(self) -> None:
        """Under the shim, where there is one."""
        before = {name: os.environ.get(name) for name in ("LD_PRELOAD", "CLOCK_OFFSET")}
        if self._shim is not None:
            os.environ.update(LD_PRELOAD=str(self._shim), CLOCK_OFFSET=str(self._offset))
        try:
            super().launch()
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


def clock_shim(folder: Path) -> Path | None:
    """clock.c as a library; None where nothing compiles C."""
    compiler = which("cc") or which("gcc") or which("clang")
    if compiler is None:
        return None
    made = folder / "clock.so"
    source = Path(__file__).with_name("clock.c")
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", str(made), str(source), "-ldl"], check=True)
    return made


class SingleStage(Stage):
    """One server that writes each command to the disk, behind a proxy."""

    name = "single"

    def build(self) -> None:
        self.shim = clock_shim(self.folder)
        self._server = self.stack.enter_context(MovedServer(self.shim))
        self.proxy = self.stack.enter_context(Proxy(self._server.port))
        self.dsn = f"redis://127.0.0.1:{self.proxy.port}/0?{TIMEOUT}&namespace={NAMESPACE}"
        self.direct = f"redis://127.0.0.1:{self._server.port}/0?namespace={NAMESPACE}"

    @property
    def server(self) -> MovedServer:
        """The one."""
        return self._server


class ProxiedSentinels(Sentinels):
    """Every server stands behind a proxy, which is all that the others know of it."""

    def __init__(self, **said: object) -> None:
        super().__init__(**said, sentinel_settings=(f"bind-source-addr {PEERS}", "sentinel announce-ip 127.0.0.1"))  # type: ignore[arg-type]
        self.proxies: dict[int, Proxy] = {}
        for server in self.servers:
            inner = free_port()
            announced = ("--replica-announce-ip", "127.0.0.1", "--replica-announce-port", str(server.port))
            listening = (EXECUTABLE, "--port", str(inner), "--bind", "127.0.0.1", "--bind-source-addr", PEERS)
            rest = ("--dir", str(server.folder), "--save", "", "--appendonly", "yes", "--appendfsync", "always")
            server.become((*listening, *rest, *announced, *server.settings))
            self.proxies[server.port] = Proxy(inner, port=server.port)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for proxy in self.proxies.values():
                stack.enter_context(proxy)
            super().__enter__()
            self._proxies = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(None, None, None)
        self._proxies.close()


class SentinelStage(Stage):
    """A master and two replicas behind proxies, three sentinels."""

    name = "sentinel"
    replicated = True

    def build(self) -> None:
        self.watched = self.stack.enter_context(ProxiedSentinels(replicas=2))
        self.dsn = f"{self.watched.dsn}?{TIMEOUT}&namespace={NAMESPACE}"
        self.direct = self.dsn

    @property
    def server(self) -> Server:
        """The master."""
        return self.watched.master


class ClusterStage(Stage):
    """Three masters with a replica each."""

    name = "cluster"
    replicated = True

    def build(self) -> None:
        self.cluster = self.stack.enter_context(Cluster(masters=3, replicas=1, appendfsync="always"))
        self.slot = self.cluster.slot(NAMESPACE)
        self.dsn = f"{self.cluster.dsn}?{TIMEOUT}&namespace={NAMESPACE}"
        self.direct = self.dsn

    @property
    def server(self) -> Server:
        """Who has the slot."""
        return self.cluster.owner(self.slot)


STAGES: Final[dict[str, type[Stage]]] = {
    stage.name: stage for stage in (SingleStage, SentinelStage, ClusterStage, SqliteStage)
}
