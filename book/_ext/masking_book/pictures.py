"""Pictures that cells draw: WebP where that is smaller, loaded when the reader comes near, with their place kept free.

A cell's picture stays a PNG in the notebook, which every viewer shows. In the book the same pixels, without loss,
take about half the bytes as WebP. Its measures stand in the page, so that nothing moves when it arrives: a link into
the middle of a page with fifty pictures would lead astray otherwise.
"""

from io import BytesIO
from pathlib import Path
from typing import Any

from docutils import nodes
from PIL import Image
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.writers.html5 import HTML5Translator

# Of so many pixels, a picture is not shrunk to a phone's width: its words could not be read.
WIDE = 750


def setup(app: Sphinx) -> None:
    """Rewrite every page as it is read, and write the measures of its pictures."""
    app.add_transform(LightenPictures)
    app.add_node(nodes.image, override=True, html=(write_with_measures, None))


def write_with_measures(writer: HTML5Translator, node: nodes.image) -> None:
    """The picture as the theme writes it, with the measures from which a browser knows its shape."""
    type(writer).visit_image(writer, node)
    if "measures" in node:
        width, height = node["measures"]
        kept_free = f'<img width="{width}" height="{height}"'
        writer.body[-1] = writer.body[-1].replace("<img", kept_free, 1)


class LightenPictures(SphinxTransform):
    """Points each picture to the smaller file, and lets all but the first of a page wait."""

    # Before Sphinx collects the files that pages show.
    default_priority = 300

    def apply(self, **kwargs: Any) -> None:
        """Go through the pictures of one page."""
        for number, image in enumerate(self.document.findall(nodes.image)):
            # myst-nb names a picture from the root of the course, with a leading slash, or from the page.
            source = Path(self.env.relfn2path(image["uri"], self.env.docname)[1])
            if source.suffix == ".png" and source.is_file():  # if not, Sphinx says so
                with Image.open(source) as pixels:
                    image["measures"] = pixels.size
                if image["measures"][0] > WIDE:
                    image["classes"].append("wide")
                image["uri"] = lighter(image["uri"], source)
            if number:
                image["loading"] = "lazy"


def lighter(uri: str, source: Path) -> str:
    """The address of the smaller file, which is written beside the picture."""
    pixels = as_webp(source.read_bytes())
    if len(pixels) >= source.stat().st_size:
        return uri
    source.with_suffix(".webp").write_bytes(pixels)
    return uri.removesuffix(".png") + ".webp"


def as_webp(png: bytes) -> bytes:
    """The same pixels as a WebP file."""
    buffer = BytesIO()
    Image.open(BytesIO(png)).save(buffer, "webp", lossless=True, quality=100, method=4)
    return buffer.getvalue()
