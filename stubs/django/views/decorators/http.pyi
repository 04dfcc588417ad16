from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

def require_GET(func: Callable[P, R]) -> Callable[P, R]: ...
def require_POST(func: Callable[P, R]) -> Callable[P, R]: ...
