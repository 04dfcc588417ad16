"""A short campaign in every run of the tests; `python -m tests.integration.chaos.kill` is the long one."""

from pathlib import Path

import pytest

from tests.integration.chaos.kill import run


@pytest.mark.timeout(180)
def test_killed_workers_lose_no_job_and_write_no_outcome_twice(tmp_path: Path) -> None:
    """Jobs of a killed worker run again within the lease term; nothing is lost, no outcome is written twice."""
    figures = run(
        tmp_path,
        dsn=f"sqlite:///{tmp_path / 'queue.db'}",
        jobs=400,
        kills=4,
        workers=3,
        seconds=0.1,
        lease=5.0,
        seed=1,
    )

    assert figures["broken"] == {}
    assert figures["kills"] == 4
