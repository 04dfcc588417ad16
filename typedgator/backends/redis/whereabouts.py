"""Where is the server that keeps our jobs now? One that stays, the master that sentinels name, or a slot's owner.

Who makes a line asks here first, and says here what became of it. `at` is where lines are to lead: another object once
it is another server, so that whoever has a line can tell by a glance that it leads elsewhere.
"""

import random
import time
from collections.abc import Sequence
from threading import Lock
from typing import Final, cast

from redis.crc import key_slot
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from typedgator.backends.redis.dial import dial
from typedgator.backends.redis.place import Address, Place

__all__ = ["Nowhere", "Whereabouts", "whereabouts"]

AGAIN_S: Final = 1.0
"""So often sentinels are asked while lines are used."""
_LASTING: Final = (AuthenticationError, ResponseError)
"""A wrong password, or a server that is no sentinel or no cluster."""


class Nowhere(OSError):
    """Nobody said where; `lasting`: asking again would not help."""

    def __init__(self, text: str, *, lasting: bool = False) -> None:
        super().__init__(text)
        self.lasting = lasting


class Whereabouts:
    """Of one server, which stays where it is."""

    patience_s: float = 0.0
    """So long another server is sought before a caller hears of it."""
    proof: tuple[str, ...] = ()
    """What a server is asked first, to see that it is the one."""
    restless: bool = False
    """It may be elsewhere, and who was it before does not say so: ask `due`."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.at: Address | None = Address(place.host, place.port, place.path)

    @property
    def known(self) -> Address | None:
        """Where, if nobody has to be asked."""
        return self.at

    def seek(self) -> Address:
        """Asks where; may take as long as connecting does. Raises Nowhere."""
        return self.at or Address(self.place.host, self.place.port, self.place.path)

    def due(self) -> bool:
        """It is time to `seek` again."""
        return False

    def lost(self, at: Address | None) -> None:
        """That server is gone, or is not the one any more."""

    def moved(self, to: str, said_by: Address | None) -> None:
        """A server said who is the one."""

    def prove(self, answer: object) -> None:
        """Raises Nowhere when this answer to `proof` is not that of the right server."""

    def renew(self) -> None:
        """Lines that there are lead nowhere any more."""
        if self.at is not None:
            self.at = Address(self.at.host, self.at.port, self.at.path)


class _Watched(Whereabouts):
    """Of the master that sentinels name. They are asked for each line, and the server whether it is a master.

    One that was replaced while it was alive is a master for ten seconds more, until it is told, and what it accepts in
    that time is lost: so they are also asked while lines are used.
    """

    proof = ("ROLE",)
    restless = True

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.patience_s = place.timeout_s
        self.at = None
        self._sentinels = list(place.nodes)
        self._again = 0.0
        self._lock = Lock()

    @property
    def known(self) -> None:
        """Never without asking: one that was the master would still answer."""
        return None

    def due(self) -> bool:
        """Once in a while."""
        return time.monotonic() >= self._again

    def seek(self) -> Address:
        """Asks the sentinel that knew last time, then the others."""
        self._again = time.monotonic() + AGAIN_S
        service, said, lasting = cast(str, self.place.service), list[str](), True
        for sentinel in list(self._sentinels):
            try:
                answer = _ask(self.place, sentinel, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", service, of_sentinel=True)
            except (RedisError, OSError) as error:
                said.append(f"{sentinel}: {error}")
                lasting = lasting and isinstance(error, _LASTING)
                continue
            if isinstance(answer, list):
                host, port = cast(list[bytes], answer)
                return self._found(Address(host.decode(), int(port)), sentinel)
            said.append(f"{sentinel} watches no service {service!r}")
        # Those who have lines are not kept waiting each time for sentinels that are gone.
        self._again = time.monotonic() + 10 * AGAIN_S
        raise Nowhere(f"no sentinel says who is the master: {'; '.join(said)}", lasting=lasting)

    def _found(self, found: Address, sentinel: Address) -> Address:
        with self._lock:
            self._sentinels.sort(key=lambda each: each != sentinel)
            if self.at is None or self.at != found:
                self.at = found
            return self.at

    def prove(self, answer: object) -> None:
        """A master; sentinels name one that went until they agree, and one that came back before they tell it."""
        role = cast(list[bytes], answer)[0].decode()
        if role != "master":
            raise Nowhere(f"{self.at} is named as the master, and says that it is a {role}")


class _Sharded(Whereabouts):
    """Of the node that has a slot. Any node says who; one that has it not says so to whoever asks it."""

    def __init__(self, place: Place, slot: int) -> None:
        super().__init__(place)
        self.patience_s = place.timeout_s
        self.at = None
        self._slot: Final = slot
        self._sure = False
        self._nodes = list(place.nodes)
        self._lock = Lock()

    @property
    def known(self) -> Address | None:
        """As it was said last, until somebody was not found there."""
        return self.at if self._sure else None

    def seek(self) -> Address:
        """Asks the nodes in any order, so that one with old news does not keep us; then those of the DSN."""
        said, lasting = list[str](), True
        nodes = random.sample(self._nodes, len(self._nodes))
        for node in (*nodes, *(each for each in self.place.nodes if each not in nodes)):
            try:
                slots = cast("list[list[object]]", _ask(self.place, node, "CLUSTER", "SLOTS"))
            except (RedisError, OSError) as error:
                said.append(f"{node}: {error}")
                lasting = lasting and isinstance(error, _LASTING)
                continue
            lasting = False
            if found := self._owner(slots, node):
                return found
            said.append(f"{node} knows nobody who has slot {self._slot}")
        raise Nowhere(f"no node says who has slot {self._slot}: {'; '.join(said)}", lasting=lasting)

    def _owner(self, slots: "Sequence[Sequence[object]]", node: Address) -> Address | None:
        owner: Address | None = None
        nodes: list[Address] = []
        for first, last, *servers in slots:
            named = [_address(cast("Sequence[object]", server), node) for server in servers]
            nodes += named
            if cast(int, first) <= self._slot <= cast(int, last):
                owner = named[0]
        with self._lock:
            self._nodes = list(dict.fromkeys(nodes)) or self._nodes
        return None if owner is None else self._found(owner)

    def _found(self, found: Address) -> Address:
        with self._lock:
            if self.at is None or self.at != found:
                self.at = found
            self._sure = True
            return self.at

    def lost(self, at: Address | None) -> None:
        """Somebody must be asked, unless another found out already."""
        with self._lock:
            if at is None or at is self.at:
                self._sure = False

    def moved(self, to: str, said_by: Address | None) -> None:
        """`host:port`; without a host, that of who said it."""
        host, _, port = to.rpartition(":")
        self._found(Address(host or (said_by.host if said_by else ""), int(port)))


def _address(server: "Sequence[object]", said_by: Address) -> Address:
    """Of `host, port, id, …`; a node that does not know its own address says none, or nothing."""
    host, port = cast("tuple[bytes | None, int]", tuple(server[:2]))
    return Address((host or b"").decode() or said_by.host, port)


def _ask(place: Place, address: Address, *words: str, of_sentinel: bool = False) -> object:
    """One question on a line of its own."""
    line = dial(place, address, timeout_s=place.connect_timeout_s, of_sentinel=of_sentinel)
    try:
        line.connect()
        line.send_command(*words)
        return line.read_response()
    finally:
        line.disconnect()


def whereabouts(place: Place, key: bytes) -> Whereabouts:
    """As the DSN says: of one server, of a master, or of whoever has this key."""
    if place.service is not None:
        return _Watched(place)
    return _Sharded(place, key_slot(key)) if place.cluster else Whereabouts(place)
