"""How stored things show themselves in logs, tracebacks and failing tests: all but their bytes, which hold values."""

import msgspec

__all__ = ["quiet_repr"]


def quiet_repr(self: msgspec.Struct) -> str:
    """A Struct's repr, in which bytes longer than an id are only counted."""
    fields = ((name, getattr(self, name)) for name in self.__struct_fields__)
    return f"{type(self).__name__}({', '.join(f'{name}={_shown(value)}' for name, value in fields)})"


def _shown(value: object) -> str:
    return f"<{len(value)} bytes>" if isinstance(value, bytes) and len(value) > 16 else repr(value)
