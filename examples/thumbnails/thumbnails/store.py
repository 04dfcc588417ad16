"""Images on the disk: one folder each, the original and its thumbnails. Writes are whole or not at all.

A task may run twice, when its worker was killed: what it writes the second time takes the place of the first.
"""

import io
import os
import tempfile
from pathlib import Path
from uuid import UUID

from PIL import Image, ImageOps

DATA = Path(os.environ.get("THUMBNAILS_DATA", "data"))


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
    """Writes the thumbnail of an original: as wide as asked, as high as its form wants."""
    with Image.open(original(image_id)) as image, io.BytesIO() as file:
        upright = ImageOps.exif_transpose(image).convert("RGB")
        height = max(1, round(upright.height * width / upright.width))
        ImageOps.fit(upright, (width, height)).save(file, format="PNG")
        _write(thumbnail(image_id, width), file.getvalue())


def check(content: bytes) -> None:
    """Raises ValueError, saying why, for what is no image, or one that would fill the memory."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.verify()
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(str(error)) from error


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    os.replace(file.name, path)
