"""The documents' own words are Portuguese: a screen reader is told so, and pronounces them as such.

In what is written from the ledger, the map, the errata and the last section of each chapter, they stand emphasised in
brackets: ``the mask zeroes scores (*zerar os scores*)``. The name of a document's statement, ``*Lema 3.2*``, is
emphasised wherever it stands.
"""

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

PAGES = ("book/map", "book/errata")
SECTION = "the-documents-line-by-line"
STATEMENT = re.compile(r"(Lema|Observação|Proposição|Teorema) \d+(\.\d+)*")


def setup(app: Sphinx) -> None:
    """Rewrite every page as it is read."""
    app.add_transform(MarkPortuguese)


class MarkPortuguese(SphinxTransform):
    """Gives the documents' words their language; docutils makes an attribute `lang` of such a class."""

    default_priority = 300

    def apply(self, **kwargs: Any) -> None:
        """Go through the names of statements, and the parts of one page that are written from the ledger."""
        for words in self.document.findall(nodes.emphasis):
            if STATEMENT.fullmatch(words.astext()):
                words["classes"].append("language-pt")
        parts = [self.document] if self.env.docname in PAGES else []
        parts += [
            section
            for section in self.document.findall(nodes.section)
            if SECTION in section["ids"] + [nodes.make_id(section[0].astext())]
        ]
        for part in parts:
            for words in part.findall(nodes.emphasis):
                if _in_brackets(words) and not words["classes"]:
                    words["classes"].append("language-pt")


def _in_brackets(words: nodes.emphasis) -> bool:
    siblings = words.parent.children
    place = siblings.index(words)
    around = [part.astext() for part in siblings]
    before, after = "".join(around[:place]), "".join(around[place + 1 :])
    return before.endswith("(") and after.startswith(")")
