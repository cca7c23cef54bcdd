"""Alternative texts of pictures that code draws.

`lib.figures.show` makes the text form of a picture its alternative text. myst-nb drops it, because it takes
`alt` from settings of the cell only; here it is put on the picture. A picture without one is a warning, and the
book is built with warnings as errors.
"""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)


def setup(app: Sphinx) -> None:
    """Look at every page once it is read."""
    app.connect("doctree-read", describe_pictures)


def describe_pictures(app: Sphinx, document: nodes.document) -> None:
    """Give each drawn picture its text, and warn about each picture that has none."""
    for output in document.findall(nodes.container):
        if output.get("nb_element") == "mime_bundle":
            for image in output.findall(nodes.image):
                image.setdefault("alt", _text_form(output))
    for image in document.findall(nodes.image):
        if not image.get("alt"):
            logger.warning(
                "this picture has no alternative text: end the cell with `show(figure, alt=…)`, "
                "or write it as ![text](file)",
                location=image,
                type="masking_book",
                subtype="alt",
            )


def _text_form(output: nodes.container) -> str:
    """The plain text of an output, or nothing where it is only Python's name of an object."""
    for part in output.children:
        if part.get("mime_type") == "text/plain":
            text = part.astext().strip()
            return "" if text.startswith("<") and text.endswith(">") else text
    return ""
