"""What a server would lose, and what else may be wrong with it; docs/reference/cli.md shows it. Changes nothing."""

import time
from typing import Final, cast

from redis.exceptions import NoPermissionError

from typedgator.backends.checkup import Checkup, Danger, Finding, Level, Loss
from typedgator.backends.redis.audit import Audited, faults
from typedgator.backends.redis.caller import Caller
from typedgator.backends.redis.facts import Facts, facts_of
from typedgator.backends.redis.opening import LAYOUT
from typedgator.errors import BackendUnavailable

__all__ = ["examine"]

FLOOR: Final = (7, 0)
"""The first Redis that knows `#!lua flags=…`."""
FEW_KEYS: Final = 20_000
"""So many keys of a server, and jobs of a namespace, are read without being asked to."""
SILENT_S: Final = 10
"""A replica that has said nothing for so long is not counted on."""
LOOKS: Final = 3
SKEW_S: Final = 5
_FULL_PERCENT: Final = 85
_AOF: Final = "CONFIG SET appendonly yes, then CONFIG REWRITE (or `appendonly yes` in its configuration)"


def examine(backend: Audited, *, audit: bool | None = None) -> Checkup:
    """Asks INFO, CONFIG where it may, TIME, and the raw keys. Raises BackendUnavailable."""
    caller = backend.caller
    facts = facts_of(caller, "server", "memory", "persistence", "replication")
    replicated = caller.link.place.replicated
    return Checkup(
        server=f"{_name(facts)} at {caller.link.place}",
        durability="replicated" if replicated else "memory",
        losses=[_process(facts), _host(facts), _failover(facts, replicated=replicated)],
        findings=[
            *(_version(facts), _eviction(caller, facts), _memory(facts)),
            *(_role(facts), *_persistence(facts), *_replication(facts), *_settings(facts)),
            *(_clock(caller), _layout(caller), *_keys(backend, audit)),
        ],
    )


def _process(facts: Facts) -> Loss:
    if not facts.has_aof:
        return Loss(danger=Danger.PROCESS, safe=False, lost=_since_snapshot(facts), remedy=_AOF)
    lost = "nothing: every command is in the append-only file before it is answered"
    if facts.setting("appendfsync") != "always":
        lost += "; up to 2 s when the disk was too slow to flush"
    return Loss(danger=Danger.PROCESS, safe=True, lost=lost)


def _host(facts: Facts) -> Loss:
    if not facts.has_aof:
        return Loss(danger=Danger.HOST, safe=False, lost=_since_snapshot(facts), remedy=_AOF)
    always = "CONFIG SET appendfsync always, then CONFIG REWRITE: every write then waits for the disk"
    safe: bool | None = False
    match facts.setting("appendfsync"):
        case "always" if facts.setting("no-appendfsync-on-rewrite") == "yes":
            lost = "what was accepted while the append-only file was rewritten, which is not flushed meanwhile"
            always = "CONFIG SET no-appendfsync-on-rewrite no, then CONFIG REWRITE"
        case "always":
            safe, lost, always = True, "nothing, if the disk keeps what it says it has flushed", ""
        case "no":
            lost = "what the system has not flushed yet: usually the last 30 s"
        case None:
            safe, lost = None, "it does not say: CONFIG is refused. With appendfsync everysec, the last 1 to 2 s"
        case _:
            lost = "the last second, two when the disk is slow"
    return Loss(danger=Danger.HOST, safe=safe, lost=lost, remedy=always)


def _failover(facts: Facts, *, replicated: bool) -> Loss:
    """A replica is counted on while it is online and answers."""
    replicas = [replica for replica in _replicas(facts) if _counts(replica)]
    safe, remedy = False, ""
    if facts.info.get("role") == "slave":
        lost, remedy = "it cannot be told from here: this is a replica", "ask the master"
    elif not replicas:
        lost = "everything: no replica follows it" if not _replicas(facts) else "its replicas do not answer"
        lost += "; meanwhile every call raises NotReplicated" if replicated else ""
        remedy = "start a replica: replicaof HOST PORT"
    elif replicated:
        safe, lost = True, "nothing that a call returned for: a replica had it"
    else:
        behind = min(_behind(facts, replica) for replica in replicas)
        lost = f"what no replica has yet: {behind} bytes at this moment, everything since a cut in a partition"
        remedy = "?durability=replicated in the DSN; min-replicas-to-write 1 bounds what a cut-off master accepts"
    return Loss(danger=Danger.FAILOVER, safe=safe, lost=lost, promised=replicated, remedy=remedy)


