"""Who is measured, and the virtual environment of each, made from pinned requirements."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Final

__all__ = ["PEERS", "PLOTS", "ROOT", "Peer", "Uninstalled", "prepare"]

ROOT: Final = Path(__file__).resolve().parents[2]
HOME: Final = ROOT / ".venv" / "peers"
REQUIREMENTS: Final = Path(__file__).parent / "requirements"
PLOTS: Final = "plots"
INSTALL_S: Final = 300


class Uninstalled(Exception):
    """An environment could not be made; the message says why."""


@dataclass(frozen=True)
class Peer:
    """A library: the name it is shown by, the module of its adapter, and the environment it lives in."""

    name: str
    adapter: str
    environment: str
    python: str = ""
    """Which Python it needs, where it is not any that typedgator runs on: `3.12`."""


def _peer(name: str, environment: str = "", python: str = "") -> Peer:
    return Peer(name, name.replace("-", "_"), environment or name, python)


PEERS: Final = {
    peer.name: peer
    for peer in (
        _peer("typedgator"),
        _peer("huey"),
        _peer("ardiq", python="3.12"),
        _peer("repid"),
        _peer("dramatiq"),
        _peer("celery"),
        _peer("taskiq-list", "taskiq"),
        _peer("taskiq-stream", "taskiq"),
        _peer("arq"),
        _peer("saq"),
        _peer("streaq"),
        _peer("rq"),
    )
}


def prepare(environment: str, version: str = "") -> Path:
    """The environment's python; it is made, or made anew after its requirements changed. Raises Uninstalled."""
    home, wanted = HOME / environment, REQUIREMENTS / f"{environment}.txt"
    python, stamp = home / "bin" / "python", home / "requirements.txt"
    if python.exists() and stamp.exists() and stamp.read_bytes() == wanted.read_bytes():
        return python
    base = _interpreter(version)
    print(f"installing {environment} into {home.relative_to(ROOT)}", file=sys.stderr, flush=True)
    _run(base, "-m", "venv", "--clear", str(home))
    quiet = ("--quiet", "--no-input", "--disable-pip-version-check")
    _run(str(python), "-m", "pip", "install", *quiet, "--no-deps", "-r", str(wanted))
    stamp.write_bytes(wanted.read_bytes())
    return python


def _interpreter(version: str) -> str:
    """One of this version: this one, what TYPEDGATOR_PYTHON_3_12 says, or the first on PATH that starts."""
    if not version or version == f"{sys.version_info[0]}.{sys.version_info[1]}":
        return os.path.realpath(sys.executable)
    variable = f"TYPEDGATOR_PYTHON_{version.replace('.', '_')}"
    shims = os.environ | {"PYENV_VERSION": version}  # those of pyenv start nothing that is not chosen
    for found in (os.environ.get(variable), *_on_path(f"python{version}")):
        if found:
            say = [found, "-c", "import sys; print(sys.executable)"]
            done = subprocess.run(say, capture_output=True, check=False, text=True, env=shims)
            if done.returncode == 0:
                return done.stdout.strip()
    raise Uninstalled(f"it needs Python {version}: put python{version} on PATH or name it in {variable}")


def _on_path(name: str) -> list[str]:
    folders = os.environ.get("PATH", "").split(os.pathsep)
    return [found for folder in folders if (found := which(name, path=folder))]


def _run(*command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_S)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise Uninstalled(f"it could not be installed: {said.strip().splitlines()[-1]}") from error
