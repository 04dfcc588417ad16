"""typedgator beside its peers on one redis-server.

    python -m benchmarks.peers run [--quick | --minutes 20] [--resume] [--peers huey,ardiq] [--cases enqueue,idle]
    python -m benchmarks.peers report      writes docs/performance.md and its plots from docs/performance/peers.json
    python -m benchmarks.peers check       small numbers, to see whether every adapter works

A run goes round: each case is run for one library after the other, all cases make a repetition, and there are three.
In each, the shortest cases have five turns. A library that cannot be installed, fails or hangs is noted and passed
over.
"""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from shutil import which

from benchmarks.peers.case import Case, CaseFailed, Described, described
from benchmarks.peers.environments import PEERS, ROOT, Peer, Uninstalled, prepare
from benchmarks.peers.machine import Work
from benchmarks.peers.machine import described as machine
from benchmarks.peers.measures import CASES, Extent, fits, rounds
from benchmarks.peers.records import LINES, SUMMARY, Lines, Record, save, summarise

__all__: list[str] = []

QUICK_PEERS = ("typedgator", "huey", "ardiq", "repid")
QUICK_CASES = ("enqueue", *(case for case in CASES if case.startswith("drain-") and case.endswith("-1")), "idle")
SETTINGS = ("default", "best", "sleep")
PATIENCE = 2
"""After so many failures in a row a case is not tried again."""

Ready = dict[str, tuple[Peer, Path, dict[str, Described]]]


def prepared(names: Sequence[str], lines: Lines, port: int) -> Ready:
    """The environments of those that can be installed, with what their adapters say."""
    ready: Ready = {}
    for name in names:
        peer = PEERS[name]
        note: Record = {"record": "peer", "peer": name}
        try:
            python = prepare(peer.environment, peer.python)
            said = {setting: described(peer, python, setting, port) for setting in SETTINGS}
        except (Uninstalled, CaseFailed) as error:
            lines.add(note | {"error": str(error)})
            progress(f"{name}: {error}")
            continue
        best = said["best"]
        note |= {"package": best.package, "versions": best.versions, "python": best.python}
        lines.add(note | {"settings": best.settings, "imports": best.imports})
        ready[name] = peer, python, said
    return ready


def run(ready: Ready, lines: Lines, cases: Sequence[str], extent: Extent, said: argparse.Namespace, port: int) -> None:
    """All repetitions, until the time is over."""
    ends = time.monotonic() + said.minutes * 60
    for repetition in range(said.repeat):
        for case, turn in rounds(cases):
            for name, (peer, python, settings) in ready.items():
                best = settings["best"]
                if lines.has(name, case, repetition, turn) or not fits(case, best.kinds, best.settings, repetition):
                    continue
                if time.monotonic() > ends:
                    progress(f"the {said.minutes:g} minutes are over in repetition {repetition + 1}")
                    return
                if lines.failures(name, case) >= PATIENCE:
                    continue
                record = one(Case(peer, python, settings, port, said.most), case, extent)
                which = {"peer": name, "case": case, "repetition": repetition, "turn": turn}
                lines.add({"record": "case"} | which | record)


def one(case: Case, name: str, extent: Extent) -> dict[str, object]:
    """A case, and what came of it."""
    began = time.monotonic()
    found: dict[str, object]
    try:
        with case:
            found = {"figures": CASES[name](case, extent)}
    except Exception as error:  # whatever goes wrong with one library does not end the run
        reason = f"it took longer than {case.most_s:.0f} s" if case.late.is_set() else f"{error}"
        found = {"error": reason or type(error).__name__}
    took = time.monotonic() - began
    progress(f"{case.peer.name:14s} {name:22s} {took:5.1f} s  {found.get('error') or short(found['figures'])}")
    return found | {"foreign": round(case.foreign, 3), "took": round(took, 2)}


def short(figures: object) -> str:
    """The first figure of each row."""
    assert isinstance(figures, dict)
    return "  ".join(f"{next(iter(row))} {next(iter(row.values())):,.4g}" for row in figures.values())


def progress(line: str) -> None:
    """On standard error."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("run", "check", "report"))
    parser.add_argument("--peers", default="", help="only these, separated by commas")
    parser.add_argument("--cases", default="", help="only these: " + ", ".join(CASES))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.5, help="of work in a case that counts jobs per second")
    parser.add_argument("--samples", type=int, default=150, help="of latency")
    parser.add_argument("--minutes", type=float, default=20, help="no case is begun afterwards")
    parser.add_argument("--most", type=float, default=60, help="seconds that one case may take")
    parser.add_argument("--quick", action="store_true", help="the peers and cases that matter most")
    parser.add_argument("--resume", action="store_true", help="go on with the run that was cut short")
    parser.add_argument("--lines", type=Path, default=LINES, help="where single results go")
    parser.add_argument("--json", type=Path, default=None, help=f"default, of a whole run: {SUMMARY.relative_to(ROOT)}")
    return parser.parse_args(arguments)


def chosen(said: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Which libraries and cases."""
    peers = [name for name in said.peers.split(",") if name] or list(QUICK_PEERS if said.quick else PEERS)
    cases = [name for name in said.cases.split(",") if name] or list(QUICK_CASES if said.quick else CASES)
    if unknown := [name for name in peers if name not in PEERS] + [name for name in cases if name not in CASES]:
        sys.exit(f"there is no {unknown[0]!r}; libraries: {', '.join(PEERS)}; cases: {', '.join(CASES)}")
    return peers, cases


def main() -> None:
    """One of the verbs."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends too
    said = options()
    if said.verb == "report":
        from benchmarks.peers.report import write

        write()
        return
    if which("redis-server") is None or find_spec("pytest") is None:
        sys.exit("a redis-server and the development environment are needed: apt-get install redis-server, make venv")
    from tests.integration.redis.servers import Server

    if said.verb == "check":
        said.repeat, said.seconds, said.samples = 1, 0.02, 20
    temporary = bool(said.verb == "check" or said.quick or said.peers or said.cases)
    lines = Lines(said.lines.with_suffix(".short.jsonl") if temporary else said.lines, resume=said.resume)
    peers, cases = chosen(said)
    extent, began = Extent(said.seconds, said.samples), time.monotonic()
    with Server() as server:
        version = Work(server.port).info("server")["redis_version"]
        how = {"seconds": said.seconds, "samples": said.samples}
        for earlier in lines.of("run"):
            if {name: earlier[name] for name in how} != how:
                sys.exit("the run to resume had other --seconds or --samples: say the same again")
        lines.add({"record": "run", "date": time.strftime("%Y-%m-%d"), "redis": version, "machine": machine(), **how})
        run(prepared(peers, lines, server.port), lines, cases, extent, said, server.port)
    summary = summarise(lines)
    progress(f"done in {(time.monotonic() - began) / 60:.1f} minutes")
    if said.json or not temporary:
        save(said.json or SUMMARY, summary)
    if said.verb == "check":
        sys.exit(bool(summary["errors"]))
    from benchmarks.peers.report import text

    print(text(summary))


if __name__ == "__main__":
    main()
