"""Where the file lies, and whether a write-ahead log may live there. Asks the operating system, never SQLite."""

import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from typedgator.backends.connect import Dsn
from typedgator.errors import ConfigurationError

__all__ = ["create", "file_of", "filesystem_of", "refuse_network"]

# No shared memory between hosts, and locks that lie: WAL on these corrupts the file within minutes.
NETWORK: Final = frozenset(
    {"9p", "afs", "ceph", "cifs", "coda", "davfs", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "prl_fs"}
    | {"pvfs2", "smb3", "smbfs", "vboxsf", "virtiofs"}
)
_FUSE_NETWORK: Final = re.compile(
    r"fuse\.(sshfs|s3fs|rclone|glusterfs|ceph|gcsfuse|blobfuse2?|davfs2?|juicefs|nfs.*|smb.*)"
)
_MOUNTS: Final = Path("/proc/self/mountinfo")


def file_of(dsn: Dsn) -> Path:
    """The absolute path that a DSN names. Raises ConfigurationError, with the DSN that was perhaps meant."""
    if dsn.url.netloc:
        raise ConfigurationError(
            f"DSN {dsn.text!r}: two slashes make {dsn.url.netloc!r} a host; "
            f"write sqlite:///{dsn.url.netloc}{dsn.url.path} for a relative path, sqlite:////… for an absolute one"
        )
    path = unquote(dsn.url.path).removeprefix("/")
    if dsn.url.fragment:
        raise ConfigurationError(f"DSN {dsn.text!r}: write '#' in a file's name as %23")
    if not path or path.rstrip("/") == ":memory:":
        raise ConfigurationError(
            f"DSN {dsn.text!r} names no file, and a database in memory is lost with its connection; "
            "write sqlite:///typedgator.db, or locmem:// for memory"
        )
    if path.endswith("/") or "\0" in path:
        raise ConfigurationError(f"DSN {dsn.text!r}: {path!r} is no name of a file")
    # Made absolute now: the process may change its working directory before a thread opens the file.
    return Path(path).absolute()


def create(path: Path) -> None:
    """Makes an empty file that only its owner may read, unless there is one: arguments of jobs may be private.

    SQLite gives its -wal and -shm files the same mode.
    """
    if not path.parent.is_dir():
        raise ConfigurationError(f"{path} cannot be opened: the folder {path.parent} does not exist; create it first")
    if path.is_dir():
        raise ConfigurationError(f"{path} cannot be opened: it is a folder, not a file")
    try:
        # A file that is there is not touched: closing it would drop every lock that this process has on it (fcntl(2)).
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        pass
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be made: {error.strerror}") from error
    if not os.access(path, os.W_OK):
        raise ConfigurationError(f"{path} cannot be opened: this user may not write to it")
    if not os.access(path.parent, os.W_OK):
        raise ConfigurationError(
            f"{path} cannot be opened: this user may not write to the folder {path.parent}, where SQLite keeps its log"
        )


def refuse_network(path: Path) -> None:
    """Raises ConfigurationError for a file system that another host may write to."""
    kind = filesystem_of(path)
    if kind in NETWORK or _FUSE_NETWORK.fullmatch(kind):
        raise ConfigurationError(
            f"{path} lies on a network file system ({kind}), where SQLite's write-ahead log corrupts the file; "
            "use a local disk or redis://, or add ?filesystem=any if only this one host ever opens it"
        )


def filesystem_of(path: Path, mounts: Path = _MOUNTS) -> str:
    """The type of the file system that holds a path, by Linux's mountinfo (proc(5)); empty when it cannot be told."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    real = Path(os.path.realpath(path))
    best, kind = -1, ""
    for line in lines:
        left, found, right = line.partition(" - ")
        fields = left.split(" ")
        if not found or len(fields) < 5:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4]))
        # A later mount on the same point hides the earlier one.
        if len(point.parts) >= best and (point == real or point in real.parents):
            best, kind = len(point.parts), right.split(" ")[0]
    return kind
