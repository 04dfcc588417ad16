from collections.abc import Iterable
from types import ModuleType

class AppConfig:
    name: str
    label: str
    verbose_name: str
    default_auto_field: str
    module: ModuleType | None
    def ready(self) -> None: ...

class Apps:
    def get_app_configs(self) -> Iterable[AppConfig]: ...
    def is_installed(self, app_name: str) -> bool: ...

apps: Apps
