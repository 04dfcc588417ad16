"""What SQS is asked and answers, as far as it is used here; tests hold it against the model in botocore."""

# ruff: noqa: N803 - parameters are spelt as SQS spells them
from collections.abc import Sequence
from typing import Literal, NotRequired, Protocol, TypedDict

__all__ = [
    "BatchAnswer",
    "Client",
    "DeleteEntry",
    "Message",
    "MessageAttribute",
    "SendEntry",
    "Undone",
    "VisibilityEntry",
]


class MessageAttribute(TypedDict):
    """One attribute."""

    DataType: Literal["String", "Number", "Binary"]
    StringValue: NotRequired[str]
    BinaryValue: NotRequired[bytes]


class SendEntry(TypedDict):
    """A message to send."""

    Id: str
    MessageBody: str
    DelaySeconds: int
    MessageAttributes: dict[str, MessageAttribute]


class DeleteEntry(TypedDict):
    """A message to delete."""

    Id: str
    ReceiptHandle: str


class VisibilityEntry(TypedDict):
    """A message to hide for longer."""

    Id: str
    ReceiptHandle: str
    VisibilityTimeout: int


class Done(TypedDict):
    """An entry that went well."""

    Id: str


class Undone(TypedDict):
    """An entry that did not."""

    Id: str
    SenderFault: bool
    Code: str
    Message: NotRequired[str]


class BatchAnswer(TypedDict):
    """What became of each entry."""

    Successful: NotRequired[list[Done]]
    Failed: NotRequired[list[Undone]]


class Message(TypedDict):
    """As received."""

    MessageId: str
    ReceiptHandle: str
    Body: str
    Attributes: NotRequired[dict[str, str]]
    MessageAttributes: NotRequired[dict[str, MessageAttribute]]


class Received(TypedDict):
    """Up to ten."""

    Messages: NotRequired[list[Message]]


class QueueUrl(TypedDict):
    """Where a queue is."""

    QueueUrl: str


class QueueAttributes(TypedDict):
    """What was asked of a queue."""

    Attributes: NotRequired[dict[str, str]]


class QueueUrls(TypedDict):
    """A page of queues."""

    QueueUrls: NotRequired[list[str]]
    NextToken: NotRequired[str]


class Meta(Protocol):
    """What a client knows of itself."""

    @property
    def endpoint_url(self) -> str: ...


class Client(Protocol):
    """The calls, each by keyword."""

    @property
    def meta(self) -> Meta: ...

    def get_queue_url(self, *, QueueName: str) -> QueueUrl: ...

    def create_queue(self, *, QueueName: str, Attributes: dict[str, str]) -> QueueUrl: ...

    def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: Sequence[str]) -> QueueAttributes: ...

    def list_queues(self, *, QueueNamePrefix: str, MaxResults: int, NextToken: str = "") -> QueueUrls: ...

    def send_message_batch(self, *, QueueUrl: str, Entries: Sequence[SendEntry]) -> BatchAnswer: ...

    def delete_message_batch(self, *, QueueUrl: str, Entries: Sequence[DeleteEntry]) -> BatchAnswer: ...

    def change_message_visibility_batch(self, *, QueueUrl: str, Entries: Sequence[VisibilityEntry]) -> BatchAnswer: ...

    def receive_message(
        self,
        *,
        QueueUrl: str,
        AttributeNames: Sequence[str],
        MessageAttributeNames: Sequence[str],
        MaxNumberOfMessages: int,
        VisibilityTimeout: int,
        WaitTimeSeconds: int,
    ) -> Received: ...

    def close(self) -> None: ...
