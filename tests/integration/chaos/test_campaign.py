"""Short campaigns in every run of the tests; `make chaos` plays the long ones."""

from pathlib import Path

import pytest

from tests.integration.chaos.__main__ import play
from tests.integration.chaos.campaign import Plan
from tests.integration.chaos.faults import kinds_of
from tests.integration.redis.servers import needs_redis

SLACK = 15.0
"""Seconds: how soon a job runs again is measured on a quiet machine, by `make chaos`; here others work as well."""
SOME = {
    "worker_kill": 12,
    "worker_freeze": 1,
    "worker_deploy": 2,
    "redis_kill": 2,
    "client_kill": 2,
    "proxy_reset": 2,
    "proxy_blackhole": 2,
    "proxy_cut_reply": 3,
    "script_flush": 1,
    "maxmemory": 2,
    "clock_step": 2,
}


@needs_redis
@pytest.mark.timeout(300)
def test_redis_loses_no_job_and_writes_no_outcome_twice(tmp_path: Path) -> None:
    """Whatever kind of fault strikes: accepted is final exactly once, and soon; every extra run has its reason."""
    assert set(SOME) == set(kinds_of("single"))

    figures = play("single", Plan(jobs=2000, kinds=SOME, seconds=0.02, pause=(0.05, 0.3), slack=SLACK), tmp_path)

    assert figures["broken"] == {}, figures
    assert figures["faults"] == SOME


@pytest.mark.timeout(300)
def test_sqlite_loses_no_job_and_writes_no_outcome_twice(tmp_path: Path) -> None:
    """Killed, frozen and replaced workers."""
    kinds = {"worker_kill": 4, "worker_freeze": 1, "worker_deploy": 1}

    figures = play("sqlite", Plan(jobs=400, kinds=kinds, seconds=0.1, slack=SLACK), tmp_path)

    assert figures["broken"] == {}, figures
    assert figures["faults"] == kinds
