"""The SQLite backend keeps the contract, and after each test the raw tables are as they should be."""

from pathlib import Path

import pytest

from typedgator.backends.contract import Backend
from typedgator.backends.sqlite import SqliteBackend
from typedgator.backends.sqlite.audit import faults
from typedgator.clock import Clock
from typedgator.testing.contract import BackendContract


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
