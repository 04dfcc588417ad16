"""What shapes.py and stubs/ say of SQS is what the model in botocore says, which boto3's client is made from."""

import inspect
from typing import Any, get_type_hints

import boto3
import pytest
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

from tests.integration.sqs.servers import needs_sqs
from typedgator.backends.sqs import shapes

pytestmark = needs_sqs
MODEL: Any = boto3.Session(region_name="eu-central-1").client("sqs").meta.service_model  # type: ignore[attr-defined,call-arg]
VERBS = {
    "".join(word.capitalize() for word in name.split("_")): function
    for name, function in vars(shapes.Client).items()
    if inspect.isfunction(function) and name[0] != "_" and name != "close"
}
SHAPES = {
    "MessageAttribute": "MessageAttributeValue",
    "SendEntry": "SendMessageBatchRequestEntry",
    "DeleteEntry": "DeleteMessageBatchRequestEntry",
    "VisibilityEntry": "ChangeMessageVisibilityBatchRequestEntry",
    "Undone": "BatchResultErrorEntry",
    "Message": "Message",
    "Received": "ReceiveMessageResult",
    "QueueUrl": "GetQueueUrlResult",
    "QueueAttributes": "GetQueueAttributesResult",
    "QueueUrls": "ListQueuesResult",
    "BatchAnswer": "DeleteMessageBatchResult",
    "Done": "DeleteMessageBatchResultEntry",
}
PLAIN = {"string": str, "integer": int, "boolean": bool, "blob": bytes}


@pytest.mark.parametrize("verb", VERBS)
def test_each_call_takes_what_is_given(verb: str) -> None:
    """Every parameter exists, none that must be given is missing."""
    taken = MODEL.operation_model(verb).input_shape
    given = set(inspect.signature(VERBS[verb]).parameters) - {"self"}

    assert given <= set(taken.members)
    assert set(taken.required_members) <= given


@pytest.mark.parametrize("name", SHAPES)
def test_each_shape_has_these_members(name: str) -> None:
    """Every key exists, with its plain type."""
    members = MODEL.shape_for(SHAPES[name]).members
    for key, hint in get_type_hints(getattr(shapes, name)).items():
        assert key in members
        plain = PLAIN.get(members[key].type_name)
        assert plain is None or hint is plain or members[key].type_name == "string"


def test_the_drivers_errors_are_a_family() -> None:
    """As the stubs have them."""
    for kind in (ConfigNotFound, ConfigParseError, NoCredentialsError, PartialCredentialsError, ProfileNotFound):
        assert issubclass(kind, BotoCoreError)
    assert not issubclass(ClientError, BotoCoreError)
    assert ClientError({"Error": {"Code": "X"}}, "Send").response["Error"]["Code"] == "X"


def test_the_settings_of_a_client_exist() -> None:
    """Config refuses what it does not know."""
    Config(connect_timeout=1, read_timeout=1, max_pool_connections=1, retries={"mode": "standard"}, tcp_keepalive=True)
