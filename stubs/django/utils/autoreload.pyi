from collections.abc import Iterator
from pathlib import Path
from threading import Thread

DJANGO_AUTORELOAD_ENV: str

class BaseReloader:
    def run(self, django_main_thread: Thread) -> None: ...

class StatReloader(BaseReloader):
    def snapshot_files(self) -> Iterator[tuple[Path, float]]: ...

def get_reloader() -> BaseReloader: ...
