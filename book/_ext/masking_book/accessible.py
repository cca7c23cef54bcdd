"""What the theme writes, made usable with a screen reader.

The arrows that unfold the contents have no name, and the logo lies outside of every landmark of the page. Both are
mended where the theme makes them, so that its later versions may do so themselves.
"""

from typing import Any

from bs4 import BeautifulSoup
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

# The theme's own, but for the first, which is `templates/home.html`.
SIDEBAR = ["home.html", "search-button-field.html", "sbt-sidebar-nav.html"]


def setup(app: Sphinx) -> None:
    """Put the logo into a landmark, and name the arrows after the theme has made its functions."""
    app.connect("config-inited", put_logo_into_landmark)
    app.connect("html-page-context", name_arrows, priority=600)


def put_logo_into_landmark(app: Sphinx, config: Config) -> None:
    """Put the sidebar together from the theme's parts and our own."""
    config.html_sidebars["**"] = SIDEBAR


def name_arrows(
    app: Sphinx,
    pagename: str,
    templatename: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    """Let the contents of this page say what each of their arrows unfolds."""
    written = context["generate_toctree_html"]

    def with_names(kind: str, **options: Any) -> BeautifulSoup | str:
        contents = written(kind, **options)
        if isinstance(contents, str):
            return contents
        for arrow in contents.select("li > details > summary"):
            page = arrow.find_parent("li").a.get_text(strip=True)
            arrow["aria-label"] = f"Pages that belong to {page}"
        return contents

    context["generate_toctree_html"] = with_names