def _since_snapshot(facts: Facts) -> str:
    changes = facts.number("rdb_changes_since_last_save")
    match facts.takes_snapshots:
        case False:
            return "everything: it keeps neither an append-only file nor snapshots"
        case True:
            ago = max(0, int(time.time()) - facts.number("rdb_last_save_time"))
            return f"everything since its last snapshot: {changes} changes at this moment, in {ago} s"
        case None:
            return f"everything since its last snapshot, if it takes any: {changes} changes at this moment"


def _name(facts: Facts) -> str:
    valkey = facts.info.get("valkey_version")
    return f"Valkey {valkey}" if valkey else f"Redis {facts.info.get('redis_version', '?')}"


def _version(facts: Facts) -> Finding:
    said = facts.info.get("redis_version", "0")
    known = tuple(int(part) for part in said.split(".")[:2] if part.isdigit())
    oldest = ".".join(map(str, FLOOR))
    if known < FLOOR:
        return Finding("version", Level.WRONG, f"{_name(facts)} is too old for the scripts", f"{oldest} or newer")
    return Finding("version", Level.FINE, f"{_name(facts)}; {oldest} or newer is needed")


def _eviction(caller: Caller, facts: Facts) -> Finding:
    policy = facts.info.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        return Finding("eviction", Level.FINE, "noeviction: it never throws jobs away")
    level = Level.LOOK if caller.link.place.allow_eviction else Level.WRONG
    remedy = "CONFIG SET maxmemory-policy noeviction, then CONFIG REWRITE"
    return Finding("eviction", level, f"{policy}: when memory is full it throws jobs away", remedy)


def _memory(facts: Facts) -> Finding:
    used, most, system = (facts.number(name) for name in ("used_memory", "maxmemory", "total_system_memory"))
    if not most:
        says = f"{_mib(used)} used and no maxmemory: when the machine's {_mib(system)} are full, the system kills it"
        return Finding("memory", Level.LOOK, says, "CONFIG SET maxmemory to what it may have: then enqueue is refused")
    percent = used * 100 // most
    says = f"{_mib(used)} of {_mib(most)} used ({percent} %)"
    if percent < _FULL_PERCENT:
        return Finding("memory", Level.FINE, says)
    return Finding("memory", Level.LOOK, f"{says}; when it is full, enqueue is refused", "raise maxmemory, or drain")


def _role(facts: Facts) -> Finding:
    if facts.info.get("role") != "slave":
        return Finding("role", Level.FINE, "master")
    master = f"{facts.info.get('master_host')}:{facts.info.get('master_port')}"
    return Finding("role", Level.WRONG, "a replica: it refuses jobs", f"name its master, {master}, or the sentinels")


def _persistence(facts: Facts) -> list[Finding]:
    found: list[Finding] = []
    for field, what in (
        ("aof_last_write_status", "the append-only file cannot be written"),
        ("aof_last_bgrewrite_status", "the append-only file could not be rewritten"),
        ("rdb_last_bgsave_status", "the last snapshot failed"),
    ):
        if facts.info.get(field, "ok") != "ok":
            found.append(Finding("disk", Level.WRONG, what, "see the server's log: the disk may be full"))
    if delayed := facts.number("aof_delayed_fsync"):
        found.append(Finding("disk", Level.LOOK, f"too slow to flush {delayed} times since the server started"))
    return found or [Finding("disk", Level.FINE, "no write to it has failed")]


