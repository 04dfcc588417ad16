"""One pass of Django's own tests of task backends, against ours: `python run.py PASS FOLDER [DSN]`.

FOLDER holds Django's `tests/tasks` as the sdist has it; it is read, rewritten into a folder of its own so that our
backend stands where Django's own stood, and run by Django's test runner. Prints one JSON object.
"""

import json
import os
import re
import sys
import tempfile
import unittest
from pathlib import Path

import django
from left_out import LEFT_OUT, NOT_IN_THE_BACKPORT

PASSES = {
    "stored": ["test_dummy_backend", "test_tasks"],
    "worked": ["test_immediate_backend"],
    "in_place": ["test_immediate_backend"],
    "custom": ["test_custom_backend"],
}
IS_BACKPORT = django.VERSION < (6, 0)
FRAMEWORK = "django_tasks" if IS_BACKPORT else "django.tasks"


def rewritten(text: str, of: str) -> str:
    """A test module with our backends in the places of Django's."""
    immediate = "InPlace" if of == "in_place" else "Worked"
    text = text.replace("from django.tasks.backends.dummy import DummyBackend", "from adapters import Stored")
    text = text.replace(
        "from django.tasks.backends.immediate import ImmediateBackend", f"from adapters import {immediate}"
    )
    text = text.replace("django.tasks.backends.dummy.DummyBackend", "adapters.Stored")
    text = text.replace("django.tasks.backends.immediate.ImmediateBackend", f"adapters.{immediate}")
    text = re.sub(r"\bDummyBackend\b", "Stored", text)
    text = re.sub(r"\bImmediateBackend\b", immediate, text)
    if IS_BACKPORT:
        text = text.replace("django.tasks", "django_tasks").replace("async Tasks", "async tasks")
        text = re.sub(r"\bInvalidTask\b", "InvalidTaskError", text)
        text = re.sub(r"\bInvalidTaskBackend\b", "InvalidTaskBackendError", text)
        text = text.replace(
            "from django_tasks import Task, ", "from django_tasks.base import Task\nfrom django_tasks import "
        )
    if of == "custom":
        text = re.sub(
            r"from \S+\.backends\.base import BaseTaskBackend",
            "from typedgator.contrib.django.tasks import TypedgatorBackend as BaseTaskBackend",
            text,
        )
    return text


def prepare(source: Path, of: str, folder: Path) -> None:
    package = folder / "tasks"
    package.mkdir()
    for file in source.glob("*.py"):
        (package / file.name).write_text(rewritten(file.read_text(encoding="utf-8"), of), encoding="utf-8")
    sys.path.insert(0, str(folder))


def configure(dsn: str, of: str) -> None:
    from django.conf import settings

    options = {"is_async": False} if of == "in_place" else {}
    settings.configure(
        USE_TZ=True,
        INSTALLED_APPS=["typedgator.contrib.django", *(["django_tasks"] if IS_BACKPORT else [])],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        TYPEDGATOR={"DSN": dsn, "OPTIONS": options},
        TASKS={"default": {"BACKEND": "adapters.Stored"}},
    )
    django.setup()


def flat(suite: unittest.TestSuite) -> list[unittest.TestCase]:
    return [each for part in suite for each in (flat(part) if isinstance(part, unittest.TestSuite) else [part])]


def name_of(test: unittest.TestCase) -> str:
    return ".".join(test.id().split(".")[-2:])


def main() -> int:
    of, source = sys.argv[1], Path(sys.argv[2])
    dsn = sys.argv[3] if len(sys.argv) > 3 else "locmem://"
    with tempfile.TemporaryDirectory() as folder:
        prepare(source, of, Path(folder))
        configure(dsn, of)
        from django.test.utils import setup_test_environment

        setup_test_environment()
        every = flat(unittest.defaultTestLoader.loadTestsFromNames([f"tasks.{name}" for name in PASSES[of]]))
        reasons = {**LEFT_OUT[of], **(NOT_IN_THE_BACKPORT if IS_BACKPORT else {})}
        chosen = [test for test in every if name_of(test) not in reasons]
        done = unittest.TextTestRunner(stream=sys.stderr, verbosity=1).run(unittest.TestSuite(chosen))
    there = {name_of(test) for test in every}
    bad = [*done.failures, *done.errors]
    said = {
        "django": django.get_version(),
        "framework": FRAMEWORK,
        "ran": sorted({name_of(test) for test in chosen}),
        "left_out": {name: why for name, why in reasons.items() if name in there},
        "failed": {name_of(getattr(test, "test_case", test)): text for test, text in bad},
    }
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()
    os._exit(1 if bad else 0)


if __name__ == "__main__":
    main()
