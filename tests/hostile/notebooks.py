"""Notebooks as learners hand them in, made of the solution and the exercise 01."""

import copy
import json
import textwrap
from pathlib import Path

from lib.grading.solutions import BEGIN

ROOT = Path(__file__).resolve().parents[2]
NAME = "01_weighted_values.ipynb"
SOLUTION = json.loads((ROOT / "solutions" / NAME).read_text(encoding="utf-8"))
EXERCISE = json.loads((ROOT / "exercises" / NAME).read_text(encoding="utf-8"))


def code(source: str) -> dict:
    """A code cell, with nothing but its source."""
    return {"cell_type": "code", "source": source, "metadata": {}, "outputs": []}


def source(cell: dict) -> str:
    """The text of a cell."""
    return "".join(cell["source"])


def place_of(notebook: dict) -> int:
    """Where the answer to question 1.1 stands."""
    return next(
        n
        for n, cell in enumerate(notebook["cells"])
        if "def weighted_sum" in source(cell)
    )


def with_harm(harm: str, place: str) -> dict:
    """The solution, with harm done in one place."""
    notebook = copy.deepcopy(SOLUTION)
    cells, at = notebook["cells"], place_of(notebook)
    answer = "".join(line for line in source(cells[at]).splitlines(True))
    if place == "in a cell of its own":
        cells.insert(at, code(harm))
    elif place == "in the cell of an answer":
        cells[at] = code(f"{harm}\n{answer}")
    else:
        before, _, after = answer.partition(f"    {BEGIN}\n")
        cells[at] = code(f"{before}{textwrap.indent(harm, '    ')}\n{after}")
    return notebook


def with_cheat(cheat: str) -> dict:
    """The exercise, which answers nothing, with more code at its end."""
    notebook = copy.deepcopy(EXERCISE)
    notebook["cells"].append(code(cheat))
    return notebook
