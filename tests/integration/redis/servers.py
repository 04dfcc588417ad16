"""Real redis-server processes on free loopback ports and unix sockets, in folders of their own, killed for real.

`Server` is one of them; `Sentinels` are a master, replicas and the sentinels that watch them; `Cluster` is several
masters, each with replicas.
"""

import os
import random
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from shutil import which
from types import TracebackType
from typing import Final, Self, TypeVar

import pytest
from redis.connection import Connection
from redis.exceptions import RedisError

__all__ = ["Cluster", "Sentinels", "Server", "free_port", "narrow", "needs_redis", "needs_tls", "until"]

T = TypeVar("T")
EXECUTABLE: Final = which("redis-server") or ""
START_S: Final = 10
CHANGE_S: Final = 45
"""A failover takes two seconds; sentinels that were kept from the processor wait half a minute before they dare."""
SLOTS: Final = 16384
PORTS: Final = (20_000, 32_000)
"""Below those that Linux gives to connections."""
DICE: Final = random.SystemRandom()
"""Not the generator that hypothesis seeds alike in processes that run side by side."""
needs_redis: Final = pytest.mark.skipif(not EXECUTABLE, reason="redis-server was not found")


class Server:
    """One redis-server; `kill` and `start` again over the same files and the same port."""

    def __init__(
        self, *, appendfsync: str | None = None, settings: tuple[str, ...] = (), password: str | None = None
    ) -> None:
        """No persistence unless `appendfsync` (`always`, `everysec`) is said; `password` is for `ask`."""
        self._folder = tempfile.TemporaryDirectory(prefix="typedgator-redis-")
        self.folder: Path = Path(self._folder.name)
        self.path: Path = self.folder / "redis.sock"
        self.port: int = free_port()
        self.password = password
        self.settings = settings
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

    def become(self, command: tuple[str, ...]) -> None:
        """What `start` starts instead."""
        self._command = list(command)

    @property
    def running(self) -> bool:
        """The process was started, and nobody killed it."""
        return self._process is not None

    def start(self) -> Self:
        """Returns when it answers."""
        self.launch()
        self.answers()
        return self

    def launch(self) -> None:
        """Returns at once."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers(self) -> None:
        """Returns when it answers."""
        assert self._process is not None, "it is not started"
        ends = time.monotonic() + START_S
        while not self._ping().startswith((b"+PONG", b"-NOAUTH")):
            assert self._process.poll() is None, f"redis-server ended with {self._process.returncode}"
            assert time.monotonic() < ends, "redis-server does not answer"

    def _ping(self) -> bytes:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=0.2) as line:
                line.sendall(b"PING\r\n")
                return line.recv(64)
        except OSError:
            return b""

    def ask(self, *words: bytes | str | int, timeout_s: float = 5) -> object:
        """One command on a connection of its own, and its answer."""
        line = Connection(
            host="127.0.0.1",
            port=self.port,
            password=self.password,
            protocol=2,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
        )
        try:
            line.connect()
            line.send_command(*words)
            return line.read_response()
        finally:
            line.disconnect()

    def info(self, section: str) -> dict[str, str]:
        """A section of INFO."""
        answer = self.ask("INFO", section)
        assert isinstance(answer, bytes)
        return dict(line.split(":", 1) for line in answer.decode().splitlines() if ":" in line)

    def pause(self) -> None:
        """SIGSTOP: it is there, and says nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

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


def narrow(user: str) -> list[str]:
    """ACL SETUSER of a user with password `pw` and the rights that docs/internals/redis.md asks for."""
    rules = "~tg:* +@read +@write +@scripting +@connection -@dangerous +time +info +role +client|unblock"
    return ["ACL", "SETUSER", user, "on", ">pw", *rules.split()]


