"""docs/performance.md: what stands between its marks is made of the JSON files beside it, and of nothing else."""

import subprocess
from collections.abc import Callable, Sequence
from typing import Final, cast

from benchmarks.peers.case import surroundings
from benchmarks.peers.environments import PLOTS, ROOT, Uninstalled, prepare
from benchmarks.peers.records import SOAK, SUMMARY, Summary, load
from benchmarks.peers.table import OURS, Table
from benchmarks.peers.targets import TARGETS

__all__ = ["BEGIN", "END", "PAGE", "kept", "text", "with_figures", "write"]

PAGE: Final = ROOT / "docs" / "performance.md"
BEGIN: Final = "<!-- figures: python -m benchmarks.peers report -->"
END: Final = "<!-- end of figures -->"
PLOTTED: Final = """![Enqueue and drain](performance/throughput.png)

![What it costs](performance/cost.png)"""
NOTHING: Final = "There are no figures yet: `make bench-peers`."
Column = tuple[str, Callable[[Table, str], float | None], bool]
"""Its heading, its figure, and whether less is better."""


def write() -> None:
    """Renews the page and its plots."""
    PAGE.write_text(with_figures(PAGE.read_text(encoding="utf-8"), *kept()), encoding="utf-8")
    if not SUMMARY.exists():
        return
    try:
        python = prepare(PLOTS)
    except Uninstalled as error:
        raise SystemExit(f"{PAGE.name} is written, its plots are not: {error}") from error
    command = [str(python), "-m", "benchmarks.peers.plots", str(SUMMARY), str(SUMMARY.parent)]
    subprocess.run(command, check=True, env=surroundings("default"), cwd=ROOT)


def kept() -> tuple[Summary | None, Summary | None]:
    """What the last run found, and the last soak; None where there was none."""
    run, soak = (load(path) if path.exists() else None for path in (SUMMARY, SOAK))
    return run, soak


def with_figures(page: str, summary: Summary | None, soak: Summary | None) -> str:
    """The page with these figures in the place of the old ones."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{PAGE.name} needs the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{text(summary, soak)}\n\n{END}{after}"


def text(summary: Summary | None, soak: Summary | None = None) -> str:
    """Everything between the marks."""
    if summary is None:
        return NOTHING
    table = Table(summary)
    parts = [PLOTTED, said(summary), "### Targets", targets(table)]
    for title, columns in SECTIONS.items():
        parts += [f"### {title}", ranking(table, columns)]
    parts += ["### Where a peer is better", better(table)]
    if soak:
        parts += ["### Soak", soak_lines(soak)]
    parts += ["### Settings and versions", settings(summary)]
    if failed := failures(summary):
        parts += ["### Not measured", failed]
    return "\n\n".join(parts)


def said(summary: Summary) -> str:
    """The machine and the run, in a paragraph."""
    run = cast(dict[str, object], summary["run"])
    machine = cast(dict[str, object], run["machine"])
    words = (
        f"Measured on {run['date']}: {machine['cores']} cores ({machine['processor']}), {machine['memory_gb']} GB, "
        f"{machine['system']}, Python {machine['python']}, Redis {run['redis']} without persistence on the loopback. "
        f"Medians of {run['repetitions']} interleaved repetitions, of enqueue and 2,000 x 50 ms with five turns each, "
        f"{run['cases']} cases; meanwhile other processes "
        f"used {run['foreign_cores_median']:g} cores in the median case and {run['foreign_cores_most']:g} at most. "
        "**Bold** is the best of a column."
    )
    lines, line = list[str](), ""
    for word in words.split():
        if len(line) + len(word) > 118:
            lines, line = [*lines, line], ""
        line = f"{line} {word}".strip()
    return "\n".join([*lines, line])


def targets(table: Table) -> str:
    """What was wanted and what came."""
    rows = []
    for target in TARGETS:
        stretch = "" if target.stretch is None else target.bound(target.stretch)
        found = target.found(table)
        if found is None:
            rows.append((target.title, target.bound(target.must), stretch, "not measured", "", "**no**"))
            continue
        value = f"{number(found.value)} {'x' if target.peers else target.unit}".rstrip()
        met = "yes" if target.met(found.value, target.must) else "**no**"
        if target.stretch is not None and target.met(found.value, target.stretch):
            met = "yes, stretch too"
        rows.append((target.title, target.bound(target.must), stretch, value, found.detail, met))
    return grid(("measure", "target", "stretch", "measured", "least to most", "met"), rows)


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float) -> str:
    """Three digits, two below 1, thousands apart."""
    if value >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    if value < 1:
        return f"{float(f'{value:.2g}'):g}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def ranking(table: Table, columns: Sequence[Column]) -> str:
    """A row for each library that has a figure here."""
    best = [edge(table, column) for column in columns]
    rows = []
    for peer in table.peers:
        values = [find(table, peer) for _, find, _ in columns]
        if any(value is not None for value in values):
            shown = ("" if value is None else number(value) for value in values)
            marked = (
                f"**{figure}**" if value is not None and value == top else figure
                for figure, value, top in zip(shown, values, best, strict=True)
            )
            rows.append((peer, *marked))
    return grid(("", *(head for head, _, _ in columns)), rows)


def edge(table: Table, column: Column) -> float | None:
    """The best figure of a column."""
    _, find, less = column
    values = [value for peer in table.peers if (value := find(table, peer)) is not None]
    return (min if less else max)(values, default=None)


def better(table: Table) -> str:
    """Every column that typedgator does not lead."""
    lines = []
    for title, columns in SECTIONS.items():
        for column in columns:
            head, find, less = column
            ours, top = find(table, OURS), edge(table, column)
            if ours is None or top is None or ours == top:
                continue
            ahead = [
                peer
                for peer in table.peers
                if (value := find(table, peer)) is not None and better_than(value, ours, less)
            ]
            lines.append(f"- {title}, {head}: {', '.join(ahead)} (best {number(top)}, typedgator {number(ours)})")
    return "\n".join(lines) or "Nowhere in these tables."


def better_than(value: float, ours: float, less: bool) -> bool:
    """Whether a peer's figure is."""
    return value < ours if less else value > ours


