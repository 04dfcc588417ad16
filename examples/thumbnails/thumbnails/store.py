"""Images on the disk: one folder each, the original and its thumbnails. Writes are whole or not at all.

A task may run twice, when its worker was killed: what it writes the second time takes the place of the first.
"""

import io
import os
import tempfile
from pathlib import Path
from uuid import UUID

from PIL import Image, ImageOps, UnidentifiedImageError

DATA = Path(os.environ.get("THUMBNAILS_DATA", "data"))
FORMATS = ("GIF", "JPEG", "PNG", "WEBP")
"""Pillow opens many more; for some it starts other programs."""
MOST_PIXELS = 50_000_000
"""A file of 200 bytes can unfold into gigabytes, and so can the thumbnail of one that is a single column of pixels."""


def original(image_id: UUID) -> Path:
    """Where an uploaded image is."""
    return DATA / image_id.hex / "original"


def thumbnail(image_id: UUID, width: int) -> Path:
    """Where its thumbnail of this width is, once it is made."""
    return DATA / image_id.hex / f"{width}.png"


def keep(image_id: UUID, content: bytes) -> None:
    """Writes an original."""
    _write(original(image_id), content)


def make(image_id: UUID, width: int) -> None:
    """Writes the thumbnail of an original: as wide as asked, as high as its form wants, or cropped."""
    with Image.open(original(image_id), formats=FORMATS) as image, io.BytesIO() as file:
        upright = ImageOps.exif_transpose(image).convert("RGB")
        height = min(max(1, round(upright.height * width / upright.width)), MOST_PIXELS // width)
        ImageOps.fit(upright, (width, height)).save(file, format="PNG")
        _write(thumbnail(image_id, width), file.getvalue())


def check(content: bytes) -> None:
    """Raises ValueError, saying why, for what is no image, or one that would fill the memory."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
            image.verify()
    except UnidentifiedImageError as error:
        raise ValueError(f"it is none of {', '.join(FORMATS)}") from error
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(str(error)) from error
    if width * height > MOST_PIXELS:
        raise ValueError(f"it has {width} x {height} pixels, and {MOST_PIXELS:,} is the most")


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    os.replace(file.name, path)
