"""A Django project as a user has one, in a folder of its own, with real SQLite files and real processes."""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

PATIENCE = 100.0

MANAGE = """
import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
from django.core.management import execute_from_command_line

execute_from_command_line(sys.argv)
"""

SETTINGS = """
from pathlib import Path

HERE = Path(__file__).parent
SECRET_KEY = "not secret"
DEBUG = False
USE_TZ = True
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["typedgator.contrib.django", "shop"]
SQLITE = {"ENGINE": "django.db.backends.sqlite3", "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 30}}
DATABASES = {"default": {**SQLITE, "NAME": str(HERE / "site.db")}, "other": {**SQLITE, "NAME": str(HERE / "other.db")}}
TYPEDGATOR = {"DSN": f"sqlite:///{HERE / 'jobs.db'}", "GATOR": "shop.gator:gator"}
"""

GATOR = """
from typedgator.contrib.django import DjangoGator

gator = DjangoGator()
"""

MODELS = """
from django.db import models


class Order(models.Model):
    n = models.IntegerField(unique=True)
"""

TASKS = """
from pathlib import Path

from shop.gator import gator


@gator.register
def ship(n: int) -> int:
    with open(Path(__file__).parent / "shipped", "a") as file:
        file.write(f"{n}\\n")
    return n
"""


class Site:
    """`settings`, `urls`, `manage.py`, and the app `shop`: a gator, a model `Order`, a task `ship`."""

    def __init__(self, folder: Path, started: list[subprocess.Popen[str]]) -> None:
        self.folder = folder
        self._started = started
        self.env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TYPEDGATOR_", "DJANGO_", "FORCE_COLOR", "RUN_MAIN"))
        }
        self.env["DJANGO_SETTINGS_MODULE"] = "settings"
        self.write("manage.py", MANAGE)
        self.write("settings.py", SETTINGS)
        self.write("urls.py", "urlpatterns = []\n")
        self.write("shop/__init__.py", "")
        self.write("shop/gator.py", GATOR)
        self.write("shop/models.py", MODELS)
        self.write("shop/tasks.py", TASKS)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
        return path

    def settings(self, text: str) -> None:
        """Adds lines to the settings."""
        with (self.folder / "settings.py").open("a", encoding="utf-8") as file:
            file.write(dedent(text))

    def migrated(self) -> "Site":
        """Makes the tables of both databases."""
        self.write("shop/migrations/__init__.py", "")
        self.write(
            "shop/migrations/0001_initial.py",
            """
            from django.db import migrations, models

            class Migration(migrations.Migration):
                operations = [
                    migrations.CreateModel(
                        "Order",
                        [("id", models.BigAutoField(primary_key=True)), ("n", models.IntegerField(unique=True))],
                    )
                ]
            """,
        )
        self.python(
            """
            from django.core.management import call_command
            call_command("migrate", verbosity=0)
            call_command("migrate", database="other", verbosity=0)
            """
        )
        return self

    def run(self, *command: str, patience: float = PATIENCE, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command],
            cwd=self.folder,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=patience,
            check=False,
        )

    def manage(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Runs `manage.py …` to its end."""
        return self.run("manage.py", *args, **env)

    def python(self, code: str, **env: str) -> str:
        """Runs code in a process in which Django is set up; what it prints."""
        done = self.run("-c", "import django\ndjango.setup()\n" + dedent(code), **env)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self, *args: str) -> "subprocess.Popen[str]":
        """Starts `manage.py …`; it is killed when the test ends."""
        process = subprocess.Popen(
            [sys.executable, "manage.py", *args],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    @property
    def shipped(self) -> list[int]:
        """What the task `ship` was called with, in the order of running."""
        file = self.folder / "shop" / "shipped"
        return [int(line) for line in file.read_text().split()] if file.exists() else []
