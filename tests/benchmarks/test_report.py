"""docs/performance.md says what the measurements say, also where a peer is better."""

from pathlib import Path

import pytest

from benchmarks.peers.records import Lines, Summary, summarise
from benchmarks.peers.report import PAGE, SECTIONS, failures, kept, ranking, text, with_figures
from benchmarks.peers.table import Table
from benchmarks.peers.targets import Target


def run_of(figures: dict[str, object], errors: dict[str, object] | None = None) -> Summary:
    """A run of two peers and us."""
    peers = {name: {"versions": {name: "1"}, "python": "3.11.7", "settings": {}, "imports": "x"} for name in NAMES}
    machine = {"cores": 2, "processor": "P", "memory_gb": 4, "system": "Linux", "python": "3.11.7"}
    run = {"date": "2026-01-01", "redis": "7.0.15", "machine": machine, "repetitions": 3, "cases": 9}
    run |= {"foreign_cores_median": 0.0, "foreign_cores_most": 0.0}
    return {"run": run, "peers": peers, "errors": errors or {}, "figures": figures}


NAMES = ("typedgator", "huey", "ardiq")


def test_the_page_shows_exactly_what_was_measured() -> None:
    """Figures are never typed: the page is what the command makes of the JSON beside it."""
    page = PAGE.read_text(encoding="utf-8")

    assert with_figures(page, *kept()) == page


def test_other_figures_make_another_page() -> None:
    """The comparison above can fail."""
    page, (_, soak) = PAGE.read_text(encoding="utf-8"), kept()

    other = run_of({"one": {"typedgator": {"per_s": [1.0]}}})

    assert with_figures(page, other, soak) != page


@pytest.mark.parametrize(("ours", "met"), [(1250.0, True), (1249.0, False)])
def test_a_ratio_is_of_medians_and_met_from_its_bound_on(ours: float, met: bool) -> None:
    """One repetition that was disturbed decides nothing."""
    figures = {"one": {"typedgator": {"per_s": [ours, 9.0, 9999.0]}, "huey": {"per_s": [1000.0, 1.0, 5000.0]}}}
    target = Target("enqueue", "one", "per_s", 1.25, None, ["huey"])

    found = target.found(Table(run_of(figures)))

    assert found is not None
    assert found.value == ours / 1000
    assert target.met(found.value, target.must) is met


def test_a_peer_counts_at_its_better_setting_and_we_as_we_come() -> None:
    """Tuning ours, or not tuning theirs, would flatter."""
    figures = {
        "drain-sync-default-1": {"typedgator": {"per_s": [4000.0]}, "ardiq": {"per_s": [500.0]}},
        "drain-sync-best-1": {"typedgator": {"per_s": [9000.0]}, "ardiq": {"per_s": [2000.0]}},
    }

    found = Target("drain", "drain-sync-default-1", "per_s", 4, None, ["ardiq"]).found(Table(run_of(figures)))

    assert found is not None
    assert found.value == 2.0


def test_the_best_peer_is_the_one_that_is_hardest_to_beat() -> None:
    """Whether more or less is better."""
    figures = {"hundred": {"typedgator": {"per_s": [90.0]}, "huey": {"per_s": [10.0]}, "ardiq": {"per_s": [30.0]}}}
    more = Target("enqueue", "hundred", "per_s", 4, None, ["*"]).found(Table(run_of(figures)))
    less = Target("enqueue", "hundred", "per_s", 4, None, ["*"], at_most=True).found(Table(run_of(figures)))

    assert more is not None
    assert (more.value, more.detail.split(";")[0]) == (3.0, "ardiq")
    assert less is not None
    assert (less.value, less.detail.split(";")[0]) == (9.0, "huey")


def test_a_target_that_was_not_measured_is_not_met() -> None:
    """Silence is no success."""
    shown = text(run_of({}))

    assert "not measured" in shown
    assert "| yes" not in shown


def test_where_a_peer_wins_it_is_in_bold_and_named() -> None:
    """The reader needs no calculator to find out."""
    figures = {"one": {"typedgator": {"per_s": [10.0]}, "huey": {"per_s": [20.0]}}}
    run = run_of(figures)

    assert "| huey | **20.0** |" in ranking(Table(run), SECTIONS["Enqueue"])
    assert "- Enqueue, sync caller /s: huey (best 20.0, typedgator 10.0)" in text(run)


def test_what_failed_is_told() -> None:
    """A blank in a table may be a library that cannot do it, or one that hung."""
    run = run_of({}, {"huey": {"enqueue": "it took longer than 60 s"}})

    assert failures(run) == "- huey, enqueue: it took longer than 60 s"
    assert "### Not measured" in text(run)


def test_a_run_that_was_cut_short_is_gone_on_with(tmp_path: Path) -> None:
    """What was measured is on the disk at once, and is not measured again."""
    first = Lines(tmp_path / "lines", resume=False)
    first.add({"record": "run", "date": "2026-01-01"})
    first.add(
        {
            "record": "case",
            "peer": "huey",
            "case": "idle",
            "repetition": 0,
            "foreign": 0.1,
            "figures": {"idle": {"mb": 1.0}},
        }
    )

    second = Lines(tmp_path / "lines", resume=True)
    again = Lines(tmp_path / "lines", resume=False)

    assert second.has("huey", "idle", 0)
    assert not second.has("huey", "idle", 1)
    assert not second.has("huey", "idle", 0, 1)
    assert summarise(second)["figures"] == {"idle": {"huey": {"mb": [1.0]}}}
    assert not again.has("huey", "idle", 0)