class Sentinels:
    """A master, `replicas` of it, and three sentinels that make one of those master when it is gone.

    `with Sentinels() as watched:` returns when all know each other. `watched.dsn` is for typedgator; `kill_master()`
    and `failed_over()` are a failover; `start()` of a killed server brings it back, as a replica.
    """

    SERVICE: Final = "jobs"

    def __init__(
        self,
        *,
        replicas: int = 1,
        down_after_ms: int = 700,
        appendfsync: str | None = None,
        settings: tuple[str, ...] = (),
        sentinel_settings: tuple[str, ...] = (),
        password: str | None = None,
        sentinel_password: str | None = None,
    ) -> None:
        """`sentinel_settings` are lines of a sentinel's configuration."""
        if password is not None:
            settings = (*settings, "--requirepass", password, "--masterauth", password)
        settings = (*settings, "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
        self._stack = ExitStack()
        self.servers = [
            Server(appendfsync=appendfsync, settings=settings, password=password) for _ in range(1 + replicas)
        ]
        self.sentinels: list[Server] = []
        first = self.servers[0]
        watched = [
            f"sentinel monitor {self.SERVICE} 127.0.0.1 {first.port} 2",
            f"sentinel down-after-milliseconds {self.SERVICE} {down_after_ms}",
            f"sentinel failover-timeout {self.SERVICE} 3000",
            *([f"sentinel auth-pass {self.SERVICE} {password}"] if password else []),
            *([f"requirepass {sentinel_password}"] if sentinel_password else []),
            *sentinel_settings,
        ]
        for _ in range(3):
            sentinel = Server(password=sentinel_password)
            written = sentinel.folder / "sentinel.conf"
            written.write_text("\n".join((f"port {sentinel.port}", f"dir {sentinel.folder}", *watched)) + "\n")
            sentinel.become((EXECUTABLE, str(written), "--sentinel", "--bind", "127.0.0.1"))
            self.sentinels.append(sentinel)

    @property
    def dsn(self) -> str:
        """All sentinels, the service, database 0; no password."""
        return f"redis+sentinel://{self.addresses}/{self.SERVICE}/0"

    @property
    def addresses(self) -> str:
        """The sentinels."""
        return ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)

    @property
    def master(self) -> Server:
        """Which one the sentinels that run say is the master."""
        sentinel = next(each for each in self.sentinels if each.running)
        answer = sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.SERVICE)
        assert isinstance(answer, list)
        return next(server for server in self.servers if server.port == int(answer[1]))

    @property
    def replicas(self) -> list[Server]:
        """All that run and are not the master."""
        master = self.master
        return [server for server in self.servers if server.running and server is not master]

    def kill_master(self) -> Server:
        """SIGKILL; the one that was it."""
        master = self.master
        master.kill()
        return master

    def failed_over(self, old: Server) -> Server:
        """Returns when another one is master and says so itself, and all sentinels know."""

        def changed() -> Server | None:
            said = {
                sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.SERVICE)[1]  # type: ignore[index]  # two words
                for sentinel in self.sentinels
                if sentinel.running
            }
            server = next((each for each in self.servers if {b"%d" % each.port} == said), None)
            if server is None or server is old or server.info("replication")["role"] != "master":
                return None
            return server

        return until(changed, "no other server was made master")

    def in_step(self) -> None:
        """Returns when each server that runs follows the master and has all that it has.

        Only sentinels tell an old master whom to follow, and those that hesitate may be held up once more meanwhile.
        """
        try:
            until(self._in_step, "the replicas do not follow the master", 2 * CHANGE_S)
        except AssertionError as error:
            error.add_note(f"sentinels in TILT: {self._hesitating()}")
            raise

    def _hesitating(self) -> int:
        """How many sentinels trust no clock, and so do nothing, for 30 s: they were held up for more than two."""
        return sum(sentinel.info("sentinel")["sentinel_tilt"] == "1" for sentinel in self.sentinels if sentinel.running)

    def _in_step(self) -> bool:
        facts = self.master.info("replication")
        states = [each.info("replication") for each in self.replicas]
        return facts["role"] == "master" and all(
            state["role"] == "slave"
            and state["master_link_status"] == "up"
            and state["master_port"] == str(self.master.port)
            and int(state["slave_repl_offset"]) >= int(facts["master_repl_offset"])
            for state in states
        )

    def _acquainted(self) -> bool:
        for sentinel in self.sentinels:
            answer = sentinel.ask("SENTINEL", "MASTER", self.SERVICE)
            assert isinstance(answer, list)
            facts = dict(zip(answer[::2], answer[1::2], strict=True))
            known = int(facts[b"num-slaves"]), int(facts[b"num-other-sentinels"])
            if known != (len(self.servers) - 1, len(self.sentinels) - 1) or facts[b"flags"] != b"master":
                return False
        return True

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for server in (*self.servers, *self.sentinels):
                stack.push(server.__exit__)
            for server in self.servers:
                server.launch()
            for server in self.servers:
                server.answers()
            for server in self.servers[1:]:
                server.ask("REPLICAOF", "127.0.0.1", self.servers[0].port)
            for sentinel in self.sentinels:
                sentinel.start()
            until(self._acquainted, "the sentinels do not know each other and the replicas")
            self.in_step()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


