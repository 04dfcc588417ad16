"""The pytest plugin: fixtures that run a gator's jobs by hand. It does nothing until it is asked.

A fixture of the same name in a conftest.py or a test module goes before the one here.
"""

import pkgutil
from collections.abc import Generator

import pytest

from typedgator.gator import Gator
from typedgator.testing.kit import Drain, Kit, Travel, trial

__all__ = ["drain", "gator", "pytest_addoption", "travel", "typedgator_kit"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the gator is, and where its jobs go."""
    group = parser.getgroup("typedgator")
    group.addoption(
        "--typedgator-dsn", metavar="DSN", help="where the fixture `gator` keeps jobs, instead of locmem://"
    )
    parser.addini("typedgator", "the gator of your application, as MODULE:GATOR, for the fixture `gator`", default="")
    parser.addini("typedgator_dsn", "where the fixture `gator` keeps jobs", default="locmem://")


@pytest.fixture
def typedgator_kit(request: pytest.FixtureRequest) -> Generator[Kit]:
    """What the other fixtures are made of."""
    spec = str(request.config.getini("typedgator"))
    dsn = str(request.config.getoption("--typedgator-dsn") or request.config.getini("typedgator_dsn"))
    with trial(_named(spec) if spec else None, dsn=dsn) as kit:
        yield kit


@pytest.fixture
def gator(typedgator_kit: Kit) -> Gator:
    """Your application's gator, or a new one, with an empty backend of this test's own, and a clock that stands."""
    return typedgator_kit.gator


@pytest.fixture
def drain(typedgator_kit: Kit) -> Drain:
    """Runs what is due: `drain()`."""
    return typedgator_kit.drain


@pytest.fixture
def travel(typedgator_kit: Kit) -> Travel:
    """Moves the time on: `travel(60)`, `travel(timedelta(days=1))`, `travel(to=…)`."""
    return typedgator_kit.travel


def _named(spec: str) -> Gator:
    try:
        found: object = pkgutil.resolve_name(spec)
    except (ImportError, AttributeError, ValueError) as error:
        raise pytest.UsageError(f"the ini option typedgator = {spec} names nothing: {error}") from error
    if not isinstance(found, Gator):
        raise pytest.UsageError(f"the ini option typedgator = {spec} is a {type(found).__name__}, not a Gator")
    return found
