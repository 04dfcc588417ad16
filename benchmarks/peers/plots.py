"""PNG plots of a run; in an environment of their own, which has matplotlib.

python -m benchmarks.peers.plots SUMMARY FOLDER
"""

import sys
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

from benchmarks.peers.records import load
from benchmarks.peers.report import SECTIONS, Column, number
from benchmarks.peers.table import OURS, Table

MIXED = "2,000 jobs of 50 ms, start, memory"
THROUGHPUT = {
    "Enqueue": ("sync caller /s", "one coroutine /s", "100 coroutines /s", "10,000 in one call /s"),
    "Drain, sync no-op tasks": ("best /s",),
    "Drain, async no-op tasks": ("best /s",),
}
COST = {
    "Drain, sync no-op tasks": ("worker CPU µs",),
    "An idle worker": ("latency p50 ms", "p99 ms", "PSS MB"),
    MIXED: ("2,000 x 50 ms, ms", "start to first job s"),
}


def draw(table: Table, wanted: dict[str, tuple[str, ...]], file: Path) -> None:
    """Six charts in pairs, the best on top: to be read at the width of a page's text."""
    columns = [(title, column) for title, heads in wanted.items() for column in SECTIONS[title] if column[0] in heads]
    figure, places = plt.subplots(3, 2, figsize=(9, 10), layout="constrained")
    for place, (title, column) in zip(places.flat, columns, strict=True):
        bars(place, table, title, column)
    figure.get_layout_engine().set(hspace=0.06, wspace=0.04)
    figure.savefig(file, dpi=160, metadata={"Software": None})
    plt.close(figure)


def bars(place: plt.Axes, table: Table, title: str, column: Column) -> None:
    """One chart."""
    head, find, less = column
    found = sorted(((value, peer) for peer in table.peers if (value := find(table, peer)) is not None), reverse=less)
    values, names = [value for value, _ in found], [peer for _, peer in found]
    colours = ["#1b7f5a" if peer == OURS else "#9aa7b1" for peer in names]
    most = longest(values) if less else max(values)
    drawn = place.barh(names, [min(value, most) for value in values], color=colours)
    labels = [number(value) + (", cut off" if value > most else "") for value in values]
    place.bar_label(drawn, labels, padding=3, fontsize=9)
    place.set_title(head if title == MIXED else f"{title}: {head}", fontsize=11)
    place.set_xlabel("less is better" if less else "more is better", fontsize=9)
    place.tick_params(labelsize=9, left=False)
    place.set_xticks([])  # each bar says its figure
    place.margins(x=0.25, y=0.02)
    for side in ("top", "right", "bottom"):
        place.spines[side].set_visible(False)


def longest(values: list[float]) -> float:
    """How long a bar may be, so that one outlier does not make lines of all others."""
    *_, second, first = sorted([0.0, *values])
    return first if first <= 5 * second or not second else 3 * second


def main(summary: str, folder: str) -> None:
    """Both files."""
    mpl.use("Agg")
    table = Table(load(Path(summary)))
    draw(table, THROUGHPUT, Path(folder) / "throughput.png")
    draw(table, COST, Path(folder) / "cost.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
