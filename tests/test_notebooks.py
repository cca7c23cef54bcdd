"""`lib.authoring.notebooks`: what it runs and stores, and that each rule catches its own fault."""

import copy
from pathlib import Path

import nbformat
import pytest
from nbformat import v4
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lib.__main__ import main
from lib.authoring.notebook_numbers import (
    asserted_numbers,
    prose_numbers,
    typed_alternative_texts,
    without_code,
)
from lib.authoring.notebooks import execute, normalise, problems
from lib.authoring.repository import GPU, badge, bootstrap, read_address

CONFIG = "repository:\n  url: https://github.com/someone/a-course\n  branch: trunk\n"
NAME = "01_sample.ipynb"
# One pixel: a picture in which nothing is to be seen.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
PREDICTION = """\
**Predict.** What comes out?

<details><summary>0.123</summary>

No.

</details>
<details><summary>1</summary>

Yes.

</details>
<details><summary>2</summary>

No.

</details>"""
SLIDER = """\
from matplotlib.figure import Figure
from lib.explore import explore
from lib.figures import show
def draw(size):
    figure = Figure(figsize=(1, 1))
    figure.subplots().bar([0], [size])
    return show(figure, alt=f"One bar, size {size}.")"""


def sample(root: Path) -> nbformat.NotebookNode:
    """A small chapter that keeps every rule, not yet run."""
    address = read_address(root)
    code = new_code_cell
    text = new_markdown_cell
    return new_notebook(
        cells=[
            text(badge(f"notebooks/{NAME}", address), id="colab-badge"),
            code(bootstrap(address), id="bootstrap", metadata={"tags": ["bootstrap"]}),
            text(
                "# 1 Sample\n\n> **Lemma 1.1 (Sum).** As in Lemma 3.2, it is 0.46.",
                id="title",
            ),
            code(
                "import torch\ntwin = torch.zeros(1)\nprint(0.46)\nassert abs(-0.25 + 0.25) == twin",
                id="sum",
            ),
            text(PREDICTION, id="predict-one"),
            code("1", id="settle-one"),
            text(PREDICTION, id="predict-two"),
            code("1", id="settle-two"),
            code(SLIDER, id="draw"),
            code("explore(draw, size=range(1, 3))", id="slider"),
            text(f"## Recap\n\n[Exercises](../exercises/{NAME})", id="recap"),
            text("## The documents, line by line", id="line-by-line"),
        ]
    )


@pytest.fixture(scope="session")
def course(tmp_path_factory) -> Path:
    """A course of one chapter, run and stored by the tool itself."""
    root = tmp_path_factory.mktemp("course")
    (root / "_config.yml").write_text(CONFIG)
    for folder in ("notebooks", "exercises"):
        (root / folder).mkdir()
    nbformat.write(sample(root), root / "notebooks" / NAME)
    (root / "exercises" / NAME).write_text("{}")
    assert main(["notebooks", "--run", str(root / "notebooks")]) == 0
    return root


@pytest.fixture
def chapter(course):
    """The stored chapter's path and its notebook; the file is put back after the test."""
    path = course / "notebooks" / NAME
    stored = path.read_bytes()
    yield path, nbformat.read(path, 4)
    path.write_bytes(stored)


def test_a_chapter_that_keeps_every_rule_has_no_problem(course):
    assert problems(course / "notebooks" / NAME) == []
    assert main(["notebooks", "--check", str(course / "notebooks")]) == 0


def test_run_stores_real_outputs_and_no_widget(chapter):
    _, notebook = chapter
    cells = {cell.id: cell for cell in notebook.cells}
    assert cells["sum"].outputs[0].text == "0.46\n"
    data = cells["slider"].outputs[0].data
    assert set(data) == {"text/plain", "image/png"}
    assert "size 1" in data["text/plain"]
    assert "widgets" not in notebook.metadata
    counts = [
        cell.execution_count for cell in notebook.cells if cell.cell_type == "code"
    ]
    assert counts == [1, 2, 3, 4, 5, 6]


def test_running_twice_changes_nothing(chapter):
    path, _ = chapter
    before = path.read_bytes()
    assert main(["notebooks", "--run", str(path)]) == 0
    assert path.read_bytes() == before


