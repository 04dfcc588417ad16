"""The checker sees what it is there to see: shown one bad history, it goes red for that, and only that."""

from dataclasses import replace
from typing import cast

import pytest

from tests.integration.chaos.checker import Final, History, Rollback, check
from tests.integration.chaos.journal import Line

FIRST, SECOND = 100, 200
"""Processes."""


def accepted(job_id: str, number: int, at: float = 0.0, parent: str = "-") -> Line:
    """A producer's line."""
    return Line("accepted", job_id, number, number, at, 1, parent)


def ran(
    job_id: str, attempt: int, token: int, at: float, pid: int = FIRST, *, what: str = "start end written-success"
) -> list[Line]:
    """The lines of one run, a tenth of a second apart."""
    return [
        Line(word, job_id, attempt, token if word in ("start", "end") else 0, at + number / 10, pid)
        for number, word in enumerate(what.split())
    ]


def well() -> History:
    """Two jobs: one went well, the other was killed with its worker and ran again after four seconds."""
    return History(
        accepted=[accepted("a", 1), accepted("b", 2)],
        effects=[
            *ran("a", 1, 10, 1.0),
            *ran("b", 1, 11, 1.0, what="start"),
            *ran("b", 2, 12, 6.0, SECOND),
        ],
        killed={FIRST: 2.0},
        finals={"a": Final("success", 10, 1), "b": Final("success", 12, 2, 1)},
        seen_again={"a": Final("success", 10, 1)},
        faults={"worker_freeze": 1},
    )


def red(history: History) -> set[str]:
    """Which promises were broken."""
    return set(cast(dict[str, object], check(history)["broken"]))


def retold(history: History, job_id: str, lines: list[Line]) -> History:
    """The same history with other effects of this job."""
    return replace(history, effects=[line for line in history.effects if line.job_id != job_id] + lines)


def test_a_good_history_is_green() -> None:
    """And its figures are what happened."""
    history = well()
    history.faults["worker_freeze"] = 3

    figures = check(history)

    assert figures["broken"] == {}
    assert (figures["jobs"], figures["accepted"], figures["runs"], figures["interrupted"]) == (2, 2, 3, 1)
    assert (figures["lost"], figures["double_outcomes"], figures["duplicate_runs"]) == (0, 0, 0)
    assert figures["recovery_p99_s"] == 4.0
    assert figures["extra_runs"] == {"killed": 1}


def test_a_lost_job_is_red() -> None:
    """Accepted, and the storage does not know it."""
    history = well()
    del history.finals["b"]
    assert red(history) == {"lost"}


def test_a_job_that_did_not_end_is_red() -> None:
    """Accepted, and still running."""
    history = retold(well(), "b", ran("b", 1, 11, 1.0, what="start"))
    history.finals["b"] = Final("running")
    assert red(history) == {"not ended"}


def test_another_jobs_result_is_red() -> None:
    """A result that this job cannot have computed."""
    history = well()
    history.finals["a"] = history.seen_again["a"] = Final("success", 10, 2)
    assert red(history) == {"wrong results"}


@pytest.mark.parametrize("token", [9, 11])
def test_an_outcome_of_a_run_that_did_not_end_is_red(token: int) -> None:
    """No such run, or one that was killed before it ended."""
    history = well()
    history.finals["b"] = Final("success", token, 2)
    assert "outcomes of no run that ended" in red(history)


def test_an_outcome_written_twice_is_red() -> None:
    """Two workers were told that theirs was written."""
    zombie = [*ran("b", 1, 11, 1.0, what="start"), Line("end", "b", 1, 11, 7.0, FIRST)]
    history = retold(
        well(), "b", [*zombie, *ran("b", 2, 12, 6.0, SECOND), Line("written-success", "b", 1, 0, 7.1, FIRST)]
    )
    assert "outcomes written twice" in red(history)


def test_an_overwritten_outcome_is_red() -> None:
    """First seen as one, later as another; also with the same state and another token."""
    history = well()
    history.seen_again["a"] = Final("success", 13, 1)
    assert red(history) == {"outcomes overwritten"}
    history.seen_again["a"] = Final("failed", 0, None, 4, "crashed")
    assert red(history) == {"outcomes overwritten"}


