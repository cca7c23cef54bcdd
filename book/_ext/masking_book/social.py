"""What search engines and other sites show of a page: its title, its first sentences, its address, a picture.

sphinxext-opengraph writes the tags. The address of the published book is derived from the repository's
(`python -m lib repository`), so it is set here and not in _config.yml.
"""

from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config

from lib.grading.links import BOOK

PICTURE = Path(__file__).parents[2] / "assets" / "social.png"  # drawn by draw.py there


def setup(app: Sphinx) -> None:
    """Bring the extension and tell it where the book will stand."""
    app.setup_extension("sphinxext.opengraph")
    app.connect("config-inited", tell_address)


def tell_address(app: Sphinx, config: Config) -> None:
    """Set the address, and leave out the cards that the extension would draw for each page."""
    config.ogp_site_url = BOOK
    config.html_static_path.append(str(PICTURE))
    config.ogp_image = f"_static/{PICTURE.name}"
    config.ogp_image_alt = "Masking the Future: a course on causal attention"
    config.ogp_social_cards = {"enable": False}
