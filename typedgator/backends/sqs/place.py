"""Where the queues are and what they are called: the DSN, and from a queue of ours to a queue of SQS and back."""

import re
from typing import Final
from urllib.parse import urlsplit

import msgspec

from typedgator.backends.connect import Dsn, masked
from typedgator.errors import ConfigurationError, Unsupported

__all__ = ["Place", "place_of"]

_REGION: Final = re.compile(r"[a-z]{2,}(-[a-z0-9]+)+")
_PART: Final = re.compile(r"[A-Za-z0-9-]{1,40}")
_QUEUE: Final = re.compile(r"[A-Za-z0-9_-]+")
_MOST_CHARACTERS: Final = 80


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A region and the names in it. A prefix and a namespace have no `_`, so that no two queues can share a name."""

    region: str
    prefix: str = "typedgator"
    namespace: str = "default"
    endpoint_url: str | None = None
    poll_s: int = 20
    create: bool = True

    def __str__(self) -> str:
        """As it may be shown."""
        return f"sqs://{self.region}/{self.prefix}"

    @property
    def begin(self) -> str:
        """How the names of all its queues begin."""
        return f"{self.prefix}_{self.namespace}_"

    @property
    def failed(self) -> str:
        """Where failed jobs are kept: not the name of any queue of jobs."""
        return f"{self.prefix}_{self.namespace}-failed"

    def name_of(self, queue: str) -> str:
        """What SQS calls a queue of ours. Raises Unsupported when it cannot."""
        name = self.begin + queue
        if not _QUEUE.fullmatch(queue):
            raise Unsupported(
                f"queue {queue!r}: SQS allows A-Z a-z 0-9 _ - in a queue's name, not . or :. Nothing was enqueued."
            )
        if len(name) > _MOST_CHARACTERS:
            raise Unsupported(
                f"queue {queue!r}: SQS would have to call it {name!r}, and allows {_MOST_CHARACTERS} characters: "
                "shorten the queue, the namespace or the DSN's prefix. Nothing was enqueued."
            )
        return name

    def queue_of(self, url: str) -> str | None:
        """Our queue behind an SQS queue's URL; None when it is not of this place."""
        name = url.rpartition("/")[2]
        queue = name.removeprefix(self.begin)
        return queue if name.startswith(self.begin) and _QUEUE.fullmatch(queue) else None


def place_of(dsn: Dsn) -> Place:
    """`sqs://region/prefix?endpoint_url=…&poll=20&create=1`. Raises ConfigurationError."""
    url, shown = dsn.url, masked(dsn.text)
    if "@" in url.netloc:
        raise ConfigurationError(
            f"DSN {shown!r} holds credentials: leave them out. boto3 finds them where all AWS tools do: environment, "
            "~/.aws, the role of the machine"
        )
    region = url.netloc.lower()
    if not _REGION.fullmatch(region):
        raise ConfigurationError(f"DSN {shown!r} names no region: write sqs://eu-central-1/myapp")
    prefix = url.path.strip("/") or "typedgator"
    for what, name in (("prefix", prefix), ("namespace", dsn.namespace)):
        if not _PART.fullmatch(name):
            raise ConfigurationError(
                f"DSN {shown!r}: {what} {name!r} becomes part of the queues' names in SQS: use 1 to 40 of A-Z a-z 0-9 -"
            )
    if "lease" in dsn.options:
        raise ConfigurationError(
            f"DSN {shown!r}: the lease is said by the worker, who keeps it: typedgator worker --lease, Worker(lease=…)"
        )
    place = Place(
        region=region,
        prefix=prefix,
        namespace=dsn.namespace,
        endpoint_url=_endpoint(dsn),
        poll_s=_poll(dsn),
        create=dsn.choose("create", ("1", "0")) == "1",
    )
    dsn.done()
    return place


def _endpoint(dsn: Dsn) -> str | None:
    said = dsn.take("endpoint_url", "")
    if not said:
        return None
    shown = f"DSN {masked(dsn.text)!r}: endpoint_url={masked(said)!r}"
    if not said.startswith(("http://", "https://")):
        raise ConfigurationError(f"{shown} must begin with http:// or https://")
    url = None
    try:
        url = urlsplit(said)
        is_one = bool(url.hostname and re.fullmatch(r"[A-Za-z0-9.:_-]+", url.hostname)) and url.port != 0
    except ValueError:
        is_one = False
    if url is None or not is_one:
        raise ConfigurationError(f"{shown} must name a host, and a port where it has one: http://localhost:4566")
    if "@" in url.netloc:
        raise ConfigurationError(f"{shown} holds credentials: leave them out, boto3 finds them where all AWS tools do")
    return said


def _poll(dsn: Dsn) -> int:
    said = dsn.take("poll", "20")
    if not said.isascii() or not said.isdecimal() or not 1 <= int(said) <= 20:
        raise ConfigurationError(f"DSN {masked(dsn.text)!r}: poll={said!r} must be whole seconds from 1 to 20")
    return int(said)
