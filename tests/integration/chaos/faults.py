"""The kinds of faults, each a class: when it may strike, and what it does. What must be undone is put on the timeline.

`strikes` is how often it did; `bitten`, where that can be seen, how often something was hurt: 0 is red.
"""

import os
import random
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar, Final, cast

from redis.exceptions import RedisError

from tests.integration.chaos.journal import now
from tests.integration.chaos.stages import PEERS, ClusterStage, SentinelStage, SingleStage, Stage
from tests.integration.redis.servers import Server

if TYPE_CHECKING:
    from tests.integration.chaos.campaign import Campaign

__all__ = ["KINDS", "Fault", "kinds_of"]

SOCKETS: Final = ("single", "sentinel", "cluster")


class Fault:
    """One kind."""

    name: ClassVar[str]
    stages: ClassVar[tuple[str, ...]] = ("single",)
    seldom: ClassVar[bool] = False
    """It is costly: one in three of the others' turns."""
    slow: ClassVar[bool] = False
    """It takes seconds: it has a thread of its own."""

    def __init__(self, campaign: "Campaign") -> None:
        self.campaign = campaign
        self.chance: random.Random = campaign.chance
        self.strikes = 0

    def ready(self) -> bool:
        """Whether it can strike now."""
        return True

    def strike(self) -> None:
        """Strikes."""
        raise NotImplementedError

    bites: ClassVar[str] = ""
    """What is hurt by it, where that can be counted."""

    def bitten(self) -> int:
        """How often something was hurt."""
        return 0

    @property
    def single(self) -> SingleStage:
        """The stage of one server."""
        return cast(SingleStage, self.campaign.stage)

    @property
    def stage(self) -> Stage:
        """The stage."""
        return self.campaign.stage


class _Worker(Fault):
    stages = ("single", "sentinel", "cluster", "sqlite")

    def ready(self) -> bool:
        return self.campaign.crew.busy() is not None


class WorkerKill(_Worker):
    """SIGKILL of a worker that has a job in its hands; another one takes its seat."""

    name = "worker_kill"

    def strike(self) -> None:
        crew = self.campaign.crew
        victim = crew.busy()
        assert victim is not None
        victim.send_signal(signal.SIGKILL)
        self.campaign.history.killed[victim.pid] = now()
        victim.wait()
        crew.replace(victim)


class WorkerFreeze(_Worker):
    """SIGSTOP until its lease is over and its jobs run elsewhere, then SIGCONT: what it writes must be refused."""

    name = "worker_freeze"
    bites = "stale writes of frozen workers refused"
    seldom = True

    def ready(self) -> bool:
        return not self.campaign.crew.frozen and self._catch()

    def _catch(self) -> bool:
        """Stops a worker in the midst of a job; one that had just ended it, or has locked out all others, may go."""
        campaign, crew = self.campaign, self.campaign.crew
        self.victim = crew.busy()
        if self.victim is None:
            return False
        self.victim.send_signal(signal.SIGSTOP)
        os.waitpid(self.victim.pid, os.WUNTRACED)
        campaign.hear()
        if not crew.in_hand.get(self.victim.pid) or self.stage.is_locked():
            self.victim.send_signal(signal.SIGCONT)
            return False
        return True

    def strike(self) -> None:
        campaign, crew, victim = self.campaign, self.campaign.crew, self.victim
        assert victim is not None
        began, jobs = now(), set(crew.in_hand[victim.pid])
        crew.frozen.add(victim.pid)
        campaign.history.frozen.append((victim.pid, began))

        def thaw() -> None:
            # Its server may be away as well, or the clock be set back: not before its jobs run elsewhere.
            elsewhere = any(crew.started_by[job_id] != victim.pid for job_id in jobs)
            if elsewhere or now() - began > 6 * campaign.lease:
                victim.send_signal(signal.SIGCONT)
                crew.frozen.discard(victim.pid)
            else:
                campaign.after(0.05, thaw)

        campaign.after(campaign.lease + 1, thaw)

    def bitten(self) -> int:
        pids = {pid for pid, _ in self.campaign.history.frozen}
        return sum(line.what == "lost" and line.pid in pids for line in self.campaign.history.effects)


