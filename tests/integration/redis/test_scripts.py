"""The laws of the Lua scripts: heads, memory, numbers, clocks, and one order of the keys."""

import re
from importlib.resources import files

import pytest

from typedgator.backends.redis.keys import FIXED
from typedgator.backends.redis.scripts import NAMES, script

LUA = files("typedgator.backends.redis") / "lua"
PARTS = sorted(part.name.removesuffix(".lua") for part in (LUA / "parts").iterdir())
TEXTS = {name: (LUA / f"{name}.lua").read_text() for name in NAMES} | {
    f"parts/{name}": (LUA / "parts" / f"{name}.lua").read_text() for name in PARTS
}


@pytest.mark.parametrize("name", NAMES)
def test_each_script_has_a_head(name: str) -> None:
    """A shebang, a purpose, KEYS, ARGV, result and cost."""
    lines = TEXTS[name].splitlines()

    assert lines[0] in ("#!lua", "#!lua flags=allow-oom", "#!lua flags=no-writes")
    assert re.fullmatch(r"-- [A-Z].*", lines[1])
    for word in ("KEYS", "ARGV", "Result", "Cost", "Needs"):
        assert any(line.startswith(f"-- {word}") for line in lines[2:12]), word


def test_only_enqueue_is_refused_when_memory_is_full() -> None:
    """Every other script runs under maxmemory, or writes nothing."""
    refused = {name for name in NAMES if TEXTS[name].startswith("#!lua\n")}

    assert refused == {"enqueue", "enqueue_new", "enqueue_one", "enqueue_plain", "enqueue_series"}


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_no_script_searches_the_whole_server(name: str) -> None:
    """No KEYS, no SCAN, no clock but the part that is made for it."""
    said = set(re.findall(r"C\('([A-Z]+)'", TEXTS[name]))

    assert not said & {"KEYS", "SCAN", "HSCAN", "ZSCAN", "SSCAN", "FLUSHDB", "RANDOMKEY"}
    assert ("TIME" in said) == (name == "parts/clock")


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_no_large_number_is_left_to_lua_to_write(name: str) -> None:
    """A time or a score that is computed goes through int(), since Lua writes large numbers as 1e+15."""
    for call in re.finditer(r"C\('(ZADD|ZRANGEBYSCORE|HSET)', ", TEXTS[name]):
        for word in words_of(TEXTS[name], call.end()):
            computed = re.search(r"\b(now|now_us|due|place|seq|LANE|HALF|score|deadline)\b.*[-+*]|[-+*].*\bnow\b", word)
            assert not computed or word.startswith("int("), word


def words_of(text: str, at: int) -> list[str]:
    """The arguments of a call, from the first one on: split at commas outside of brackets."""
    words, depth = [""], 0
    while depth >= 0:
        depth += (text[at] in "([{") - (text[at] in ")]}")
        if text[at] == "," and depth == 0:
            words.append("")
        elif depth >= 0:
            words[-1] += text[at]
        at += 1
    return [word.strip() for word in words]


def test_the_fixed_keys_have_one_order() -> None:
    """The names that parts/keys.lua takes from KEYS are those of keys.py, in its order."""
    text = TEXTS["parts/keys"]
    taken: dict[int, str] = {}
    for names, places in re.findall(r"^local ([a-z0-9_, ]+) = (KEYS\[.*)$", text, flags=re.MULTILINE):
        for name, place in zip(names.split(", "), re.findall(r"KEYS\[(\d+)\]", places), strict=True):
            taken[int(place)] = name

    assert [{"everyone": "wake*"}.get(taken[place], taken[place]) for place in sorted(taken)] == list(FIXED)


def test_a_script_has_one_text_for_each_clock() -> None:
    """The scripts of a test differ from the others in the clock, and so have another SHA."""
    assert script("claim").sha != script("claim", clock_of_tests=True).sha
    assert b"'TIME'" in script("claim").text
    assert b"'TIME'" not in script("claim", clock_of_tests=True).text
