"""The line to SQS: calls of up to ten entries and 256 KiB, refused entries one by one, the driver's errors as ours."""

import json
import logging
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Final, TypeVar, cast

import msgspec
from boto3 import Session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigNotFound,
    ConfigParseError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)

from typedgator.backends.sqs.parcel import MOST_BYTES, size_of
from typedgator.backends.sqs.place import Place
from typedgator.backends.sqs.shapes import BatchAnswer, Client, Message, SendEntry, Undone
from typedgator.errors import BackendUnavailable, ConfigurationError

__all__ = ["Line", "Refused", "TurnedDown"]

logger: Final = logging.getLogger("typedgator.sqs")

E = TypeVar("E")
MOST_ENTRIES: Final = 10
CONNECT_S: Final = 4
ANSWER_S: Final = 5
"""A request of somebody's may wait for it, or the heartbeat of a lease. The answer to a long poll may come later."""
TRIES: Final = 3
RETENTION_S: Final = 1_209_600
"""14 days: the longest that SQS keeps a message."""
MOST_RECEIPTS: Final = 1000
"""The most that SQS allows before it moves a message away itself; crash budgets end far before."""
_UNKNOWN_QUEUE: Final = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"})
_FORBIDDEN: Final = frozenset(
    {
        *("AccessDenied", "AccessDeniedException", "InvalidClientTokenId", "UnrecognizedClientException"),
        *("SignatureDoesNotMatch", "InvalidAccessKeyId", "ExpiredToken", "ExpiredTokenException"),
    }
)


class Refused(msgspec.Struct, frozen=True):
    """An entry that SQS will never take: its place, and why."""

    place: int
    why: str


class TurnedDown(BackendUnavailable):
    """SQS answered, and did not do it: other queues may fare better."""


