"""How long a thread is waited for. Whoever ends must not wait for ever for a thread that hangs in somebody's server."""

from threading import Thread

__all__ = ["has_ended"]


def has_ended(thread: Thread, wait_seconds: float | None) -> bool:
    """Whether the thread has ended, `wait_seconds` from now at the latest; one that never started has."""
    if thread.ident is not None:
        thread.join(wait_seconds)
    return not thread.is_alive()
