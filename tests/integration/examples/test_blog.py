"""The blog: a post goes in by a form, real mails arrive by a real mail server."""

import mailbox
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.integration.examples.running import Answer, Example, copied
from tests.integration.redis.servers import Server, free_port, needs_redis

READY = "Starting development server"


@pytest.fixture
def redis() -> Iterator[Server]:
    with Server() as server:
        yield server


class Blog(Example):
    """The site, its forms, and what its mail server got."""

    def __init__(self, folder: Path, **env: str) -> None:
        self.mail_port = free_port()
        super().__init__(copied("blog", folder), READY, env={**env, "MAIL_PORT": str(self.mail_port)})

    def submit(self, form: str, **fields: str) -> Answer:
        """As a browser does: with the form's own token, following the redirect."""
        token = re.search(rb'name="csrfmiddlewaretoken" value="(\w+)"', self.ask("/").content)
        assert token is not None
        return self.ask(f"/{form}", urlencode({"csrfmiddlewaretoken": token[1].decode(), **fields}).encode())

    def mails(self) -> dict[str, Message]:
        """What arrived, by whom it was sent to."""
        if not (self.folder / "mail" / "new").is_dir():
            return {}
        return {str(mail["To"]): mail for mail in mailbox.Maildir(self.folder / "mail")}


class Alone(Blog):
    """Without the mail server: what `make` starts, one by one."""

    def run(self) -> None:
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=self.folder, env=self.env, check=True)
        self.start(sys.executable, "manage.py", "gator_worker", "--no-reload")
        self.start(sys.executable, "manage.py", "runserver", "--noreload", f"127.0.0.1:{self.port}")


def see_two_mails(site: Blog) -> None:
    """Two follow, one post is published, each gets it."""
    for email in ("ada@example.com", "grace@example.com", "ada@example.com"):
        assert site.submit("follow", email=email).url.endswith("/")
    published = site.submit("publish", title="On engines, déjà vu", text="It weaves\nalgebraic patterns.")
    assert published.status == 200
    assert "On engines, déjà vu" in published.content.decode()

    site.waits(lambda: len(site.mails()) == 2, "two mails did not arrive")
    assert set(site.mails()) == {"ada@example.com", "grace@example.com"}
    mail = site.mails()["ada@example.com"]
    assert mail["From"] == "blog@example.com"
    assert mail["Message-ID"] == "<post-1-to-1@blog.example.com>"
    text = mail.get_payload(decode=True)
    assert isinstance(text, bytes)
    assert text.replace(b"\r\n", b"\n").strip() == b"It weaves\nalgebraic patterns."
    assert b"grace@example.com: " in site.ask("/").content


def test_by_its_one_command_followers_get_mail_on_sqlite(tmp_path: Path) -> None:
    with Blog(tmp_path) as site:
        see_two_mails(site)
    assert (site.folder / "typedgator.db").exists()


@needs_redis
def test_by_one_variable_it_is_on_redis(tmp_path: Path, redis: Server) -> None:
    with Blog(tmp_path, TYPEDGATOR_CONN=redis.dsn) as site:
        see_two_mails(site)
    assert not (site.folder / "typedgator.db").exists()


def test_what_is_no_address_or_no_post_is_refused(tmp_path: Path) -> None:
    with Blog(tmp_path) as site:
        assert site.submit("follow", email="ada").status == 400
        assert site.submit("publish", title="", text="nothing").status == 400
        assert site.ask("/publish", b"title=a&text=b").status == 403
        assert site.ask("/publish").status == 405


def test_mails_wait_for_a_mail_server_that_is_away(tmp_path: Path) -> None:
    """As the README says."""
    with Alone(tmp_path) as site:
        site.submit("follow", email="ada@example.com")
        assert site.submit("publish", title="Later", text="but not never").status == 200
        site.waits(lambda: any("ConnectionRefusedError" in line for line in site.said), "nothing was tried")
        assert site.mails() == {}

        there = f"127.0.0.1:{site.mail_port}"
        site.start(sys.executable, *f"-m aiosmtpd -n -l {there} -c aiosmtpd.handlers.Mailbox mail".split())
        site.waits(site.mails, "it did not arrive")
        assert site.mails()["ada@example.com"]["Subject"] == "Later"


def test_django_finds_nothing_wrong(tmp_path: Path) -> None:
    """Neither in the models and their migration nor in the tasks."""
    site = Blog(tmp_path)
    for command in (["check", "--fail-level", "WARNING"], ["makemigrations", "--check", "--dry-run"]):
        done = subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=site.folder,
            env=dict(os.environ),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
