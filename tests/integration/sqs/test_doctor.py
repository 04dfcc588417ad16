"""What the doctor says of SQS: how many messages there are, what somebody set otherwise; and it makes nothing."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

from tests.integration.sqs.inside import client_of, raw, sqs_of
from tests.integration.sqs.servers import Server, needs_sqs
from typedgator.backends.checkup import Danger, Finding, Level
from typedgator.backends.connect import connect
from typedgator.backends.sqs.backend import SqsBackend
from typedgator.backends.sqs.doctor import losses_at
from typedgator.testing.contract.bench import Bench, job
from typedgator.wire.verdict import Failed

pytestmark = needs_sqs


def found(bench: Bench) -> dict[str, Finding]:
    """Its findings by what they are about, without the prefix of the place."""
    prefix = sqs_of(bench).place.prefix
    return {each.about.replace(prefix, ""): each for each in sqs_of(bench).examine().findings}


def test_it_counts_what_waits_runs_is_delayed_and_failed(bench: Bench) -> None:
    """By queue; failed jobs are worth a look."""
    bench.accept(job(1), job(2), job(3), job(4, delay_ms=60_000), job(5, queue="mails"))
    bench.run(1, Failed(b"error"))
    bench.hand().claim(1)

    findings = found(bench)

    assert findings["queue all"].says == "about 1 wait, 1 are with workers, 1 are delayed"
    assert findings["queue mails"].says == "about 1 wait, 0 are with workers, 0 are delayed"
    assert findings["queue _default-failed"] == Finding(
        "queue " + sqs_of(bench).place.failed, Level.LOOK, "about 1 failed jobs"
    )
    assert findings["queue all"].level is Level.FINE


def test_it_makes_nothing(server: Server) -> None:
    """A misspelt prefix is an empty one, and stays so."""
    backend = connect(server.fail().go_on().dsn("misspelt"))
    assert isinstance(backend, SqsBackend)

    (finding,) = backend.examine().findings

    assert (finding.level, "begins with misspelt_default_" in finding.says) == (Level.LOOK, True)
    assert "QueueUrls" not in client_of(backend).list_queues(QueueNamePrefix="misspelt")


@pytest.mark.parametrize(
    ("attributes", "words", "remedy"),
    [
        ({"MessageRetentionPeriod": "86400"}, "jobs are lost after 1 days", "MessageRetentionPeriod to 1209600"),
        ({"MaximumMessageSize": "1024"}, "jobs of more than 1024 bytes are refused", "MaximumMessageSize to 262144"),
        ({"RedrivePolicy": "3"}, "SQS moves a job away after 3 receipts", "maxReceiveCount to 10 or more"),
    ],
    ids=["retention", "size", "redrive"],
)
def test_it_names_what_somebody_set_otherwise(
    bench: Bench, attributes: dict[str, str], words: str, remedy: str
) -> None:
    """With the way back."""
    bench.accept(job(1))
    line = sqs_of(bench).line
    if "RedrivePolicy" in attributes:
        target = line.attributes(line.failed_url)["QueueArn"]
        attributes = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": 3})}
    raw(bench).set_queue_attributes(QueueUrl=line.url_of("all"), Attributes=attributes)

    finding = found(bench)["queue all"]

    assert finding.level is Level.LOOK
    assert words in finding.says
    assert remedy in finding.remedy


def test_it_lists_nothing_where_that_is_forbidden(bench: Bench, server: Server) -> None:
    """And says what to allow."""
    server.fail({"action": "ListQueues", "code": "AccessDenied"})

    assert "sqs:ListQueues" in found(bench)["queues"].remedy


@pytest.mark.parametrize(
    ("server", "safe"),
    [
        ("https://sqs.eu-central-1.amazonaws.com", True),
        ("https://vpce-1.sqs.eu-central-1.vpce.amazonaws.com", True),
        ("https://sqs.eu-central-1.api.aws", True),
        ("http://localhost:4566", None),
        ("http://amazonaws.com.example.com", None),
    ],
)
def test_what_aws_promises_nobody_else_does(server: str, safe: bool | None) -> None:
    """An emulator may keep its messages in memory."""
    assert {each.danger: each.safe for each in losses_at(server)} == dict.fromkeys(Danger, safe)


def test_on_the_command_line(server: Server) -> None:
    """As text, with an exit code; the commands that would look inside lead there."""
    env = {**os.environ, "TYPEDGATOR_CONN": server.fail().go_on().dsn()}

    def said(*words: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "typedgator", *words]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, done.stdout + done.stderr

    asked: Sequence[tuple[Sequence[str], int, str]] = [
        (("doctor",), 0, "not known: this is no server of AWS"),
        (("doctor", "--survive", "failover"), 1, "Not safe: failover."),
        (("queues",), 2, "`typedgator doctor` tells what it knows"),
    ]
    for words, code, text in asked:
        answer = said(*words)
        assert (answer[0], text in answer[1]) == (code, True), answer
