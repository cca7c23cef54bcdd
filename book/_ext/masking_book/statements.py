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

# What a statement is called, and what tells it from others of that name: a number, or items of the documents.
NAMED = re.compile(r"(?P<kind>[A-Z][a-z]*( [a-z]+)*)(?P<number> \d+(\.\d+)*)?")
ITEM = re.compile(r"\b[A-Z]\d+\b")


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
            if opens_bold(opening):
                quotation.replace_self(self._box(quotation, opening))

    def _box(
        self, quotation: nodes.block_quote, opening: nodes.paragraph
    ) -> nodes.admonition:
        title = nodes.title("", "", *_take_lead(opening))
        box = nodes.admonition("", title, *quotation.children)
        box.source, box.line = quotation.source, quotation.line
        if not opening.children:
            box.remove(opening)
        kind, identifier = name(title.astext())
        box["classes"] = ["statement", kind]
        if identifier:
            box["ids"], box["names"] = [identifier], [identifier]
            self.document.note_explicit_target(box, box)
        return box


def name(title: str) -> tuple[str, str]:
    """The kind of a statement and its id, which is empty where nothing tells it from others of its kind."""
    named = NAMED.match(title)
    if named is None:
        return "remark", ""
    items = [] if named["number"] else ITEM.findall(title)
    number = named["number"] or " ".join(items)
    return nodes.make_id(named["kind"]), nodes.make_id(
        f"{named['kind']} {number}"
    ) if number else ""


def opens_bold(node: nodes.Node | None) -> bool:
    """Whether this is a paragraph whose first words are bold."""
    if not isinstance(node, nodes.paragraph):
        return False
    # MyST puts an empty text before a paragraph that starts with markup.
    while node.children and node.children[0] == "":
        del node[0]
    return bool(node.children) and isinstance(node.children[0], nodes.strong)


def _take_lead(opening: nodes.paragraph) -> list[nodes.Node]:
    """Take the lead off the first paragraph: its bold text and a parenthesis after it, without the full stop."""
    lead = list(opening.children[0].children)
    del opening[0]
    if opening.astext().startswith(" ("):
        while opening.children:
            part = opening.children[0]
            del opening[0]
            inside, closing, following = (
                part.partition(")") if isinstance(part, nodes.Text) else (part, "", "")
            )
            lead.append(
                nodes.Text(inside + closing) if isinstance(part, nodes.Text) else part
            )
            if closing:
                opening.insert(0, nodes.Text(following.lstrip(". ")))
                break
    elif opening.children and isinstance(opening.children[0], nodes.Text):
        opening[0] = nodes.Text(opening.children[0].lstrip())
    if isinstance(lead[-1], nodes.Text):
        lead[-1] = nodes.Text(lead[-1].rstrip("."))
    return lead
