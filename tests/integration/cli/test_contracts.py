"""The contract for others: a typed producer package without the tasks' code, JSON Schema, AsyncAPI."""

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.project import Project, refused
from typedgator.backends.contract import Inspect
from typedgator.gator import Gator
from typedgator.wire.envelope import decode_envelope
from typedgator.wire.frame import open_frame
from typedgator.wire.states import JobState

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent

SHOP = '''
import enum
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, NamedTuple, NotRequired, TypedDict
from uuid import UUID

from pydantic import AfterValidator, Field

from typedgator import Gator, RetryPolicy

gator = Gator("sqlite:///shop.db", retries=RetryPolicy(2, on=(LookupError,)), max_items=7)


class Busy(Exception): ...


class Size(enum.StrEnum):
    SMALL = "s"
    LARGE = "l"


class Point(NamedTuple):
    x: int
    y: float = 0.5


class Line(TypedDict):
    article: str
    note: NotRequired[str]


@dataclass(frozen=True)
class Address:
    street: str
    places: tuple[Point, ...] = (Point(1),)
    tags: frozenset[str] = field(default_factory=frozenset, kw_only=True)


def even(n: int) -> int:
    if n % 2:
        raise ValueError("must be even")
    return n


@gator.register(name="shop.order", queue="orders", expires=timedelta(hours=1), retries=RetryPolicy(5, on=(Busy,)))
def order(
    number: Annotated[int, Field(gt=0)],
    lines: list[Line],
    to: Address = Address("here"),
    *more: Point,
    total: Decimal = Decimal("1.50"),
    size: Size | None = Size.SMALL,
    pair: Annotated[int, AfterValidator(even)] = 2,
    **extra: UUID,
) -> dict[str, Point]:
    """Sends an order."""
    return {line["article"]: Point(number, float(len(more))) for line in lines}


@gator.register(name="shop.tell")
async def tell(text: str) -> str:
    return text.upper()
'''


@pytest.fixture
def service(project: Project) -> Project:
    """A service that runs the tasks, and beside it a folder of another one with nothing but the stubs."""
    project.write("shop.py", SHOP)
    (project.folder / "other").mkdir()
    done = project.command("schema", "stubs", "shop", "other/shop_client", "--dsn-variable", "SHOP_DSN")
    assert (done.returncode, done.stdout) == (0, "other/shop_client: 2 tasks\n"), done.stderr
    return project


