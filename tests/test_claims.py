"""Each wrong claim of the documents, put back in the place of the truth: a cell or a rule must object.

A chapter that says what is true proves little if it would also say what is false. So each claim in `claims.yml` is
written into a chapter or into the package, one at a time, and an assertion must fail, in the cell that the row names.
A claim in a cell is tried in a fork of the chapter's kernel (see `live_run.py`); for one in the package, and on
other systems than Linux, the chapter runs from its first cell on. A claim in the prose must break a rule of the prose.
"""

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import nbformat
import pytest
from chapter_on_copy import objecting_cell_on
from claims import ROOT, Claim, read_claims
from live_run import (
    FORKS,
    code_cells,
    live_run,
    objection_probe,
    run_with,
    unchanged,
)
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from lib.authoring import ledger
from lib.authoring.chapter_rules import numbers_are_computed
from lib.authoring.ledger_items import DOCUMENT_OF
from lib.authoring.ledger_pages import LINE_BY_LINE
from lib.authoring.notebook_numbers import prose_numbers
from lib.authoring.notebook_page import Page
from lib.authoring.repository import read_address

LEMMA = "notebooks/02_the_masking_lemma.ipynb"
# Printed in document 000 and wrong (A26, A27). A cell prints them beside the right ones, so the rule that prose
# numbers are computed lets them pass. The chapter may quote or question them, but never state them.
MISPRINTS = {Decimal(number) for number in ("0.35", "0.65", "0.15", "0.27", "0.58")}
QUOTED = re.compile(r"^> \*\*What the document says\.?\*\*.*", re.MULTILINE)
QUESTIONED = re.compile(r"\bprint(s|ed)\b|\?$")
CLAIMS = read_claims()
CHAPTERS = sorted({claim.chapter for claim in CLAIMS})


def objecting_cell(claim: Claim, folder: Path) -> str | None:
    """The cell that objects when the claim is put in the place of the truth; None where nobody does.

    A package that makes the claim is written into `folder`.
    """
    notebook = nbformat.read(ROOT / claim.chapter, as_version=4)
    if claim.in_package:
        shutil.copytree(ROOT / "lib", folder / "lib")
        file = folder / claim.place
        file.write_text(claim.replace_in(file.read_text("utf-8")), "utf-8")
        return objecting_cell_on(folder, code_cells(notebook))
    if claim.put_into(notebook).cell_type == "code":
        if FORKS:
            return live_run(ROOT / claim.chapter).objections[claim]
        return objecting_cell_on(ROOT, code_cells(notebook))
    faults = [*prose_faults(claim.chapter, notebook)]
    return claim.place if any(f"{claim.place!r}" in fault for fault in faults) else None


def prose_faults(chapter: str, notebook: NotebookNode) -> Iterator[str]:
    """Numbers in the prose that no cell computes, and misprints of the document that pass for true."""
    yield from numbers_are_computed(
        Page(ROOT, Path(chapter), notebook, read_address(ROOT))
    )
    if chapter == LEMMA:
        yield from misprints(notebook)


def misprints(notebook: NotebookNode) -> Iterator[str]:
    for cell in notebook.cells:
        if cell.id == LINE_BY_LINE:  # it tells what the document says
            continue
        prose = QUOTED.sub("", cell.source if cell.cell_type == "markdown" else "")
        for sentence in re.split(r"(?<=[.?!])\s+", prose):
            for shown, value, _ in prose_numbers(sentence):
                if value in MISPRINTS and not QUESTIONED.search(sentence):
                    yield f"cell {cell.id!r} states {shown}, which document 000 misprints"


@pytest.mark.parametrize("claim", CLAIMS, ids=str)
def test_a_wrong_claim_meets_an_objection(claim, tmp_path):
    assert objecting_cell(claim, tmp_path) == claim.fails


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_truth_meets_none(chapter):
    notebook = nbformat.read(ROOT / chapter, as_version=4)
    assert [*prose_faults(chapter, notebook)] == []


def same(place: str) -> Claim:
    return unchanged(next(claim for claim in CLAIMS if claim.place == place))


@pytest.mark.parametrize("place", ["lib/masks.py", "box-example"])
def test_a_claim_that_changes_nothing_is_not_caught(place, tmp_path):
    assert objecting_cell(same(place), tmp_path) is None


@pytest.mark.skipif(not FORKS, reason="forks are for Linux")
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_nor_is_one_that_changes_nothing_in_a_fork(chapter):
    [none] = {
        found
        for claim, found in live_run(ROOT / chapter).objections.items()
        if claim == unchanged(claim)
    }
    assert none is None


CELLS = {"start": "x = 1\nseen = []", "next": "seen.append(x)", "last": "assert x == 1"}
# what is written into the second cell, and what must be said of it
CHANGES = {
    "seen.append(x)": None,
    "x = 2": "last",
    "assert x == 2": "next",
    "y": "next raises NameError: name 'y' is not defined",
    "import os; os._exit(1)": "ends without an answer",
    "from IPython.display import display; display(x); print(x); seen.append(2)": None,
}


@pytest.mark.skipif(not FORKS, reason="forks are for Linux")
def test_what_a_fork_says_and_that_nothing_of_it_comes_back(tmp_path):
    cells = [new_code_cell(source, id=id) for id, source in CELLS.items()]
    cells.append(new_code_cell("print(seen, 'json' in globals())", id="printed"))
    notebook = new_notebook(cells=cells)
    probes = []
    for change in CHANGES:
        claim = Claim((), "", "next", "seen.append(x)", change, "")
        probes.append(("next", objection_probe(claim, notebook)))
    executed, answers = run_with(probes, notebook, tmp_path)
    assert dict(zip(CHANGES, answers, strict=True)) == CHANGES
    assert [cell.outputs for cell in executed.cells[:-1]] == [[], [], []]
    assert executed.cells[-1].outputs[0].text == "[1] False\n"


def test_a_row_that_no_longer_fits_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="stands there 0 times"):
        objecting_cell(replace(CLAIMS[0], truth="K @ Q[moody]"), tmp_path)
    with pytest.raises(ValueError, match="has no cell 'scores-moody'"):
        objecting_cell(replace(CLAIMS[0], place="scores-moody"), tmp_path)


def test_what_is_put_back_is_a_claim_of_the_documents():
    """That each claim called wrong is put back is checked by ``python -m lib ledger --check``."""
    assert {item for item, _ in ledger.read_objections(ROOT)} <= DOCUMENT_OF.keys()
