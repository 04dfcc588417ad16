"""Where the frameworks are not installed, there is nothing to try them with."""

from importlib.util import find_spec
from shutil import which

MODULES = ("aiosmtpd", "django", "fastapi", "PIL", "uvicorn")
collect_ignore_glob = [] if which("make") and all(find_spec(name) for name in MODULES) else ["test_*.py"]
