"""Medians, looked up by measure, library and name. Standard library only: the plots' environment reads it too."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Final, cast

from benchmarks.peers.records import Summary

__all__ = ["OURS", "Table"]

OURS: Final = "typedgator"
Runs = Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]]


class Table:
    """What a run found."""

    def __init__(self, summary: Summary) -> None:
        self.figures: Final = cast(Runs, summary["figures"])
        self.peers: Final = list(cast(Mapping[str, object], summary["peers"]))

    def runs(self, measure: str, peer: str, name: str) -> Sequence[float]:
        """One number a repetition; none where it was not measured."""
        return self.figures.get(measure, {}).get(peer, {}).get(name, ())

    def median(self, measure: str, peer: str, name: str) -> float | None:
        """Of the repetitions."""
        found = self.runs(measure, peer, name)
        return statistics.median(found) if found else None

    def at_best(self, kind: str, peer: str) -> str:
        """Which of the drains by one process was the fastest: as the library comes, or tuned."""
        measures = [f"drain-{kind}-{setting}-1" for setting in ("default", "best")]
        return max(measures, key=lambda measure: self.median(measure, peer, "per_s") or 0.0)

    def most(self, peer: str, *places: tuple[str, str]) -> float | None:
        """The largest of some medians."""
        found = [value for measure, name in places if (value := self.median(measure, peer, name)) is not None]
        return max(found, default=None)
