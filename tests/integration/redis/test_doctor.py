"""What the doctor says of a server is what becomes of it: real servers, killed and promoted for real."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.integration.chaos.proxy import Proxy
from tests.integration.redis.servers import Server, narrow, needs_redis, until
from tests.integration.redis.test_replicated import QUICK, in_step
from typedgator.backends.checkup import Checkup, Danger, Finding, Level, Loss
from typedgator.backends.connect import connect
from typedgator.backends.contract import ReceiptStatus
from typedgator.backends.redis import RedisBackend
from typedgator.errors import BackendUnavailable, NotReplicated
from typedgator.testing.contract import job

pytestmark = needs_redis
JOBS = 500
SNAPSHOTS: tuple[str, ...] = ("--save", "3600 1")


def reached(dsn: str) -> RedisBackend:
    """A backend by its DSN."""
    backend = connect(dsn)
    assert isinstance(backend, RedisBackend)
    return backend


def examined(dsn: str) -> Checkup:
    """What the doctor says."""
    with closing(reached(dsn)) as backend:
        return backend.examine()


def loss(checkup: Checkup, danger: Danger) -> Loss:
    """What it says of one danger."""
    (found,) = [each for each in checkup.losses if each.danger is danger]
    return found


def finding(checkup: Checkup, about: str) -> Finding:
    """What it says of one thing; the first, if there are several."""
    return next(each for each in checkup.findings if each.about == about)


def survivors(server: Server) -> int:
    """Of JOBS accepted jobs, those that are there after kill -9 and a restart."""
    with closing(reached(server.dsn)) as backend:
        for number in range(JOBS):
            assert backend.enqueue([job(number)])[0].status is ReceiptStatus.NEW
        server.kill()
        server.start()
        return sum(backend.find(job(number).job_id) is not None for number in range(JOBS))


class TestProcessCrash:
    """kill -9 of the server; its machine stays up."""

    @pytest.mark.parametrize("appendfsync", ["always", "everysec", "no"])
    def test_takes_nothing_from_an_append_only_file(self, appendfsync: str) -> None:
        """Whenever that is flushed: the system still has what was written."""
        with Server(appendfsync=appendfsync) as server:
            said = loss(examined(server.dsn), Danger.PROCESS)

            assert said.safe is True
            assert said.lost.startswith("nothing")
            assert survivors(server) == JOBS

    def test_takes_everything_where_nothing_is_kept(self) -> None:
        """No append-only file, no snapshots."""
        with Server() as server:
            said = loss(examined(server.dsn), Danger.PROCESS)

            assert said.safe is False
            assert said.lost == "everything: it keeps neither an append-only file nor snapshots"
            assert "appendonly yes" in said.remedy
            assert survivors(server) == 0

    def test_takes_what_came_after_the_last_snapshot(self) -> None:
        """The doctor counts the changes since; what came before comes back."""
        with Server(settings=SNAPSHOTS) as server, closing(reached(server.dsn)) as backend:
            backend.enqueue([job(JOBS + 1)])
            server.ask("SAVE")
            assert "0 changes" in loss(backend.examine(), Danger.PROCESS).lost
            backend.enqueue([job(JOBS + 2)])

            said = loss(backend.examine(), Danger.PROCESS)

            assert said.safe is False
            assert said.lost.startswith("everything since its last snapshot: ")
            assert "0 changes" not in said.lost
            assert survivors(server) == 0
            assert backend.find(job(JOBS + 1).job_id) is not None
            assert backend.find(job(JOBS + 2).job_id) is None


class TestHostCrash:
    """A power loss, which no test can do: what is flushed when, as the server is set."""

    @pytest.mark.parametrize(
        ("appendfsync", "settings", "safe", "says"),
        [
            ("always", (), True, "nothing, if the disk keeps"),
            ("always", ("--no-appendfsync-on-rewrite", "yes"), False, "while the append-only file was rewritten"),
            ("everysec", (), False, "the last second, two when the disk is slow"),
            ("no", (), False, "usually the last 30 s"),
            (None, (), False, "everything: it keeps neither"),
            (None, SNAPSHOTS, False, "everything since its last snapshot"),
        ],
    )
    def test_takes_what_was_not_flushed(
        self, appendfsync: str | None, settings: tuple[str, ...], safe: bool, says: str
    ) -> None:
        """And names the setting that would change it, where there is one."""
        with Server(appendfsync=appendfsync, settings=settings) as server:
            said = loss(examined(server.dsn), Danger.HOST)

        assert said.safe is safe
        assert says in said.lost
        assert bool(said.remedy) is not safe

    def test_is_not_guessed_where_config_is_refused(self) -> None:
        """A user of few rights: what INFO does not tell is unknown, and unknown is not safe."""
        with Server(appendfsync="always") as server:
            few = ("resetchannels", "-@all", "+@read", "+@write", "+@connection", "+info", "+time", "+dbsize", "+keys")
            server.ask("ACL", "SETUSER", "narrow", "on", ">secret", "~tg:{default}:*", *few)
            found = examined(server.dsn.replace("redis://", "redis://narrow:secret@"))

        assert loss(found, Danger.HOST).safe is None
        assert found.at_risk({Danger.HOST}) == [Danger.HOST]
        assert finding(found, "settings").level is Level.LOOK
        assert loss(found, Danger.PROCESS).safe is True


@pytest.fixture
def pair() -> Iterator[tuple[Server, Server]]:
    """A master and its replica, for one test."""
    with ExitStack() as stack:
        master = stack.enter_context(Server(settings=QUICK))
        replica = stack.enter_context(Server(settings=(*QUICK, "--replicaof", "127.0.0.1", str(master.port))))
        until(lambda: in_step(master), "the replica has what the master has")
        yield master, replica


class TestFailover:
    """The master is gone for good, and its replica is promoted."""

    def test_takes_nothing_that_was_promised_under_replicated(self, pair: tuple[Server, Server]) -> None:
        """Each job that a call returned for is on the replica when the master is killed at once."""
        master, replica = pair
        dsn = f"{master.dsn}?durability=replicated"
        said = loss(examined(dsn), Danger.FAILOVER)
        assert (said.safe, said.promised) == (True, True)

        with closing(reached(dsn)) as backend:
            for number in range(JOBS):
                backend.enqueue([job(number)])
            master.kill()
        replica.ask("REPLICAOF", "NO", "ONE")

        with closing(reached(replica.dsn)) as promoted:
            assert sum(promoted.find(job(number).job_id) is not None for number in range(JOBS)) == JOBS

    def test_takes_what_no_replica_has(self) -> None:
        """A partition between the two: under memory all that is accepted meanwhile is gone, under replicated nothing
        is accepted. The doctor counts what is not there yet."""
        with Server(settings=QUICK) as master, Proxy(master.port) as between:
            follows = ("--replicaof", "127.0.0.1", str(between.port))
            with Server(settings=(*QUICK, *follows)) as replica, closing(reached(master.dsn)) as backend:
                until(lambda: in_step(master), "the replica has what the master has")
                backend.enqueue([job(0)])
                until(lambda: in_step(master), "the replica has the first job")
                between.hold()
                for number in range(1, JOBS):
                    backend.enqueue([job(number)])
                careful = reached(f"{master.dsn}?durability=replicated&replica_timeout=0.1")
                with closing(careful), pytest.raises(NotReplicated):
                    careful.enqueue([job(JOBS)])

                said = loss(backend.examine(), Danger.FAILOVER)

                assert (said.safe, said.promised) == (False, False)
                assert int(said.lost.removeprefix("what no replica has yet: ").split()[0]) > JOBS * 50
                assert "durability=replicated" in said.remedy
                master.kill()
                replica.ask("REPLICAOF", "NO", "ONE")
                with closing(reached(replica.dsn)) as promoted:
                    there = [number for number in range(JOBS + 1) if promoted.find(job(number).job_id) is not None]
                assert there == [0]

    @pytest.mark.parametrize("durability", ["memory", "replicated"])
    def test_takes_everything_without_a_replica(self, pair: tuple[Server, Server], durability: str) -> None:
        """It is killed: the doctor notices, and only `replicated` promised otherwise."""
        master, replica = pair
        dsn = f"{master.dsn}?durability={durability}"
        assert finding(examined(dsn), "replica").level is Level.FINE
        replica.kill()
        until(lambda: master.info("replication")["connected_slaves"] == "0", "the master noticed")

        found = examined(dsn)

        said = loss(found, Danger.FAILOVER)
        assert said.safe is False
        assert said.lost.startswith("everything: no replica follows it")
        assert found.at_risk() == ([Danger.FAILOVER] if durability == "replicated" else [])
        assert finding(found, "replica").says == "none"

    def test_of_a_replica_is_asked_of_its_master(self, pair: tuple[Server, Server]) -> None:
        """A DSN that names a replica is wrong, and the doctor says whom to name."""
        master, replica = pair

        found = examined(replica.dsn)

        assert finding(found, "role").level is Level.WRONG
        assert str(master.port) in finding(found, "role").remedy
        assert loss(found, Danger.FAILOVER).safe is False


class TestFindings:
    """What else is looked at."""

    def test_a_server_in_order_has_nothing_wrong(self) -> None:
        """Its version, memory, disk, clock and keys."""
        with Server(appendfsync="always", settings=("--maxmemory", "200mb")) as server:
            with closing(reached(server.dsn)) as backend:
                backend.open()
                backend.enqueue([job(1)])
            found = examined(server.dsn)

        assert found.wrong() == []
        assert found.at_risk({Danger.PROCESS, Danger.HOST}) == []
        fine = ("version", "eviction", "memory", "role", "disk", "clock", "layout", "keys")
        assert {about: finding(found, about).level for about in fine} == dict.fromkeys(fine, Level.FINE)
        assert "of 200 MiB used" in finding(found, "memory").says
        assert finding(found, "keys").says == "all that must be true of 1 jobs is"

    def test_a_server_that_evicts_is_wrong(self) -> None:
        """What `open` refuses is examined, and told with the remedy; whoever insisted is only told."""
        with Server(settings=("--maxmemory-policy", "allkeys-lru")) as server:
            refused, insisted = examined(server.dsn), examined(f"{server.dsn}?allow_eviction=1")

        assert finding(refused, "eviction").level is Level.WRONG
        assert "noeviction" in finding(refused, "eviction").remedy
        assert finding(insisted, "eviction").level is Level.LOOK

    def test_full_memory_is_worth_a_look(self) -> None:
        """Before enqueue is refused."""
        with Server(settings=("--maxmemory", "1mb")) as server:
            assert "when it is full, enqueue is refused" in finding(examined(server.dsn), "memory").says

    def test_a_master_that_trusts_a_replica_blindly_is_worth_a_look(self, pair: tuple[Server, Server]) -> None:
        """`min-replicas-to-write 0`, and nothing on its own disk."""
        master, _ = pair
        says = [each.says for each in examined(master.dsn).findings if each.about == "replicas"]
        assert [each.partition(":")[0] for each in says] == ["min-replicas-to-write is 0", "it keeps nothing on disk"]

        master.ask("CONFIG", "SET", "min-replicas-to-write", "1")
        master.ask("CONFIG", "SET", "appendonly", "yes")

        assert not [each for each in examined(master.dsn).findings if each.about == "replicas"]

    def test_a_clock_that_is_apart_is_worth_a_look(self) -> None:
        """Delays and expiry go by the server's."""
        with Server() as server, closing(reached(server.dsn)) as backend:
            backend.caller.clock = Yesterday()
            assert finding(backend.examine(), "clock").says.startswith("864")

    def test_a_user_with_few_rights_is_told_what_was_not_looked_at(self) -> None:
        """Those of docs/internals/redis.md: no CONFIG, no KEYS; the other answers are there."""
        with Server() as server:
            server.ask(*narrow("ann"))
            checkup = examined(f"redis://ann:pw@127.0.0.1:{server.port}/0")

        assert finding(checkup, "keys").level is finding(checkup, "settings").level is Level.LOOK
        assert "KEYS is refused" in finding(checkup, "keys").says
        assert loss(checkup, Danger.PROCESS).safe is False

    def test_a_key_that_is_nobodys_is_wrong(self) -> None:
        """The audit of the namespace; not of one that is large, unless asked."""
        with Server() as server, closing(reached(server.dsn)) as backend:
            backend.enqueue([job(1)])
            server.ask("SET", "tg:{default}:stray", "1")

            assert finding(backend.examine(), "keys").says == "key 'stray' is nobody's"
            assert finding(backend.examine(audit=False), "keys").level is Level.LOOK
            server.ask("EVAL", "for n = 1, 20001 do redis.call('SET', 'other:' .. n, n) end", 0)
            assert finding(backend.examine(), "keys").says.startswith("not looked at: the server has 20")
            assert finding(backend.examine(audit=True), "keys").level is Level.WRONG

    def test_a_newer_layout_is_wrong(self) -> None:
        """As `open` would refuse it."""
        with Server() as server, closing(reached(server.dsn)) as backend:
            backend.open()
            server.ask("HSET", "tg:{default}:meta", "layout", "99")

            assert finding(backend.examine(), "layout").level is Level.WRONG

    def test_looking_changes_nothing(self) -> None:
        """A namespace that nobody used is as empty afterwards."""
        with Server() as server:
            assert finding(examined(server.dsn), "layout").says == "nothing is stored in this namespace yet"
            assert server.ask("DBSIZE") == 0

    def test_nobody_there_is_unavailable(self, tmp_path: Path) -> None:
        """As everywhere."""
        with pytest.raises(BackendUnavailable):
            examined(f"unix://{tmp_path}/nobody.sock")


