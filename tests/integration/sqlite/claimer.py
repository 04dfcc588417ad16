"""A worker process as small as can be: claims, writes each job into a journal, settles; until nothing is left.

    claimer.py DSN JOURNAL LEASE_MS [hold]

With `hold` it stops after its first claim, says so, and waits to be killed.
"""

import os
import sys

from typedgator.backends.connect import connect
from typedgator.backends.contract import Inspect
from typedgator.errors import WorkerLapsed
from typedgator.wire.states import PENDING
from typedgator.wire.verdict import Settlement, Succeeded


def main(dsn: str, journal: str, lease_ms: int, *, hold: bool) -> None:
    """Exits with 0 when no job is pending any more."""
    backend = connect(dsn)
    assert isinstance(backend, Inspect)
    # One write of a short line to such a file is atomic, whoever else writes.
    effects = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    worker, seen = backend.join(["all"], lease_ms=lease_ms), 0
    while True:
        try:
            claimed = backend.claim(worker, limit=10, wait_ms=200, seen=seen)
        except WorkerLapsed:
            # A machine under load may stop us for longer than our lease.
            worker, seen = backend.join(["all"], lease_ms=lease_ms), 0
            continue
        if hold and claimed:
            print(len(claimed), flush=True)
            sys.stdin.read()
        for each in claimed:
            os.write(effects, f"{each.job_id.hex()} {each.attempt} {each.token}\n".encode())
        backend.settle(worker, [Settlement(each.job_id, each.token, Succeeded()) for each in claimed])
        print(f"settled {len(claimed)}", flush=True)
        seen = max([seen, *(each.token for each in claimed)])
        backend.beat(worker, [])
        pending = [n for states in backend.counts().queues.values() for state, n in states.items() if state in PENDING]
        if not claimed and not pending:
            break
    backend.leave(worker)
    backend.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), hold="hold" in sys.argv)
