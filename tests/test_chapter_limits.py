"""How long a chapter may be, what it opens with, and that the ledger's codes and tables stay in their own section."""

from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from lib.authoring.chapter_limits import (
    claims_stand_in_the_ledger,
    documents_in_one_table,
    one_definition_a_section,
    short_enough,
)
from lib.authoring.chapter_rules import from_memory
from lib.authoring.notebook_page import Page
from lib.authoring.repository import Address

ADDRESS = Address("https://github.com/someone/a-course", "trunk")


def chapter(*cells, number: int = 2) -> Page:
    """A page of Markdown cells, given as strings, and of other cells."""
    made = [
        new_markdown_cell(cell, id=f"text-{place}") if isinstance(cell, str) else cell
        for place, cell in enumerate(cells)
    ]
    path = Path(f"notebooks/{number:02}_x.ipynb")
    return Page(Path(), path, new_notebook(cells=made), ADDRESS)


def code(source: str, *tags: str):
    return new_code_cell(source, metadata={"tags": list(tags)})


def faults(rule, *cells, number: int = 2) -> list[str]:
    return list(rule(chapter(*cells, number=number)))


def folded(text: str) -> str:
    return f"<details><summary>More</summary>\n\n{text}\n\n</details>"


def words(number: int) -> str:
    return "word " * number


def lines(number: int) -> str:
    return "x = 1\n\n" * number  # an empty line is no line


PROOF, BOX = "> *Proof.* Clear.\n\n", "> **What the document says.** This.\n\n"


@pytest.mark.parametrize(
    "cells",
    [
        [words(2_800)],
        [words(2_000), words(800), folded(words(5_000))],
        [code(lines(120))],
        [code(lines(60)), code(lines(60)), code(lines(90), "hide-input")],
        [code(lines(900), "hide-cell"), code(lines(900), "bootstrap")],
        [PROOF * 2, folded(PROOF * 5)],
        [BOX * 3],
    ],
)
def test_a_chapter_at_its_limits_is_short_enough(cells):
    assert faults(short_enough, *cells) == []


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ([words(2_000), words(837)], "2,837 open words, 37 over 2,800"),
        # What is unfolded from the start is open, and so is what is folded across cells.
        ([f"<details open>\n\n{words(2_801)}\n\n</details>"], "over 2,800"),
        ([f"<details>\n\n{words(2_801)}", "</details>"], "over 2,800"),
        (["$x = 1$ " * 1_000], "3,000 open words, 200 over"),
        ([code(lines(121))], "121 visible lines of code, 1 over 120"),
        ([code(lines(61), "introduces"), code(lines(61))], "2 over 120"),
        ([PROOF, PROOF + PROOF], "3 open proofs, 1 over 2"),
        (["*Proof (sketch).* " * 3], "3 open proofs"),
        ([BOX * 4], "4 boxes What the document says, 1 over 3"),
    ],
)
def test_what_is_over_a_limit_is_said_with_the_number(cells, said):
    (fault,) = faults(short_enough, *cells)
    assert said in fault


def test_a_section_has_one_definition():
    definition = "> **Definition 2.{} (Name).** It is.\n\n"
    one, two = definition.format(1), definition.format(2)
    rule = one_definition_a_section
    assert faults(rule, f"# 2 Title\n\n{one}", f"## 1 More\n\n{two}") == []
    assert faults(rule, f"## 1 More\n\n{one}{folded(two)}") == []
    (fault,) = faults(rule, f"## 1 More\n\n{one}", two)
    assert fault == "section '1 More' has 2 definitions; at most 1"


@pytest.mark.parametrize(
    ("cell", "named"),
    [
        ("It leaks (A8).", "A8"),
        ("Both (B11, B14–B16) say so.", "B11, B14, B16"),
        ("Row R2 of the table; (C3, C12)", "R2, C3"),
        (folded("Even here (B51)."), "B51"),
        (code("x = 1  # as in A12"), "A12"),
    ],
)
def test_a_code_of_the_ledger_is_found(cell, named):
    (fault,) = faults(claims_stand_in_the_ledger, cell)
    assert f" names {named}: codes stand in the ledger alone" in fault


@pytest.mark.parametrize(
    "cell",
    [
        "An A100 or H100, DeepSeek-R1, $A_1$, $B_{12}$, B2B, the corpus C4, class C1",
        code("A1 = B2 = 3\nprint('A8')"),
        code("x = '''A8"),  # no Python: another rule says so
        new_markdown_cell("| A8 | It leaks. |", id="line-by-line"),
    ],
)
def test_what_only_looks_like_a_code_is_none(cell):
    assert faults(claims_stand_in_the_ledger, cell) == []


def test_a_table_of_the_documents_stands_in_the_section_from_the_ledger():
    table = "| What the document says | True? |\n|:---|---|\n| It leaks. | No. |"
    (fault,) = faults(documents_in_one_table, f"Look:\n\n{table}")
    assert "cell 'text-0' has a table of what the documents say" in fault
    assert (
        faults(documents_in_one_table, new_markdown_cell(table, id="line-by-line"))
        == []
    )
    assert (
        faults(documents_in_one_table, "| mask | keys |\n|---|---|\n| causal | 3 |")
        == []
    )


QUESTIONS = "**From memory.** Answer first.\n\n" + folded("It is 3.") * 3


@pytest.mark.parametrize("number", [2, 9])
def test_a_later_chapter_opens_with_three_questions(number):
    def found(*cells):
        return faults(from_memory, *cells, number=number)

    assert found("# 2 Title", QUESTIONS, "## 1 First") == []
    (fault,) = found("# 2 Title", "## 1 First")
    assert "does not open with three questions" in fault
    assert found("# 2 Title", "## 1 First", QUESTIONS) == [fault]
    (fault,) = found("# 2 Title", QUESTIONS + folded("4"), "## 1 First")
    assert fault == "**From memory.** has 4 folded answers; expected 3"


def test_the_first_chapter_has_nothing_to_remember():
    assert faults(from_memory, "# 1 Title", "## 1 First", number=1) == []