def elsewhere(service: Project, code: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Runs code in the other service's folder, where the tasks' code cannot be imported."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=service.folder / "other",
        env={**service.env, "SHOP_DSN": f"sqlite:///{service.folder}/shop.db", **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_another_service_enqueues_and_gets_the_result(service: Project) -> None:
    """By name, without the code; a real worker that has it runs the job."""
    code = """
import sys
from shop_client import Address, Line, Point, Size, order, tell
assert "shop" not in sys.modules
print(order.task(7, [Line(article="pen")], Address("there"), Point(1, 2.0), size=Size.LARGE).id, tell.task("hi").id)
"""
    done = elsewhere(service, code)
    assert done.returncode == 0, done.stderr
    assert service.command("worker", "shop", "--burst", "--queue", "*").returncode == 0
    ids = done.stdout.split()
    gator = Gator(f"sqlite:///{service.folder}/shop.db")
    assert [gator.job(id_).state() for id_ in ids] == [JobState.SUCCESS, JobState.SUCCESS]
    assert gator.job(ids[0]).result() == {"pen": [7, 1.0]}
    assert gator.job(ids[1]).result() == "HI"
    gator.close()


def test_a_result_arrives_as_its_type(service: Project) -> None:
    code = """
import subprocess, sys
from shop_client import Line, Point, order
job = order.task(7, [Line(article="pen")])
subprocess.run([sys.executable, "-m", "typedgator", "worker", "shop", "--burst", "--queue", "*"], cwd="..", check=True)
assert job.result() == {"pen": Point(7, 0.0)} and type(job.result()["pen"]) is Point
"""
    done = elsewhere(service, code)
    assert done.returncode == 0, done.stderr


def test_what_a_stub_enqueues_is_what_the_task_itself_would(service: Project) -> None:
    """The same fingerprint, arguments, queue, expiry and retries: a worker cannot tell them apart."""
    call = "order.task(7, [{'article': 'pen'}])"
    assert elsewhere(service, f"from shop_client import order\n{call}").returncode == 0
    service.python(f"from shop import order\n{call}")
    gator = Gator(f"sqlite:///{service.folder}/shop.db")
    backend = gator.backend
    assert isinstance(backend, Inspect)
    stub, own = (open_frame(record.frame or b"") for record in backend.page(JobState.WAITING).records)
    one, other = decode_envelope(stub.envelope), decode_envelope(own.envelope)
    assert (one.task, one.schema, bytes(one.args), one.policy) == (
        (other.task, other.schema, bytes(other.args), other.policy)
    )
    assert one.policy.retry_on == ("shop.Busy",)
    assert (stub.queue, stub.flags, stub.priority) == (own.queue, own.flags, own.priority) == ("orders", 2, 100)
    gator.close()


def test_wrong_calls_are_refused_there_already(service: Project) -> None:
    """By the values' rules; a validator's code stays with the worker."""
    code = """
from shop_client import Line, order
from typedgator import InvalidArguments
wrong = {"greater than 0": (0, []), "article": (1, [{"articel": "x"}]), "7": (1, [{"article": "x"}] * 8)}
for why, args in wrong.items():
    try:
        order.task(*args)
    except InvalidArguments as error:
        assert why in str(error), error
    else:
        raise SystemExit(f"taken: {args}")
order.task(1, [], pair=3)
"""
    done = elsewhere(service, code)
    assert done.returncode == 0, done.stderr + done.stdout


def test_a_stub_that_was_edited_does_not_import(service: Project) -> None:
    """Its fingerprint is not that of the contract any more."""
    path = service.folder / "other" / "shop_client" / "__init__.py"
    text = path.read_text()
    path.write_text(text.replace("def tell(text: str)", "def tell(text: int)"))
    done = elsewhere(service, "import shop_client")
    assert done.returncode == 1
    assert "RegistrationError: shop.tell: this stub takes tell(text: int) -> str" in done.stderr
    assert "write it anew with `typedgator schema stubs`" in done.stderr
    path.write_text(text.replace("-> str", "-> bytes"))
    assert "this stub takes tell(text: str) -> bytes" in elsewhere(service, "import shop_client").stderr


def test_a_worker_on_the_stubs_holds_the_jobs(service: Project) -> None:
    """It has not the code, and does not fail them for it."""
    assert elsewhere(service, "from shop_client import tell\ntell.task('hi')").returncode == 0
    argv = [sys.executable, "-m", "typedgator", "worker", "shop_client", "--burst"]
    env = {**service.env, "SHOP_DSN": f"sqlite:///{service.folder}/shop.db"}
    subprocess.run(argv, cwd=service.folder / "other", env=env, capture_output=True, check=True)
    gator = Gator(f"sqlite:///{service.folder}/shop.db")
    assert gator.counts().queues["all"][JobState.HELD] == 1
    gator.close()


def test_the_same_tasks_give_the_same_package_and_nothing_else_is_overwritten(service: Project) -> None:
    path = service.folder / "other" / "shop_client" / "__init__.py"
    before = path.read_text()
    assert service.command("schema", "stubs", "shop", "other/shop_client", "--dsn-variable", "SHOP_DSN").returncode == 0
    assert path.read_text() == before
    assert (path.parent / "py.typed").exists()
    service.write("mine/__init__.py", "x = 1\n")
    said = refused(service.command("schema", "stubs", "shop", "mine"), 2)
    assert said == "mine/__init__.py was not written by `typedgator schema stubs`: name another folder, or remove it"
    assert "cannot be imported" in refused(service.command("schema", "stubs", "shop", "not-a-name"), 2)


GOOD = """
from typing import assert_type

from typedgator import Job
from shop_client import Address, Line, Point, Size, gator, order, tell

job = order.task(1, [Line(article="pen")], Address("x"), Point(1), size=Size.LARGE, pair=2)
assert_type(job, Job[dict[str, Point]])
assert_type(gator.task(tell, "hi"), Job[str])
with gator.options(delay_by=60, time_limit=5) as later:
    assert_type(later.task(tell, text="hi"), Job[str])
"""
BAD = [
    'order.task("1", [])',
    "order.task(1)",
    "order.task(1, [], totl=1)",
    'order.task(1, [{"articel": "pen"}])',
    'order.task(1, [], "here")',
    "order.task(1, [], size='s')",
    "gator.task(tell, 1)",
    'number: int = tell.task("hi").result()',
    'tell("hi")',
]


@pytest.mark.timeout(300)
@pytest.mark.skipif(not (BIN / "mypy").exists(), reason="the type checkers are not installed beside this Python")
@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_the_checkers_know_the_stubs(service: Project, checker: str) -> None:
    """Right calls pass, each wrong one is an error on its own line, and the package itself is clean under strict."""
    folder = service.folder / "other"
    (folder / "good.py").write_text(GOOD)
    first = "from shop_client import gator, order, tell\n"
    (folder / "bad.py").write_text(first + "\n".join(BAD) + "\n")
    env = {**os.environ, "MYPYPATH": str(ROOT / "stubs")}
    if checker == "mypy":
        argv = [
            BIN / "mypy",
            "--strict",
            "--cache-dir",
            ROOT / ".mypy_cache" / "stubs",
            "shop_client",
            "good.py",
            "bad.py",
        ]
    else:
        settings = {"include": ["."], "typeCheckingMode": "strict", "stubPath": str(ROOT / "stubs")}
        (folder / "pyrightconfig.json").write_text(json.dumps(settings))
        argv = [BIN / "pyright", "-p", folder, "--pythonpath", sys.executable]
    said = subprocess.run(list(map(str, argv)), cwd=folder, env=env, capture_output=True, text=True, check=False).stdout
    found = re.findall(r"([\w./]+\.py):(\d+):.* error: ", said.replace(" - error: ", ": error: "))
    assert {int(line) for file, line in found if Path(file).name == "bad.py"} == set(range(2, len(BAD) + 2)), said
    assert not [file for file, _ in found if Path(file).name != "bad.py"], said


def test_nothing_is_written_of_a_default_that_is_another_one_each_time(project: Project) -> None:
    project.write(
        "shop.py",
        "from dataclasses import dataclass, field\nfrom uuid import UUID, uuid4\nfrom typedgator import Gator\n"
        "gator = Gator()\n@dataclass(frozen=True)\nclass Box:\n    id: UUID = field(default_factory=uuid4)\n"
        "@gator.register\ndef send(box: Box) -> None: ...\n",
    )
    said = refused(project.command("schema", "stubs", "shop", "client"), 1)
    assert said.startswith("Box.id has a default that is another one each time")
    assert not (project.folder / "client").exists()


# ---- for tools


def exported(project: Project, form: str, *more: str) -> Any:
    done = project.command("schema", "export", "shop", form, *more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_asyncapi_is_what_the_official_schema_allows(service: Project) -> None:
    jsonschema: Any = pytest.importorskip("jsonschema")
    found = exported(service, "--asyncapi", "--title", "Shop", "--service-version", "1.2.3")
    with gzip.open(Path(__file__).with_name("asyncapi") / "3.0.0.json.gz") as file:
        official = jsonschema.Draft7Validator(json.load(file))
    assert list(official.iter_errors(found)) == []
    assert list(official.iter_errors({**found, "channels": {"orders": {"address": 1}}})) != []
    assert found["info"] == {"title": "Shop", "version": "1.2.3"}
    assert {channel["address"] for channel in found["channels"].values()} == {"orders", "all", None}
    message = found["components"]["messages"]["shop.order"]
    jsonschema.Draft7Validator.check_schema(message["payload"]["schema"])
    assert message["payload"]["schema"]["description"] == "Sends an order."


def test_json_schema_takes_what_the_task_takes(service: Project) -> None:
    jsonschema: Any = pytest.importorskip("jsonschema")
    found = exported(service, "--json-schema")
    jsonschema.Draft202012Validator.check_schema(found)
    taken = jsonschema.Draft202012Validator(found["$defs"]["shop.order"])
    right = {
        "number": 1,
        "lines": [{"article": "pen"}],
        "to": {"street": "x", "places": [[1, 2.0], [3]], "tags": ["a"]},
        "more": [[1]],
        "total": "1.50",
        "size": None,
        "extra": {"key": "00000000-0000-0000-0000-000000000000"},
    }
    assert list(taken.iter_errors(right)) == []
    wrong: list[dict[str, Any]] = [
        {"number": 0},
        {"lines": [{"articel": "pen"}]},
        {"to": {"street": "x", "places": [[1, 2.0, 3]]}},
        {"size": "m"},
        {"unknown": 1},
    ]
    for change in wrong:
        assert list(taken.iter_errors({**right, **change})) != [], change
    assert found["$defs"]["shop.order"]["x-fingerprint"]


def test_the_form_must_be_said(service: Project) -> None:
    for forms in ([], ["--asyncapi", "--json-schema"]):
        said = refused(service.command("schema", "export", "shop", *forms), 2)
        assert said == "say in which form: --json-schema or --asyncapi, one of the two"