class Line:
    """Calls for one place, from any thread; a process that was forked has connections of its own."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._clients: dict[bool, Client] = {}
        """One that is impatient, and one for long polls."""
        self._pid = 0
        self._urls: dict[str, str] = {}
        self._opening = Lock()

    # Where

    def url_of(self, queue: str) -> str:
        """The URL of one of our queues, made when it is not there. Raises ConfigurationError, BackendUnavailable."""
        return self._url(self.place.name_of(queue))

    @property
    def failed_url(self) -> str:
        """The URL of the queue of failed jobs."""
        return self._url(self.place.failed)

    @property
    def server(self) -> str:
        """Where boto3 finds SQS: as the DSN says, or the environment, or in the region."""
        with _ours("connecting"):
            return self._ask().meta.endpoint_url

    def known_url(self, queue: str) -> str | None:
        """The URL of one of our queues, without asking for it."""
        return self._urls.get(self.place.name_of(queue))

    def every_queue(self) -> list[str]:
        """The names of all queues of this place, sorted. Their URLs are known from then on: none is made anew."""
        found: list[str] = []
        token = ""
        with _ours("ListQueues"):
            while True:
                more = {"NextToken": token} if token else {}
                page = self._ask().list_queues(QueueNamePrefix=self.place.begin, MaxResults=1000, **more)
                for url in page.get("QueueUrls", []):
                    if (queue := self.place.queue_of(url)) is not None:
                        self._urls[self.place.name_of(queue)] = url
                        found.append(queue)
                token = page.get("NextToken", "")
                if not token:
                    return sorted(found)

    def close(self) -> None:
        """Hangs up; a later call connects again."""
        with self._opening:
            clients, self._clients = self._clients, {}
            self._urls.clear()
        for client in clients.values():
            client.close()

    def _url(self, name: str) -> str:
        url = self._urls.get(name)
        if url is None:
            url = self._urls[name] = self.found(name) or self._make(name)
        return url

    def found(self, name: str) -> str | None:
        """The URL of what SQS calls so; None when it is not there."""
        with _ours(f"GetQueueUrl of {name}"):
            try:
                return self._ask().get_queue_url(QueueName=name)["QueueUrl"]
            except ClientError as error:
                if _code(error) not in _UNKNOWN_QUEUE:
                    raise
        return None

    def _make(self, name: str) -> str:
        if not self.place.create:
            raise ConfigurationError(
                f"SQS queue {name} does not exist in {self.place.region}, and ?create=0 says that others make queues"
            )
        attributes = {"MessageRetentionPeriod": str(RETENTION_S)}
        if name != self.place.failed:
            attributes["RedrivePolicy"] = json.dumps(
                {"deadLetterTargetArn": self.attributes(self.failed_url)["QueueArn"], "maxReceiveCount": MOST_RECEIPTS}
            )
        with _ours(f"CreateQueue of {name}"):
            url = self._ask().create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        logger.info("made the SQS queue %s, which keeps jobs for 14 days", name)
        return url

    def attributes(self, url: str) -> dict[str, str]:
        """All that SQS says of a queue; its counts are about right."""
        with self._at(url, "GetQueueAttributes"):
            return self._ask().get_queue_attributes(QueueUrl=url, AttributeNames=["All"]).get("Attributes", {})

    def _ask(self, *, patient: bool = False) -> Client:
        client = self._clients.get(patient) if self._pid == os.getpid() else None
        if client is None:
            with self._opening:
                if self._pid != os.getpid():
                    self._clients, self._pid = {}, os.getpid()
                if (client := self._clients.get(patient)) is None:
                    client = self._clients[patient] = _connected(self.place, self.place.poll_s if patient else 0)
        return client

    def _forget(self, url: str) -> None:
        """A queue that was deleted is looked for, and made, by the next call."""
        for name in [name for name, known in list(self._urls.items()) if known == url]:
            self._urls.pop(name, None)

    # What

    def send(
        self, url: str, entries: Sequence[SendEntry], kept: Callable[[int], object] = lambda place: None
    ) -> list[Refused]:
        """Sends all of them, in their order; `kept` is told the place of each that SQS has. Raises BackendUnavailable
        when that went wrong for some: those that `kept` does not know of may be there, too."""
        return self._batches(
            "SendMessageBatch",
            url,
            _posts(entries),
            lambda part: self._ask().send_message_batch(
                QueueUrl=url, Entries=[{**entry, "Id": str(place)} for place, entry in enumerate(part)]
            ),
            kept,
        )

    def delete(self, url: str, handles: Sequence[str]) -> list[Refused]:
        """Deletes all of them. SQS may answer well for a handle that is out of date, and delete nothing."""
        return self._batches(
            "DeleteMessageBatch",
            url,
            _tens(handles),
            lambda part: self._ask().delete_message_batch(
                QueueUrl=url,
                Entries=[{"Id": str(place), "ReceiptHandle": handle} for place, handle in enumerate(part)],
            ),
        )

    def hide(self, url: str, handles: Sequence[str], seconds: int) -> list[Refused]:
        """Nobody else receives them from now on for so long."""
        return self._batches(
            "ChangeMessageVisibilityBatch",
            url,
            _tens(handles),
            lambda part: self._ask().change_message_visibility_batch(
                QueueUrl=url,
                Entries=[
                    {"Id": str(place), "ReceiptHandle": handle, "VisibilityTimeout": seconds}
                    for place, handle in enumerate(part)
                ],
            ),
        )

    def receive(self, url: str, most: int, *, hide_s: int, wait_s: int) -> list[Message]:
        """Up to ten, hidden from others for `hide_s`."""
        with self._at(url, "ReceiveMessage"):
            answer = self._ask(patient=wait_s > 0).receive_message(
                QueueUrl=url,
                AttributeNames=["ApproximateReceiveCount", "SentTimestamp", "ApproximateFirstReceiveTimestamp"],
                MessageAttributeNames=["All"],
                MaxNumberOfMessages=max(1, min(most, MOST_ENTRIES)),
                VisibilityTimeout=hide_s,
                WaitTimeSeconds=wait_s,
            )
        return answer.get("Messages", [])

    def _batches(
        self,
        call: str,
        url: str,
        parts: Iterator[Sequence[E]],
        ask: Callable[[Sequence[E]], BatchAnswer],
        done: Callable[[int], object] = lambda place: None,
    ) -> list[Refused]:
        """Each part in one call, then what was not done one by one. Those that SQS will never do are told."""
        refused: list[Refused] = []
        start = 0
        for part in parts:
            undone = {int(each["Id"]): each for each in self._asked(call, url, ask, part)}
            for place in range(len(part)):
                if place not in undone:
                    done(start + place)
            trouble: Undone | None = None
            for place, each in sorted(undone.items()):
                still = [each] if each["SenderFault"] else self._asked(call, url, ask, part[place : place + 1])
                if not still:
                    done(start + place)
                elif still[0]["SenderFault"]:
                    refused.append(Refused(start + place, _words(still[0])))
                else:
                    trouble = still[0]
            if trouble is not None:
                raise TurnedDown(f"SQS could not {call} one of {len(part)}: {_words(trouble)}")
            start += len(part)
        return refused

    def _asked(self, call: str, url: str, ask: Callable[[Sequence[E]], BatchAnswer], part: Sequence[E]) -> list[Undone]:
        with self._at(url, call):
            return ask(part).get("Failed", [])

    @contextmanager
    def _at(self, url: str, call: str) -> Generator[None]:
        with _ours(f"{call} at {url.rpartition('/')[2]}"):
            try:
                yield
            except ClientError as error:
                if _code(error) in _UNKNOWN_QUEUE:
                    self._forget(url)
                raise


def _posts(entries: Sequence[SendEntry]) -> Iterator[Sequence[SendEntry]]:
    """As many as one call can hold, by number and by bytes."""
    part: list[SendEntry] = []
    held = 0
    for entry in entries:
        size = size_of(entry)
        if part and (len(part) == MOST_ENTRIES or held + size > MOST_BYTES):
            yield part
            part, held = [], 0
        part.append(entry)
        held += size
    if part:
        yield part


def _tens(all_of_them: Sequence[E]) -> Iterator[Sequence[E]]:
    for start in range(0, len(all_of_them), MOST_ENTRIES):
        yield all_of_them[start : start + MOST_ENTRIES]


def _connected(place: Place, wait_s: int) -> Client:
    config = Config(
        connect_timeout=CONNECT_S,
        read_timeout=ANSWER_S + wait_s,
        max_pool_connections=50,
        retries={"mode": "standard", "total_max_attempts": TRIES},
        tcp_keepalive=True,
    )
    with _ours("connecting"):
        client = Session(region_name=place.region).client("sqs", endpoint_url=place.endpoint_url, config=config)
    return cast(Client, client)


@contextmanager
def _ours(call: str) -> Generator[None]:
    """Errors of the driver leave as ours."""
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise ConfigurationError(
            f"AWS credentials were not found, or not all of them ({error}): boto3 looks into the environment "
            "(AWS_PROFILE, AWS_ACCESS_KEY_ID, …), ~/.aws and the role of the machine"
        ) from error
    except (ConfigNotFound, ConfigParseError, ProfileNotFound) as error:
        raise ConfigurationError(f"the AWS configuration of this process cannot be used: {error}") from error
    except ClientError as error:
        hint = ": look at the credentials and the IAM policy" if _code(error) in _FORBIDDEN else ""
        raise TurnedDown(f"SQS refused {call}: {error}{hint}") from error
    except (BotoCoreError, OSError) as error:
        raise BackendUnavailable(f"SQS did not answer {call}: {error}") from error


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


def _words(undone: Undone) -> str:
    return f"{undone['Code']} {undone.get('Message', '')}".strip()
