"""The worker: one actor a file, each with one `tick`.

Actors take a Backend, not a Gator; only `worker.py` knows the Gator.
"""

from typedgator.worker.desk import WorkerReport
from typedgator.worker.worker import Worker

__all__ = ["Worker", "WorkerReport"]
