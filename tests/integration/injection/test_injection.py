"""Why tasks have no injection: the two ways to write it, under four checkers and at run time."""

import re
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.typing.test_static import ASK, GATES, Told
from typedgator import UnsupportedSignature, Worker

HERE = Path(__file__).parent
CANDIDATE = (HERE / "candidate.py").read_text()
CALLS = (HERE / "calls.py").read_text()


def marked(mark: str) -> set[int]:
    """The lines of `calls.py` that bear it."""
    return {n for n, line in enumerate(CALLS.splitlines(), 1) if re.search(rf"  # {mark}: ", line)}


@pytest.fixture(scope="module", params=list(ASK))
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, list[Told]]]:
    """A checker, and what it says of each file."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "candidate.py").write_text(CANDIDATE)
    (folder / "calls.py").write_text(CALLS)
    by_file: dict[str, list[Told]] = defaultdict(list)
    for each in ASK[request.param](folder):
        by_file[Path(each.file).name].append(each)
    return request.param, by_file


def test_the_first_parameter_vanishes_for_all_checkers(told: tuple[str, dict[str, list[Told]]]) -> None:
    """And with it the way in which a test would pass its own."""
    assert {each.line for each in told[1]["calls.py"]} == marked("refused")
    assert marked("unseen")


def test_what_the_mypy_plugin_sees_at_the_def_is_the_dependency(told: tuple[str, dict[str, list[Told]]]) -> None:
    """It reads the `def`, as people do, so it refuses a parameter that would never be queued."""
    checker, by_file = told
    said = [each.message for each in by_file["candidate.py"]]
    if checker == "mypy":
        assert len(said) == 2
        assert all("parameter 'db' is Session, which is not a simple type" in each for each in said)
    elif checker in GATES:
        assert said == []


def test_by_a_decorator_it_runs_and_by_a_default_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """At run time too, only the first could be made to work."""
    with pytest.raises(UnsupportedSignature, match="parameter 'db' is Session"):
        run(CANDIDATE.replace("= depends(session)", "= cast(Session, None)"), monkeypatch)

    names = run(CANDIDATE[: CANDIDATE.rindex("@gator.register")], monkeypatch)
    job = names["send"].task(1, urgent=True)  # type: ignore[attr-defined]
    Worker(names["gator"], burst=True).run()  # type: ignore[arg-type]
    assert job.state() == "success"


def run(source: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    module = type(sys)("candidate")
    monkeypatch.setitem(sys.modules, "candidate", module)
    exec(compile(source.replace("TypeVar\n", "TypeVar, cast\n", 1), "candidate.py", "exec"), vars(module))
    return vars(module)