def test_an_outcome_may_be_dropped_when_its_time_is_over() -> None:
    """The id is known for a day, the result for ten minutes."""
    history = well()
    history.seen_again["a"] = Final("success", 0, None)
    assert red(history) == set()


def test_a_success_that_became_a_failure_is_red() -> None:
    """The worker was told success, the storage says that it crashed."""
    history = well()
    history.finals["a"] = history.seen_again["a"] = Final("failed", 0, None, 4, "crashed")
    assert red(history) == {"outcomes overwritten"}


def test_an_extra_run_without_a_reason_is_red() -> None:
    """Nobody was killed."""
    assert red(replace(well(), killed={})) == {"extra runs that nothing explains"}


def test_a_kill_before_a_run_explains_nothing() -> None:
    """A process id that was killed earlier than that."""
    assert red(replace(well(), killed={FIRST: 0.5})) == {"extra runs that nothing explains"}


def test_a_kill_after_the_outcome_explains_nothing() -> None:
    """The worker had been told that it was written, and was killed later."""
    history = retold(well(), "b", [*ran("b", 1, 11, 1.0), *ran("b", 2, 12, 6.0, SECOND, what="start lost")])
    history.finals["b"] = Final("success", 11, 2)
    assert red(history) == {"extra runs that nothing explains", "runs after the outcome"}


@pytest.mark.parametrize("why", ["retrying", "lost"])
def test_a_retry_and_a_lost_lease_explain_a_run(why: str) -> None:
    """As the worker was told."""
    history = retold(well(), "b", [*ran("b", 1, 11, 1.0, what=f"start {why}"), *ran("b", 2, 12, 2.0, SECOND)])
    assert red(replace(history, killed={})) == set()


def test_a_run_after_the_outcome_is_red() -> None:
    """It was final, and was handed out again."""
    history = retold(well(), "b", [*ran("b", 1, 11, 1.0), *ran("b", 2, 12, 6.0, SECOND, what="start lost")])
    history.finals["b"] = Final("success", 11, 2)
    assert "runs after the outcome" in red(history)


def test_a_token_granted_twice_is_red() -> None:
    """To two jobs, or to one job twice."""
    history = retold(well(), "a", ran("a", 1, 12, 1.0))
    history.finals["a"] = history.seen_again["a"] = Final("success", 12, 1)
    assert red(history) == {"tokens granted twice"}
    history = retold(well(), "b", [*ran("b", 1, 12, 1.0, what="start"), *ran("b", 2, 12, 6.0, SECOND)])
    assert "tokens granted twice" in red(history)


def test_a_token_that_shrank_is_red() -> None:
    """The later run has the smaller one."""
    history = retold(well(), "b", [*ran("b", 1, 12, 1.0, what="start end retrying"), *ran("b", 2, 11, 6.0, SECOND)])
    history.finals["b"] = Final("success", 11, 2)
    assert "attempts that did not grow" in red(history)
    history = retold(
        well(), "b", [*ran("b", 2, 12, 1.0, what="start end"), *ran("b", 1, 11, 6.0, SECOND, what="start retrying")]
    )
    assert red(history) == {"tokens that did not grow"}


def test_a_zombie_may_start_late_what_it_claimed_early() -> None:
    """Its token is the smaller one, and what it writes was refused."""
    late = ran("b", 1, 11, 8.0, what="start end lost")
    assert red(retold(well(), "b", [*ran("b", 2, 12, 6.0, SECOND), *late])) == set()


def test_a_failure_must_be_the_end_of_a_crash_budget() -> None:
    """No task fails for good by itself here."""
    history = retold(well(), "b", ran("b", 1, 11, 1.0, what="start"))
    history.finals["b"] = Final("failed", 0, None, 4, "crashed")
    assert red(history) == set()
    for bad in (Final("failed", 0, None, 3, "crashed"), Final("failed", 11, None, 0)):
        history.finals["b"] = bad
        assert red(history) == {"failed without a reason"}


def test_a_child_before_its_parent_is_red() -> None:
    """It started before the parent had ended."""
    history = well()
    history.accepted[1] = accepted("b", 2, parent="a")
    assert red(history) == {"children before their parents"}
    assert red(retold(history, "b", ran("b", 1, 12, 2.0))) == set()


