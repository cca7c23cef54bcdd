"""What belongs together stands on one line: a formula and the comma after it, a number and its unit, a bit of code.

A browser may break a line on either side of a formula, as on either side of a picture; so a comma or a full stop could
open the next one. Notebooks stay plain Markdown: the book alone ties these together.
"""

import re
from html import escape
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

OPENS = re.compile(r"[(\[“‘]+$")
CLOSES = re.compile(r"^[.,;:!?)\]”’…]+")
UNIT = re.compile(r"(?<=\d) (?=%|[kMG]i?B\b)")
# Code of so many characters, such as ``f(q, k, v)``, is not broken. Longer code in the narrow cell of a table may be
# broken within a name or a call: behind a full stop or an opening bracket.
SHORT = 18
WITHIN = re.compile(r"(?<=[^\W\d][.(])(?=\w)")
AS_WRITTEN = (nodes.literal, nodes.math, nodes.FixedTextElement)


def setup(app: Sphinx) -> None:
    """Rewrite every page as it is read."""
    app.add_transform(TieTogether)


class TieTogether(SphinxTransform):
    """Puts what belongs together into elements of the class ``unbroken``."""

    # After straight quotation marks have become curly ones (priority 750).
    default_priority = 800

    def apply(self, **kwargs: Any) -> None:
        """Go through the formulas, the numbers and the code of one page."""
        for formula in list(self.document.findall(nodes.math)):
            tie_punctuation(formula)
        for text in list(self.document.findall(nodes.Text)):
            if UNIT.search(text) and not isinstance(text.parent, AS_WRITTEN):
                text.parent.replace(text, nodes.Text(UNIT.sub("\u00a0", text)))
        for code in list(self.document.findall(nodes.literal)):
            if len(code.astext()) <= SHORT:
                code["classes"].append("unbroken")
            elif _in_table(code):
                code.replace_self(breakable(code))


def tie_punctuation(formula: nodes.math) -> None:
    """Put a formula into one element with the brackets before it and the punctuation after it."""
    before = _beside(formula, -1, OPENS)
    after = _beside(formula, 1, CLOSES)
    if before or after:
        tied = nodes.inline(classes=["unbroken"])
        formula.replace_self(tied)
        tied += [nodes.Text(before), formula, nodes.Text(after)]


def breakable(code: nodes.literal) -> nodes.raw:
    """The same code, in which a browser may break a line within a name or a call."""
    text = WITHIN.sub("<wbr>", escape(code.astext()))
    html = f'<code class="literal notranslate">{text}</code>'
    return nodes.raw("", html, format="html")


def _beside(formula: nodes.math, step: int, marks: re.Pattern[str]) -> str:
    """Take the marks off the text that touches the formula on one side."""
    place = formula.parent.index(formula) + step
    text = formula.parent[place] if 0 <= place < len(formula.parent) else None
    found = marks.search(text) if isinstance(text, nodes.Text) else None
    if found is None:
        return ""
    formula.parent[place] = nodes.Text(marks.sub("", text))
    return found[0]


def _in_table(node: nodes.Node) -> bool:
    while node is not None and not isinstance(node, nodes.entry):
        node = node.parent
    return node is not None
