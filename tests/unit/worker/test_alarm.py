"""Held jobs are said, and not shouted."""

import logging

import pytest

from typedgator.events import Events, JobsHeld
from typedgator.wire.verdict import Held
from typedgator.worker.alarm import Alarm


class Watch:
    """The time, moved by hand."""

    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Listener:
    """Hears alarms, as jobs and reason."""

    def __init__(self) -> None:
        self.watch = Watch()
        self.heard: list[tuple[str, int, str]] = []
        events = Events()
        events.on(JobsHeld, lambda alarm: self.heard.append((alarm.task, alarm.jobs, alarm.reason)))
        self.alarm = Alarm(events, self.watch)

    def hold(self, jobs: int, task: str = "t", schema: str = "1", reason: str = "why") -> None:
        """So many jobs of a kind are held."""
        for number in range(jobs):
            self.alarm.held(f"{task}-{number}", Held(reason, task, schema))

    def said(self) -> list[tuple[str, int, str]]:
        """What was heard since this was asked last."""
        heard, self.heard = self.heard, []
        return heard


def test_the_first_is_said_at_once_and_the_rest_once_a_minute() -> None:
    """With how many they were, and why the last one was held."""
    listener = Listener()
    listener.hold(3)
    assert listener.said() == [("t", 1, "why")]
    listener.alarm.say()
    listener.watch.seconds += 59.9
    listener.alarm.say()
    listener.hold(1, reason="another reason")
    assert listener.said() == []
    listener.watch.seconds += 0.1
    listener.alarm.say()
    assert listener.said() == [("t", 3, "another reason")]
    listener.watch.seconds += 60
    listener.alarm.say()
    assert listener.said() == [], "nothing is not said"
    listener.hold(1)
    assert listener.said() == [("t", 1, "why")], "it was quiet for a minute"


def test_each_kind_has_its_own_voice() -> None:
    """Task and fingerprint: one is another release's, the other nobody's."""
    listener = Listener()
    listener.hold(2, "a")
    listener.hold(2, "b")
    listener.hold(2, "a", "2")
    assert listener.said() == [("a", 1, "why"), ("b", 1, "why"), ("a", 1, "why")]
    listener.alarm.say(all_of_it=True)
    assert listener.said() == [("a", 1, "why"), ("b", 1, "why"), ("a", 1, "why")]


def test_a_line_names_job_task_and_reason(caplog: pytest.LogCaptureFixture) -> None:
    """As a warning: somebody has to bring the release that can run it."""
    with caplog.at_level(logging.WARNING, "typedgator"):
        Listener().hold(1, "app.send", reason="task app.send is not known")
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage() == (
        "job app.send-0 of app.send is held for a worker that can run it: task app.send is not known"
    )


def test_what_others_write_into_jobs_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond so many kinds the oldest is forgotten; what it had unsaid is said first."""
    monkeypatch.setattr("typedgator.worker.alarm.MOST_KINDS", 2)
    listener = Listener()
    listener.hold(3, "a")
    listener.hold(1, "b")
    listener.hold(1, "c")
    assert listener.said() == [("a", 1, "why"), ("b", 1, "why"), ("a", 2, "why"), ("c", 1, "why")]
    listener.hold(1, "a")
    assert listener.said() == [("a", 1, "why")]
