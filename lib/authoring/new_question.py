"""The skeleton of a question, or of the first one of an exercise: `python -m lib exercises --new 3.4`.

It writes into solutions/ alone. What it writes runs; the words in it that begin with TODO are the author's to replace.
"""

import copy
import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from lib.authoring.notebooks import normalise
from lib.authoring.repository import FOLDED
from lib.grading.solutions import QUESTION

NUMBER = re.compile(r"(\d+)\.(\d+)")
TASK = """\
## {number} ★ TODO title · 2 points

TODO what is given, and why it matters.
TODO what is asked.
TODO what makes it hard.

- **Given:** `x` of shape `(n,)`
- **Wanted:** TODO, of shape `(n,)`
- **Allowed:** NumPy alone; an answer that calls `lib` earns no points
- **Read:** [chapter {chapter}, section TODO](../notebooks/{stem}.ipynb#TODO) ([Colab]())"""
EXAMPLE = """\
# @title Example of question {number}
example("{number}", "answer_{name}", np.array([1.0, 2.0]))"""
ANSWER = '''\
def answer_{name}(x):
    """TODO one line.

    >>> answer_{name}(np.array([1.0, 2.0]))
    array([2., 4.])
    """
    # BEGIN SOLUTION
    return 2 * x
    # END SOLUTION'''
NOTE = "**Why.** TODO"
RIGHT = """\
| `answer_{name}` | as code |
|---|---|
| added to itself | `x + x` |
| by a loop | `[2 * number for number in x]` |
| as a product | `np.multiply(2, x)` |"""
MISTAKES = """\
| `answer_{name}` | as code | what the learner reads | zoo |
|---|---|---|---|
| squared | `x**2` | TODO what to think of instead, without the answer. | |"""
CHECK = """\
# @title Check of question {number}
@check(
    "{number}",
    points=2,
    section="TODO",
    lib_counts=False,
    hint=[
        "TODO a question?",
        "TODO an idea.",
        "TODO a piece of code.",
    ],
)
def check_{name}(student):
    student.same("answer_{name}", np.array([3.0]))
    student.same("answer_{name}", np.random.default_rng(0).normal(size=5))"""
HIDDEN = """\
# @title Check of question {number}
@check("{number}", hidden=True, lib_counts=False)
def check_{name}_again(student):
    student.same("answer_{name}", np.random.default_rng(1).normal(size=9))"""


def skeleton(number: str, stem: str) -> list[NotebookNode]:
    """The cells of a question in the notebook `stem`."""
    name = number.replace(".", "_")
    dashed = number.replace(".", "-")

    def text(source: str) -> str:
        return source.format(number=number, name=name, stem=stem, chapter=stem[:2])

    def markdown(id: str, source: str, *tags: str) -> NotebookNode:
        metadata = {"tags": list(tags)} if tags else {}
        return new_markdown_cell(text(source), id=f"{id}-{dashed}", metadata=metadata)

    def code(id: str, source: str, *tags: str, **metadata) -> NotebookNode:
        metadata |= {"tags": list(tags)} if tags else {}
        return new_code_cell(text(source), id=f"{id}-{dashed}", metadata=metadata)

    return [
        markdown("question", TASK),
        code("example", EXAMPLE, "hide-input", **FOLDED),
        code("answer", ANSWER),
        markdown("note", NOTE, "solution-note"),
        markdown("right", RIGHT, "right"),
        markdown("mistakes", MISTAKES, "mistakes"),
        code("check", CHECK),
        code("hidden", HIDDEN, "hidden-checks"),
    ]


def add(number: str, root: Path) -> str:
    """Put the skeleton of question `number` into its solution notebook, which is made if need be; what was done."""
    found = NUMBER.fullmatch(number)
    if not found:
        raise ValueError(f"--new: expected a number such as 3.4, got {number!r}")
    chapter = f"{int(found[1]):02}"
    chapters = sorted((root / "notebooks").glob(f"{chapter}_*.ipynb"))
    if not chapters:
        raise ValueError(f"--new: there is no chapter notebooks/{chapter}_….ipynb yet")
    path = root / "solutions" / chapters[0].name
    there = path.exists()
    notebook = nbformat.read(path, 4) if there else _frame(chapters[0], path.parent)
    if number in [heading[0] for heading in _headings(notebook)]:
        raise ValueError(f"--new: {path.name} has a question {number} already")
    notebook.cells[(end := _end(notebook)) : end] = skeleton(number, path.stem)
    nbformat.write(normalise(notebook), path)
    return (
        f"solutions/{path.name}: question {number} added. Replace what begins with TODO, count its points and its "
        "hidden check in the title cell, and run `python -m lib repository`, then `python -m lib exercises`."
    )


def _headings(notebook: NotebookNode) -> list[tuple[str, int]]:
    """Number and place of every question."""
    return [
        (found["number"], place)
        for place, cell in enumerate(notebook.cells)
        if cell.cell_type == "markdown" and (found := QUESTION.search(cell.source))
    ]


def _end(notebook: NotebookNode) -> int:
    """The place behind the last question: the cell `what-next`."""
    ids = [cell.id for cell in notebook.cells]
    return ids.index("what-next")


def _frame(chapter: Path, solutions: Path) -> NotebookNode:
    """An exercise without a question: what stands around the questions of the first one, with this chapter's names."""
    model = sorted(solutions.glob("*.ipynb"))[0]
    notebook = copy.deepcopy(nbformat.read(model, as_version=4))
    first, end = _headings(notebook)[0][1], _end(notebook)
    notebook.cells = notebook.cells[:first] + notebook.cells[end:]
    kept = [c for c in notebook.cells if not c.id.startswith("student-id")]
    for cell in kept:
        cell.source = cell.source.replace(model.stem, chapter.stem)
        cell.source = cell.source.replace(
            f"chapter {model.stem[:2]}", f"chapter {chapter.stem[:2]}"
        )
    notebook.cells = kept
    title = next(cell for cell in kept if cell.id == "title")
    name = chapter.stem[3:].replace("_", " ").capitalize()
    title.source = (
        f"# Exercise {chapter.stem[:2]} · {name} (solutions)\n\n"
        f"TODO One question, **2 points**. You need NumPy, and [chapter {chapter.stem[:2]}]"
        f"(../notebooks/{chapter.name}) ([Colab]()) within reach.\n\n"
        f"**Hidden checks** run when a notebook is graded and ask the same with other inputs: TODO."
    )
    return notebook
