"""What a DSN of SQS may say, and what queues are called; nothing here connects."""

import pytest

from typedgator.backends.connect import Dsn, connect
from typedgator.backends.sqs.place import Place, place_of
from typedgator.errors import ConfigurationError, Unsupported


@pytest.mark.parametrize(
    ("dsn", "words"),
    [
        ("sqs://", "names no region"),
        ("sqs:///myapp", "names no region"),
        ("sqs://myapp/x", "names no region"),
        ("sqs://AKIA:secret@eu-central-1/myapp", "holds credentials"),
        ("sqs://eu-central-1/my_app", "prefix 'my_app'"),
        ("sqs://eu-central-1/a/b", "prefix 'a/b'"),
        ("sqs://eu-central-1/?namespace=a.b", "namespace 'a.b'"),
        ("sqs://eu-central-1/?poll=0", "whole seconds from 1 to 20"),
        ("sqs://eu-central-1/?poll=21", "whole seconds from 1 to 20"),
        ("sqs://eu-central-1/?endpoint_url=localhost", "must begin with http"),
        ("sqs://eu-central-1/?endpoint_url=http://", "must name a host"),
        ("sqs://eu-central-1/?endpoint_url=http://local host", "must name a host"),
        ("sqs://eu-central-1/?endpoint_url=http://localhost:99999", "must name a host"),
        ("sqs://eu-central-1/?endpoint_url=http://[::1", "must name a host"),
        ("sqs://eu-central-1/?endpoint_url=http://me:secret@localhost:4566", "holds credentials"),
        ("sqs://eu-central-1/?lease=30", "--lease"),
        ("sqs://eu-central-1/?create=yes", "create='yes'"),
        ("sqs://eu-central-1/?speed=9", "unknown option speed"),
    ],
)
def test_a_dsn_that_cannot_be_meant_is_refused(dsn: str, words: str) -> None:
    """By name, with the way out, and without showing a secret."""
    with pytest.raises(ConfigurationError) as caught:
        place_of(Dsn(dsn))
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_dsn_says_where() -> None:
    """All that it may say."""
    place = place_of(Dsn("sqs://eu-central-1/shop?endpoint_url=http://127.0.0.1:9&poll=5&create=0&namespace=a"))

    expected = Place(
        region="eu-central-1", prefix="shop", namespace="a", endpoint_url="http://127.0.0.1:9", poll_s=5, create=False
    )
    assert place == expected
    assert place_of(Dsn("sqs://us-gov-west-1")) == Place(region="us-gov-west-1")


def test_no_two_queues_have_one_name() -> None:
    """Also those of other prefixes and namespaces, and the queues of failed jobs."""
    parts = ["a", "b", "a-b", "failed", "a-failed"]
    places = [Place(region="eu-central-1", prefix=one, namespace=other) for one in parts for other in parts]
    names = [place.name_of(queue) for place in places for queue in (*parts, "a_b", "b_a")]
    names += [place.failed for place in places]

    assert len(set(names)) == len(names)
    assert places[0].queue_of("http://host/1234/" + places[0].name_of("a_b")) == "a_b"
    assert places[0].queue_of("http://host/1234/" + places[1].name_of("a_b")) is None


@pytest.mark.parametrize("endpoint", ["http://localhost:4566/", "http://[::1]:4566", "https://sqs.example.com"])
def test_an_endpoint_is_taken_as_it_is(endpoint: str) -> None:
    """With or without a port, also of the newer internet."""
    assert place_of(Dsn(f"sqs://eu-central-1/?endpoint_url={endpoint}")).endpoint_url == endpoint


def test_what_others_call_their_queues_is_no_queue_of_ours() -> None:
    """A FIFO queue under our prefix, and the prefix alone."""
    place = Place(region="eu-central-1")

    assert place.queue_of(f"http://host/1234/{place.begin}mails.fifo") is None
    assert place.queue_of(f"http://host/1234/{place.begin}") is None


@pytest.mark.parametrize(("queue", "words"), [("mails.slow", "not . or :"), ("x" * 80, "80 characters")])
def test_a_queue_that_sqs_cannot_name_is_refused(queue: str, words: str) -> None:
    """Before anything is sent."""
    with pytest.raises(Unsupported, match=words):
        Place(region="eu-central-1").name_of(queue)


def test_without_boto3_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who forgot it is told what to install."""
    monkeypatch.setattr("typedgator.backends.sqs.find_spec", lambda name: None)

    with pytest.raises(ConfigurationError, match=r"pip install 'typedgator\[sqs\]'"):
        connect("sqs://eu-central-1/myapp")
