"""kill -9, frozen workers, cut lines, full and restarted servers, failovers: is a job lost, an outcome written twice?

    python -m tests.integration.chaos --jobs 2000 --faults 60
    python -m tests.integration.chaos --stage sqlite --kinds worker_kill=12 --jobs 2000
    python -m tests.integration.chaos --stage sentinel --replicated --kinds sentinel_kill=3,worker_kill=6
    python -m tests.integration.chaos --long

Prints one line of JSON, and exits 1 when a promise was broken; `broken` says which.
"""

import argparse
import json
import signal
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from tests.integration.chaos.campaign import Campaign, Plan
from tests.integration.chaos.faults import KINDS, kinds_of
from tests.integration.chaos.stages import STAGES

__all__ = ["LONG", "play"]

LEAST = 10
LONG = {
    "single": Plan(
        jobs=80_000,
        kinds={
            "worker_kill": 100,
            "worker_freeze": 20,
            "worker_deploy": 40,
            "redis_kill": 30,
            "client_kill": 35,
            "proxy_reset": 35,
            "proxy_blackhole": 20,
            "proxy_cut_reply": 35,
            "script_flush": 20,
            "maxmemory": 20,
            "clock_step": 20,
        },
        seconds=0.02,
        least=LEAST,
        says=True,
    ),
    "sentinel": Plan(
        jobs=8_000,
        kinds={"worker_kill": 10, "sentinel_kill": 10, "sentinel_pause": 10, "sentinel_partition": 10},
        least=LEAST,
        replicated=True,
        says=True,
    ),
    "cluster": Plan(
        jobs=8_000,
        kinds={"worker_kill": 10, "cluster_migrate": 15, "cluster_kill": 10},
        least=LEAST,
        replicated=True,
        says=True,
    ),
    "sqlite": Plan(
        jobs=4_000, kinds={"worker_kill": 30, "worker_freeze": 10, "worker_deploy": 10}, least=LEAST, says=True
    ),
}
"""100,000 jobs and 500 faults in all."""


def play(stage: str, plan: Plan, folder: Path) -> dict[str, object]:
    """One campaign in an empty folder; its figures."""
    with STAGES[stage](folder) as built:
        return Campaign(built, plan, folder).run()


def shared(stage: str, faults: int) -> dict[str, int]:
    """So many faults, each kind about as often; of costly ones a third."""
    kinds = kinds_of(stage)
    weights = {name: 1 if KINDS[name].seldom else 3 for name in kinds}
    return {name: max(1, round(faults * weight / sum(weights.values()))) for name, weight in weights.items()}


def said_kinds(text: str, stage: str, faults: int) -> dict[str, int]:
    """`name` or `name=times`, by commas; names without times share `faults`."""
    pairs = [word.partition("=") for word in text.split(",")]
    unknown = [name for name, _, _ in pairs if name not in kinds_of(stage)]
    if unknown:
        raise SystemExit(f"stage {stage} has no fault {unknown[0]!r}; it has {', '.join(kinds_of(stage))}")
    return {name: int(times) if times else max(1, faults // len(pairs)) for name, _, times in pairs}


def main() -> None:
    """Parses the command line, plays, prints, exits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=list(STAGES), default="single", help="what the jobs are kept in")
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--faults", type=int, default=60, help="in all; each kind about as often")
    parser.add_argument("--kinds", help="only these, by commas; NAME=TIMES says how often")
    parser.add_argument("--least", type=int, default=1, help="red when a kind struck less often")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--slots", type=int, default=4, help="threads, and coroutines, of each worker")
    parser.add_argument("--seconds", type=float, default=0.03, help="how long one job takes, on average")
    parser.add_argument("--lease", type=float, default=5.0)
    parser.add_argument("--slack", type=float, default=1.0, help="how much longer recovery may take than the lease")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--replicated", action="store_true", help="accepted means that a replica has it")
    parser.add_argument("--folder", type=Path, help="leaves journals and logs there")
    parser.add_argument("--long", action="store_true", help="the long campaigns on every stage, nothing else counts")
    said = parser.parse_args()
    # Told to end, it ends what it started, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    if said.long:
        sys.exit(max(_played(stage, replace(plan, seed=said.seed), None) for stage, plan in LONG.items()))
    kinds = said_kinds(said.kinds, said.stage, said.faults) if said.kinds else shared(said.stage, said.faults)
    plan = Plan(
        jobs=said.jobs,
        kinds=kinds,
        seed=said.seed,
        workers=said.workers,
        slots=said.slots,
        lease=said.lease,
        slack=said.slack,
        seconds=said.seconds,
        least=said.least,
        replicated=said.replicated,
        says=True,
    )
    if said.folder is not None:
        said.folder.mkdir(parents=True, exist_ok=True)
        if any(said.folder.iterdir()):
            raise SystemExit(f"{said.folder} is not empty")
    sys.exit(_played(said.stage, plan, said.folder))


def _played(stage: str, plan: Plan, folder: Path | None) -> int:
    with nullcontext(folder) if folder else tempfile.TemporaryDirectory(prefix="typedgator-chaos-") as name:
        figures = play(stage, plan, Path(name))
    print(json.dumps(figures), flush=True)
    return 1 if figures["broken"] else 0


if __name__ == "__main__":
    main()