class Cluster:
    """`masters` servers that share the slots, and `replicas` of each.

    `with Cluster() as cluster:` returns when the cluster is well. `cluster.dsn` is for typedgator, `owner(slot)` is who
    has a slot, `migrate(slot, to)` moves it key by key, `failed_over(master)` waits after a kill.
    """

    def __init__(
        self,
        *,
        masters: int = 3,
        replicas: int = 0,
        node_timeout_ms: int = 2000,
        appendfsync: str | None = None,
        settings: tuple[str, ...] = (),
        password: str | None = None,
    ) -> None:
        if password is not None:
            settings = (*settings, "--requirepass", password, "--masterauth", password)
        settings = (
            *(*settings, "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"),
            *("--cluster-enabled", "yes", "--cluster-node-timeout", str(node_timeout_ms)),
            *("--cluster-replica-validity-factor", "0", "--cluster-migration-barrier", "999"),
        )
        self._stack = ExitStack()
        self.servers = [
            Server(
                appendfsync=appendfsync,
                settings=(*settings, "--cluster-port", str(free_port())),
                password=password,
            )
            for _ in range(masters * (1 + replicas))
        ]
        self._masters = self.servers[:masters]

    @property
    def dsn(self) -> str:
        """All that run."""
        return f"redis+cluster://{self.addresses}"

    @property
    def addresses(self) -> str:
        """All that run."""
        return ",".join(f"127.0.0.1:{server.port}" for server in self.servers if server.running)

    def slot(self, namespace: str) -> int:
        """Where all of a gator's keys are."""
        answer = self._any.ask("CLUSTER", "KEYSLOT", "{" + namespace + "}")
        assert isinstance(answer, int)
        return answer

    def owner(self, slot: int) -> Server:
        """Who serves a slot, as a majority of those that run knows it."""
        said = [self._owner(slot, server) for server in self.servers if server.running]
        return max(said, key=said.count)

    @property
    def _any(self) -> Server:
        return next(server for server in self.servers if server.running)

    def _owner(self, slot: int, asked: Server) -> Server:
        answer = asked.ask("CLUSTER", "SLOTS")
        assert isinstance(answer, list)
        ports = [master[1] for first, last, master, *_ in answer if first <= slot <= last]
        return next((server for server in self.servers if server.port in ports), asked)

    def replicas(self, master: Server) -> list[Server]:
        """Those that run and follow this one."""
        return [
            server
            for server in self.servers
            if server.running
            and (facts := server.info("replication"))["role"] == "slave"
            and facts["master_port"] == str(master.port)
        ]

    def name(self, server: Server) -> str:
        """How the nodes call this one."""
        answer = server.ask("CLUSTER", "MYID")
        assert isinstance(answer, bytes)
        return answer.decode()

    @contextmanager
    def moving(self, slot: int, to: Server) -> "Iterator[Callable[[int], int]]":
        """The slot is on its way: call what this gives to move up to so many keys; how many moved is the answer."""
        source = self.owner(slot)
        to.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", self.name(source))
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", self.name(to))

        def move(keys: int) -> int:
            found = source.ask("CLUSTER", "GETKEYSINSLOT", slot, keys)
            assert isinstance(found, list)
            secret = () if source.password is None else ("AUTH", source.password)
            for key in found:
                source.ask("MIGRATE", "127.0.0.1", to.port, key, 0, 5000, *secret)
            return len(found)

        yield move
        while move(100):
            pass
        # In this order no node believes that nobody has it; keys that came meanwhile went to where they belong.
        others = [server for server in self.servers if server.running and server not in (source, to)]
        for server in (to, source, *(each for each in others if each.info("replication")["role"] == "master")):
            server.ask("CLUSTER", "SETSLOT", slot, "NODE", self.name(to))

    def migrate(self, slot: int, to: Server, *, between: Callable[[], object] = lambda: None) -> None:
        """Moves a slot key by key; `between` is called before each."""
        with self.moving(slot, to) as move:
            between()
            while move(1):
                between()

    def failed_over(self, old: Server, slot: int) -> Server:
        """Returns when all that run say that another has the slot, and that the cluster is well."""

        def changed() -> Server | None:
            server = self.owner(slot)
            return server if server is not old and self._well(masters_only=True) else None

        return until(changed, "no replica was made master")

    def in_step(self) -> None:
        """Returns when each replica has all that its master has."""
        until(self._in_step, "a replica does not follow its master")

    def _in_step(self) -> bool:
        facts = {server.port: server.info("replication") for server in self.servers if server.running}
        return all(
            fact["role"] == "master"
            or (
                fact["master_link_status"] == "up"
                and int(fact["slave_repl_offset"]) >= int(facts[int(fact["master_port"])]["master_repl_offset"])
            )
            for fact in facts.values()
        )

    def _well(self, *, masters_only: bool = False) -> bool:
        for server in self.servers:
            if server.running and not (masters_only and server.info("replication")["role"] == "slave"):
                answer = server.ask("CLUSTER", "INFO")
                assert isinstance(answer, bytes)
                if b"cluster_state:ok" not in answer or b"cluster_slots_ok:%d" % SLOTS not in answer:
                    return False
        return True

    def _acquainted(self) -> bool:
        return all(
            server.ask("CLUSTER", "INFO").count(b"cluster_known_nodes:%d\r" % len(self.servers))  # type: ignore[attr-defined]  # bytes
            for server in self.servers
        )

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for server in self.servers:
                stack.push(server.__exit__)
                server.launch()
            for server in self.servers:
                server.answers()
            self._form()
            self._stack = stack.pop_all()
        return self

    def _form(self) -> None:
        masters = self._masters
        bounds = [SLOTS * number // len(masters) for number in range(len(masters) + 1)]
        for number, server in enumerate(self.servers):
            server.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for master, first, end in zip(masters, bounds[:-1], bounds[1:], strict=True):
            master.ask("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        for server in self.servers[1:]:
            bus = server.settings[server.settings.index("--cluster-port") + 1]
            masters[0].ask("CLUSTER", "MEET", "127.0.0.1", server.port, bus)
        until(self._acquainted, "the nodes do not know each other")
        for number, server in enumerate(self.servers[len(masters) :]):
            server.ask("CLUSTER", "REPLICATE", self.name(masters[number % len(masters)]))
        until(self._well, "the cluster is not well")
        self.in_step()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def until(found: "Callable[[], T | None]", what_else: str, seconds: float = CHANGE_S) -> T:
    """Asks again until the answer is something; a server that does not answer has not said it yet."""
    ends = time.monotonic() + seconds
    while True:
        try:
            answer = found()
        except (RedisError, OSError):
            answer = None
        if answer:
            return answer
        assert time.monotonic() < ends, what_else
        time.sleep(0.02)  # so that the servers get the processor that this loop would take


def free_port() -> int:
    """A port of the loopback that nobody listens on, and that no connection gets as its own end: a server that was
    killed finds it free again.
    """
    while True:
        port = DICE.randrange(*PORTS)
        with socket.socket() as line, suppress(OSError):
            line.bind(("127.0.0.1", port))
            return port


def _lacks_tls() -> bool:
    """Asked of the server itself: it ends at once, for want of a certificate or of TLS."""
    if not EXECUTABLE:
        return True
    asked = [EXECUTABLE, "--port", "0", "--tls-port", str(free_port())]
    said = subprocess.run(asked, check=False, capture_output=True, timeout=START_S).stdout
    return b"No tls-cert-file" not in said


needs_tls: Final = pytest.mark.skipif(_lacks_tls(), reason="no redis-server with TLS was found")
