"""What must be true of the raw keys at any moment: for tests and for whoever doubts."""

import re
from typing import Final, Protocol, cast

from typedgator.backends.redis.belongings import BATCH, BATCHES, belongings
from typedgator.backends.redis.caller import Caller
from typedgator.backends.redis.keys import FIXED
from typedgator.backends.redis.link import Link
from typedgator.wire.frame import FrameFlags, open_frame
from typedgator.wire.ids import ID_BYTES

__all__ = ["Audited", "faults"]

_PREFIXES: Final = ("ready:", "wake:", "own:", "idle:", "told:", "resent")
MEMORY: Final = ("done0", "done1", "late0", "late1", "kept")
_EXPIRING: Final = ("wake:", "idle:", "told:", "wake*", "resent")


class Audited(Protocol):
    """What of a RedisBackend is needed."""

    @property
    def caller(self) -> Caller:
        """Its keys."""
        ...

    @property
    def link(self) -> Link:
        """Its server."""
        ...


def faults(backend: Audited) -> list[str]:
    """Each a sentence; none when all is well. Reads the whole namespace: not for a server at work."""
    return _Audit(backend).run()


class _Audit:
    def __init__(self, backend: Audited) -> None:
        self.backend = backend
        self.keys = backend.caller.keys
        self.found: list[str] = []
        self.running: set[bytes] = set()

    def ask(self, *command: bytes | str | int) -> list[bytes]:
        return cast(list[bytes], self.backend.link.ask(*command) or [])

    def members(self, name: str) -> list[bytes]:
        return self.ask("ZRANGE", self.keys.named(name), 0, -1)

    def fields(self, name: str) -> list[bytes]:
        return self.ask("HKEYS", self.keys.named(name))

    def hash(self, name: str) -> dict[bytes, bytes]:
        found = self.ask("HGETALL", self.keys.named(name))
        return dict(zip(found[::2], found[1::2], strict=True))

    def say(self, fault: str) -> None:
        self.found.append(fault)

    def run(self) -> list[str]:
        prefix = self.keys.prefix.encode()
        pattern = re.sub(rb"([\[\]{}*?\\])", rb"\\\1", prefix) + b"*"
        queues = {queue.decode() for queue in self.ask("SMEMBERS", self.keys.named("queues"))}
        workers = {worker.decode() for worker in (*self.members("beats"), *self.members("over"))}
        # After what names a key: of a slot that has moved, KEYS would list nothing where it was.
        names = sorted(key[len(prefix) :].decode("latin-1") for key in self.ask("KEYS", pattern))
        self._names(names, queues, workers)
        frames = self.hash("frames")
        self._indexes(frames, queues, workers)
        self._belongings(frames)
        return self.found

    def _names(self, names: list[str], queues: set[str], workers: set[str]) -> None:
        for name in names:
            owner = name.partition(":")[2]
            if name not in FIXED and not name.startswith(_PREFIXES):
                self.say(f"key {name!r} is nobody's")
            if name.startswith("ready:") and owner not in queues:
                self.say(f"{name!r} is of no queue")
            if name.startswith("own:") and owner not in workers:
                self.say(f"{name!r} is of no worker")
            if name.startswith(_EXPIRING) or name in MEMORY[:4]:
                key = self.keys.prefix.encode() + name.encode("latin-1")
                if cast(int, self.backend.link.ask("PTTL", key)) == -1:
                    self.say(f"{name!r} has no expiry")
        for worker in workers:
            if f"own:{worker}" not in names:
                self.say(f"worker {worker} has no hash of its own")
        if {worker.decode() for worker in self.fields("workers")} != {w.decode() for w in self.members("beats")}:
            self.say("workers and beats differ")

    def _indexes(self, frames: dict[bytes, bytes], queues: set[str], workers: set[str]) -> None:
        places = self._places(queues, workers)
        for job_id, frame in frames.items():
            there = places.get(job_id, [])
            if len(there) != 1:
                self.say(f"job {job_id!r} is in {there}")
            elif there[0].startswith("ready:") and there[0] != f"ready:{open_frame(frame).queue}":
                self.say(f"{job_id!r} waits in the wrong queue")
        for job_id in places.keys() - frames.keys():
            self.say(f"{job_id!r} is in {places[job_id]}, and has no frame")
        known = [job_id for name in MEMORY for job_id in self.fields(name)]
        for job_id in frames.keys() & set(known):
            self.say(f"job {job_id!r} is unfinished or dead, and remembered as finished")
        if len(known) != len(set(known)):
            self.say("a finished job is remembered twice")
        self._tally(frames, places)

    def _places(self, queues: set[str], workers: set[str]) -> dict[bytes, list[str]]:
        indexes = {f"ready:{queue}": self.ask("ZRANGE", self.keys.ready(queue), 0, -1) for queue in sorted(queues)}
        indexes |= {name: self.members(name) for name in ("delayed", "held", "dead")}
        indexes["blocked"] = list({member[1 : 1 + member[0]] for member in self.members("blocked")})
        own = {f"own:{worker}": self._own(worker) for worker in sorted(workers)}
        self.running = {job_id for found in own.values() for job_id in found}
        places: dict[bytes, list[str]] = {}
        for name, found in (indexes | own).items():
            for job_id in found:
                places.setdefault(job_id, []).append(name)
        return places

    def _own(self, worker: str) -> list[bytes]:
        """Its jobs."""
        words = self.ask("HGETALL", self.keys.own(worker))
        there = dict(zip(words[::2], words[1::2], strict=True))
        batches = sorted((name[1:] for name in there if name.startswith(BATCH) and name != BATCHES), key=int)
        if there.get(BATCHES, b"").split() != batches:
            self.say(f"worker {worker} has the batches {batches}, and lists {there.get(BATCHES)!r}")
        for name, ids in there.items():
            if name[1:] in batches and (not ids or len(ids) % ID_BYTES):
                self.say(f"batch {name!r} of worker {worker} has {len(ids)} bytes of ids")
        tokens = [token for _, token in belongings(words)]
        if len(tokens) != len(set(tokens)):
            self.say(f"worker {worker} has two jobs under one token")
        if tokens and max(tokens) > int(there.get(b"", b"0")):
            self.say(f"worker {worker} has a token that is newer than the last one granted")
        return [job_id for job_id, _ in belongings(words)]

    def _tally(self, frames: dict[bytes, bytes], places: dict[bytes, list[str]]) -> None:
        counted: dict[str, int] = {}
        for job_id, frame in frames.items():
            state = (places.get(job_id) or ["?"])[0]
            state = {"dead": "failed"}.get(state, state)
            if state in ("delayed", "held", "blocked", "failed"):
                field = f"{state}:{open_frame(frame).queue}"
                counted[field] = counted.get(field, 0) + 1
        said: dict[str, int] = {}
        for name, jobs in self.hash("tally").items():
            state, _, queue = name.decode().partition(":")
            state = {"scheduled": "delayed", "retrying": "delayed"}.get(state, state)
            said[f"{state}:{queue}"] = said.get(f"{state}:{queue}", 0) + int(jobs)
        if counted != said:
            self.say(f"the tally says {said}, there are {counted}")

    def _belongings(self, frames: dict[bytes, bytes]) -> None:
        kept = set(self.fields("kept"))
        if kept != set(self.members("keep")):
            self.say("kept and keep differ")
        for name in ("recs", "unique_of", "waiters"):
            for job_id in set(self.fields(name)) - frames.keys():
                self.say(f"{name} has {job_id!r}, which is over")
        for job_id in set(self.fields("results")) - frames.keys() - kept:
            self.say(f"the outcome of {job_id!r} is nobody's")
        for name in ("cancels", "notes", "suspects"):
            for job_id in set(self.fields(name)) - self.running:
                self.say(f"{name} has {job_id!r}, which does not run")
        self._unique_and_expiring(frames)
        self._pairs()

    def _unique_and_expiring(self, frames: dict[bytes, bytes]) -> None:
        dead = set(self.members("dead"))
        for key, job_id in self.hash("unique").items():
            if job_id not in frames or job_id in dead:
                self.say(f"unique key {key!r} is held by {job_id!r}, which is over")
        for job_id in self.members("expiring"):
            if job_id not in frames or not open_frame(frames[job_id]).flags & FrameFlags.EXPIRES:
                self.say(f"{job_id!r} is to expire, but cannot")
            elif job_id in self.running or job_id in dead:
                self.say(f"{job_id!r} is to expire, but was started")

    def _pairs(self) -> None:
        pairs = {(member[1 : 1 + member[0]], member[1 + member[0] :]) for member in self.members("kids")}
        mirrored = {(member[1 + member[0] :], member[1 : 1 + member[0]]) for member in self.members("blocked")}
        if pairs != mirrored:
            self.say(f"parents and children disagree: {pairs ^ mirrored}")
        held = {member.split(b"\0", 2)[2] for member in self.members("held_of")}
        if held != set(self.members("held")) or sum(map(int, self.hash("kinds").values())) != len(held):
            self.say("held jobs and what they wait for disagree")
