"""A producer process: enqueues jobs one by one and in batches, and prints the ids that were accepted.

producer.py DSN HOW_MANY
"""

import sys

from typedgator.backends.connect import connect
from typedgator.wire.frame import Frame
from typedgator.wire.ids import new_id


def main(dsn: str, jobs: int) -> None:
    """Every third call is a batch of ten."""
    backend = connect(dsn)
    sent = 0
    while sent < jobs:
        size = min(10 if sent % 3 == 2 else 1, jobs - sent)
        receipts = backend.enqueue([Frame(job_id=new_id(), queue="all", envelope=b"x" * 50) for _ in range(size)])
        print(*(receipt.job_id.hex() for receipt in receipts), sep="\n", flush=True)
        sent += size
    backend.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
