from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Final

from django.db.models import Model

DEFAULT_DB_ALIAS: Final = "default"

class Error(Exception): ...

class Features:
    has_select_for_update_skip_locked: bool

class Introspection:
    def table_names(self, cursor: object) -> list[str]: ...

class Connection:
    features: Features
    introspection: Introspection
    def cursor(self) -> AbstractContextManager[object]: ...

class ConnectionHandler:
    def __getitem__(self, alias: str) -> Connection: ...
    def __iter__(self) -> Iterator[str]: ...
    def close_all(self) -> None: ...

class ConnectionRouter:
    def allow_migrate_model(self, db: str, model: type[Model]) -> bool: ...

connections: ConnectionHandler
router: ConnectionRouter

def close_old_connections() -> None: ...
