"""All passes of Django's tests in this environment: `python tests/integration/django/suite`. Prints what ran and why
not; exit code 1 when one failed, or less than 80 % ran.
"""

import json
import subprocess
import sys
from pathlib import Path

from obtain import VERSION, Unobtainable, django_tests
from run import PASSES

HERE = Path(__file__).parent
ENOUGH = 80


def main() -> int:
    try:
        folder = django_tests()
    except Unobtainable as why:
        sys.stderr.write(f"{why}\n")
        return 1
    ran: set[str] = set()
    left_out: dict[str, str] = {}
    failed: dict[str, str] = {}
    version = ""
    for name in PASSES:
        command = [sys.executable, str(HERE / "run.py"), name, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not done.stdout:
            sys.stderr.write(done.stderr)
            return 1
        said = json.loads(done.stdout)
        version = f"Django {said['django']}, {said['framework']}"
        ran |= set(said["ran"])
        left_out |= said["left_out"]
        failed |= {f"{name}: {test}": text for test, text in said["failed"].items()}
    never = {test: why for test, why in left_out.items() if test not in ran}
    share = 100 * len(ran) / (len(ran) + len(never))
    print(f"{version}: {len(ran)} of {len(ran) + len(never)} of Django {VERSION}'s tests ran ({share:.1f} %)")
    print(f"{len(failed)} failed")
    for test, text in failed.items():
        print(f"\n{test}\n{text}")
    for test, why in sorted(never.items()):
        print(f"left out: {test}: {why}")
    return 1 if failed or share < ENOUGH else 0


if __name__ == "__main__":
    sys.exit(main())
