"""Every picture and every slider of every notebook, in a real kernel.

nbval compares text; it sees neither pictures nor widgets. So each notebook is run with one more cell (see
`live_run.py`), which moves every control to both ends and a middle value (`slider_probe.py`), and its pictures are
compared with those that are stored.
"""

import base64
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from live_run import SLIDERS, live_run, run_with
from matplotlib.figure import Figure
from nbformat.v4 import new_code_cell, new_notebook, new_output
from slider_probe import decode

from lib.figures import show

ROOT = Path(__file__).parents[1]
CALL = re.compile(r"^(?!\s*#).*(?<!def )\bexplore\(", re.MULTILINE)


def explore_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code" and CALL.search(cell.source)
    ]


def slider_faults(
    notebook: nbformat.NotebookNode, found: dict[str, list[str]]
) -> list[str]:
    """What the probe found in the notebook as it ran, each with the last line of the cell."""
    report = []
    for cell in explore_cells(notebook):
        missing = ["calls explore, but shows no Explorer"]
        problems = found.get(str(cell.execution_count), missing)
        report += [
            f"{cell.source.splitlines()[-1]}\n    {problem}" for problem in problems
        ]
    return report


def picture_faults(
    stored: nbformat.NotebookNode, executed: nbformat.NotebookNode
) -> list[str]:
    """The cells whose stored pictures are not those that a fresh run shows."""
    return [
        f"cell {before.id!r}: run `python -m lib notebooks --run`"
        for before, after in zip(stored.cells, executed.cells, strict=True)
        if not same_pictures(pictures(before), pictures(after))
    ]


def pictures(cell: nbformat.NotebookNode) -> list[np.ndarray]:
    data = [output.get("data", {}) for output in cell.get("outputs", [])]
    return [decode(base64.b64decode(d["image/png"])) for d in data if "image/png" in d]


def same_pictures(some: list[np.ndarray], others: list[np.ndarray]) -> bool:
    return len(some) == len(others) and all(map(alike, some, others))


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    """The same picture, up to what another machine's fonts may change: few pixels that differ clearly."""
    if one.shape != other.shape:
        return False
    apart = np.abs(one.astype(int) - other.astype(int)).max(axis=-1)
    return (apart > 64).mean() < 0.01


NOTEBOOKS = [
    path
    for folder in ("notebooks", "exercises", "solutions")
    for path in sorted((ROOT / folder).glob("*.ipynb"))
    if explore_cells(nbformat.read(path, as_version=4))
    or any(map(pictures, nbformat.read(path, as_version=4).cells))
]


@pytest.mark.parametrize(
    "path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_the_notebook_shows_what_it_stores_and_its_sliders_what_draw_gives(path):
    run = live_run(path)
    assert slider_faults(run.executed, run.sliders) == []
    assert picture_faults(run.stored, run.executed) == []


SETUP = """
from itertools import count
import numpy as np
from matplotlib.figure import Figure
from lib.explore import explore
from lib.figures import matrix, show

def bars(width, height=1, *, words="Bars of width {width} and height {height}", empty=False):
    figure = Figure(figsize=(2, 1))
    axes = figure.subplots()
    if not empty:
        axes.bar([0, 1], [height, 1], width=width / 10)
    return show(figure, alt=words.format(width=width, height=height))

def raises(width):
    return bars(10 // (8 - width))

def cells(width, says="at width {width}"):
    said = [[says.format(width=width)] * 2] * 2
    return show(matrix(width * np.eye(2) / 4), alt=f"Of width {width}", cells=said)

calls = count(1)
def drifts(width):
    return cells(width, f"at width {{width}}, call {next(calls)}")

def impure(width):
    return bars(next(calls))
"""
# cell: what the test must say about it
CELLS = {
    "explore(bars, width=range(1, 9), height=[1, 2.5])": None,
    "explore(raises, width=range(1, 9))": "width = 8: raises ZeroDivisionError",
    "explore(lambda width: bars(3), width=[1, 2, 3])": "the picture is the same at 1 and 3",
    "explore(lambda width: bars(width, words='Two bars side by side'), width=[1, 2, 3])": (
        "the alternative text is the same at 1 and 3"
    ),
    "explore(lambda width: bars(width + 1), width=[1, 2, 3])": (
        "width = 2: the alternative text does not name this value"
    ),
    "explore(lambda width: bars(width, empty=True), width=[1, 2, 3])": "width = 2: the picture is blank",
    "explore(cells, width=[1, 2, 3])": None,
    "explore(drifts, width=[1, 2, 3])": "width = 2: a cell says 'at width 2, call ",
    "explore(impure, width=[1, 2, 3])": "width = 2: the picture is not what draw gives for this state",
    "unseen = explore(bars, width=[1, 2, 3])": "calls explore, but shows no Explorer",
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """What is reported about each of CELLS."""
    notebook = new_notebook(cells=[new_code_cell(source) for source in (SETUP, *CELLS)])
    folder = tmp_path_factory.mktemp("notebook")
    executed, [found] = run_with([(None, SLIDERS)], notebook, folder)
    return slider_faults(executed, found)


@pytest.mark.parametrize(
    ("cell", "fault"),
    CELLS.items(),
    ids=[fault or cell for cell, fault in CELLS.items()],
)
def test_a_planted_fault_is_reported_with_its_cell(planted, cell, fault):
    about_cell = [
        report.partition("\n")[2]
        for report in planted
        if report.startswith(cell + "\n")
    ]
    if fault is None:
        assert about_cell == []
    else:
        assert any(fault in report for report in about_cell), planted


def test_a_stored_picture_that_is_not_the_cells_own_is_reported():
    def shown(*colours):
        notebook = new_notebook(cells=[new_code_cell(id="a"), new_code_cell(id="b")])
        for cell, colour in zip(notebook.cells, colours, strict=True):
            pixel = Figure(figsize=(0.1, 0.1), facecolor=colour)
            data, _ = show(pixel, alt="one colour only")._repr_mimebundle_()
            data["image/png"] = base64.b64encode(data["image/png"]).decode()
            cell.outputs = [new_output("display_data", data)]
        return notebook

    assert picture_faults(shown("red", "blue"), shown("red", "blue")) == []
    (fault,) = picture_faults(shown("red", "green"), shown("red", "blue"))
    assert fault.startswith("cell 'b'")
    none = shown("red", "blue")
    none.cells[0].outputs = []
    assert len(picture_faults(none, shown("red", "blue"))) == 1