def test_a_failing_cell_is_named_and_the_file_is_left_alone(chapter, capsys):
    path, notebook = chapter
    notebook.cells[3].source = "1 / 0"
    nbformat.write(notebook, path)
    before = path.read_bytes()
    assert main(["notebooks", "--run", str(path)]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().out
    assert path.read_bytes() == before


def test_execute_runs_in_the_folder_outside_the_book(tmp_path, monkeypatch):
    monkeypatch.setenv("MASKING_THE_FUTURE_BOOK", "somewhere")
    code = "import os; print(os.getcwd(), os.environ.get('MASKING_THE_FUTURE_BOOK'))"
    executed = execute(new_notebook(cells=[new_code_cell(code)]), tmp_path)
    assert executed.cells[0].outputs[0].text == f"{tmp_path.resolve()} None\n"


def test_normalise_drops_what_differs_and_keeps_the_rest(chapter):
    _, notebook = chapter
    noisy = copy.deepcopy(notebook)
    noisy.metadata.widgets = {"state": {}}
    noisy.metadata.kernelspec.name = "my-kernel"
    noisy.metadata.language_info.version = "3.99"
    noisy.cells[3].metadata.execution = {"iopub.execute_input": "2026-01-01"}
    noisy.cells[9].outputs[0].data["application/vnd.jupyter.widget-view+json"] = {}
    untouched = copy.deepcopy(noisy)
    assert normalise(noisy) == notebook
    assert noisy == untouched  # the caller's notebook stays as it was


# (cell id or None for the notebook, what to do with it, what the report must say)
def source(text):
    return lambda cell: cell.update(source=text)


def more(text):
    return lambda cell: cell.update(source=cell.source + "\n\n" + text)


def stores(*outputs):
    return lambda cell: cell.update(outputs=list(outputs))


def shows(data):
    return stores(new_output("display_data", data))


FAULTS = {
    "not run in order": ("sum", lambda c: c.update(execution_count=9), "fresh kernel"),
    "random id": (
        "sum",
        lambda c: c.update(id="a1b2c3d4"),
        "'a1b2c3d4' is not readable",
    ),
    "JupyterLab id": (
        "sum",
        lambda c: c.update(id="b0ee32f5-93b0-4e3d-8f05-9a3b40c0b6a1"),
        "is not readable",
    ),
    "shouting id": ("sum", lambda c: c.update(id="Sum_1"), "'Sum_1' is not readable"),
    "id used twice": ("sum", lambda c: c.update(id="title"), "'title' is used 2 times"),
    "badge elsewhere": (
        "colab-badge",
        source("**[Open in Colab](https://example.org)**"),
        "cell 'colab-badge' does not follow",
    ),
    "no badge": (
        "colab-badge",
        lambda c: c.update(id="hello"),
        "cell 1 is not the cell 'colab",
    ),
    "GPU that it does not need": (
        None,
        lambda n: n.metadata.update(GPU),
        "asks Colab for {'accelerator': 'GPU'",
    ),
    "own bootstrap": ("bootstrap", more("1"), "cell 'bootstrap' does not follow"),
    "stored error": (
        "sum",
        stores(new_output("error", ename="E", evalue="v")),
        "stores an error",
    ),
    "stored warning": (
        "settle-one",
        stores(new_output("stream", name="stderr", text="UserWarning")),
        "stores a warning: UserWarning",
    ),
    "long output": (
        "settle-one",
        stores(new_output("stream", name="stdout", text="x" * 9999)),
        "9999 characters of text",
    ),
    "large picture": (
        "settle-one",
        shows({"image/png": "x" * 999_999, "text/plain": "A large picture."}),
        "a picture of 999999 characters",
    ),
    "widget": (
        "settle-one",
        shows({"application/vnd.jupyter.widget-view+json": {}}),
        "stores application/vnd.jupyter.widget-view+json",
    ),
    "picture without alt": (
        "settle-one",
        shows({"image/png": "eA==", "text/plain": "<Figure size 1x1>"}),
        "cell 'settle-one' shows a picture without alternative text",
    ),
    "tag that skips": (
        "sum",
        lambda c: c.metadata.update(tags=["nbval-ignore-output"]),
        "cell 'sum' has the tag 'nbval-ignore-output'",
    ),
    "comment that skips": (
        "sum",
        more("# NBVAL_SKIP"),
        "cell 'sum' holds '# NBVAL_SKIP'",
    ),
    "blank picture": (
        "settle-one",
        shows({"image/png": PIXEL, "text/plain": "Nothing at all."}),
        "cell 'settle-one' shows a blank picture",
    ),
    "no picture": (
        "settle-one",
        shows({"image/png": "eA==", "text/plain": "Nothing at all."}),
        "cell 'settle-one' stores a picture that is no PNG",
    ),
    "Markdown picture without alt": (
        "title",
        more("![](a.png)"),
        "without alternative text",
    ),
    "HTML picture without alt": (
        "title",
        more("<img src='#a'>"),
        "without alternative text",
    ),
    "directive": ("title", more("```{note}\nMind.\n```"), "MyST markup"),
    "colon fence": ("title", more(":::{tip}\nMind.\n:::"), "MyST markup"),
    "role": ("title", more("See {ref}`this`."), "MyST markup"),
    "target": ("title", more("(here)=\n"), "MyST markup"),
    "dead link": (
        "title",
        more("[x](../book/none.md#a)"),
        "links to ../book/none.md#a",
    ),
    "dead HTML link": (
        "title",
        more('<a href="none.html">x</a>'),
        "links to none.html",
    ),
    "wrong number": (
        "title",
        more("It is 0.47."),
        "0.47 stands in the prose of cell 'title'",
    ),
    "wrong sign": ("title", more("It is −0.46."), "-0.46 stands in the prose"),
    "wrong percentage": ("title", more("That is 45 %."), "45 % stands in the prose"),
    "wrong TeX percentage": ("title", more(r"$45.5\,\%$"), "45.5"),
    "number in alt text only": (
        "sum",
        shows({"image/png": "eA==", "text/plain": "A bar of height 0.46."}),
        "0.46 stands in the prose",
    ),
    "wrong number typed as alt text": (
        "settle-one",
        source('show(figure, alt="A bar of height 0.47.")'),
        "0.47 stands in the alternative text of cell 'settle-one'",
    ),
    "no twin": (
        "sum",
        source("import torch\nprint(0.46)\ntwin = torch.zeros(1)\nassert 1 + 1 == 2"),
        "no cell asserts that NumPy and its PyTorch twin agree",
    ),
    "statement of no such number": (
        "title",
        more("By Lemma 1.2 and Lemma 7.2."),
        "cell 'title' speaks of Lemma 1.2, which the chapter does not state",
    ),
    "statement of another kind": (
        "title",
        more("By Theorem 1.1."),
        "cell 'title' speaks of Theorem 1.1, which",
    ),
    "number stated twice": (
        "recap",
        more("> **Theorem 1.1.** One."),
        "cell 'recap' states 1.1 once more",
    ),
    "magic": ("sum", more("%pip list"), "cell 'sum' is not plain Python"),
    "two answers": (
        "predict-one",
        source(PREDICTION.rpartition("<details>")[0]),
        "the prediction in cell 'predict-one' has 2 folded answers",
    ),
    "unsettled prediction": (
        "settle-two",
        lambda c: c.update(cell_type="markdown"),
        "no code cell follows the prediction in cell 'predict-two'",
    ),
    "one prediction": ("predict-one", source("Well."), "it has 1 predictions"),
    "a softmax of its own": (
        "sum",
        more("import numpy as np\nrow = np.exp([1.0, 2.0])\nrow / row.sum()"),
        "cell 'sum' writes out a softmax",
    ),
    "a mask of its own": (
        "sum",
        more("mask = torch.tril(torch.ones(3, 3))"),
        "cell 'sum' writes out a mask with tril(",
    ),
    "no slider": ("slider", source("draw(1)"), "no cell shows a slider"),
    "no statement": ("title", source("# 1 Sample\n\n0.46"), "it has no statement"),
    "no recap": ("recap", source(f"[x](../exercises/{NAME})"), "no heading Recap"),
    "no exercises": (
        "recap",
        source("## Recap"),
        f"does not link to its exercises, ../exercises/{NAME}",
    ),
    "no line by line": (
        "line-by-line",
        lambda c: c.update(id="something-else"),
        "does not end with *The documents, line by line*",
    ),
    "code named": ("title", more("As in (A8)."), "the prose of cell 'title' names A8"),
    "too long": ("recap", more("word " * 2_800), "open words"),
    "folded in the book alone": (
        "sum",
        lambda c: c.metadata.update(tags=["hide-input"]),
        "normalised form",
    ),
    "editor's metadata": (
        "sum",
        lambda c: c.metadata.update(collapsed=True),
        "normalised form",
    ),
}


@pytest.mark.parametrize(("name", "spoil", "said"), FAULTS.values(), ids=FAULTS)
def test_each_rule_catches_its_fault(chapter, name, spoil, said):
    path, notebook = chapter
    [spoilt] = (
        [cell for cell in notebook.cells if cell.id == name] if name else [notebook]
    )
    spoil(spoilt)
    path.write_text(v4.writes(notebook) + "\n")
    assert said in "\n".join(problems(path))
    assert main(["notebooks", "--check", str(path)]) == 1


def test_an_exercise_need_not_look_like_a_chapter(course):
    notebook = nbformat.read(course / "notebooks" / NAME, 4)
    notebook.cells[0].source = badge("exercises/02_sample.ipynb", read_address(course))
    notebook.cells = notebook.cells[:4]  # no prediction, no slider, no recap
    path = course / "exercises" / "02_sample.ipynb"
    nbformat.write(notebook, path)
    assert problems(path) == []
    notebook.cells[0].source = badge(f"exercises/{NAME}", read_address(course))
    nbformat.write(notebook, path)
    assert len(problems(path)) == 1


@pytest.mark.parametrize(
    ("prose", "found"),
    [
        ("It is 0.46.", ["0.46"]),
        ("from −0.5 to 1.25", ["-0.5", "1.25"]),
        ("$1-0.3$", ["0.3"]),
        ("46.2 % or 30%", ["46.2 %", "30 %"]),
        ("In 1997 there were 3. Then 4.", []),
        ("Observations 3.1 and 3.2, Lemma 2.1, Section 10.1.5, Python 3.11", []),
        ("*Observação 3.1* and (Obs. 3.2)", []),
        ("the larger part 0.53, at step 0.5", ["0.53", "0.5"]),
        ("## 1.2 A heading", []),
        ("`0.5` and [a](https://x.org/0.5)", []),
        ("[doi:10.1109/X.2019.8](https://doi.org/10.1109/X.2019.8)", []),
        ("```\n0.5\n```", []),
        ("<summary>0.5</summary>", []),
        ("C2, A1.5x, v1.5", []),
    ],
)
def test_numbers_that_claim_a_value_are_told_from_names(prose, found):
    assert [shown for shown, *_ in prose_numbers(prose)] == found


def test_only_assertions_count_as_asserted():
    code = "x = 0.1\nassert x == 0.2\nnp.testing.assert_allclose(x, -0.3)\nprint(0.4)"
    assert {float(value) for value in asserted_numbers(code)} == {0.2, -0.3}


def test_alternative_texts_are_read_where_they_are_typed():
    code = (
        "show(f, alt='0.1' '0.2')\nshow(f, alt=f'0.3 {x:8.2f} 0.4')\nshow(f, alt=text)"
    )
    assert list(typed_alternative_texts(code)) == ["0.10.2", "0.3 ", " 0.4"]


def test_code_is_no_prose():
    assert without_code("a `b` c ``d ` e`` f\n```\ng\n```\nh").split() == [
        "a",
        "c",
        "f",
        "h",
    ]


def test_a_missing_path_is_named(capsys):
    assert main(["notebooks", "--check", "nowhere.ipynb"]) == 2
    assert "nowhere.ipynb does not exist" in capsys.readouterr().out


def test_an_empty_folder_is_no_success(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["notebooks", "--check"]) == 2
    assert "no notebook found" in capsys.readouterr().out
