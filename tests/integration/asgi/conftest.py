"""Where the frameworks are not installed, there is nothing to try them with."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("starlette") and find_spec("uvicorn") and find_spec("httpx2") else ["test_*.py"]
