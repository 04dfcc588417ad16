"""What was measured: one line of JSON a case while a run goes on, one file of medians when it is over."""

import json
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Final, cast

from benchmarks.peers.environments import ROOT

__all__ = ["LINES", "SOAK", "SUMMARY", "Lines", "Record", "Summary", "load", "save", "summarise"]

LINES: Final = ROOT / "build" / "peers.jsonl"
SUMMARY: Final = ROOT / "docs" / "performance" / "peers.json"
SOAK: Final = ROOT / "docs" / "performance" / "soak.json"

Record = dict[str, object]
Summary = dict[str, object]


class Lines:
    """The records of a run, in a file that is only ever added to."""

    def __init__(self, path: Path, *, resume: bool) -> None:
        self.path: Final = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.records: list[Record] = []
        if resume and path.exists():
            self.records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        else:
            path.write_text("", encoding="utf-8")

    def add(self, record: Record) -> None:
        """Kept as soon as it is known."""
        self.records.append(record)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def of(self, kind: str) -> list[Record]:
        """All of one kind: `case`, `peer`, `run`."""
        return [record for record in self.records if record["record"] == kind]

    def has(self, peer: str, case: str, repetition: int, turn: int = 0) -> bool:
        """Whether this was measured, or tried."""
        wanted = (peer, case, repetition, turn)
        return any(
            (each["peer"], each["case"], each["repetition"], each.get("turn", 0)) == wanted for each in self.of("case")
        )

    def failures(self, peer: str, case: str) -> int:
        """How often in a row this failed."""
        count = 0
        for each in reversed(self.of("case")):
            if (each["peer"], each["case"]) == (peer, case):
                if "error" not in each:
                    break
                count += 1
        return count


def summarise(lines: Lines) -> Summary:
    """All single figures by measure, library and name; medians are for who reads them."""
    figures: dict[str, dict[str, dict[str, list[float]]]] = {}
    errors: dict[str, dict[str, str]] = {}
    for record in lines.of("case"):
        peer = str(record["peer"])
        if "error" in record:
            errors.setdefault(peer, {})[str(record["case"])] = str(record["error"])
            continue
        for measure, row in cast(dict[str, dict[str, float]], record["figures"]).items():
            place = figures.setdefault(measure, {}).setdefault(peer, {})
            for name, value in row.items():
                place.setdefault(name, []).append(rounded(value))
    foreign = [cast(float, record["foreign"]) for record in lines.of("case")] or [0.0]
    run = {name: value for name, value in lines.of("run")[-1].items() if name != "record"}
    return {
        "run": run
        | {
            "repetitions": max((cast(int, each["repetition"]) for each in lines.of("case")), default=-1) + 1,
            "cases": len(lines.of("case")),
            "foreign_cores_median": round(statistics.median(foreign), 2),
            "foreign_cores_most": round(max(foreign), 2),
        },
        "peers": {str(each["peer"]): {n: v for n, v in each.items() if n != "record"} for each in lines.of("peer")},
        "errors": errors,
        "figures": figures,
    }


def rounded(value: float) -> float:
    """Four significant digits: the others are noise."""
    return float(f"{value:.4g}")


def load(path: Path) -> Summary:
    """A file that `save` wrote."""
    return cast(Summary, json.loads(path.read_text(encoding="utf-8")))


def save(path: Path, summary: Summary) -> None:
    """Readable, the lists of numbers in one line each, so that a new run makes a small difference."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(written(summary) + "\n", encoding="utf-8")


def written(value: object, margin: str = "") -> str:
    """JSON, a line for each field, lists on one line."""
    if not isinstance(value, dict) or not value:
        return json.dumps(value, ensure_ascii=False)
    deeper = margin + " "
    fields: Iterable[str] = (
        f"{deeper}{json.dumps(name)}: {written(inner, deeper)}" for name, inner in cast(Summary, value).items()
    )
    return "{\n" + ",\n".join(fields) + f"\n{margin}}}"