class Yesterday:
    """A host whose clock is a day behind."""

    def now_ms(self) -> int:
        """Wrong."""
        return time.time_ns() // 1_000_000 - 86_400_000

    def monotonic(self) -> float:
        """Not asked."""
        return 0.0


class TestCommand:
    """`typedgator doctor` as it is typed."""

    @staticmethod
    def run(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
        """In a folder of its own."""
        argv = [sys.executable, "-m", "typedgator", "doctor", *args]
        return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False, timeout=60)

    def test_says_what_is_lost_and_how_to_change_it(self, tmp_path: Path) -> None:
        """Exit 0: durability=memory promises nothing of a crash; 1 once somebody insists."""
        with Server() as server:
            said = self.run(tmp_path, server.dsn)
            insisted = self.run(tmp_path, server.dsn, "--survive", "process")

        assert said.returncode == 0, said.stderr
        assert "everything: it keeps neither an append-only file nor snapshots" in said.stdout
        assert "CONFIG SET appendonly yes" in said.stdout
        assert insisted.returncode == 1
        assert "Not safe: process." in insisted.stdout

    def test_exits_1_when_a_promise_is_not_kept(self, tmp_path: Path) -> None:
        """`replicated` without a replica, by a gator of the user's own; as JSON."""
        with Server(appendfsync="always") as server:
            (tmp_path / "shop.py").write_text(
                f"from typedgator import Gator\ngator = Gator({server.dsn!r}, durability='replicated')\n"
            )
            said = self.run(tmp_path, "shop:gator", "--json")

        assert said.returncode == 1, said.stderr
        found = json.loads(said.stdout)
        assert (found["ok"], found["durability"]) == (False, "replicated")
        assert {each["danger"]: (each["safe"], each["promised"]) for each in found["losses"]} == {
            "process": (True, False),
            "host": (True, False),
            "failover": (False, True),
        }

    def test_exits_1_when_something_is_wrong(self, tmp_path: Path) -> None:
        """Whatever was asked for: jobs that may be thrown away are lost."""
        with Server(settings=("--maxmemory-policy", "allkeys-lru")) as server:
            said = self.run(tmp_path, "--dsn", server.dsn)

        assert said.returncode == 1
        assert "Wrong: eviction." in said.stdout

    def test_exits_2_when_nobody_answers(self, tmp_path: Path) -> None:
        """Or nobody lets it in."""
        with Server(settings=("--requirepass", "secret"), password="secret") as server:
            refused = self.run(tmp_path, server.dsn)
        gone = self.run(tmp_path, f"unix://{tmp_path}/nobody.sock")

        assert (refused.returncode, gone.returncode) == (2, 2)
        assert "Authentication" in refused.stderr or "NOAUTH" in refused.stderr
        assert len(gone.stderr.splitlines()) == 1

    def test_answers_for_every_backend(self, tmp_path: Path) -> None:
        """A file is flushed or not; memory loses everything."""
        self.run(tmp_path, "sqlite:///jobs.db")
        missing = self.run(tmp_path, "sqlite:///jobs.db")
        (tmp_path / "shop.py").write_text("from typedgator import Gator\ngator = Gator('sqlite:///jobs.db')\n")
        subprocess.run([sys.executable, "-c", "import shop; shop.gator.backend.open()"], cwd=tmp_path, check=True)
        power = self.run(tmp_path, "shop", "--survive", "host", "--survive", "process")
        process = self.run(tmp_path, "sqlite:///jobs.db?durability=process", "--survive", "host")
        memory = self.run(tmp_path, "locmem://", "--json")

        assert missing.returncode == 2
        assert "there is no file" in missing.stderr
        assert power.returncode == 0, power.stdout
        assert process.returncode == 1
        assert "the last commits" in process.stdout
        assert [each["safe"] for each in json.loads(memory.stdout)["losses"]] == [False] * 3