def settings(summary: Summary) -> str:
    """How each was run."""
    rows = []
    for name, peer in cast(dict[str, dict[str, object]], summary["peers"]).items():
        if "error" in peer:
            continue
        versions = ", ".join(f"{which} {what}" for which, what in cast(dict[str, str], peer["versions"]).items())
        words = cast(dict[str, str], peer["settings"])
        ways = (words.get("default", ""), words.get("best", "as it comes"), words.get("sleep", ""))
        rows.append((name, f"{versions}, Python {peer['python']}", *ways, f"`{peer['imports']}`"))
    return grid(("", "versions", "as it comes", "best", "500 at once", "import"), rows)


def failures(summary: Summary) -> str:
    """Who could not be measured, and why."""
    peers = cast(dict[str, dict[str, object]], summary["peers"])
    lines = [f"- {name}: {peer['error']}" for name, peer in peers.items() if "error" in peer]
    for name, cases in cast(dict[str, dict[str, str]], summary["errors"]).items():
        lines += [f"- {name}, {case}: {why}" for case, why in cases.items()]
    return "\n".join(lines)


def soak_lines(soak: Summary) -> str:
    """What a million jobs left behind."""
    checks = cast(list[dict[str, object]], soak["checks"])
    rows = [
        (str(row["what"]), str(row["target"]), str(row["found"]), "yes" if row["met"] else "**no**") for row in checks
    ]
    return f"{soak['said']}\n\n" + grid(("", "target", "measured", "met"), rows)


# ---- the columns


def of(measure: str, name: str) -> Callable[[Table, str], float | None]:
    """A median."""
    return lambda table, peer: table.median(measure, peer, name)


def at_best(kind: str, name: str) -> Callable[[Table, str], float | None]:
    """A median of the faster setting."""
    return lambda table, peer: table.median(table.at_best(kind, peer), peer, name)


def quicker(kind: str) -> Callable[[Table, str], float | None]:
    """Jobs per second in the faster setting."""
    return at_best(kind, "per_s")


def busy(table: Table, peer: str) -> float | None:
    """After a drain, in the faster setting, of the kind that took more."""
    return table.most(peer, *((table.at_best(kind, peer), "busy_mb") for kind in ("sync", "async")))


def cold(table: Table, peer: str) -> float | None:
    """As the library comes; by sync tasks, where it has them."""
    found = (table.median(f"drain-{kind}-default-1", peer, "cold_s") for kind in ("sync", "async"))
    return next((value for value in found if value is not None), None)


def drains(kind: str) -> list[Column]:
    """The columns of one kind of task."""
    return [
        ("as it comes /s", of(f"drain-{kind}-default-1", "per_s"), False),
        ("best /s", quicker(kind), False),
        ("two processes /s", of(f"drain-{kind}-best-2", "per_s"), False),
        ("worker CPU µs", at_best(kind, "worker_us"), True),
        ("Redis CPU µs", at_best(kind, "redis_us"), True),
        ("commands a job", of("commands", kind), True),
    ]


SECTIONS: Final[dict[str, list[Column]]] = {
    "Enqueue": [
        ("sync caller /s", of("one", "per_s"), False),
        ("sync CPU µs", of("one", "client_us"), True),
        ("one coroutine /s", of("aone", "per_s"), False),
        ("async CPU µs", of("aone", "client_us"), True),
        ("100 coroutines /s", of("hundred", "per_s"), False),
        ("10,000 in one call /s", of("bulk", "per_s"), False),
        ("commands a job", of("commands", "enqueue"), True),
    ],
    "Drain, sync no-op tasks": drains("sync"),
    "Drain, async no-op tasks": drains("async"),
    "An idle worker": [
        ("latency p50 ms", of("latency", "p50_ms"), True),
        ("p99 ms", of("latency", "p99_ms"), True),
        ("enqueue call ms", of("latency", "call_ms"), True),
        ("commands/s", of("idle", "commands_per_s"), True),
        ("CPU %", of("idle", "cpu_percent"), True),
        ("PSS MB", of("idle", "idle_mb"), True),
    ],
    "2,000 jobs of 50 ms, start, memory": [
        ("2,000 x 50 ms, ms", of("sleep", "ms"), True),
        ("PSS MB after a drain", busy, True),
        ("start to first job s", cold, True),
        ("import ms", of("import", "ms"), True),
    ],
}
