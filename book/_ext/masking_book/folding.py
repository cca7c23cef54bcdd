"""Folded code says in our words what it did, and stands in one fold where cells follow one another.

A cell with the tag ``hide-input`` is machinery: it draws, computes or checks what the text tells. Its fold is
named by what comes out. Of two such cells in a row, the first of which shows nothing, the reader meets one fold.
"""

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

ASSERTION = re.compile(r"^\s*assert\b", re.MULTILINE)


def setup(app: Sphinx) -> None:
    """Rewrite every page as it is read."""
    app.add_transform(NameFolds)


class NameFolds(SphinxTransform):
    """Joins folded cells that follow one another, and names what is folded."""

    # After the bootstrap cell has left the page.
    default_priority = 310

    def apply(self, **kwargs: Any) -> None:
        """Go through the folded cells of one page."""
        for cell in list(self.document.findall(_is_folded)):
            following = cell.next_node(descend=False, siblings=True)
            if _part(cell, "cell_output") is None and _is_folded(following):
                code = _part(following, "cell_input")
                code[:0] = _part(cell, "cell_input").children
                cell.parent.remove(cell)
            else:
                words = what_it_did(cell)
                cell["prompt_show"] = cell["prompt_hide"] = words


def what_it_did(cell: nodes.container) -> str:
    """The words on a fold."""
    output = _part(cell, "cell_output")
    if output is None:
        checks = ASSERTION.search(_part(cell, "cell_input").astext())
        return "How this is checked" if checks else "Code that is used below"
    drawn = next(output.findall(nodes.image), None) or any(
        "<figure" in html.astext() for html in output.findall(nodes.raw)
    )
    return "How this was drawn" if drawn else "How this was computed"


def _is_folded(node: nodes.Node | None) -> bool:
    return isinstance(node, nodes.container) and node.get("hide_mode") == "input"


def _part(cell: nodes.container, name: str) -> nodes.container | None:
    """The input or the output of a cell, if it has one."""
    return next((part for part in cell.children if name in part["classes"]), None)
