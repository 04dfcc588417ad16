"""The SQS backend keeps what it says of the contract, on a real server process whose clock the tests move."""

from collections.abc import Iterator

import pytest

from tests.integration.sqs.servers import Server, ServersClock, needs_sqs
from typedgator.backends.connect import connect
from typedgator.backends.contract import Backend
from typedgator.clock import Clock, SystemClock
from typedgator.testing.clock import FakeClock
from typedgator.testing.contract import BackendContract

pytestmark = needs_sqs
_server: list[Server] = []


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[Server]:
    """One server for all; each test has a prefix of its own."""
    with Server() as started:
        _server.append(started)
        yield started
    _server.clear()


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials, as boto3 finds them; and an emulator's empty answer is sure at once."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setattr("typedgator.backends.sqs.backend.SURE_S", 0)


class TestSqs(BackendContract):
    """Every test of the contract that is about something it promises."""

    @pytest.fixture
    def clock(self) -> FakeClock:
        """The server's clock."""
        return ServersClock(_server[0])

    def make(self, clock: Clock) -> Backend:
        """A fresh prefix."""
        if isinstance(clock, SystemClock):
            _server[0].go_on()
        return connect(_server[0].dsn(), clock=clock)

    def reopen(self, backend: Backend) -> Backend | None:
        """The same prefix again."""
        from typedgator.backends.sqs.backend import SqsBackend

        assert isinstance(backend, SqsBackend)
        return SqsBackend(backend.place, clock=backend.clock)
