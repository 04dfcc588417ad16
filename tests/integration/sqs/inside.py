"""What a test sees of SQS behind the backend's back."""

from typing import Any

import boto3

from typedgator.backends.contract import Backend
from typedgator.backends.sqs.backend import SqsBackend
from typedgator.testing.contract.bench import Bench

__all__ = ["client_of", "failed", "left", "raw", "sqs_of"]


def sqs_of(bench: Bench) -> SqsBackend:
    """The backend itself."""
    assert isinstance(bench.backend, SqsBackend)
    return bench.backend


def raw(bench: Bench) -> Any:
    """An SQS client of the test's own."""
    return client_of(bench.backend)


def client_of(backend: Backend) -> Any:
    """The same for a backend."""
    assert isinstance(backend, SqsBackend)
    place = backend.place
    return boto3.Session(region_name=place.region).client("sqs", endpoint_url=place.endpoint_url)  # type: ignore[call-arg]


def failed(bench: Bench) -> list[dict[str, Any]]:
    """What is in the queue of failed jobs."""
    url = sqs_of(bench).line.failed_url
    answer = raw(bench).receive_message(QueueUrl=url, MessageAttributeNames=["All"], MaxNumberOfMessages=10)
    return list(answer.get("Messages", []))


def left(bench: Bench) -> tuple[int, int, int]:
    """How many messages the queue has: to be seen, in flight, delayed."""
    asked = ("", "NotVisible", "Delayed")
    names = [f"ApproximateNumberOfMessages{name}" for name in asked]
    said = raw(bench).get_queue_attributes(QueueUrl=sqs_of(bench).line.url_of("all"), AttributeNames=names)
    return tuple(int(said["Attributes"][name]) for name in names)  # type: ignore[return-value]
