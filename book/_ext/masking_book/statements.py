"""Statements: quotations that start with a bold lead become titled boxes that pages can link to.

Notebooks hold plain Markdown, so that they read well in JupyterLab and Colab too::

    > **Lemma 2.1 (Effect of the mask).** If every row has an allowed key, …

The book shows this as a box with the title *Lemma 2.1 (Effect of the mask)* and the id ``lemma-2-1``; any page
links to it by ``[Lemma 2.1](#lemma-2-1)``. A box about the source documents starts ``> **What the document
says** (A14). …`` and has the id ``what-the-document-says-a14``. A lead without a number has no id.
"""

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

# The name of a statement, and what tells it from others of that name: a number, or items of a document.
LEAD = re.compile(
    r"(?P<kind>[A-Z][\w ]*?) ?(?P<number>\d+(\.\d+)*|\([A-Z]\d+.*\))?(?P<rest> \(.*\))?\.?"
)
# What follows the bold text and still belongs to the title: the items of a document.
ITEMS = re.compile(r" ?(\([A-Z]\d+[^)]*\))\. *")


def setup(app: Sphinx) -> None:
    """Rewrite every page as it is read."""
    app.add_transform(BoxStatements)


class BoxStatements(SphinxTransform):
    """Turns each quotation with a bold lead into an admonition."""

    # Before MyST resolves links to ids of the same page (priority 879).
    default_priority = 300

    def apply(self, **kwargs: Any) -> None:
        """Go through the quotations of one page."""
        for quotation in list(self.document.findall(nodes.block_quote)):
            opening = quotation.children[0] if quotation.children else None
            if isinstance(opening, nodes.paragraph) and isinstance(
                opening.children[0], nodes.strong
            ):
                quotation.replace_self(self._box(quotation, opening))

    def _box(
        self, quotation: nodes.block_quote, opening: nodes.paragraph
    ) -> nodes.admonition:
        title = nodes.title("", "", *_take_lead(opening))
        box = nodes.admonition("", title, *quotation.children)
        box.source, box.line = quotation.source, quotation.line
        if not opening.children:
            box.remove(opening)
        lead = LEAD.fullmatch(title.astext())
        kind = nodes.make_id(lead["kind"] if lead else "statement")
        box["classes"] = ["statement", kind]
        if lead and lead["number"]:
            name = nodes.make_id(f"{lead['kind']} {lead['number'].replace('.', '-')}")
            box["ids"], box["names"] = [name], [name]
            self.document.note_explicit_target(box, box)
        return box


def _take_lead(opening: nodes.paragraph) -> list[nodes.Node]:
    """Take the lead off the first paragraph: its bold text and the items of a document, without the full stop."""
    lead = opening.children[0].children
    del opening[0]
    following = opening.children[0] if opening.children else None
    if isinstance(following, nodes.Text):
        items = ITEMS.match(following)
        if items:
            lead.append(nodes.Text(f" {items[1]}"))
        opening[0] = nodes.Text(
            following[items.end() :] if items else following.lstrip()
        )
    if isinstance(lead[-1], nodes.Text):
        lead[-1] = nodes.Text(lead[-1].rstrip("."))
    return lead
