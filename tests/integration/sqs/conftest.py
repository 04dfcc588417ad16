"""One server for each module; credentials as boto3 finds them."""

from collections.abc import Iterator

import pytest

from tests.integration.sqs.servers import Server, ServersClock
from typedgator.backends.connect import connect
from typedgator.testing.contract.bench import Bench


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A moto server."""
    with Server() as started:
        yield started


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials; and an emulator's empty answer is sure at once."""
    for name in ("TYPEDGATOR_CONN", "TYPEDGATOR_ASYNC", "TYPEDGATOR_NAMESPACE", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setattr("typedgator.backends.sqs.backend.SURE_S", 0)


@pytest.fixture
def bench(server: Server) -> Bench:
    """A fresh place."""
    server.fail()
    clock = ServersClock(server)
    backend = connect(server.dsn(), clock=clock)
    backend.open()
    return Bench(backend, clock)
