"""Ids: UUIDs of version 7, one by one or many at once, in the order of making; a fork has its own."""

import os
import time
import uuid
import warnings
from collections.abc import Callable

import pytest

from tests.forks import FORKS
from typedgator.wire.ids import JobId, caller_id, new_id, new_ids, parse_id, shown_id


@pytest.mark.parametrize("number", [0, 1, 250, 4096, 4097, 10_000])
def test_many_ids_are_made_in_order(number: int) -> None:
    """So many different UUIDv7, each greater than the one before; after 4,096 the next millisecond is taken."""
    before = time.time_ns() // 1_000_000
    ids = new_ids(number)
    after = time.time_ns() // 1_000_000

    assert len(set(ids)) == len(ids) == number
    assert ids == sorted(ids)
    for place, job_id in enumerate(ids):
        made = uuid.UUID(bytes=job_id)
        assert (made.version, made.variant) == (7, uuid.RFC_4122)
        assert before + place // 4096 <= int.from_bytes(job_id[:6], "big") <= after + place // 4096
        assert not caller_id(job_id)
        assert parse_id(shown_id(job_id)) == job_id


def test_the_rest_of_an_id_is_random() -> None:
    """Two that are made at the same place of the same call differ in all but time, version, counter and variant."""
    one, other = ([job_id[9:] for job_id in new_ids(500)] for _ in range(2))

    assert not set(one) & set(other)
    assert all(len({rest[place] for rest in one}) > 150 for place in range(7))


def test_single_ids_are_all_different() -> None:
    """Also when the random bytes that are asked for at once are used up, several times."""
    ids = [new_id() for _ in range(1000)]

    assert len({job_id[8:] for job_id in ids}) == 1000
    assert {uuid.UUID(bytes=job_id).version for job_id in ids} == {7}


@pytest.mark.parametrize("fork", FORKS)
def test_a_fork_makes_ids_of_its_own(fork: Callable[[], int]) -> None:
    """Random bytes that the parent has in store are not the child's as well: two jobs would bear one id."""
    new_id()
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork with threads
        child = fork()
    if not child:
        try:
            os.write(write, b"".join(new_id() for _ in range(100)))
        finally:
            os._exit(0)
    mine = {new_id()[8:] for _ in range(100)}
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        raw = answer.read()

    childs = {JobId(raw[place : place + 16])[8:] for place in range(0, len(raw), 16)}
    assert len(childs) == 100
    assert not mine & childs
