"""A fork of a process has a copy of its memory, and none of its threads."""

import os

import pytest

from typedgator import Gator


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("dsn", ["locmem://", "locmem://shared"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_job_in_memory_is_refused_in_a_fork(dsn: str) -> None:
    """It would vanish with the child; the error says what to use instead."""
    gator = Gator(dsn)

    @gator.register(name="lost")
    def lost() -> None:
        pass

    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            gator.task(lost)
            answer = "accepted"
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        os.write(writing, answer.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)

    assert answer.startswith("ConfigurationError: locmem://")
    assert "sqlite:///typedgator.db" in answer
    assert gator.task(lost).state() == "waiting"
