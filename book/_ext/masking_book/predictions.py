"""Predictions: a question, three folded answers, and then the cell that settles it.

The question is a paragraph that starts ``**Predict.**``; each answer is a ``<details>`` element, which every
notebook viewer folds. MyST passes HTML through unread, so formulas in a ``<summary>`` are typeset here. Other
paragraphs that speak to the reader in a voice of their own, such as ``**From memory.**``, are marked with them.
"""

import re
from html import unescape
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

from masking_book.formulas import typeset
from masking_book.statements import opens_bold

SUMMARY = re.compile(r"<summary>.*?</summary>", re.DOTALL)
VOICES = ("Predict.", "From memory.", "Run it.", "What is true.")
FORMULA = re.compile(r"\$([^$]+)\$")


def setup(app: Sphinx) -> None:
    """Rewrite every page as it is read."""
    app.add_transform(MarkPredictions)


class MarkPredictions(SphinxTransform):
    """Gives each voice a class to style it by, and typesets the formulas of summaries."""

    default_priority = 300

    def apply(self, **kwargs: Any) -> None:
        """Go through the questions and the answers of one page."""
        for paragraph in self.document.findall(nodes.paragraph):
            if opens_bold(paragraph):
                lead = paragraph.children[0].astext()
                if lead in VOICES:
                    paragraph["classes"].append(nodes.make_id(lead))
        for html in list(self.document.findall(nodes.raw)):
            if html.get("format") == "html" and "<summary>" in html.astext():
                html.replace_self(typeset_summaries(html))


def typeset_summaries(html: nodes.raw) -> nodes.raw:
    """The same HTML with the formulas of its summaries typeset."""

    def formula(found: re.Match[str]) -> str:
        latex = unescape(found[1])
        return f'<span class="math">{typeset(latex, False, html)}</span>'

    text = SUMMARY.sub(lambda summary: FORMULA.sub(formula, summary[0]), html.astext())
    return nodes.raw("", text, format="html")
