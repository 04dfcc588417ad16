"""The SQLite backend keeps the contract, and the raw tables are as they should be after each test and each step."""

import tempfile
from pathlib import Path
from typing import ClassVar

import pytest

from typedgator.backends.contract import Backend
from typedgator.backends.sqlite import SqliteBackend
from typedgator.backends.sqlite.audit import faults
from typedgator.clock import Clock
from typedgator.testing.contract import BackendContract, BackendModel


class TestSqlite(BackendContract):
    """Every test of the contract."""

    folder: Path

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def make(self, clock: Clock) -> Backend:
        """A fresh file."""
        return SqliteBackend(self.folder / "jobs.db", clock=clock)

    def reopen(self, backend: Backend) -> Backend | None:
        """The same file again, with nothing kept in memory."""
        assert isinstance(backend, SqliteBackend)
        return SqliteBackend(backend.path, clock=backend.clock)

    def audit(self, backend: Backend) -> None:
        """Each job in one index, no lease without a worker, no key without an owner, an intact file."""
        assert isinstance(backend, SqliteBackend)
        assert faults(backend.path) == []


class SqliteModel(BackendModel):
    """Backend and model, side by side; the raw tables are looked at after each step, the file when the run is over."""

    folder: ClassVar[tempfile.TemporaryDirectory[str]]

    def make(self, clock: Clock) -> Backend:
        """A fresh file."""
        SqliteModel.folder = tempfile.TemporaryDirectory(prefix="typedgator-model-")
        return SqliteBackend(Path(self.folder.name) / "jobs.db", synchronous="off", clock=clock)

    def reopen(self, backend: Backend) -> Backend | None:
        """The same file again, with nothing kept in memory."""
        assert isinstance(backend, SqliteBackend)
        return SqliteBackend(backend.path, synchronous="off", clock=backend.clock)

    def audit(self, backend: Backend) -> None:
        """No row contradicts another."""
        assert isinstance(backend, SqliteBackend)
        assert faults(backend.path, integrity=False) == []

    def teardown(self) -> None:
        """The file is intact, and goes."""
        assert isinstance(self.backend, SqliteBackend)
        path = self.backend.path
        super().teardown()
        assert faults(path) == []
        self.folder.cleanup()


# Each step looks into the file; on a busy machine that takes longer than the usual minute.
TestSqliteModel = pytest.mark.timeout(1800)(SqliteModel.as_test())