def _replication(facts: Facts) -> list[Finding]:
    if facts.info.get("role") == "slave":
        return []
    found: list[Finding] = []
    for replica in _replicas(facts):
        says = (
            f"{replica.get('ip')}:{replica.get('port')} {replica.get('state')}, "
            f"{_behind(facts, replica)} bytes behind, answered {replica.get('lag')} s ago"
        )
        found.append(Finding("replica", Level.FINE if _counts(replica) else Level.LOOK, says))
    if found and facts.setting("min-replicas-to-write") == "0":
        says = (
            "min-replicas-to-write is 0: cut off from its replicas, it goes on accepting what a failover then forgets"
        )
        remedy = "CONFIG SET min-replicas-to-write 1 and min-replicas-max-lag 10, then CONFIG REWRITE"
        found.append(Finding("replicas", Level.LOOK, says, remedy))
    if found and not facts.has_aof and not facts.takes_snapshots:
        says = "it keeps nothing on disk: should it restart before a failover, it is empty, and empties its replicas"
        found.append(Finding("replicas", Level.LOOK, says, _AOF))
    return found or [Finding("replica", Level.LOOK, "none", "start one: replicaof HOST PORT")]


def _settings(facts: Facts) -> list[Finding]:
    if facts.settings is not None:
        return []
    return [Finding("settings", Level.LOOK, "CONFIG GET is refused to this user: some answers are guesses")]


def _replicas(facts: Facts) -> list[dict[str, str]]:
    """Those that are connected, as INFO has them: `slave0:ip=…,port=…,state=online,offset=…,lag=…`."""
    lines = [value for name, value in facts.info.items() if name.startswith("slave") and name[5:].isdigit()]
    return [dict(part.split("=", 1) for part in line.split(",") if "=" in part) for line in lines]


def _counts(replica: dict[str, str]) -> bool:
    return replica.get("state") == "online" and 0 <= int(replica.get("lag", "-1")) <= SILENT_S


def _behind(facts: Facts, replica: dict[str, str]) -> int:
    return max(0, facts.number("master_repl_offset") - int(replica.get("offset", "0")))


def _clock(caller: Caller) -> Finding:
    seconds, _ = (int(part) for part in cast("list[bytes]", caller.link.ask("TIME")))
    apart = abs(seconds - int(caller.clock.now_ms() / 1000))
    if apart <= SKEW_S:
        return Finding("clock", Level.FINE, "as here")
    says = f"{apart} s apart from here: delays and expiry go by the server's"
    return Finding("clock", Level.LOOK, says, "let both hosts follow one time server")


def _layout(caller: Caller) -> Finding:
    said = cast("bytes | None", caller.link.ask("HGET", caller.keys.named("meta"), "layout"))
    if said is None:
        return Finding("layout", Level.FINE, "nothing is stored in this namespace yet")
    if int(said) > LAYOUT:
        says = f"{int(said)}, of a newer release; this one knows {LAYOUT}"
        return Finding("layout", Level.WRONG, says, "upgrade typedgator")
    return Finding("layout", Level.FINE, str(int(said)))


def _keys(backend: Audited, audit: bool | None) -> list[Finding]:
    keys = cast(int, backend.link.ask("DBSIZE"))
    jobs = cast(int, backend.link.ask("HLEN", backend.caller.keys.named("frames")))
    if audit is False or (audit is None and max(keys, jobs) > FEW_KEYS):
        says = f"not looked at: the server has {keys} keys, this namespace {jobs} jobs, and all would be read"
        return [Finding("keys", Level.LOOK, says, "--audit looks at them")]
    try:
        found = faults(backend)
    except BackendUnavailable as error:
        if not isinstance(error.__cause__, NoPermissionError):
            raise
        return [Finding("keys", Level.LOOK, "not looked at: KEYS is refused to this user", "ask as one who may")]
    for _ in range(LOOKS - 1):
        # They are not read in one moment: of a server at work only what is found each time is a fault.
        if found:
            again = faults(backend)
            found = [fault for fault in found if fault in again]
    if not found:
        return [Finding("keys", Level.FINE, f"all that must be true of {jobs} jobs is")]
    return [Finding("keys", Level.WRONG, fault, "please report this") for fault in found]


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
