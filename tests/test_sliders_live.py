"""Every chapter, and every picture and slider of the other notebooks, in a real kernel.

nbval compares text; it sees neither pictures nor widgets. So a notebook that has some is run with one more cell (see
`live_run.py`), which moves every control to both ends and a middle value (`slider_probe.py`), and its outputs are
compared with those that are stored, pictures by their pixels. Chapters may train models, so in `make test` nbval
compares this same run (see `recorded_kernel.py`).
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
from nbval.plugin import IPyNbFile, NbCellError
from recorded_kernel import RecordedKernel
from slider_probe import decode

from lib.authoring.notebooks import execute, normalise
from lib.authoring.repository import NOTEBOOK_FOLDERS
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


def output_faults(
    stored: nbformat.NotebookNode, executed: nbformat.NotebookNode
) -> list[str]:
    """The cells that store other outputs than a fresh run gives: texts to the letter, pictures pixel by pixel."""
    faults = []
    for before, after in zip(stored.cells, normalise(executed).cells, strict=True):
        if words(before) != words(after):
            faults.append(
                f"cell {before.id!r} stores {words(before)}, but a fresh run gives {words(after)}"
            )
        elif not same_pictures(pictures(before), pictures(after)):
            faults.append(f"cell {before.id!r} stores another picture than a fresh run")
    return faults


def words(cell: nbformat.NotebookNode) -> list[dict]:
    """The outputs but for pictures, how to show them, and when they were made."""
    found = []
    for output in map(dict, cell.get("outputs", [])):
        data = {k: d for k, d in output.get("data", {}).items() if k != "image/png"}
        output |= {"data": data, "metadata": None, "execution_count": None}
        found.append(output)
    return found


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


def is_to_be_seen(path: Path) -> bool:
    """Has the notebook pictures or sliders?"""
    notebook = nbformat.read(path, as_version=4)
    return bool(explore_cells(notebook)) or any(map(pictures, notebook.cells))


NOTEBOOKS = [
    path
    for folder in NOTEBOOK_FOLDERS
    for path in sorted((ROOT / folder).glob("*.ipynb"))
    if folder == "notebooks" or is_to_be_seen(path)
]


@pytest.mark.parametrize(
    "path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_the_notebook_shows_what_it_stores_and_its_sliders_what_draw_gives(path):
    run = live_run(path)
    assert slider_faults(run.executed, run.sliders) == []
    assert output_faults(run.stored, run.executed) == []


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

    assert output_faults(shown("red", "blue"), shown("red", "blue")) == []
    fault = "cell 'b' stores another picture than a fresh run"
    assert output_faults(shown("red", "green"), shown("red", "blue")) == [fault]
    none = shown("red", "blue")
    none.cells[0].outputs = []
    assert len(output_faults(none, shown("red", "blue"))) == 1


# what a cell does, and whether another number in it is seen
PRINTED = {
    "print(NUMBER)": True,
    "NUMBER": True,
    "import sys; print(NUMBER, file=sys.stderr)": True,
    "from IPython.display import HTML\nHTML('<b>NUMBER</b>')": True,
    "import ipywidgets\nipywidgets.FloatSlider(NUMBER)": True,
    "kept = NUMBER": False,
}


def nbval_reports(stored, executed, folder, session):
    """The cells of a run of which nbval, when the run is lent to it, says that their outputs are not those stored."""
    notebook = normalise(executed)
    for cell, before in zip(notebook.cells, stored.cells, strict=True):
        cell.outputs = before.outputs
    nbformat.write(notebook, folder / "stored.ipynb")
    file = IPyNbFile.from_parent(session, path=folder / "stored.ipynb")
    cells, file.kernel = list(file.collect()), RecordedKernel(executed)
    reported = []
    for cell in cells:
        try:
            cell.runtest()
        except NbCellError as error:
            reported.append((cell.cell.id, str(error)))
    return reported


def test_a_stored_text_that_is_not_the_cells_own_is_reported(tmp_path, request):
    def ran(number):
        cells = [
            new_code_cell(source.replace("NUMBER", number), id=f"cell-{place}")
            for place, source in enumerate(PRINTED)
        ]
        return execute(new_notebook(cells=cells), tmp_path)

    one, other = ran("0.5"), ran("0.25")
    assert output_faults(normalise(one), one) == []
    reported = output_faults(normalise(one), other)
    cells = [f"cell-{place}" for place, seen in enumerate(PRINTED.values()) if seen]
    assert [fault.split(" stores ")[0] for fault in reported] == [
        f"cell {cell!r}" for cell in cells
    ]
    # nbval sees the same in the same run.
    assert nbval_reports(one, one, tmp_path, request.session) == []
    assert nbval_reports(one, other, tmp_path, request.session) == [
        (cell, "Cell outputs differ") for cell in cells
    ]