class WorkerDeploy(_Worker):
    """SIGTERM of a worker, and a new one; the old one must end well within its grace."""

    name = "worker_deploy"

    def strike(self) -> None:
        crew = self.campaign.crew
        victim = crew.busy()
        assert victim is not None
        victim.send_signal(signal.SIGTERM)
        crew.retire(victim)


class RedisKill(Fault):
    """SIGKILL of the server, and a new one over the same append-only file."""

    name = "redis_kill"

    def strike(self) -> None:
        with self.campaign.outage():
            self.stage.server.kill()
            self.stage.server.start()


class ClientKill(Fault):
    """CLIENT KILL of half of the connections, of whoever it may be."""

    name = "client_kill"
    bites = "connections killed"
    stages = SOCKETS

    def __init__(self, campaign: "Campaign") -> None:
        super().__init__(campaign)
        self.killed = 0

    def strike(self) -> None:
        server = self.stage.server
        clients = [
            dict(word.partition("=")[::2] for word in line.split())
            for line in cast(bytes, server.ask("CLIENT", "LIST", "TYPE", "normal")).decode().splitlines()
        ]
        for client in self.chance.sample(clients, (len(clients) + 1) // 2):
            self.killed += cast(int, server.ask("CLIENT", "KILL", "ID", client["id"]))

    def bitten(self) -> int:
        return self.killed


class ProxyReset(Fault):
    """Every connection hears RST."""

    name = "proxy_reset"
    bites = "connections reset"

    def strike(self) -> None:
        self.single.proxy.reset()

    def bitten(self) -> int:
        return self.single.proxy.reset_lines


class ProxyBlackhole(Fault):
    """For a while nothing passes, and nobody is told; sometimes longer than the clients' timeout."""

    name = "proxy_blackhole"

    def ready(self) -> bool:
        return not self.campaign.held

    def strike(self) -> None:
        campaign = self.campaign
        seconds = self.chance.uniform(0.3, 3.5)
        self.single.proxy.hold()
        campaign.held = True
        ended = campaign.outage()
        ended.__enter__()

        def release() -> None:
            self.single.proxy.release()
            ended.__exit__(None, None, None)
            campaign.held = False

        campaign.after(seconds, release)


class ProxyCutReply(Fault):
    """The server has done what it was asked; its answer is dropped, and the line cut. Five times."""

    name = "proxy_cut_reply"
    bites = "replies cut"

    def strike(self) -> None:
        self.single.proxy.cut_replies(5, having=self.chance.choice((b"EVALSHA", b"EVALSHA", b"")))

    def bitten(self) -> int:
        return self.single.proxy.cut


class ScriptFlush(Fault):
    """SCRIPT FLUSH, each second for three."""

    name = "script_flush"
    stages = SOCKETS

    def strike(self) -> None:
        def again() -> None:
            with suppress(RedisError, OSError):  # a failover may be under way
                self.stage.server.ask("SCRIPT", "FLUSH")

        self.stage.server.ask("SCRIPT", "FLUSH")
        for seconds in (1.0, 2.0):
            self.campaign.after(seconds, again)


class Maxmemory(Fault):
    """The server is full for a second: no new job is accepted, and all else goes on."""

    name = "maxmemory"
    bites = "enqueues refused"

    def strike(self) -> None:
        server = self.stage.server
        server.ask("CONFIG", "SET", "maxmemory", "1mb")
        self.campaign.after(1.0, lambda: server.ask("CONFIG", "SET", "maxmemory", "0"))

    def bitten(self) -> int:
        return sum(line.word == "maxmemory" for line in self.campaign.history.refused)


class ClockStep(Fault):
    """The server's clock is set forward, past every lease, and the next time back to where it was, or before."""

    name = "clock_step"

    def __init__(self, campaign: "Campaign") -> None:
        super().__init__(campaign)
        self.offset = 0.0

    def ready(self) -> bool:
        return self.single.shim is not None

    def strike(self) -> None:
        offset = self.chance.uniform(6, 20) if self.offset <= 0 else self.chance.uniform(-6, 0)
        back = self.offset - offset
        self.offset = offset
        self.single.server.step(offset)
        self.campaign.diary.note("clock_offset", "-", word=f"{offset:.1f}")
        if back > 0:  # leases that are over last as much longer
            self.campaign.history.steps_back.append((now(), back))


class _Failover(Fault):
    seldom = True
    slow = True

    @property
    def sentinels(self) -> SentinelStage:
        return cast(SentinelStage, self.stage)

    @property
    def clustered(self) -> ClusterStage:
        return cast(ClusterStage, self.stage)


class _SentinelFailover(_Failover):
    """The master is cut off until another one is; then it comes back, and must learn that it is master no more."""

    stages = ("sentinel",)

    def strike(self) -> None:
        watched = self.sentinels.watched
        watched.in_step()
        master = watched.master
        with self.campaign.rollback():
            with self.campaign.outage():
                self.cut(master)
                watched.failed_over(master)
            self.undo(master)
            watched.in_step()

    def cut(self, master: Server) -> None:
        """Nobody, or no other server, reaches it any more."""
        raise NotImplementedError

    def undo(self, master: Server) -> None:
        """It is there again."""
        raise NotImplementedError


class SentinelKill(_SentinelFailover):
    """SIGKILL of the master; it comes back as a replica."""

    name = "sentinel_kill"

    def cut(self, master: Server) -> None:
        master.kill()

    def undo(self, master: Server) -> None:
        master.start()


class SentinelPause(_SentinelFailover):
    """SIGSTOP of the master, SIGCONT when another one is."""

    name = "sentinel_pause"

    def cut(self, master: Server) -> None:
        master.pause()

    def undo(self, master: Server) -> None:
        master.resume()


class SentinelPartition(_SentinelFailover):
    """The proxy cuts the master off from sentinels and replicas; clients reach it, or every other time do not."""

    name = "sentinel_partition"

    def cut(self, master: Server) -> None:
        self.sentinels.watched.proxies[master.port].hold("" if self.strikes % 2 else PEERS)

    def undo(self, master: Server) -> None:
        self.sentinels.watched.proxies[master.port].release()


class ClusterMigrate(_Failover):
    """The slot of the namespace goes to another master, key by key, while everybody works."""

    name = "cluster_migrate"
    stages = ("cluster",)

    def strike(self) -> None:
        stage = self.clustered
        cluster = stage.cluster
        owner = stage.server
        others = [
            server
            for server in cluster.servers
            if server is not owner and server.info("replication")["role"] == "master"
        ]
        with self.campaign.outage():
            cluster.migrate(stage.slot, self.chance.choice(others))


class ClusterKill(_Failover):
    """SIGKILL of the master that has the slot; its replica takes over, and it comes back as a replica."""

    name = "cluster_kill"
    stages = ("cluster",)

    def strike(self) -> None:
        stage = self.clustered
        cluster = stage.cluster
        cluster.in_step()
        owner = stage.server
        with self.campaign.outage(), self.campaign.rollback():
            owner.kill()
            cluster.failed_over(owner, stage.slot)
        owner.start()
        cluster.in_step()


KINDS: Final[dict[str, type[Fault]]] = {
    kind.name: kind
    for kind in (
        *(WorkerKill, WorkerFreeze, WorkerDeploy, RedisKill, ClientKill, ProxyReset, ProxyBlackhole, ProxyCutReply),
        *(ScriptFlush, Maxmemory, ClockStep, SentinelKill, SentinelPause, SentinelPartition),
        *(ClusterMigrate, ClusterKill),
    )
}


def kinds_of(stage: str) -> list[str]:
    """The kinds that can strike on this stage."""
    return [name for name, kind in KINDS.items() if stage in kind.stages]
