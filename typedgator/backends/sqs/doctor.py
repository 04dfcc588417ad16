"""What SQS would lose, and how its queues fare: asked, never made. It counts about, and so does what is said here."""

import json
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from typedgator.backends.checkup import Checkup, Danger, Finding, Level, Loss
from typedgator.backends.sqs.line import RETENTION_S, Line, TurnedDown
from typedgator.backends.sqs.parcel import MOST_BYTES

__all__ = ["examine"]

FEW_RECEIPTS: Final = 10
"""A job may crash three times and be tried often by workers that do not know it: SQS must not take it away before."""
DAY_S: Final = 86_400


def examine(line: Line) -> Checkup:
    """Asks for the attributes of all queues. Raises ConfigurationError or BackendUnavailable."""
    server = line.server
    failed = line.found(line.place.failed)
    return Checkup(
        server=f"SQS at {server}",
        durability="replicated" if _is_of_aws(server) else "not known",
        losses=losses_at(server),
        findings=[*_queues(line), *([_failed(line, failed)] if failed else ())],
    )


def losses_at(server: str) -> list[Loss]:
    """What AWS promises; what another server keeps, only its maker knows."""
    if _is_of_aws(server):
        lost = "nothing: SQS answers once servers in several data centres of the region have it"
        return [Loss(danger=danger, safe=True, promised=True, lost=lost) for danger in Danger]
    lost = "not known: this is no server of AWS"
    return [Loss(danger=danger, safe=None, lost=lost, remedy="ask who made it") for danger in Danger]


def _is_of_aws(server: str) -> bool:
    host = urlsplit(server).hostname or ""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws"))


def _queues(line: Line) -> Iterator[Finding]:
    try:
        queues = line.every_queue()
    except TurnedDown as error:
        yield Finding(
            "queues", Level.LOOK, str(error), "allow sqs:ListQueues, which a worker of every queue needs, too"
        )
        return
    if not queues:
        says = f"there is none whose name begins with {line.place.begin}"
        yield Finding("queues", Level.LOOK, says, "look at the region and prefix of the DSN, and at the namespace")
    for queue in queues:
        yield _queue(queue, line.attributes(line.url_of(queue)))


def _queue(queue: str, said: Mapping[str, str]) -> Finding:
    hidden, delayed = said["ApproximateNumberOfMessagesNotVisible"], said["ApproximateNumberOfMessagesDelayed"]
    says = f"about {said['ApproximateNumberOfMessages']} wait, {hidden} are with workers, {delayed} are delayed"
    worry, remedy = _worry(said)
    return Finding(f"queue {queue}", Level.LOOK if worry else Level.FINE, f"{says}{worry and '; '}{worry}", remedy)


def _worry(said: Mapping[str, str]) -> tuple[str, str]:
    """What somebody set otherwise than typedgator sets it, and the way back."""
    kept_s, most = int(said["MessageRetentionPeriod"]), int(said["MaximumMessageSize"])
    receipts = int(json.loads(said.get("RedrivePolicy", "{}")).get("maxReceiveCount", FEW_RECEIPTS))
    if kept_s < RETENTION_S:
        return f"jobs are lost after {kept_s / DAY_S:g} days", f"set MessageRetentionPeriod to {RETENTION_S}"
    if most < MOST_BYTES:
        return f"jobs of more than {most} bytes are refused", f"set MaximumMessageSize to {MOST_BYTES}"
    if receipts < FEW_RECEIPTS:
        return f"SQS moves a job away after {receipts} receipts", f"set maxReceiveCount to {FEW_RECEIPTS} or more"
    return "", ""


def _failed(line: Line, url: str) -> Finding:
    count = line.attributes(url)["ApproximateNumberOfMessages"]
    return Finding(
        f"queue {line.place.failed}", Level.LOOK if count != "0" else Level.FINE, f"about {count} failed jobs"
    )
