"""A stored job carries its schema's fingerprint, so it must be the same in every process, on every Python, under every
pydantic: `make fingerprints` asks many of them, this asks the one that runs the tests.
"""

import json
import subprocess
import sys
from pathlib import Path

from tests.unit.wire.fingerprinted import fingerprints

ROOT = Path(__file__).parents[3]
GOLDEN: dict[str, str] = json.loads(Path(__file__).with_name("fingerprints.json").read_text())

SAME_ON_THE_WIRE = [
    {"int", "NewType", "description only"},
    {"int or None", "Optional[int]"},
    {"str", "secret", "pydantic.StrictStr"},
    {"finite", "pydantic.FiniteFloat"},
    {"list", "tuple of any length", "nothing() ->"},
    {"None", "plain() ->"},
    {"dataclass with slots", "every_kind() ->"},
]
"""Names whose schemas are one, by intention."""


def test_they_are_what_they_were() -> None:
    """Changing one on purpose is a decision about every job in flight; `.ci/fingerprints .venv --write` writes them."""
    assert fingerprints() == GOLDEN


def test_they_are_the_same_in_every_process() -> None:
    """Whatever the hash seed, and the addresses of functions, are."""
    code = "import json; from tests.unit.wire.fingerprinted import fingerprints as f; print(json.dumps(f()))"
    for seed in ("1", "2"):
        env = {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        argv = [sys.executable, "-c", code]
        done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout) == GOLDEN


def test_different_schemas_have_different_fingerprints() -> None:
    """Equal ones are equal on the wire, and named here."""
    by_print: dict[str, set[str]] = {}
    for name, fingerprint in GOLDEN.items():
        by_print.setdefault(fingerprint, set()).add(name)
    for names in by_print.values():
        assert len(names) == 1 or any(names <= same for same in SAME_ON_THE_WIRE), names
