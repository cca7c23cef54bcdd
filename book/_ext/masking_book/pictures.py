"""Pictures that cells draw: WebP where that is smaller, and loaded when the reader comes near.

A cell's picture stays a PNG in the notebook, which every viewer shows. In the book the same pixels, without loss,
take about half the bytes as WebP.
"""

from io import BytesIO
from pathlib import Path
from typing import Any

from docutils import nodes
from PIL import Image
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform


def setup(app: Sphinx) -> None:
    """Rewrite every page as it is read."""
    app.add_transform(LightenPictures)


class LightenPictures(SphinxTransform):
    """Points each picture to the smaller file, and lets all but the first of a page wait."""

    # Before Sphinx collects the files that pages show.
    default_priority = 300

    def apply(self, **kwargs: Any) -> None:
        """Go through the pictures of one page."""
        for number, image in enumerate(self.document.findall(nodes.image)):
            if image["uri"].endswith(".png"):
                image["uri"] = self._lighter(image["uri"])
            if number:
                image["loading"] = "lazy"

    def _lighter(self, uri: str) -> str:
        # myst-nb names a picture from the root of the course, with a leading slash, or from the page.
        source = Path(self.env.relfn2path(uri, self.env.docname)[1])
        target = source.with_suffix(".webp")
        if not source.is_file():
            return uri  # Sphinx says that it is missing
        pixels = as_webp(source.read_bytes())
        if len(pixels) >= source.stat().st_size:
            return uri
        target.write_bytes(pixels)
        return uri.removesuffix(".png") + ".webp"


def as_webp(png: bytes) -> bytes:
    """The same pixels as a WebP file."""
    buffer = BytesIO()
    Image.open(BytesIO(png)).save(buffer, "webp", lossless=True, quality=100, method=4)
    return buffer.getvalue()
