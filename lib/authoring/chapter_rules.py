"""What a chapter must hold beside what every notebook must: numbers that are computed, predictions, twins and more.

A rule takes a `Page` and yields one sentence for each fault, as in `lib.authoring.notebook_rules`.
"""

import ast
import re
from collections.abc import Iterator
from itertools import chain, pairwise

from nbformat import NotebookNode

from lib.authoring.ledger_pages import LINE_BY_LINE
from lib.authoring.notebook_numbers import (
    STATEMENTS,
    asserted_numbers,
    is_assert_call,
    printed_numbers,
    prose_numbers,
    typed_alternative_texts,
)
from lib.authoring.notebook_page import Page
from lib.grading.solutions import tags


def numbers_are_computed(page: Page) -> Iterator[str]:
    """A decimal or a percentage in prose or alternative text is printed or asserted by a cell of the notebook."""
    computed = set(chain.from_iterable(map(printed_numbers, page.codes)))
    prose = [(cell, "prose", cell.source) for cell in page.texts]
    for cell in page.codes:
        try:
            computed |= asserted_numbers(cell.source)
            typed = typed_alternative_texts(cell.source)
            prose += [(cell, "alternative text", text) for text in typed]
        except SyntaxError as error:
            yield f"cell {cell.id!r} is not plain Python: {error.msg} in line {error.lineno}"
    for cell, kind, text in prose:
        for shown, value, percent in prose_numbers(text):
            if value not in computed and not (percent and value / 100 in computed):
                yield f"{shown} stands in the {kind} of cell {cell.id!r} but no cell prints or asserts it"


def from_memory(page: Page) -> Iterator[str]:
    """From the second on, a chapter opens with three questions about the chapters before it."""
    if page.number < 2:
        return
    opening = "\n".join(cell.source for cell in page.texts).split("\n## ")[0]
    _, asked, questions = opening.partition("**From memory.**")
    if not asked:
        yield "it does not open with three questions: **From memory.** … before the first section"
    elif (answers := questions.count("<details>")) != 3:
        yield f"**From memory.** has {answers} folded answers; expected 3"


def predictions(page: Page) -> Iterator[str]:
    """At least two, each with three folded answers and a code cell that settles it."""
    count = 0
    for cell, following in pairwise(
        [*page.notebook.cells, NotebookNode(cell_type="end")]
    ):
        asked = (
            cell.source.split("**Predict.**")[1:]
            if cell.cell_type == "markdown"
            else []
        )
        count += len(asked)
        for question in asked:
            if (answers := question.count("<details>")) != 3 or question.count(
                "</details>"
            ) != 3:
                yield f"the prediction in cell {cell.id!r} has {answers} folded answers; expected 3"
        if asked and following.cell_type != "code":
            yield f"no code cell follows the prediction in cell {cell.id!r} to settle it"
    if count < 2:
        yield f"it has {count} predictions (**Predict.** …); expected at least 2"


def statements_are_numbered(page: Page) -> Iterator[str]:
    """A number of this chapter names one statement, and what the prose calls by number is stated here."""
    chapter = page.path.name[:2].lstrip("0")
    name = rf"(?P<kind>{STATEMENTS}) (?P<number>{chapter}\.\d+)"
    stated: dict[str, str] = {}
    for cell in page.texts:
        for lead in re.finditer(rf"^> \*\*{name}", cell.source, re.MULTILINE):
            if lead["number"] in stated:
                yield f"cell {cell.id!r} states {lead['number']} once more; give it a number of its own"
            stated[lead["number"]] = lead["kind"]
    for cell in page.texts:
        for named in re.finditer(rf"\b{name}\b", cell.source):
            if stated.get(named["number"]) != named["kind"]:
                yield f"cell {cell.id!r} speaks of {named[0]}, which the chapter does not state"


def asserts_of_twins(trees: list[ast.Module]) -> list[ast.AST]:
    """The assertions about what PyTorch computed: about a name assigned from torch, or from such a name."""
    torch_made, assertions = {"torch", "torch_attention"}, []

    def made_by_torch(node: ast.AST) -> bool:
        names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        return bool(names & torch_made)

    for node in chain.from_iterable(map(ast.walk, trees)):
        match node:
            case ast.Assign(targets=names, value=source):
                bound = names
            case ast.For(target=name, iter=source):
                bound = [name]
            case _:
                if isinstance(node, ast.Assert) or is_assert_call(node):
                    assertions.append(node)
                continue
        if made_by_torch(source):
            parts = chain.from_iterable(map(ast.walk, bound))
            torch_made |= {part.id for part in parts if isinstance(part, ast.Name)}
    return [node for node in assertions if made_by_torch(node)]


def rules_live_in_lib(page: Page) -> Iterator[str]:
    """A mask rule or a softmax is written out only where an idea is introduced; elsewhere `lib` has it."""
    for cell in page.codes:
        softmax = "exp(" in cell.source and "sum(" in cell.source
        triangle = re.search(r"\b(?:tril|triu)\(", cell.source)
        if (softmax or triangle) and "introduces" not in tags(cell):
            what = "a softmax" if softmax else f"a mask with {triangle[0]}…)"
            yield (
                f"cell {cell.id!r} writes out {what}: use lib, "
                f"or tag the cell 'introduces' if it introduces the idea"
            )


def chapter_parts(page: Page) -> Iterator[str]:
    prose = "\n".join(cell.source for cell in page.texts)
    code = "\n".join(cell.source for cell in page.codes)
    exercise = f"../exercises/{page.path.name}"
    if not asserts_of_twins(page.trees):
        yield "no cell asserts that NumPy and its PyTorch twin agree"
    if not re.search(r"^explore\(", code, re.MULTILINE):
        yield "no cell shows a slider: explore(…)"
    if not re.search(rf"^> \*\*(?:{STATEMENTS}) \d+\.\d+", prose, re.MULTILINE):
        yield "it has no statement (> **Definition 1.1 (…).** …)"
    if not re.search(r"^#+ .*\bRecap\b", prose, re.MULTILINE):
        yield "it has no heading Recap"
    if f"]({exercise}" not in prose:
        yield f"it does not link to its exercises, {exercise}"
    if page.notebook.cells[-1].id != LINE_BY_LINE:
        yield "it does not end with *The documents, line by line*: run `python -m lib ledger`"


CHAPTER_RULES = (
    numbers_are_computed,
    from_memory,
    predictions,
    statements_are_numbered,
    rules_live_in_lib,
    chapter_parts,
)
