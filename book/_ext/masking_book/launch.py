"""Colab opens notebooks only, so the button that leads there is on the pages of notebooks alone.

The theme puts it on every page that has code, and would send the reader of a Markdown page to an address at which Colab
says that it cannot load the file.
"""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

LABEL = "launch-buttons"


def setup(app: Sphinx) -> None:
    """Look at the buttons after the theme has made them (priority 501)."""
    app.connect("html-page-context", keep_off_markdown, priority=600)


def keep_off_markdown(
    app: Sphinx,
    pagename: str,
    templatename: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    """Leave the button out of a page that is no notebook."""
    if not app.env.doc2path(pagename).endswith(".ipynb"):
        context["header_buttons"] = [
            button
            for button in context["header_buttons"]
            if button.get("label") != LABEL
        ]