def test_a_child_is_canceled_only_with_its_parent() -> None:
    """The parent succeeded."""
    history = well()
    history.accepted[1] = accepted("b", 2, parent="a")
    history = retold(history, "b", [])
    history.finals["b"] = Final("canceled", reason="dependency")
    assert red(history) == {"canceled without a reason"}


def test_a_slow_recovery_is_red() -> None:
    """More than the lease and a second after the kill."""
    history = retold(well(), "b", [*ran("b", 1, 11, 1.0, what="start"), *ran("b", 2, 12, 8.1, SECOND)])
    assert red(history) == {"slow recovery"}


def test_an_outage_is_no_slow_recovery() -> None:
    """Nobody could be served; spans that overlap count once, and none makes a recovery quicker than the lease."""
    history = retold(well(), "b", [*ran("b", 1, 11, 1.0, what="start"), *ran("b", 2, 12, 9.0, SECOND)])
    assert red(replace(history, outages=[(3.0, 4.0)])) == set()
    assert check(replace(history, outages=[(3.0, 4.0)]))["recovery_p99_s"] == 6.0
    assert red(replace(history, outages=[(3.0, 3.6), (3.0, 3.6)])) == {"slow recovery"}
    assert check(replace(history, outages=[(0.0, 9.0)]))["recovery_p99_s"] == 5.0
    assert check(replace(history, outages=[(0.0, 9.0)]))["recovery_with_outages_p99_s"] == 7.0


def test_a_clock_that_goes_back_prolongs_the_leases_of_the_dead() -> None:
    """Of those that died just before or after, not of others."""
    history = retold(well(), "b", [*ran("b", 1, 11, 1.0, what="start"), *ran("b", 2, 12, 9.0, SECOND)])
    assert red(replace(history, steps_back=[(3.0, 10.0)])) == set()
    assert red(replace(history, steps_back=[(8.0, 10.0)])) == {"slow recovery"}

    history = retold(well(), "b", [*ran("b", 1, 11, 1.0, what="start"), *ran("b", 2, 12, 14.0, SECOND)])
    assert red(replace(history, steps_back=[(3.0, 10.0)])) == {"slow recovery"}


def test_a_fault_that_did_not_strike_is_red() -> None:
    """0 of 1, 9 of 10."""
    history = well()
    history.faults["worker_freeze"] = 0
    assert red(history) == {"faults that did not strike"}
    history.faults["worker_freeze"] = 9
    assert red(replace(history, least=10)) == {"faults that did not strike"}


def test_kills_that_interrupted_next_to_nothing_are_red() -> None:
    """They prove nothing."""
    history = well()
    history.faults["worker_kill"] = 1
    assert red(history) == {"too few interrupted"}


@pytest.mark.parametrize("field", ["key_faults", "troubles"])
def test_keys_and_troubles_are_red(field: str) -> None:
    """What the audit of the keys says, and what went wrong on the way."""
    history = well()
    getattr(history, field).append("something")
    assert len(red(history)) == 1


def test_a_failover_may_forget_the_newest_writes() -> None:
    """A run and an outcome of that time may come twice, without it they may not."""
    twice = retold(well(), "b", [*ran("b", 1, 11, 1.0), *ran("b", 1, 12, 6.0, SECOND)])
    twice = replace(twice, killed={})
    assert red(twice) == {"extra runs that nothing explains", "outcomes written twice"}
    assert red(replace(twice, rollbacks=[Rollback(0.5, 2.0)])) == set()
    assert red(replace(twice, rollbacks=[Rollback(5.0, 7.0)])) == {
        *("extra runs that nothing explains", "outcomes written twice")
    }


def test_a_failover_loses_only_what_was_not_replicated() -> None:
    """A job that was accepted in that time is counted apart; one that was accepted before, or replicated, is lost."""
    history = retold(well(), "b", [])
    history.accepted[1] = accepted("b", 2, at=1.0)
    del history.finals["b"]
    assert red(replace(history, rollbacks=[Rollback(0.5, 2.0, loses=True)])) == set()
    assert check(replace(history, rollbacks=[Rollback(0.5, 2.0, loses=True)]))["lost_unreplicated"] == 1
    assert red(replace(history, rollbacks=[Rollback(1.5, 2.0, loses=True)])) == {"lost"}
    assert red(replace(history, rollbacks=[Rollback(0.5, 2.0)])) == {"lost"}
