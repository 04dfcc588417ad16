"""The lock file: the contracts of all tasks as they were last agreed on, committed beside the code.

JSON, sorted, one line a fact, so that a review sees what changed. Only `text` writes it and only `read` reads it; a
file that it cannot have written is refused with what is wrong.
"""

import json
import os
from pathlib import Path
from typing import Final

import msgspec

from typedgator.contracts.described import contract_of, registered
from typedgator.errors import ConfigurationError, PayloadMismatch
from typedgator.registry import Registry
from typedgator.wire.compat import Contract, Parameter, node
from typedgator.wire.compat.spoken import signature
from typedgator.wire.dialect import fingerprint

__all__ = ["DEFAULT_FILE", "LOCK_VERSION", "Lock", "Locked", "lock_of", "read", "text", "write"]

DEFAULT_FILE: Final = "typedgator.lock.json"
LOCK_VERSION: Final = 1


class Locked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One task. `signature` is for readers; the rest says it exactly, and `checksum` stands for all of that."""

    checksum: str
    fingerprint: str
    signature: str
    aliases: list[str] = []
    parameters: list[Parameter]
    arguments: dict[str, object]
    result: dict[str, object]

    @property
    def contract(self) -> Contract:
        """What is compared."""
        return Contract(self.arguments, self.result, self.parameters)


class Lock(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All tasks by name. `retired` are names that tasks had before, and their jobs may still bear."""

    version: int = LOCK_VERSION
    tasks: dict[str, Locked] = {}
    retired: list[str] = []

    @property
    def names(self) -> set[str]:
        """The names that its tasks have, aliases included."""
        return {name for task, locked in self.tasks.items() for name in (task, *locked.aliases)}


class _Versioned(msgspec.Struct):
    version: int


def lock_of(registry: Registry) -> Lock:
    """What the lock file would say of these tasks."""
    return Lock(tasks={task.name: _locked(contract_of(task), sorted(task.aliases)) for task in registered(registry)})


def _locked(contract: Contract, aliases: list[str]) -> Locked:
    unsigned = Locked(
        checksum="",
        fingerprint=fingerprint(contract.arguments),
        signature=signature(contract),
        aliases=aliases,
        parameters=contract.parameters,
        arguments=contract.arguments,
        result=contract.result,
    )
    return msgspec.structs.replace(unsigned, checksum=_checksum(unsigned))


def _checksum(task: Locked) -> str:
    """Of all that is compared; the signature's words may be others in another release of typedgator."""
    plain: dict[str, object] = msgspec.to_builtins(task)
    return fingerprint({name: value for name, value in plain.items() if name not in ("checksum", "signature")})


def text(lock: Lock) -> str:
    """The file's contents: the same for the same tasks, in every process and on every Python."""
    plain: object = msgspec.to_builtins(lock)
    return json.dumps(plain, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write(lock: Lock, path: Path) -> bool:
    """Writes the file, whole or not at all; whether it changed. Raises ConfigurationError where it cannot be."""
    contents = text(lock)
    try:
        if path.exists() and path.read_text(encoding="utf-8") == contents:
            return False
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            beside.write_text(contents, encoding="utf-8")
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
    return True


def read(path: Path) -> Lock:
    """The lock as it was written. Raises ConfigurationError saying what is wrong with the file."""
    try:
        found: object = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"there is no lock file {path}: `typedgator schema write` makes it") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"{path} is not readable as JSON ({error}); take it from version control again, or, in the middle of a "
            "merge, take either side and write it anew"
        ) from None
    version = _version(found, path)
    if version > LOCK_VERSION:
        raise ConfigurationError(
            f"{path} is of version {version}, and this release of typedgator reads version {LOCK_VERSION}: it was "
            "written by a newer one; install that one here too"
        )
    try:
        lock = msgspec.convert(found, Lock)
        for name, task in lock.tasks.items():
            _check(name, task)
    except (msgspec.ValidationError, PayloadMismatch) as error:
        raise _damaged(path, str(error)) from None
    return lock


def _version(found: object, path: Path) -> int:
    try:
        version = msgspec.convert(found, _Versioned).version
    except msgspec.ValidationError as error:
        raise _damaged(path, str(error)) from None
    if version < 1:
        raise _damaged(path, f"there is no version {version}")
    return version


def _check(name: str, task: Locked) -> None:
    for schema in (task.arguments, task.result):
        node(schema)
    if fingerprint(task.arguments) != task.fingerprint:
        raise PayloadMismatch(f"the fingerprint of {name} is not that of its arguments")
    if _checksum(task) != task.checksum:
        raise PayloadMismatch(f"{name} was edited, or merged from two sides: its checksum is another one")


def _damaged(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path} is not as `typedgator schema write` writes a lock file: {why}; take it from version control again"
    )
