from collections.abc import Sequence
from typing import ClassVar

class CreateModel:
    def __init__(self, name: str, fields: Sequence[tuple[str, object]], options: dict[str, object]) -> None: ...

class Migration:
    initial: bool
    dependencies: ClassVar[Sequence[tuple[str, str]]]
    operations: ClassVar[Sequence[object]]
