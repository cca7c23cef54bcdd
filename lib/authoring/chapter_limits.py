"""What keeps a chapter short and clear: limits on what is open, and no trace of the ledger outside its own section.

Open is what a reader sees who unfolds nothing. Words are counted as any editor counts them, so that a formula, a link
and a row of a table have theirs too.
"""

import io
import re
import tokenize
from collections.abc import Iterator
from contextlib import suppress

from lib.authoring.ledger_pages import LINE_BY_LINE
from lib.authoring.notebook_page import Page
from lib.grading.solutions import tags

WORDS, CODE_LINES, PROOFS, BOXES = 2_800, 120, 2, 3

FOLDED_TAGS = {"hide-input", "hide-cell", "bootstrap"}
FOLDED_TEXT = re.compile(r"<details(?![^>]*\bopen\b)[^>]*>.*?</details>", re.DOTALL)
BOX = "**What the document says"
# An id of the ledger. C4 is also a text corpus and C1 a kind of function, so a C counts in brackets only.
CLAIM = re.compile(r"(?<![\w-])[ABR]\d{1,2}(?![\w-])|\(C\d{1,2}(?=[,;)])")
TABLE_HEAD = re.compile(r"^\|(.*)\|\s*\n\|[\s:|-]+\|\s*$", re.MULTILINE)


def open_texts(page: Page) -> list[str]:
    """The open text of each Markdown cell. What is folded ends in the cell where it begins, or is not folded."""
    return [FOLDED_TEXT.sub(" ", cell.source) for cell in page.texts]


def visible_code(page: Page) -> list[str]:
    """The lines of code that are neither folded nor empty."""
    sources = [cell.source for cell in page.codes if not tags(cell) & FOLDED_TAGS]
    return [line for source in sources for line in source.splitlines() if line.strip()]


def short_enough(page: Page) -> Iterator[str]:
    """A reader has 30 to 45 minutes."""
    text = "\n".join(open_texts(page))
    measures = (
        (len(text.split()), WORDS, "open words", "fold them in <details>, or move them to the exercises"),
        (len(visible_code(page)), CODE_LINES, "visible lines of code", "fold machinery with the tag hide-input"),
        (len(re.findall(r"\*Proof\b", text)), PROOFS, "open proofs", "fold the others in <details>"),
        (text.count(BOX), BOXES, "boxes What the document says", "the ledger has room for the others"),
    )  # fmt: skip
    for number, limit, what, cure in measures:
        if number > limit:
            yield f"it has {number:,} {what}, {number - limit:,} over {limit:,}: {cure}"


def one_definition_a_section(page: Page) -> Iterator[str]:
    for section in re.split(
        r"^#{2,} ", "\n".join(open_texts(page)), flags=re.MULTILINE
    ):
        number = len(re.findall(r"^> \*\*Definition \d", section, re.MULTILINE))
        if number > 1:
            yield f"section {section.splitlines()[0]!r} has {number} definitions; at most 1"


def comments(code: str) -> Iterator[str]:
    """The comments of a cell; a cell that is no plain Python breaks another rule."""
    with suppress(tokenize.TokenError, SyntaxError):
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type == tokenize.COMMENT:
                yield token.string


def claims_stand_in_the_ledger(page: Page) -> Iterator[str]:
    """Neither prose nor a comment names an item of the ledger; the section that is made from it does."""
    for cell in page.notebook.cells:
        if cell.id == LINE_BY_LINE:
            continue
        code = cell.cell_type == "code"
        text = "\n".join(comments(cell.source)) if code else cell.source
        if found := CLAIM.findall(text):
            names = ", ".join(name.lstrip("(") for name in found)
            where = "a comment of" if code else "the prose of"
            yield f"{where} cell {cell.id!r} names {names}: codes stand in the ledger alone"


def documents_in_one_table(page: Page) -> Iterator[str]:
    for cell in page.texts:
        if cell.id != LINE_BY_LINE:
            for head in TABLE_HEAD.findall(cell.source):
                if re.search(r"\bdocuments?\b", head, re.IGNORECASE):
                    yield f"cell {cell.id!r} has a table of what the documents say: give its rows to the ledger"


CHAPTER_LIMITS = (
    short_enough,
    one_definition_a_section,
    claims_stand_in_the_ledger,
    documents_in_one_table,
)
