# What typedgator uses of Django 5.2 and 6, as it uses it.
from typing import Final

VERSION: Final[tuple[int, int, int, str, int]]
