"""What search engines and other sites show of a page: its title, its first sentences, its address, a picture.

sphinxext-opengraph writes the tags. Left alone it would describe every chapter by the words of its Colab badge. The
address of the published book is derived from the repository's (`python -m lib repository`), so it stands in no setting.
"""

from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

from lib.grading.links import BOOK

PICTURE = Path(__file__).parents[2] / "assets" / "social.png"  # drawn by draw.py there
# Shorter paragraphs are badges, bylines and the names of parts.
FEWEST_CHARACTERS, MOST_CHARACTERS = 80, 200


def setup(app: Sphinx) -> None:
    """Bring the extension, and tell it where the book will stand and what each page says."""
    app.setup_extension("sphinxext.opengraph")
    app.connect("config-inited", name_book)
    app.connect("doctree-read", describe)


def name_book(app: Sphinx, config: Config) -> None:
    """Set the book's name and address, and leave out the cards that the extension would draw for each page."""
    config.ogp_site_url = BOOK
    config.ogp_site_name = config.html_title
    config.html_static_path.append(str(PICTURE))
    config.ogp_image = f"_static/{PICTURE.name}"
    config.ogp_image_alt = "Masking the Future: a course on causal attention"
    config.ogp_social_cards = {"enable": False}


def describe(app: Sphinx, document: nodes.document) -> None:
    """Describe a page by the beginning of its first paragraph, to a whole word."""
    texts = (paragraph.astext() for paragraph in document.findall(nodes.paragraph))
    first = next((text for text in texts if len(text) >= FEWEST_CHARACTERS), "")
    if len(first) > MOST_CHARACTERS:
        first = first[:MOST_CHARACTERS].rpartition(" ")[0] + " …"
    if first:
        page = app.env.metadata[app.env.docname]
        page["og:description"] = " ".join(first.split())
