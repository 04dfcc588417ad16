"""The thumbnails: a real image goes in over HTTP, its progress is seen, a real thumbnail comes out."""

import io
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from PIL import Image

from tests.integration.examples.running import Example, copied
from tests.integration.redis.servers import Server, needs_redis

READY = "Uvicorn running"


def photo(width: int, height: int) -> bytes:
    """A picture of this size as a file, left half red, right half blue."""
    image = Image.new("RGB", (width, height), "red")
    image.paste("blue", (width // 2, 0, width, height))
    with io.BytesIO() as file:
        image.save(file, "JPEG")
        return file.getvalue()


def column(height: int) -> bytes:
    """A PNG of some hundred bytes, one pixel wide."""
    with io.BytesIO() as file:
        Image.new("1", (1, height)).save(file, "PNG")
        return file.getvalue()


def square(side: int) -> bytes:
    """A PNG of some kilobytes, and of as many pixels as that."""
    with io.BytesIO() as file:
        Image.new("1", (side, side)).save(file, "PNG", optimize=True)
        return file.getvalue()


@pytest.fixture
def redis() -> Iterator[Server]:
    with Server() as server:
        yield server


def see_one_made(site: Example, content: bytes, *widths: int) -> list[dict[str, object]]:
    """Uploads an image and waits for its thumbnails, which are what they should be; all answers on the way."""
    query = "&".join(f"width={width}" for width in widths)
    accepted = site.ask(f"/images?{query}", content)
    assert accepted.status == 202, accepted.content
    image, job = accepted.json()["image"], accepted.json()["job"]
    seen: list[dict[str, object]] = []

    def is_over() -> bool:
        seen.append(site.ask(f"/jobs/{job}").json())
        return seen[-1]["state"] not in {"waiting", "running"}

    site.waits(is_over, "the job is not over")
    assert seen[-1] == {"state": "success", "done": None, "total": None, "doing": "", "thumbnails": list(widths)}
    with Image.open(io.BytesIO(content)) as original:
        shape = original.height / original.width
    for width in widths:
        answer = site.ask(f"/images/{image}/{width}")
        with Image.open(io.BytesIO(answer.content)) as thumbnail:
            assert thumbnail.size == (width, round(width * shape))
            left, right = (thumbnail.getpixel((x, thumbnail.height // 2)) for x in (1, width - 2))
            assert isinstance(left, tuple)
            assert isinstance(right, tuple)
            assert left[0] > 200 > 50 > left[2]
            assert right[2] > 200 > 50 > right[0]
    assert site.ask(f"/images/{image}/{max(widths) + 1}").status == 404
    return seen


def test_by_its_one_command_it_makes_thumbnails_on_sqlite(tmp_path: Path) -> None:
    with Example(copied("thumbnails", tmp_path), READY) as site:
        seen = see_one_made(site, photo(6000, 4000), 16, 32, 64, 96, 128, 256, 512, 1024)

        assert any(each["total"] == 8 and str(each["doing"]).endswith(" pixels") for each in seen)
        assert b"<progress" in site.ask("/").content
    assert (site.folder / "typedgator.db").exists()


def test_what_is_no_image_is_refused_before_anything_is_queued(tmp_path: Path) -> None:
    with Example(copied("thumbnails", tmp_path), READY) as site:
        assert site.ask("/images?width=64", b"GIF89a, but only so called").status == 415
        assert site.ask("/images?width=64", photo(64, 64)[:200]).status == 415
        assert site.ask("/images?width=0", photo(8, 8)).status == 422
        assert site.ask("/images", photo(8, 8)).status == 422
        assert site.ask("/images?" + "&".join(["width=8"] * 21), photo(8, 8)).status == 422
        with io.BytesIO() as file:
            Image.new("L", (8, 8)).save(file, "EPS")
            assert site.ask("/images?width=64", file.getvalue()).status == 415
        refused = site.ask("/images?width=64", square(8000))
        assert (refused.status, "8000 x 8000 pixels" in refused.json()["detail"]) == (415, True)
        assert site.ask(f"/images/{uuid4()}/{'9' * 300}").status == 422
        assert site.ask("/jobs/no-such-job").status == 404
        assert site.ask("/jobs/no%20id").status == 404
    assert not (site.folder / "data").exists()


def test_a_column_of_pixels_does_not_fill_the_memory(tmp_path: Path) -> None:
    """Its thumbnail would have a million million of them; it is cropped."""
    with Example(copied("thumbnails", tmp_path), READY) as site:
        accepted = site.ask("/images?width=4096", column(60_000)).json()
        site.waits(
            lambda: site.ask(f"/jobs/{accepted['job']}").json()["state"] in {"success", "failed"}, "the job is not over"
        )

        with Image.open(io.BytesIO(site.ask(f"/images/{accepted['image']}/4096").content)) as thumbnail:
            assert thumbnail.size == (4096, 50_000_000 // 4096)


@needs_redis
def test_by_one_variable_it_is_on_redis(tmp_path: Path, redis: Server) -> None:
    with Example(copied("thumbnails", tmp_path), READY, env={"TYPEDGATOR_CONN": redis.dsn}) as site:
        see_one_made(site, photo(300, 200), 30)
    assert not (site.folder / "typedgator.db").exists()


@needs_redis
def test_the_worker_may_be_a_process_of_its_own(tmp_path: Path, redis: Server) -> None:
    apart = {"TYPEDGATOR_CONN": redis.dsn, "THUMBNAILS_WORKER": "apart"}
    with Example(copied("thumbnails", tmp_path), READY, env=apart) as site:
        accepted = site.ask("/images?width=20", photo(40, 30)).json()
        assert site.ask(f"/jobs/{accepted['job']}").json()["state"] == "waiting"
        site.make("worker")
        see_one_made(site, photo(300, 200), 30, 60)
