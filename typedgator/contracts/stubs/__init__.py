"""A typed producer package, written from a gator's tasks: another service enqueues by name, with all types, without the
code. `annotations` writes types and values as Python, `package` puts the module together.
"""

from typedgator.contracts.stubs.package import stubs, write_stubs

__all__ = ["stubs", "write_stubs"]
