"""The redis-server, processes and load of this machine, as numbers. Linux."""

import os
import platform
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["Monitor", "Work", "described", "foreign_cores", "pss_mb", "tree_cpu"]

TICK: Final = os.sysconf("SC_CLK_TCK")


class Work:
    """What a server did: reads INFO."""

    def __init__(self, port: int) -> None:
        self.socket: Final = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.lines: Final = self.socket.makefile("rb")

    def info(self, section: str) -> dict[str, str]:
        """The fields of a section."""
        self.socket.sendall(f"INFO {section}\r\n".encode())
        text = self.lines.read(int(self.lines.readline()[1:]) + 2).decode()
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def cpu_s(self) -> float:
        """Seconds of CPU of the server, all of its threads."""
        found = self.info("cpu")
        return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])

    def memory(self) -> int:
        """Bytes that the server holds for keys and clients."""
        return int(self.info("memory")["used_memory"])

    def keys(self) -> frozenset[str]:
        """The names of all keys: for a server that has few."""
        self.socket.sendall(b"KEYS *\r\n")
        rows = int(self.lines.readline()[1:])
        return frozenset([(self.lines.readline(), self.lines.readline())[1].decode().strip() for _ in range(rows)])

    def clear(self) -> None:
        """Removes every key, and returns when the memory is free."""
        self.socket.sendall(b"FLUSHALL SYNC\r\n")
        assert self.lines.readline() == b"+OK\r\n"

    def close(self) -> None:
        """Drops the connection."""
        self.lines.close()
        self.socket.close()


class Monitor:
    """Counts the commands that clients send, not those inside scripts, by MONITOR. It slows the server down."""

    def __init__(self, port: int) -> None:
        self.commands = 0
        self.socket: Final = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(b"MONITOR\r\n")
        self.lines: Final = self.socket.makefile("rb")
        assert self.lines.readline() == b"+OK\r\n"
        self.thread: Final = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        try:
            for line in self.lines:
                # +1700000000.123456 [0 127.0.0.1:50000] "get" "key"; a script's is [0 lua]
                self.commands += b" lua] " not in line[:40]
        except OSError:
            return

    def close(self) -> None:
        """Stops counting."""
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(timeout=5)
        self.socket.close()


def tree(pid: int) -> list[int]:
    """A process and all of its descendants that live."""
    parents: dict[int, list[int]] = {}
    for child, fields in _stats():
        parents.setdefault(int(fields[1]), []).append(child)
    found, ahead = [], [pid]
    while ahead:
        one = ahead.pop()
        found.append(one)
        ahead += parents.get(one, [])
    return found


def _stats() -> Iterator[tuple[int, list[str]]]:
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := _stat(int(name))):
            yield int(name), fields


def _stat(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def tree_cpu(pid: int) -> dict[int, float]:
    """Seconds of CPU of a process and its descendants, with the children that each has waited for."""
    found = {}
    for one in tree(pid):
        if fields := _stat(one):
            with suppress(OSError):
                found[one] = time.clock_gettime(_clock(one)) + sum(map(int, fields[13:15])) / TICK
    return found


def _clock(pid: int) -> int:
    """The clock of another process's CPU, to the nanosecond (clock_getcpuclockid); /proc counts in hundredths."""
    return (~pid << 3) | 2


def pss_mb(pid: int) -> float:
    """Proportional set size of a process and its descendants."""
    total = 0
    for one in tree(pid):
        try:
            lines = Path(f"/proc/{one}/smaps_rollup").read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def busy_s() -> float:
    """Seconds of CPU that all processes of the machine used since it started."""
    user, nice, system, _, _, irq, softirq = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + irq + softirq) / TICK


def own_s() -> float:
    """Seconds of CPU of this process and of those that it has waited for."""
    mine, theirs = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return mine.ru_utime + mine.ru_stime + theirs.ru_utime + theirs.ru_stime


def foreign_cores(busy: float, own: float, wall: float) -> float:
    """How many cores somebody else kept busy, from what everybody and we used in so many seconds."""
    return max(0.0, busy - own) / wall


def described() -> dict[str, str | int]:
    """This machine in words, without its name."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": model,
        "memory_gb": round(pages * size / 2**30),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "python": platform.python_version(),
    }
