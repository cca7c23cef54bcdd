"""The bootstrap cell stays in the notebook: a reader of the book has nothing to install."""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform


def setup(app: Sphinx) -> None:
    """Rewrite every page as it is read."""
    app.add_transform(LeaveOutBootstrap)


class LeaveOutBootstrap(SphinxTransform):
    """Takes the cell tagged ``bootstrap``, which has been run like any other, off the page."""

    default_priority = 300

    def apply(self, **kwargs: Any) -> None:
        """Go through the cells of one page."""
        for cell in list(self.document.findall(nodes.container)):
            if "tag_bootstrap" in cell["classes"]:
                cell.parent.remove(cell)
