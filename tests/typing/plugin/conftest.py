"""mypy, run on a folder."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
CACHE = Path(__file__).parents[3] / ".mypy_cache" / "plugin"

Ask = Callable[..., list[str]]


@pytest.fixture
def ask() -> Ask:
    """Asks mypy --strict about the files of a folder, and gives its lines: `file:line: error: message  [code]`.

    `plugin` is what the configuration names, `command` what is run, `cache` a folder to begin warm from.
    """
    if not (BIN / "mypy").exists():
        pytest.skip("mypy is not installed beside this Python")

    def about(
        folder: Path,
        *files: str,
        plugin: str | None = "typedgator.mypy_plugin",
        command: tuple[str, ...] = ("mypy",),
        cache: Path = CACHE,
        settings: str = "",
    ) -> list[str]:
        config = folder / "mypy.ini"
        chosen = "" if plugin is None else f"plugins = {plugin}\n"
        config.write_text(f"[mypy]\nstrict = True\npython_version = 3.11\n{chosen}{settings}")
        options = ["--config-file", str(config), "--cache-dir", str(cache), "--no-error-summary"]
        options += ["--hide-error-context", "--no-pretty", "--no-color-output"]
        argv = [str(BIN / command[0]), *command[1:], *(options if command[0] == "mypy" else []), *files]
        env = {name: value for name, value in os.environ.items() if not name.startswith("MYPY")}
        done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=False)
        assert done.returncode in (0, 1), done.stdout + done.stderr
        return done.stdout.splitlines()

    return about
